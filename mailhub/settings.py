"""The one table of settings: name, kind, default, meaning; read from the ini and the environment, all faults at once.

A new setting is one line in `Settings`. `docs/settings.md` is made from it: `make settings-doc`.
"""

from __future__ import annotations

import configparser
import dataclasses
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plaster

from mailhub import setting_values as kind
from mailhub.relay_presets import RELAY_DOCS
from mailhub.setting_values import LaneLimits, Relay, Timeouts

__all__ = [
    "ROWS",
    "LaneLimits",
    "Relay",
    "Settings",
    "SettingsError",
    "Timeouts",
    "environment_name",
    "make_home",
    "read_ini",
    "read_settings",
    "settings_from_ini",
    "shown",
]

_OURS = ("mailhub.", "sqlalchemy.", "celery.")


class SettingsError(Exception):
    """The settings cannot be used; `faults` has a sentence for each thing that is wrong."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("the settings cannot be used:\n" + "\n".join(f"  - {fault}" for fault in faults))
        self.faults = faults


def _row(name: str, parse: Callable[[str], Any], default: str, doc: str, *, secret: bool = False) -> Any:
    metadata = {"name": name, "parse": parse, "default": default, "doc": doc, "secret": secret}
    return dataclasses.field(metadata=metadata, repr=not secret)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting of this process, parsed and checked. Made by `read_settings`."""

    # Where and what
    environment: str = _row(
        "mailhub.environment",
        kind.one_of("development", "production", "test"),
        "development",
        "`production` refuses what is only good enough at home; `development` adds the mailbox and `/_ui`.",
    )
    home: Path = _row("mailhub.home", kind.folder, "var", "Folder of the embedded state, imports, exports and uploads.")
    port: int = _row(
        "mailhub.port", kind.integer(1, 65535), "6543", "The site, when `mailhub up` starts it (loopback)."
    )
    reports_port: int = _row(
        "mailhub.reports_port",
        kind.integer(1, 65535),
        "6544",
        "The reports process, when `mailhub up` starts it (loopback).",
    )
    mailbox_port: int = _row(
        "mailhub.mailbox_port",
        kind.integer(1, 65535),
        "2525",
        "SMTP port of the development mailbox (loopback). Not used when the default relay is another server.",
    )
    metrics_port: int = _row(
        "mailhub.metrics_port",
        kind.integer(0, 65535),
        "0",
        "Loopback port on which this process answers `GET /metrics`; 0: none. Each process needs its own, "
        "so give it by the environment.",
    )
    # Addresses in links
    public_url: str = _row(
        "mailhub.public_url",
        kind.web_url,
        "",
        "The site. Links are built from this, never from the Host header. Outside production these four "
        "are by default what `mailhub up` listens on, like `http://127.0.0.1:6543`.",
    )
    tracking_url: str = _row(
        "mailhub.tracking_url",
        kind.web_url,
        "",
        "Serves `/t/*` and `/u/*`. Production refuses one that is not https (RFC 8058).",
    )
    usercontent_url: str = _row(
        "mailhub.usercontent_url", kind.web_url, "", "Serves what users wrote: web versions `/v/*`, archive, media."
    )
    reports_url: str = _row("mailhub.reports_url", kind.web_url, "", "The reports process.")
    # Database and broker
    database_url: str = _row(
        "sqlalchemy.url",
        kind.database_url,
        "embedded",
        "`embedded`, or the URL of a PostgreSQL 15 or newer: `postgresql://user:password@host/database`.",
        secret=True,
    )
    reports_database_url: str = _row(
        "sqlalchemy.reports.url",
        kind.database_url,
        "embedded",
        "For the reports' queries: a replica, or a role that can only read. `embedded`: the same as `sqlalchemy.url`.",
        secret=True,
    )
    database_pool_size: int = _row(
        "sqlalchemy.pool_size", kind.integer(1, 200), "10", "Connections a process keeps at most."
    )
    reports_pool_size: int = _row(
        "sqlalchemy.reports.pool_size",
        kind.integer(1, 50),
        "4",
        "Connections for the reports' queries that a process keeps at most.",
    )
    reports_statement_timeout_seconds: int = _row(
        "mailhub.reports.statement_timeout_seconds",
        kind.integer(1, 3600),
        "30",
        "A report's query is cancelled after this time.",
    )
    broker_url: str = _row(
        "celery.broker_url",
        kind.broker_url,
        "embedded",
        "`embedded` (queues in the same PostgreSQL), or `amqp://user:password@host/vhost`.",
        secret=True,
    )
    broker_quorum_queues: bool = _row(
        "mailhub.broker.quorum_queues",
        kind.boolean,
        "false",
        "RabbitMQ only: quorum queues instead of classic durable ones.",
    )
    # Secrets
    secret_key: str = _row(
        "mailhub.secret_key",
        kind.text,
        "",
        "Signs links and cookies, encrypts stored keys; at least 32 characters. Outside production an empty "
        "one is made at the first start and kept in `secret_key` in `mailhub.home`.",
        secret=True,
    )
    secret_keys_old: tuple[str, ...] = _row(
        "mailhub.secret_keys_old",
        kind.words,
        "",
        "Earlier values of `mailhub.secret_key`, separated by spaces: still accepted, no longer used to sign.",
        secret=True,
    )
    # Delivery
    return_path_domain: str = _row(
        "mailhub.return_path_domain",
        kind.host_name,
        "bounces.mailhub.test",
        "Domain of the envelope sender; bounces come back to it.",
    )
    dkim_domain: str = _row(
        "mailhub.dkim.domain",
        kind.host_name_or_none,
        "",
        "Your own domain, which signs all letters beside the projects' domains (feedback loops ask for it). Empty: "
        "letters have their project's signatures only.",
    )
    dkim_selector: str = _row(
        "mailhub.dkim.selector",
        kind.selector,
        "mailhub",
        "Where its key is published: `<selector>._domainkey.<domain>`.",
    )
    dkim_private_key: str = _row(
        "mailhub.dkim.private_key",
        kind.text,
        "",
        "Its private key, PEM: RSA (2048 bits) or Ed25519. Best as `file:/path`.",
        secret=True,
    )
    delivery_chunk_size: int = _row(
        "mailhub.delivery.chunk_size", kind.integer(1, 10000), "500", "Recipients in one chunk of a campaign."
    )
    delivery_lease_seconds: int = _row(
        "mailhub.delivery.lease_seconds",
        kind.integer(5, 600),
        "20",
        "How long a worker may be silent before its work is given to another.",
    )
    delivery_retry_schedule: tuple[int, ...] = _row(
        "mailhub.delivery.retry_schedule",
        kind.durations,
        "1m 5m 15m 1h 4h 8h 12h 24h",
        "Pauses between attempts after a temporary refusal; after the last one the letter has failed.",
    )
    delivery_position_durable: bool = _row(
        "mailhub.delivery.position_durable",
        kind.boolean,
        "true",
        "Wait for the disk before each letter. `false` is faster; a crash of the database "
        "server together with a worker can then repeat the letters of about 0.6 s.",
    )
    delivery_pump_seconds: int = _row(
        "mailhub.delivery.pump_seconds",
        kind.integer(10, 3600),
        "600",
        "A sending task ends after this time and another goes on.",
    )
    delivery_timeouts: Timeouts = _row(
        "mailhub.delivery.timeouts",
        kind.timeouts,
        "",
        "How long a relay may take: `30s` for everything, or words like `connect=15s banner=5m command=5m data=2m block=3m "
        "end=10m`, which are what is used by itself (RFC 5321 §4.5.3.2).",
    )
    delivery_sweep_seconds: int = _row(
        "mailhub.delivery.sweep_seconds",
        kind.integer(1, 60),
        "3",
        "How often a worker looks for work whose wake-up was lost.",
    )
    workers_transactional: int = _row(
        "mailhub.workers.transactional",
        kind.integer(1, 64),
        "2",
        "Processes of the `transactional` worker that `mailhub up` starts.",
    )
    workers_bulk: int = _row(
        "mailhub.workers.bulk", kind.integer(1, 64), "2", "Processes of the `bulk` worker that `mailhub up` starts."
    )
    workers_celery: int = _row(
        "mailhub.workers.celery", kind.integer(1, 64), "2", "Processes of the `celery` worker that `mailhub up` starts."
    )
    # People
    session_idle_seconds: int = _row(
        "mailhub.session.idle_seconds",
        kind.integer(60, 31536000),
        "43200",
        "A session without a request for this long has ended.",
    )
    session_absolute_seconds: int = _row(
        "mailhub.session.absolute_seconds",
        kind.integer(60, 31536000),
        "1209600",
        "A session ends after this time, used or not.",
    )
    sign_in_attempts: int = _row(
        "mailhub.sign_in.attempts",
        kind.integer(1, 1000),
        "10",
        "Wrong passwords for one address, or from one network address ten times as many, before sign-in has to wait.",
    )
    sign_in_window_seconds: int = _row(
        "mailhub.sign_in.window_seconds",
        kind.integer(10, 86400),
        "900",
        "The time in which those attempts are counted.",
    )
    # Signing up
    sign_up_views_seconds: int = _row("mailhub.sign_up.views_seconds", kind.integer(0, 60), "5",
        "Views of sign-up forms are written down this often, all at once; 0: each at once.")  # fmt: skip
    # Files
    upload_max_bytes: int = _row(
        "mailhub.upload.max_bytes",
        kind.integer(1024, 10737418240),
        "209715200",
        "The largest file that can be imported; it is streamed to disk.",
    )
    import_batch_rows: int = _row("mailhub.import.batch_rows", kind.integer(100, 1000000), "5000",
        "Rows of an import that are merged in one transaction.")  # fmt: skip
    quality_disposable_file: str = _row("mailhub.quality.disposable_file", kind.readable_file_or_none, "",
        "A file of further domains of disposable mailboxes, one a line; `!domain` takes one off our list.")  # fmt: skip
    import_keep_days: int = _row("mailhub.import.keep_days", kind.integer(1, 3650), "30",
        "So long an import can be rolled back, its rejected rows are listed, and the file of one that was stopped or has failed is kept. "
        "The file of one that is done is deleted at once.")  # fmt: skip
    import_letters_per_minute: int = _row("mailhub.import.letters_per_minute", kind.integer(1, 100000), "300",
        "Confirmation letters that imports with double opt-in send in a minute, all together.")  # fmt: skip
    retention_days: int = _row(
        "mailhub.retention_days",
        kind.integer(1, 3650),
        "90",
        "Raw events and message rows are kept this long; the rolled-up numbers stay for ever.",
    )
    # Opens and clicks
    scanner_networks: tuple[str, ...] = _row("mailhub.tracking.scanner_networks", kind.networks, "",
        "Networks of mail scanners, like `192.0.2.0/24 2001:db8::/32`: opens and clicks from there are machines'. Microsoft 365's own "
        "mail servers are known already, for clicks.")  # fmt: skip
    private_relay_file: str = _row("mailhub.tracking.private_relay_file", kind.readable_file_or_none, "",
        "Apple's list of Private Relay addresses (`https://mask-api.icloud.com/egress-ip-ranges.csv`), kept up to date by you. "
        "Without it Apple's prefetching is known by its User-Agent alone.")  # fmt: skip
    # Logs
    log_format: str = _row("mailhub.log.format", kind.one_of("text", "json"), "text",
        "Lines for people, or an object a line.")  # fmt: skip
    log_level: str = _row(
        "mailhub.log.level",
        kind.one_of("debug", "info", "warning", "error"),
        "info",
        "What is logged from this level on.",
    )

    relays: dict[str, Relay] = dataclasses.field(default_factory=dict)
    """The SMTP servers by name; always has `default`."""
    lanes: dict[str, LaneLimits] = dataclasses.field(default_factory=lambda: kind.lanes(lambda _name: "", []))
    """The limits of each mailbox provider, for relays with `lanes`."""


