"""The kinds of values a setting can have: from the text of an ini or the environment to a Python value.

Every parser takes the text and returns the value, or raises ValueError with a text that completes
the sentence "mailhub.port = x: …".
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from mailhub.relay_presets import PRESETS

RELAY_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
"""Schemes of a relay's URL and the port that is meant when none is given (RFC 5321 §4.5.4.2, RFC 6409, RFC 8314)."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Relay:
    """An SMTP server that takes our mail. `messages_per_second` 0 means no limit.

    `tls` and `verify` are what was asked for; `encryption` and `verifies` are what follows from them.
    """

    name: str
    scheme: str
    host: str
    port: int
    username: str = ""
    password: str = field(default="", repr=False)
    max_connections: int = 10
    messages_per_second: float = 0.0
    messages_per_connection: int = 500
    #: The group that it belongs to: projects choose groups; empty in the ini means its own name.
    route: str = ""
    #: Its part of the group's letters; 0: in reserve.
    weight: float = 1.0
    #: Sender domains whose letters go this way.
    domains: tuple[str, ...] = ()
    #: True where it hands on to the providers while we wait: then `mailhub.lane.*` limits hold for it.
    lanes: bool = False
    #: Limits of a kind of mail; 0 means none.
    transactional_per_second: float = 0.0
    bulk_per_second: float = 0.0

    def __post_init__(self) -> None:
        if not self.route:
            object.__setattr__(self, "route", self.name)
    max_age_seconds: int = 300
    idle_seconds: int = 30
    tls: Literal["", "none", "opportunistic", "require"] = ""
    verify: bool | None = None
    ca_file: str = ""
    auth: Literal["auto", "plain", "login", "xoauth2"] = "auto"
    password_in_clear: bool = False
    preset: str = ""

    @property
    def is_loopback(self) -> bool:
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def encryption(self) -> Literal["none", "opportunistic", "require", "implicit"]:
        """`implicit`: TLS from the first byte; `require`: STARTTLS or nothing; `opportunistic`: STARTTLS if offered."""
        if self.scheme == "smtps":
            return "implicit"
        if self.scheme == "smtp+starttls":
            return "require"
        return self.tls or ("none" if self.is_loopback else "opportunistic")

    @property
    def verifies(self) -> bool:
        """Whether the certificate must be good. Under `opportunistic` only when asked, or when a password follows."""
        if self.encryption != "opportunistic":
            return True
        return bool(self.username) if self.verify is None else self.verify

    @property
    def may_sign_in_clear(self) -> bool:
        """Whether the password may go without TLS: on this machine, or because it was said so."""
        return self.password_in_clear or (self.scheme == "smtp" and self.is_loopback)

    @property
    def url(self) -> str:
        """The relay's address for people and logs: without the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{self.username}:***@" if self.username else ""
        return f"{self.scheme}://{user}{host}:{self.port}"


@dataclass(frozen=True)
class Timeouts:
    """Seconds that a whole verb may take: the minima of RFC 5321 §4.5.3.2, the connection itself apart.

    `block` is for each 64 kB of a letter that the relay takes, `end` for its answer to the final dot.
    """

    connect: float = 15
    banner: float = 300
    command: float = 300
    data: float = 120
    block: float = 180
    end: float = 600


@dataclass(frozen=True)
class LaneLimits:
    """What one mailbox provider is sent at most through a relay with `lanes`; 0 means no limit."""

    max_connections: int = 0
    messages_per_second: float = 0.0
    messages_per_connection: int = 0


#: By lane of mail/lane.py, after what the providers publish and what KumoMTA ships; `other` is thousands of servers.
LANE_DEFAULTS: dict[str, dict[str, str]] = {
    "gmail": {"max_connections": "5", "messages_per_second": "100", "messages_per_connection": "50"},
    "yahoo": {"max_connections": "10", "messages_per_second": "100", "messages_per_connection": "20"},
    "microsoft": {"max_connections": "5", "messages_per_second": "100", "messages_per_connection": "50"},
    "apple": {"max_connections": "10", "messages_per_second": "100", "messages_per_connection": "5"},
    "mailru": {"max_connections": "10", "messages_per_second": "50", "messages_per_connection": "50"},
    "yandex": {"max_connections": "10", "messages_per_second": "50", "messages_per_connection": "50"},
    "other": {"max_connections": "0", "messages_per_second": "0", "messages_per_connection": "100"},
}
LANE_DOCS = {
    "max_connections": "Connections at most for letters to this provider, a relay with `lanes`; 0: only the relay's "
    "own limit.",
    "messages_per_second": "Letters a second at most to this provider, a relay with `lanes`; 0: no limit.",
    "messages_per_connection": "Letters to this provider on one connection; 0: only the relay's own limit.",
}
LANE_SETTING = re.compile(rf"mailhub\.lane\.({'|'.join(LANE_DEFAULTS)})\.({'|'.join(LANE_DOCS)})")


def text(value: str) -> str:
    return value


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return value

    return parse


def integer(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not re.fullmatch(r"\d{1,18}", value):
            raise ValueError("must be a whole number")
        if not low <= int(value) <= high:
            raise ValueError(f"must be between {low} and {high}")
        return int(value)

    return parse


def number(value: str) -> float:
    if not re.fullmatch(r"\d{1,9}(\.\d{1,6})?", value):
        raise ValueError("must be a number, 0 or more")
    return float(value)


def boolean(value: str) -> bool:
    known = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if value.lower() not in known:
        raise ValueError("must be true or false")
    return known[value.lower()]


def folder(value: str) -> Path:
    if not value:
        raise ValueError("must be a folder")
    return Path(os.path.abspath(Path(value).expanduser()))


def words(value: str) -> tuple[str, ...]:
    return tuple(value.split())


def networks(value: str) -> tuple[str, ...]:
    """Networks in CIDR notation, separated by blanks or commas."""
    found = tuple(value.replace(",", " ").split())
    for one in found:
        try:
            ip_network(one, strict=False)
        except ValueError:
            raise ValueError(f"{one!r} is no network like 192.0.2.0/24 or 2001:db8::/32") from None
    return found


def readable_file_or_none(value: str) -> str:
    if value and not os.access(value, os.R_OK):
        raise ValueError("cannot be read")
    return value


def durations(value: str) -> tuple[int, ...]:
    """`5m 1h 2d` → seconds."""
    seconds = []
    for word in value.split():
        match = re.fullmatch(r"(\d{1,9})([smhd])", word)
        if match is None:
            raise ValueError(f"{word!r} is not a duration like 30s, 5m, 2h or 1d")
        seconds.append(int(match[1]) * _UNITS[match[2]])
    if not seconds:
        raise ValueError("needs at least one duration")
    return tuple(seconds)


def timeouts(value: str) -> Timeouts:
    """`2s` for every verb, or `banner=30s end=5m` for some; the others keep the minima of RFC 5321."""
    if not value:
        return Timeouts()
    names = [field.name for field in fields(Timeouts)]
    if "=" not in value:
        return Timeouts(**dict.fromkeys(names, durations(value)[0]))
    given = {}
    for word in value.split():
        name, _, duration = word.partition("=")
        if name not in names:
            raise ValueError(f"{name!r} is none of {', '.join(names)}")
        given[name] = durations(duration)[0]
    return Timeouts(**given)


def web_url(value: str) -> str:
    """An origin, with no path: links are made by joining it with a path. Empty when not given."""
    if not value:
        return value
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be like https://mail.example.org")
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        raise ValueError("must be a scheme, a host and perhaps a port, with nothing after them")
    _ = parts.port  # raises ValueError when it is no port
    return value.rstrip("/")


def database_url(value: str) -> str:
    """`embedded`, or a PostgreSQL URL for SQLAlchemy; the driver is always psycopg 3."""
    if value == "embedded":
        return value
    scheme, separator, rest = value.partition("://")
    if not separator or scheme not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise ValueError("must be `embedded` or a URL like postgresql://user:password@host/database")
    return f"postgresql+psycopg://{rest}"


def broker_url(value: str) -> str:
    if value not in ("embedded", "pgmq://embedded", "memory://") and not value.startswith(("amqp://", "amqps://")):
        raise ValueError("must be `embedded` or a URL like amqp://user:password@host/vhost")
    return value


def host_name(value: str) -> str:
    if not re.fullmatch(
        r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+", value
    ):
        raise ValueError("must be a host name in lower case, like bounces.example.org")
    return value


def host_name_or_none(value: str) -> str:
    return host_name(value) if value else value


def selector(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*", value):
        raise ValueError("must be of small letters, digits and dashes, like mail2026")
    return value


def relay(name: str, url: str, limits: Mapping[str, str]) -> Relay:
    """One relay from its URL and its limits (the texts of `.max_connections` and so on)."""
    parts = urlsplit(url)
    if parts.scheme not in RELAY_PORTS or not parts.hostname:
        raise ValueError("must be like smtp://host:25, smtp+starttls://user:password@host:587 or smtps://host:465")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("must have nothing after the host and port (a password's special characters are %-encoded)")
    preset = one_of(*PRESETS)(limits.get("preset") or "smarthost")
    limits = {**PRESETS[preset], **{part: value for part, value in limits.items() if value}}
    tls = one_of("", "none", "opportunistic", "require")(limits.get("tls", ""))
    verify = boolean(limits["verify"]) if limits.get("verify") else None
    if tls and tls != "require" and parts.scheme != "smtp":
        raise ValueError(f"tls = {tls} is the opposite of {parts.scheme}://")
    found = Relay(
        name=name,
        scheme=parts.scheme,
        host=parts.hostname,
        port=parts.port or RELAY_PORTS[parts.scheme],
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        max_connections=integer(1, 1000)(limits.get("max_connections", "10")),
        messages_per_second=number(limits.get("messages_per_second", "0")),
        messages_per_connection=integer(1, 100000)(limits.get("messages_per_connection", "500")),
        max_age_seconds=integer(1, 86400)(limits.get("max_age_seconds", "300")),
        idle_seconds=integer(1, 3600)(limits.get("idle_seconds", "30")),
        tls=tls,  # type: ignore[arg-type]
        verify=verify,
        ca_file=limits.get("ca_file", ""),
        auth=one_of("auto", "plain", "login", "xoauth2")(limits.get("auth", "auto")),  # type: ignore[arg-type]
        password_in_clear=boolean(limits.get("password_in_clear", "false")),
        preset=preset,
        route=route_name(limits.get("route", name)),
        weight=number(limits.get("weight", "1")),
        domains=tuple(host_name(word) for word in limits.get("domains", "").split()),
        lanes=boolean(limits.get("lanes", "false")),
        transactional_per_second=number(limits.get("transactional_per_second", "0")),
        bulk_per_second=number(limits.get("bulk_per_second", "0")),
    )
    if verify is False and found.encryption in ("require", "implicit"):
        raise ValueError("verify = false is for opportunistic TLS; give the server's authority with ca_file instead")
    if found.ca_file and not os.access(found.ca_file, os.R_OK):
        raise ValueError(f"ca_file = {found.ca_file!r}: cannot be read")
    return found


def route_name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9_-]{1,40}", value):
        raise ValueError("a route's name has small letters, digits, _ and -")
    return value


def lanes(given: Callable[[str], str], faults: list[str]) -> dict[str, LaneLimits]:
    """The limits of every lane; `given` knows the text of a setting by its name, "" where it is not set."""
    found = {}
    for lane in LANE_DEFAULTS:
        try:
            found[lane] = lane_limits(lane, {part: given(f"mailhub.lane.{lane}.{part}") for part in LANE_DOCS})
        except ValueError as error:
            faults.append(f"mailhub.lane.{lane}.*: {error}")
    return found


def lane_limits(lane: str, limits: Mapping[str, str]) -> LaneLimits:
    """A lane's limits: the given ones, and our defaults for the rest."""
    limits = {**LANE_DEFAULTS[lane], **{part: value for part, value in limits.items() if value}}
    return LaneLimits(
        max_connections=integer(0, 1000)(limits["max_connections"]),
        messages_per_second=number(limits["messages_per_second"]),
        messages_per_connection=integer(0, 100000)(limits["messages_per_connection"]),
    )


def revealed(value: str, environ: Mapping[str, str]) -> str:
    """A secret's text: itself, or what `file:/path`, `env:NAME` or `cred:name` (systemd's LoadCredential) stand for."""
    kind, separator, where = value.partition(":")
    if not separator or kind not in ("file", "env", "cred"):
        return value
    if kind == "env":
        if not environ.get(where):
            raise ValueError(f"the environment has no {where}")
        return environ[where]
    path = Path(where)
    if kind == "cred":
        if not environ.get("CREDENTIALS_DIRECTORY"):
            raise ValueError("cred: needs CREDENTIALS_DIRECTORY, which systemd sets for LoadCredential=")
        path = Path(environ["CREDENTIALS_DIRECTORY"]) / where
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
