"""The kinds of values a setting can have: from the text of an ini or the environment to a Python value.

Every parser takes the text and returns the value, or raises ValueError with a text that completes
the sentence "mailhub.port = x: …".
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

RELAY_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
"""Schemes of a relay's URL and the port that is meant when none is given (RFC 5321 §4.5.4.2, RFC 6409, RFC 8314)."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Relay:
    """An SMTP server that takes our mail. `messages_per_second` 0 means no limit."""

    name: str
    scheme: str
    host: str
    port: int
    username: str = ""
    password: str = field(default="", repr=False)
    max_connections: int = 10
    messages_per_second: float = 0.0
    messages_per_connection: int = 500

    @property
    def url(self) -> str:
        """The relay's address for people and logs: without the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{self.username}:***@" if self.username else ""
        return f"{self.scheme}://{user}{host}:{self.port}"


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
    return Relay(
        name=name,
        scheme=parts.scheme,
        host=parts.hostname,
        port=parts.port or RELAY_PORTS[parts.scheme],
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        max_connections=integer(1, 1000)(limits.get("max_connections", "10")),
        messages_per_second=number(limits.get("messages_per_second", "0")),
        messages_per_connection=integer(1, 100000)(limits.get("messages_per_connection", "500")),
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