ROWS = tuple(f for f in dataclasses.fields(Settings) if "name" in f.metadata)
_RELAY = re.compile(rf"mailhub\.relay\.([a-z0-9_-]+)\.({'|'.join(RELAY_DOCS)})")
_RELAY_IN_ENVIRONMENT = re.compile(rf"MAILHUB_RELAY_([A-Z0-9_]+?)_({'|'.join(RELAY_DOCS).upper()})")


def environment_name(name: str) -> str:
    """`sqlalchemy.url` → `SQLALCHEMY_URL`."""
    return re.sub(r"[.-]", "_", name).upper()


def read_settings(raw: Mapping[str, str], environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of an ini's section, overridden by the environment. Raises SettingsError with every fault found.

    Outside production a missing secret key is made and kept in `mailhub.home`.
    """
    environ = os.environ if environ is None else environ
    faults: list[str] = []
    known = {row.metadata["name"] for row in ROWS}
    for name in sorted(raw):
        if name.startswith(_OURS) and name not in known and not (_RELAY.fullmatch(name) or kind.LANE_SETTING.fullmatch(name)):
            faults.append(f"{name}: there is no such setting")

    values: dict[str, Any] = {}
    for row in ROWS:
        name, default = row.metadata["name"], row.metadata["default"]
        given = environ.get(environment_name(name), raw.get(name, default)).strip()
        try:
            if row.metadata["secret"]:
                given = kind.revealed(given, environ)
            values[row.name] = row.metadata["parse"](given or default)
        except ValueError as error:
            faults.append(_fault(name, given, error, secret=row.metadata["secret"]))

    if bool(values.get("dkim_domain")) != bool(values.get("dkim_private_key")):
        faults.append("mailhub.dkim.domain and mailhub.dkim.private_key: each needs the other")
    values["relays"] = _relays(raw, environ, values.get("mailbox_port", 2525), faults)
    values["lanes"] = kind.lanes(lambda name: environ.get(environment_name(name), raw.get(name, "")).strip(), faults)
    if values.get("reports_database_url") == "embedded":
        values["reports_database_url"] = values.get("database_url", "embedded")
    if values.get("environment") == "production":
        faults += _production_faults(values)
    elif not faults:
        for attribute in ("public_url", "tracking_url", "usercontent_url", "reports_url"):
            port = values["reports_port" if attribute == "reports_url" else "port"]
            values[attribute] = values[attribute] or f"http://127.0.0.1:{port}"
    if not faults and not values["secret_key"]:
        values["secret_key"] = _kept_secret(values["home"])
    if faults:
        raise SettingsError(faults)
    return Settings(**values)


def settings_from_ini(path: str | Path, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of an ini file and the environment. Raises SettingsError."""
    return read_settings(read_ini(path), environ)


def read_ini(path: str | Path, section: str = "app:main", options: Mapping[str, str] | None = None) -> dict[str, str]:
    """What an app of the ini is given: [DEFAULT] and its own section. Raises SettingsError when the file can't be read."""
    if not Path(path).is_file():
        raise SettingsError([f"there is no ini file {path}"])
    try:
        found = plaster.get_loader(str(path), protocols=["wsgi"]).get_settings(section, dict(options or {}))
        return {**found.global_conf, **found}
    except (configparser.Error, plaster.PlasterError, UnicodeDecodeError, LookupError) as error:
        raise SettingsError([f"{path}: {error}"]) from None


def _fault(name: str, given: str, error: ValueError, *, secret: bool) -> str:
    return f"{name}{'' if secret else f' = {given!r}'}: {error}"


def _relays(
    raw: Mapping[str, str], environ: Mapping[str, str], mailbox_port: int, faults: list[str]
) -> dict[str, Relay]:
    texts: dict[str, dict[str, str]] = {"default": {}}
    for name, value in raw.items():
        if match := _RELAY.fullmatch(name):
            texts.setdefault(match[1], {})[match[2]] = value.strip()
    # In the environment `my-relay` and `my_relay` look the same: a relay of the ini that fits is meant, else a new one.
    ini_names = {environment_name(name): name for name in texts}
    for name, value in environ.items():
        if match := _RELAY_IN_ENVIRONMENT.fullmatch(name):
            texts.setdefault(ini_names.get(match[1], match[1].lower()), {})[match[2].lower()] = value.strip()
    texts["default"].setdefault("url", f"smtp://127.0.0.1:{mailbox_port}")

    relays = {}
    for name, given in texts.items():
        try:
            relays[name] = kind.relay(name, kind.revealed(given.get("url", ""), environ), given)
        except ValueError as error:
            faults.append(f"mailhub.relay.{name}.url or its limits: {error}")
    return relays


def _production_faults(values: Mapping[str, Any]) -> list[str]:
    faults = []
    for name, attribute in (
        ("mailhub.public_url", "public_url"),
        ("mailhub.tracking_url", "tracking_url"),
        ("mailhub.usercontent_url", "usercontent_url"),
        ("mailhub.reports_url", "reports_url"),
    ):
        if attribute in values and not values[attribute].startswith("https://"):
            faults.append(f"{name} = {values[attribute]!r}: must be an https URL in production (RFC 8058 for tracking)")
    for name, attribute in (("sqlalchemy.url", "database_url"), ("celery.broker_url", "broker_url")):
        if values.get(attribute) == "embedded":
            faults.append(f"{name}: is missing; production needs a server of its own, not `embedded`")
    if "secret_key" in values and len(values["secret_key"]) < 32:
        faults.append("mailhub.secret_key: is missing or shorter than 32 characters")
    elif len(set(values.get("secret_key", "0123456789"))) < 10:
        faults.append(
            "mailhub.secret_key: is not random; `python3 -c 'import secrets; print(secrets.token_urlsafe(48))'` makes one"
        )
    if values.get("return_path_domain", "").endswith(".test"):
        faults.append("mailhub.return_path_domain: is missing; bounces could not come back")
    default = values["relays"].get("default")
    if default is not None and (default.host, default.port) == ("127.0.0.1", values.get("mailbox_port")):
        faults.append("mailhub.relay.default.url: is missing; in production there is no development mailbox")
    return faults


def make_home(home: Path) -> None:
    """Makes the home, closed to others. As root, PostgreSQL's unprivileged user may pass through it."""
    home.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)


def _kept_secret(home: Path) -> str:
    """The secret in `home`, made when there is none. Two processes that start together end up with the same one."""
    path = home / "secret_key"
    make_home(home)
    if not path.exists():
        mine = home / f".secret_key.{os.getpid()}"
        with os.fdopen(os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(48))
        try:
            os.link(mine, path)
        except FileExistsError:
            pass
        finally:
            mine.unlink()
    return path.read_text(encoding="ascii").strip()


def shown(settings: Settings) -> list[tuple[str, str]]:
    """(name, value) of every setting, for `mailhub doctor`: secrets are only said to be there or not."""
    rows = []
    for row in ROWS:
        value = getattr(settings, row.name)
        hidden = row.metadata["secret"] and value != "embedded"
        rows.append((row.metadata["name"], ("set" if value else "not set") if hidden else str(value)))
    return rows + [(f"mailhub.relay.{relay.name}.url", relay.url) for relay in settings.relays.values()]
