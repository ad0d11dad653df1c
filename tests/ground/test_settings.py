"""mailhub.settings: defaults, the environment, secrets elsewhere, and every fault at once."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from mailhub.relay_presets import PRESETS
from mailhub.settings import Relay, SettingsError, Timeouts, environment_name, read_ini, read_settings, shown

ROOT = Path(__file__).resolve().parents[2]


def faults(raw: dict[str, str], environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read_settings(raw, environ or {})
    return caught.value.faults


def production(**changes: str) -> dict[str, str]:
    raw = {
        "mailhub.environment": "production",
        "mailhub.public_url": "https://mail.example.org",
        "mailhub.tracking_url": "https://t.example.org/",
        "mailhub.usercontent_url": "https://content.example.org",
        "mailhub.reports_url": "https://reports.example.org",
        "mailhub.return_path_domain": "bounces.example.org",
        "mailhub.secret_key": "0123456789abcdefghijklmnopqrstuvwxyz",
        "mailhub.relay.default.url": "smtps://user:p%40ss@smtp.example.org",
        "sqlalchemy.url": "postgresql://mailhub:secret@db/mailhub",
        "celery.broker_url": "amqp://mailhub:secret@mq/mailhub",
    }
    return {**raw, **{name.replace("__", "."): value for name, value in changes.items()}}


def test_defaults_are_enough_for_development(tmp_path: Path) -> None:
    settings = read_settings({"mailhub.home": str(tmp_path)}, {})
    assert settings.environment == "development"
    assert settings.public_url == "http://127.0.0.1:6543"
    assert settings.reports_url == "http://127.0.0.1:6544"
    assert settings.database_url == settings.reports_database_url == settings.broker_url == "embedded"
    relay = settings.relays["default"]
    assert (relay.scheme, relay.host, relay.port, relay.max_connections) == ("smtp", "127.0.0.1", 2525, 10)


def test_another_port_moves_the_urls(tmp_path: Path) -> None:
    settings = read_settings({"mailhub.home": str(tmp_path)}, {"MAILHUB_PORT": "7000", "MAILHUB_MAILBOX_PORT": "7025"})
    assert settings.public_url == settings.tracking_url == settings.usercontent_url == "http://127.0.0.1:7000"
    assert settings.relays["default"].port == 7025


def test_environment_wins_over_the_ini(tmp_path: Path) -> None:
    raw = {"mailhub.home": str(tmp_path), "sqlalchemy.url": "embedded", "mailhub.retention_days": "30"}
    environ = {"SQLALCHEMY_URL": "postgresql://db/x", "MAILHUB_RETENTION_DAYS": "10"}
    settings = read_settings(raw, environ)
    assert settings.database_url == settings.reports_database_url == "postgresql+psycopg://db/x"
    assert settings.retention_days == 10


def test_environment_names() -> None:
    assert environment_name("sqlalchemy.url") == "SQLALCHEMY_URL"
    assert environment_name("mailhub.relay.my-relay.url") == "MAILHUB_RELAY_MY_RELAY_URL"


def test_every_fault_is_reported_at_once() -> None:
    found = faults(
        {"mailhub.prot": "1", "mailhub.port": "high", "mailhub.log.format": "xml", "sqlalchemy.url": "mysql://x"}
    )
    assert [fault.split(":")[0].split(" ")[0] for fault in found] == [
        "mailhub.prot",
        "mailhub.port",
        "sqlalchemy.url",
        "mailhub.log.format",
    ]


def test_a_fault_never_shows_a_secret() -> None:
    found = faults(
        {"sqlalchemy.url": "mysql://mailhub:hunter2@db/x", "mailhub.relay.default.url": "http://u:hunter2@x"}
    )
    assert found
    assert "hunter2" not in "".join(found)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("mailhub.tracking_url", "http://t.example.org", "mailhub.tracking_url"),
        ("mailhub.public_url", "", "mailhub.public_url"),
        ("sqlalchemy.url", "embedded", "sqlalchemy.url"),
        ("celery.broker_url", "embedded", "celery.broker_url"),
        ("mailhub.secret_key", "", "mailhub.secret_key"),
        ("mailhub.secret_key", "short", "mailhub.secret_key"),
        ("mailhub.secret_key", "x" * 40, "not random"),
        ("mailhub.return_path_domain", "bounces.mailhub.test", "mailhub.return_path_domain"),
        ("mailhub.relay.default.url", "smtp://127.0.0.1:2525", "mailhub.relay.default.url"),
    ],
)
def test_production_refuses(name: str, value: str, says: str) -> None:
    found = faults({**production(), name: value})
    assert len(found) == 1
    assert says in found[0]


def test_production_is_complete() -> None:
    settings = read_settings(production(), {})
    assert settings.tracking_url == "https://t.example.org"
    relay = settings.relays["default"]
    assert (relay.port, relay.username, relay.password) == (465, "user", "p@ss")
    assert "p@ss" not in repr(relay)
    assert relay.url == "smtps://user:***@smtp.example.org:465"
    assert "secret" not in repr(settings)
    assert all("secret@" not in value for _name, value in shown(settings))


def test_production_ini_says_what_is_missing() -> None:
    found = faults(read_ini(ROOT / "production.ini"))
    for name in (
        "mailhub.public_url",
        "sqlalchemy.url",
        "celery.broker_url",
        "mailhub.secret_key",
        "mailhub.relay.default.url",
    ):
        assert any(fault.startswith(name) for fault in found), name


def test_secrets_can_stand_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-a-file-0123456789-abcdefghijk\n")
    (tmp_path / "db").write_text("postgresql://db/cred")
    raw = {
        "mailhub.home": str(tmp_path),
        "mailhub.secret_key": f"file:{tmp_path}/key",
        "sqlalchemy.url": "cred:db",
        "mailhub.relay.default.url": "env:SMTP",
    }
    settings = read_settings(
        raw, {"CREDENTIALS_DIRECTORY": str(tmp_path), "SMTP": "smtp+starttls://u:p@mx.example.org"}
    )
    assert settings.secret_key == "from-a-file-0123456789-abcdefghijk"
    assert settings.database_url == "postgresql+psycopg://db/cred"
    assert (settings.relays["default"].host, settings.relays["default"].port) == ("mx.example.org", 587)


def test_secrets_that_cannot_be_read_are_faults(tmp_path: Path) -> None:
    found = faults(
        {
            "mailhub.secret_key": f"file:{tmp_path}/nothing",
            "sqlalchemy.url": "env:NOT_SET",
            "celery.broker_url": "cred:x",
        }
    )
    assert len(found) == 3


def test_relays_by_name_and_from_the_environment(tmp_path: Path) -> None:
    raw = {
        "mailhub.home": str(tmp_path),
        "mailhub.relay.second-one.url": "smtp://a.example.org",
        "mailhub.relay.second-one.max_connections": "3",
    }
    environ = {"MAILHUB_RELAY_SECOND_ONE_MESSAGES_PER_SECOND": "12.5", "MAILHUB_RELAY_THIRD_URL": "smtp://[::1]:26"}
    relays = read_settings(raw, environ).relays
    assert sorted(relays) == ["default", "second-one", "third"]
    assert (relays["second-one"].max_connections, relays["second-one"].messages_per_second) == (3, 12.5)
    assert (relays["third"].host, relays["third"].port) == ("::1", 26)


def test_a_relay_without_url_is_a_fault() -> None:
    assert "mailhub.relay.other.url" in faults({"mailhub.relay.other.max_connections": "3"})[0]


def relay_of(tmp_path: Path, url: str, **options: str) -> Relay:
    raw = {"mailhub.home": str(tmp_path), "mailhub.relay.default.url": url}
    given = {f"mailhub.relay.default.{name}": text for name, text in options.items()}
    return read_settings({**raw, **given}, {}).relays["default"]


@pytest.mark.parametrize(
    ("url", "options", "encryption", "verifies", "in_clear"),
    [
        ("smtp://127.0.0.1", {}, "none", True, True),
        ("smtp://u:p@localhost", {}, "none", True, True),
        ("smtp://[::1]", {}, "none", True, True),
        ("smtp://relay.example.org", {}, "opportunistic", False, False),
        ("smtp://u:p@relay.example.org", {}, "opportunistic", True, False),
        ("smtp://u:p@relay.example.org", {"verify": "false"}, "opportunistic", False, False),
        ("smtp://relay.example.org", {"verify": "true"}, "opportunistic", True, False),
        ("smtp://relay.example.org", {"tls": "require"}, "require", True, False),
        ("smtp://relay.example.org", {"tls": "none"}, "none", True, False),
        ("smtp://127.0.0.1", {"tls": "opportunistic"}, "opportunistic", False, True),
        ("smtp://relay.example.org", {"password_in_clear": "true"}, "opportunistic", False, True),
        ("smtp+starttls://relay.example.org", {}, "require", True, False),
        ("smtps://127.0.0.1", {}, "implicit", True, False),
    ],
)
def test_how_a_relay_is_encrypted(
    tmp_path: Path, url: str, options: dict[str, str], encryption: str, verifies: bool, in_clear: bool
) -> None:
    relay = relay_of(tmp_path, url, **options)
    assert relay.encryption == encryption
    assert relay.may_sign_in_clear == in_clear
    if encryption != "none":
        assert relay.verifies == verifies


@pytest.mark.parametrize(
    ("url", "options", "says"),
    [
        ("smtps://relay.example.org", {"tls": "none"}, "opposite"),
        ("smtp+starttls://relay.example.org", {"tls": "opportunistic"}, "opposite"),
        ("smtp+starttls://relay.example.org", {"verify": "false"}, "ca_file"),
        ("smtp://relay.example.org", {"tls": "require", "verify": "false"}, "ca_file"),
        ("smtp://relay.example.org", {"tls": "maybe"}, "one of"),
        ("smtp://relay.example.org", {"auth": "ntlm"}, "one of"),
        ("smtp://relay.example.org", {"preset": "sendmail"}, "one of"),
        ("smtp://relay.example.org", {"ca_file": "/nothing/there.pem"}, "cannot be read"),
        ("smtp://relay.example.org", {"idle_seconds": "0"}, "between"),
    ],
)
def test_what_a_relay_cannot_be(url: str, options: dict[str, str], says: str) -> None:
    given = {f"mailhub.relay.default.{name}": text for name, text in options.items()}
    [fault] = faults({"mailhub.relay.default.url": url, **given})
    assert says in fault


def test_a_preset_gives_limits_and_what_is_given_wins(tmp_path: Path) -> None:
    exim = relay_of(tmp_path, "smtp://a.example.org", preset="exim", max_connections="4")
    assert (exim.max_connections, exim.messages_per_connection, exim.messages_per_second) == (4, 10, 0)
    ses = relay_of(tmp_path, "smtp://a.example.org", preset="ses", messages_per_second="14")
    assert (ses.messages_per_second, ses.max_age_seconds, ses.idle_seconds) == (14, 60, 10)
    plain = relay_of(tmp_path, "smtp://a.example.org")
    assert (plain.max_connections, plain.messages_per_connection) == (10, 500)
    assert (plain.max_age_seconds, plain.idle_seconds) == (300, 30)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_can_be_used(tmp_path: Path, name: str) -> None:
    relay = read_settings(
        {"mailhub.home": str(tmp_path), "mailhub.relay.other.url": "smtp://a.example.org"},
        {"MAILHUB_RELAY_OTHER_PRESET": name},
    ).relays["other"]
    assert relay.preset == name
    for option, value in PRESETS[name].items():
        assert getattr(relay, option) == (True if value == "true" else float(value))


def test_time_outs_of_delivery(tmp_path: Path) -> None:
    def timeouts(text: str) -> Timeouts:
        raw = {"mailhub.home": str(tmp_path), "mailhub.delivery.timeouts": text}
        return read_settings(raw, {}).delivery_timeouts

    assert timeouts("") == Timeouts(connect=15, banner=300, command=300, data=120, block=180, end=600)
    assert timeouts("2s") == Timeouts(connect=2, banner=2, command=2, data=2, block=2, end=2)
    assert timeouts("end=1m banner=5s") == Timeouts(banner=5, end=60)


@pytest.mark.parametrize("text", ["soon", "2", "start=5s", "end=", "end=5s 2s"])
def test_time_outs_that_are_none(text: str) -> None:
    assert "mailhub.delivery.timeouts" in faults({"mailhub.delivery.timeouts": text})[0]


def test_the_secret_is_made_once_and_private(tmp_path: Path) -> None:
    home = tmp_path / "new"
    first = read_settings({"mailhub.home": str(home)}, {})
    second = read_settings({"mailhub.home": str(home)}, {})
    assert first.secret_key == second.secret_key
    assert len(first.secret_key) >= 32
    assert stat.S_IMODE((home / "secret_key").stat().st_mode) == 0o600


def test_durations_are_seconds(tmp_path: Path) -> None:
    settings = read_settings({"mailhub.home": str(tmp_path), "mailhub.delivery.retry_schedule": "30s 5m 2h 1d"}, {})
    assert settings.delivery_retry_schedule == (30, 300, 7200, 86400)


@pytest.mark.parametrize("path", ["nothing.ini", "Makefile"])
def test_an_ini_that_cannot_be_read_is_a_fault(path: str) -> None:
    with pytest.raises(SettingsError):
        read_ini(ROOT / path)


def test_the_development_ini_is_what_the_contract_says() -> None:
    raw = read_ini(ROOT / "development.ini")
    assert raw["mailhub.home"] == str(ROOT / "var")
    settings = read_settings({**raw, "mailhub.secret_key": "not made in var/"}, {})
    assert (settings.port, settings.reports_port, settings.mailbox_port) == (6543, 6544, 2525)
