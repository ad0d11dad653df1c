"""mailhub.cli, commands and doctor: what they do to the data, what they print, and their one line when they refuse."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from mailhub import doctor
from mailhub.accounts import service as accounts
from mailhub.cli import main
from mailhub.models import AuditEntry, Campaign, Membership, Project, Sender, User
from mailhub.security.identity import identify
from mailhub.tracking.hit import Hit, encode
from tests.conftest import Live, raw_settings


class Command:
    """`mailhub …` on a database of its own, in this process; gives exit code, output, and errors."""

    def __init__(self, live: Live, capsys: pytest.CaptureFixture[str]) -> None:
        self.live, self.capsys = live, capsys
        self.ini = live.home / "test.ini"
        raw = raw_settings(live.url, live.home)
        lines = [f"{name} = {value.replace('%', '%%')}" for name, value in raw.items()]
        self.ini.write_text("\n".join(["[app:main]", "use = egg:mailhub#main", *lines]) + "\n")

    def __call__(self, *arguments: str, code: int = 0) -> str:
        done = main(["-c", str(self.ini), *arguments])
        output, errors = self.capsys.readouterr()
        assert done == code, output + errors
        if code:
            assert "Traceback" not in errors
            # kombu's word about the broker of the tests, which has no host.
            errors = "\n".join(line for line in errors.splitlines() if "No hostname" not in line)
            assert len(errors.splitlines()) <= 1
        self.live.session.rollback()  # to see what the command has committed
        return (output if code == 0 else output + errors).strip()

    def rows(self, model: Any) -> list[Any]:
        return list(self.live.session.scalars(select(model).execution_options(populate_existing=True)))


@pytest.fixture
def mailhub(live: Live, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    for name in [name for name in os.environ if name.startswith(("MAILHUB_", "SQLALCHEMY_", "CELERY_"))]:
        monkeypatch.delenv(name)
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield Command(live, capsys)
    root.handlers[:], root.level = before


@pytest.fixture
def acme(mailhub: Command) -> Command:
    mailhub("user", "add", "owner@acme.test")
    mailhub("project", "add", "acme", "--domain", "acme.test", "--name", "Acme", "--owner", "owner@acme.test")
    return mailhub


def test_init_can_be_repeated(mailhub: Command) -> None:
    assert "already" in mailhub("init")


def test_init_lets_positions_go_on_after_a_restore(mailhub: Command, live: Live) -> None:
    live.session.execute(text("INSERT INTO feed_cursor (name, position) VALUES ('reader', 100000000)"))
    live.session.commit()
    assert "higher: the database was restored" in mailhub("init")
    assert "higher" not in mailhub("init")
    assert live.session.scalar(text("SELECT feed_position() > 100000000 AND feed_horizon() > 100000000"))


def test_a_new_user_gets_a_link_that_signs_in_once(mailhub: Command) -> None:
    link = mailhub("user", "add", "Boss@Example.org", "--admin", "--name", "The Boss")
    assert link.startswith("http://localhost/sign-in/")
    (user,) = mailhub.rows(User)
    assert (user.email, user.is_admin, user.name) == ("boss@example.org", True, "The Boss")
    token = link.rpartition("/")[2]
    assert accounts.use_link(mailhub.live.session, token) == user
    assert accounts.use_link(mailhub.live.session, token) is None


def test_a_password_comes_from_stdin_only(mailhub: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery staple\n"))
    output = mailhub("user", "add", "boss@example.org", "--password-stdin")
    assert "horse" not in output
    user = accounts.authenticate(mailhub.live.session, "boss@example.org", "correct horse battery staple")
    assert user is not None
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    assert "characters" in mailhub("user", "add", "other@example.org", "--password-stdin", code=1)
    assert len(mailhub.rows(User)) == 1


def test_a_known_user_is_refused_unless_there_is_something_to_add(acme: Command) -> None:
    assert "has an account already" in acme("user", "add", "owner@acme.test", code=1)
    acme("user", "add", "owner@acme.test", "--admin")
    acme("user", "add", "bob@acme.test", "--project", "acme", "--role", "marketer")
    assert sorted(row.role for row in acme.rows(Membership)) == ["marketer", "owner"]
    assert "in the team already" in acme(
        "user", "add", "bob@acme.test", "--project", "acme", "--role", "analyst", code=1
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("user", "add", "nobody"),
        ("user", "add", "a@example.org", "--project", "nope", "--role", "owner"),
        ("user", "add", "a@example.org", "--project", "nope"),
        ("project", "add", "Not A Slug", "--domain", "x.test", "--name", "X"),
        ("project", "add", "x", "--domain", "x.test", "--name", "X", "--owner", "nobody@example.org"),
        ("sender", "add", "a@x.test", "--project", "nope"),
        ("api-key", "create", "--project", "nope", "--name", "X"),
        ("admin-token", "create", "--user", "nobody@example.org", "--name", "X"),
        ("campaign", "start", "1"),
        ("campaign", "cancel", "99999999"),
        ("send-test", "x@example.org"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_done_is_one_line_and_changes_nothing(mailhub: Command, arguments: tuple[str, ...]) -> None:
    assert mailhub(*arguments, code=1).startswith("mailhub: ")
    assert mailhub.rows(User) == mailhub.rows(Project) == mailhub.rows(AuditEntry) == []


def test_a_database_without_our_tables_is_told_in_one_line(mailhub: Command) -> None:
    mailhub.live.session.execute(text("DROP TABLE project CASCADE"))
    mailhub.live.session.commit()
    assert "run `mailhub init` first" in mailhub("stats", "verify", code=1)


def test_a_project_has_its_owner_and_sender_and_its_journal(acme: Command) -> None:
    acme("sender", "add", "news@acme.test", "--project", "acme", "--name", "Acme News")
    (project,) = acme.rows(Project)
    assert [(row.user_id, row.role) for row in acme.rows(Membership)] == [(acme.rows(User)[0].id, "owner")]
    assert [(row.email, row.is_default) for row in acme.rows(Sender)] == [("news@acme.test", True)]
    entries = [(row.action, row.actor, row.project_id) for row in acme.rows(AuditEntry) if row.project_id]
    assert entries == [("project.created", "command line", project.id), ("sender.added", "command line", project.id)]


def test_secrets_stand_alone_on_stdout_and_work(acme: Command) -> None:
    key = acme("api-key", "create", "--project", "acme", "--name", "CI", "--scope", "lists:read")
    assert key.startswith("mh_")
    assert len(key.split()) == 1
    assert _identity(acme, key) is not None
    assert _identity(acme, key[:-1] + ("a" if key[-1] != "a" else "b")) is None
    assert "is no admin" in acme("admin-token", "create", "--user", "owner@acme.test", "--name", "T", code=1)
    acme("user", "add", "owner@acme.test", "--admin")
    assert acme("admin-token", "create", "--user", "owner@acme.test", "--name", "T").startswith("mha_")
    assert "no scope" in acme("api-key", "create", "--project", "acme", "--name", "X", "--scope", "nope", code=1)


def _identity(command: Command, key: str) -> Any:
    from mailhub.tasks import task_request

    request = task_request(command.live.registry)
    request.path_info = "/api/v1/lists"
    request.headers["Authorization"] = f"Bearer {key}"
    with request.tm:
        return identify(request)


@pytest.fixture
def draft(live: Live) -> Campaign:
    build = live.build
    project = build.project(build.user())
    sender = build.sender(project)
    mailing_list = build.list(project)
    build.subscriber(project, lists=[mailing_list])
    return build.campaign(project, lists=[mailing_list], sender_id=sender.id)


def test_a_campaign_is_started_paused_resumed_and_cancelled(
    mailhub: Command, draft: Campaign, refreshed: Callable[[], Campaign]
) -> None:
    number = str(draft.id)
    for action, state in (("start", "sending"), ("pause", "paused"), ("resume", "sending"), ("cancel", "cancelled")):
        assert mailhub("campaign", action, number).endswith(state)
        assert refreshed().state == state
    assert mailhub("campaign", "start", number, code=1).startswith("mailhub: ")
    actions = [row.action for row in mailhub.rows(AuditEntry)]
    assert actions == ["campaign.started", "campaign.paused", "campaign.resumed", "campaign.cancelled"]


@pytest.fixture
def refreshed(live: Live, draft: Campaign) -> Callable[[], Campaign]:
    def read() -> Campaign:
        live.session.refresh(draft)
        return draft

    return read


def test_a_campaign_that_is_not_ready_says_why(mailhub: Command, live: Live) -> None:
    project = live.build.project(live.build.user())
    campaign = live.build.campaign(project)
    refusal = mailhub("campaign", "start", str(campaign.id), code=1)
    assert "not ready" in refusal
    assert len(refusal) > len("mailhub: The campaign is not ready to be sent.")


def test_upkeep_commands(mailhub: Command) -> None:
    mailhub("requeue")
    assert "message_event_default" in mailhub("partitions")
    assert mailhub("stats", "verify") == "0 differences"
    assert mailhub("stats", "reclassify", "--since", "2026-11-01") == "0 hits, 0 with another actor"
    assert "is no date" in mailhub("stats", "reclassify", "--since", "yesterday", code=1)
    assert "no project" in mailhub("stats", "reclassify", "--project", "nothing", code=1)
    assert mailhub("activity", "rebuild") == ""
    assert "no project" in mailhub("activity", "rebuild", "--project", "nothing", code=1)
    mailhub("purge")


def test_wrong_numbers_are_listed_and_set_right(acme: Command, live: Live) -> None:
    live.session.execute(text("INSERT INTO project_day (project_id, day, sent) SELECT id, now(), 3 FROM project"))
    live.session.commit()
    assert "no project" in acme("stats", "verify", "--project", "nobody", code=1)
    told = acme("stats", "verify", "--project", "acme", code=1)
    assert "sent is 3, recounted 0" in told
    assert told.endswith("1 differences")
    assert acme("stats", "verify", "--repair").endswith("1 differences, repaired")
    assert acme("stats", "verify") == "0 differences"


def test_partitions_are_made_again(mailhub: Command, live: Live) -> None:
    newest = live.session.scalar(
        text("SELECT max(relname::text) FROM pg_class WHERE relname ~ '^message_event_[0-9]{8}$' AND relkind = 'r'")
    )
    live.session.execute(text(f"DROP TABLE {newest}"))
    live.session.commit()
    assert "1 made" in mailhub("partitions")


def test_a_test_letter_that_nobody_takes_is_told(mailhub: Command, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailhub.commands._SEND_TEST_SECONDS", 0.2)
    live.build.sender(live.build.project(), is_default=True)
    assert "no worker has taken it" in mailhub("send-test", "x@example.org", code=1)
    assert "address" in mailhub("send-test", "nobody", code=1)


def test_the_doctor_tells_what_is_wrong_and_what_to_do(mailhub: Command) -> None:
    report = mailhub("doctor", code=1)
    lines = {line[7:].split(":")[0]: line for line in report.splitlines()}
    for name in ("database", "reports database", "schema", "clock", "partitions", "single letters", "disk"):
        assert lines[name].startswith("ok "), lines[name]
    assert lines["workers"].startswith("WRONG")
    assert "transactional, bulk, celery" in lines["workers"]
    assert lines["relay default"].startswith("WRONG")


def test_the_doctor_survives_a_database_that_is_away(mailhub: Command, live: Live) -> None:
    text_of = mailhub.ini.read_text().replace(live.url.replace("%", "%%"), "postgresql://127.0.0.1:1/none")
    mailhub.ini.write_text(text_of)
    report = mailhub("doctor", code=1)
    assert "WRONG  database: " in report
    assert "WRONG  schema: " in report
    assert "ok     disk" in report


def test_the_doctor_shows_settings_without_secrets(mailhub: Command) -> None:
    report = mailhub("doctor", "--settings", code=1)
    assert "mailhub.retention_days = 90" in report
    assert "a secret of the tests" not in report


@pytest.mark.parametrize(
    ("statement", "check", "says"),
    [
        ("UPDATE alembic_version SET version_num = '0001'", "schema", "mailhub init"),
        ("INSERT INTO periodic_run (name, error) VALUES ('mailhub.x', 'Boom')", "periodic tasks", "mailhub.x: Boom"),
        ("INSERT INTO feed_cursor (name, position) VALUES ('x', 100000000)", "feed", "mailhub init"),
        (
            "INSERT INTO message_event (project_id, type, kind, at) "
            "VALUES (1, 'OPENED', 'test', now() - interval '1 hour')",
            "hits",
            "celery",
        ),
        (
            "INSERT INTO worker_heartbeat (name, host, pid, queue, last_seen_at) "
            "VALUES ('old', 'h', 1, 'bulk', now() - interval '1 hour')",
            "workers",
            "bulk",
        ),
    ],
)
def test_the_doctor_sees(live: Live, statement: str, check: str, says: str) -> None:
    live.session.execute(text(statement))
    live.session.commit()
    (finding,) = [finding for finding in doctor.examine(live.registry.mailhub) if finding.name == check]
    assert not finding.is_ok
    assert says in finding.detail


def test_the_doctor_sees_hits_that_wait_and_hits_that_were_set_aside(live: Live) -> None:
    def finding() -> doctor.Finding:
        return next(one for one in doctor.examine(live.registry.mailhub) if one.name == "spools of hits")

    assert finding().detail == "none waits"
    folder = live.home / "spool"
    folder.mkdir()
    old = encode(Hit("OPENED", datetime.now(UTC) - timedelta(minutes=5), 1, 2, 3))
    (folder / "hits-1.spool").write_bytes(old)
    assert not finding().is_ok
    assert f"{len(old)} bytes wait" in finding().detail
    insert = text("INSERT INTO hit_spool (name, stored_bytes) VALUES ('hits-1.spool', :n)")
    live.session.execute(insert, {"n": len(old)})
    live.session.commit()
    assert finding().detail == "none waits"
    (folder / "set-aside-1.bad").write_bytes(b"x")
    assert "set-aside-1.bad" in finding().detail
