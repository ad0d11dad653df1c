"""Pages of the machinery: queues, periodic tasks, tables, the database."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.exc import DBAPIError

import mailhub.admin
from mailhub.models import (
    AuditEntry,
    Canary,
    PeriodicHistory,
    PeriodicRun,
    QueueMinute,
    RelayHealth,
    RelayLane,
    WorkerHeartbeat,
)
from mailhub.reporting import admin_machinery as machinery
from mailhub.tasks.inspection import Answer, Inspector, told
from tests.admin.test_read_only_role import as_superuser
from tests.client import Client
from tests.conftest import RecordingPublisher, raw_settings

TASK = "mailhub.imports.clean"


def test_queues_say_what_waits_and_who_works(admin, dbsession, build):
    now = datetime.now(UTC)
    dbsession.add(WorkerHeartbeat(name="a", host="box", pid=17, queue="bulk", doing="campaign 5", sent=1234))
    dbsession.add(
        WorkerHeartbeat(name="b", host="box", pid=18, queue="celery", last_seen_at=now - timedelta(minutes=5))
    )
    dbsession.commit()
    page = admin.get("/admin/queues").text
    bulk = page[page.index('id="queue-bulk"') : page.index('id="queue-celery"')]
    assert "1 worker" in bulk
    assert "campaign 5" in bulk
    assert "1,234" in bulk
    celery = page[page.index('id="queue-celery"') :]
    assert "Silent" in celery
    assert "No worker" in celery
    assert "data-live" not in page


def test_queues_say_how_long_a_task_takes_to_come_through(admin, dbsession):
    now = datetime.now(UTC)
    sent = now - timedelta(seconds=80)
    dbsession.add(Canary(queue="bulk", sent_at=sent, published_at=sent, seen_at=sent + timedelta(seconds=2.5)))
    dbsession.add(Canary(queue="celery", sent_at=sent, published_at=now))
    dbsession.commit()
    page = admin.get("/admin/queues").text
    bulk = page[page.index('id="queue-bulk"') : page.index('id="queue-celery"')]
    assert "2.5s when last measured" in bulk.replace("\xa0", "")
    assert re.search(r"on its way for 1m.2\ds", page[page.index('id="queue-celery"') :])


def test_queues_say_which_mail_servers_are_down_or_slowed(admin, dbsession):
    assert "Mail servers" not in admin.get("/admin/queues").text
    now = datetime.now(UTC)
    dbsession.add(RelayHealth(relay="west", state="down", reason="w.test:25: Connection refused", since=now))
    dbsession.add(RelayHealth(relay="east", state="up"))
    dbsession.add(RelayLane(relay="east", lane="yahoo", sent_at=now, flow=123.0, flow_at=now + timedelta(hours=1)))
    slowed = {"last_code": 421, "last_reply": "slow <down>", "slowed_at": now}
    dbsession.add(RelayLane(relay="east", lane="gmail", rate=0.5, base_rate=100, **slowed))
    dbsession.add(RelayLane(relay="east", lane="apple", base_rate=100))
    dbsession.commit()
    page = admin.get("/admin/queues").text
    rows = re.findall(r"<tr>.*?</tr>", page[page.index('aria-label="Mail servers"') :], re.S)[1:4]
    assert "Down" in rows[0]
    assert "Connection refused" in rows[0]
    assert "Slowed down" in rows[1]
    assert ">0.5<" in rows[1]
    assert "421 slow &lt;down&gt;" in rows[1]
    assert "Free" in rows[2]
    assert ">12.3<" in rows[2]
    assert "apple" not in page


def test_queues_are_polled_while_something_waits(admin, build, dbsession):
    from tests.reporting.test_admin import letter

    letter(dbsession, build.project(), "transactional", -5)
    answer = admin.fragment("/admin/queues", "queue-state")
    assert "<html" not in answer.text
    assert "data-live" in answer.text
    assert "Late" in answer.text


def test_pause_and_resume_are_kept_and_noted(admin, dbsession):
    admin.post_form(f"/admin/periodic/{TASK}/pause", status=303)
    assert "is paused" in admin.get("/admin/periodic").text
    dbsession.expire_all()
    assert dbsession.get(PeriodicRun, TASK).paused
    admin.post_form(f"/admin/periodic/{TASK}/run", status=303)
    assert "Resume it first" in admin.get("/admin/periodic").text
    admin.post_form(f"/admin/periodic/{TASK}/resume", status=303)
    dbsession.expire_all()
    assert not dbsession.get(PeriodicRun, TASK).paused
    entries = dbsession.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    assert [(one.action, one.actor, one.object_name) for one in entries] == [
        ("periodic.paused", "root@people.test", TASK),
        ("periodic.resumed", "root@people.test", TASK),
    ]


def test_run_now_wakes_a_worker_after_the_commit(admin, reports_app, dbsession):
    admin.post_form(f"/admin/periodic/{TASK}/run", status=303)
    assert reports_app.registry.publisher.sent == [(TASK, (), "celery")]
    assert dbsession.scalars(select(AuditEntry.action)).all() == ["periodic.run"]


@pytest.mark.parametrize("action", ["pause", "resume", "run"])
def test_only_periodic_tasks_can_be_told_what_to_do(admin, action, reports_app):
    for name in ("mailhub.imports.run_import", "os.system"):
        admin.post_form(f"/admin/periodic/{name}/{action}", status=404)
    assert reports_app.registry.publisher.sent == []



def test_periodic_tasks_have_their_runs_and_the_next_one(admin, dbsession):
    now = datetime.now(UTC)
    begun = now - timedelta(minutes=20)
    ended = begun + timedelta(seconds=2)
    dbsession.add(PeriodicRun(name=TASK, started_at=begun, finished_at=ended, error="ValueError: oh"))
    for n in range(12):
        at = begun - timedelta(hours=n)
        error = "ValueError: oh" if n == 0 else ""
        dbsession.add(PeriodicHistory(name=TASK, started_at=at, finished_at=at + timedelta(seconds=2 + n), error=error))
    dbsession.add(PeriodicRun(name="mailhub.old.task", started_at=begun, finished_at=begun))
    dbsession.commit()
    page = admin.get("/admin/periodic").text
    row = re.search(rf'href="#{TASK}".*?</tr>', page, re.S).group()
    assert "ValueError: oh" in row
    assert "Has failed" in row
    assert "in 40 minutes" in row
    history = page[page.index(f'id="{TASK}"') :]
    assert history.count("<tr><td>") == 10
    gone = re.search(r'href="#mailhub.old.task".*?</tr>', page, re.S).group()
    assert "<form" not in gone  # nobody knows it any more, so that nobody can run it


def test_a_periodic_task_that_should_have_run_long_ago_is_late(admin, dbsession):
    begun = datetime.now(UTC) - timedelta(hours=2, minutes=5)
    dbsession.add(PeriodicRun(name=TASK, started_at=begun, finished_at=begun))
    dbsession.commit()
    row = re.search(rf'href="#{TASK}".*?</tr>', admin.get("/admin/periodic").text, re.S).group()
    assert "Late" in row


def test_run_now_goes_back_to_the_page_it_was_asked_from(admin, reports_app):
    there = admin.post_form("/admin/periodic/mailhub.reporting.retention/run", {"next": "/admin/tables"}, status=303)
    assert there.location == "http://localhost/admin/tables"
    away = admin.post_form("/admin/periodic/mailhub.reporting.retention/run", {"next": "//evil.test"}, status=303)
    assert away.location == "http://localhost/"
    assert [name for name, *_rest in reports_app.registry.publisher.sent] == ["mailhub.reporting.retention"] * 2


def test_queues_say_how_fast_they_are_and_what_runs(admin, dbsession):
    now = datetime.now(UTC)
    this = now.replace(second=0, microsecond=0)
    dbsession.add(QueueMinute(queue="bulk", minute=this - timedelta(minutes=30), letters=36_000, tasks=1, failed=1))
    dbsession.add(
        WorkerHeartbeat(
            name="c", host="box", pid=19, queue="bulk", role="pool", doing="campaign 5", task="mailhub.delivery.pump",
            task_args="[17]", task_since=now - timedelta(minutes=3),
        )
    )  # fmt: skip
    dbsession.commit()
    page = admin.get("/admin/queues").text
    bulk = page[page.index('id="queue-bulk"') : page.index('id="queue-celery"')]
    rate = float(re.search(r"0 now, ([\d.]+) over the last hour", bulk).group(1))
    assert 9.8 <= rate <= 10  # 36,000 in 60 to 61 minutes
    assert "Letters in each minute" in bulk
    running = page[page.index("What workers run") : page.index("Being sent now")]
    for shown in ("mailhub.delivery.pump", "[17]", "3 minutes ago", "box:19", "campaign 5", "signs of life"):
        assert shown in running


class Told:
    """The inspector of a process that has asked RabbitMQ's workers."""

    is_possible = True

    def __init__(self, answer):
        self.answer = answer

    def look(self):
        return self.answer


@pytest.mark.parametrize(
    ("problem", "words"),
    [("away", "The broker gave no answer"), ("no_answer", "No worker has answered"), (None, "are being asked")],
)
def test_without_an_answer_the_heartbeats_count(admin, reports_app, dbsession, monkeypatch, problem, words):
    answer = None if problem is None else Answer(datetime.now(UTC), problem=problem)
    monkeypatch.setattr(reports_app.registry, "inspector", Told(answer))
    dbsession.add(WorkerHeartbeat(name="c", host="box", pid=19, queue="bulk", task="mailhub.delivery.pump"))
    dbsession.commit()
    page = admin.get("/admin/queues").text
    assert words in page
    assert "box:19" in page
    assert "data-live" in page


def test_workers_answers_are_shown_as_they_gave_them(admin, reports_app, monkeypatch):
    found = {
        "active": {"bulk@box": [
            {"name": "mailhub.delivery.pump", "args": [], "time_start": 1790000000.5, "worker_pid": 31},
        ]},
        "reserved": {"bulk@box": [{"name": "mailhub.campaigns.fan_out", "args": [3, 14], "time_start": None}]},
        "scheduled": {"celery@box": [{"eta": "2026-11-27T20:00:00", "request": {"name": "later", "args": "(9,)"}}]},
    }  # fmt: skip
    answer = Answer(datetime.now(UTC), ("bulk@box", "celery@box"), told(found))
    assert [(one.state, one.worker, one.args) for one in answer.tasks] == [
        ("active", "bulk@box", ""), ("reserved", "bulk@box", "3, 14"), ("scheduled", "celery@box", "(9,)"),
    ]  # fmt: skip
    assert answer.tasks[0].since == datetime.fromtimestamp(1790000000.5, UTC)
    assert answer.tasks[2].at == datetime(2026, 11, 27, 20, tzinfo=UTC)
    monkeypatch.setattr(reports_app.registry, "inspector", Told(answer))
    page = admin.get("/admin/queues").text
    for shown in ("As the workers say themselves", "bulk@box:31", "3, 14", "Reserved", "For a later time"):
        assert shown in page


def test_a_broker_that_is_away_is_said_to_be_away_and_nobody_waits(settings):
    away = replace(settings, broker_url="amqp://guest@127.0.0.1:9/")  # discard: nobody listens there
    inspector = Inspector(type("Registry", (), {"mailhub": away}))
    started = time.monotonic()
    assert inspector.look() is None
    assert time.monotonic() - started < 1
    assert inspector.wait(30).problem == "away"
    assert inspector.look().problem == "away"


def test_the_embedded_queue_is_not_asked(reports_app):
    assert not reports_app.registry.inspector.is_possible
    assert reports_app.registry.inspector.look() is None


def test_tables_have_their_sizes_weeks_and_warnings(admin, dbsession, build):
    page = admin.get("/admin/tables").text
    assert "message_content" in page
    assert "subscriber" in page
    assert "run out" not in page
    assert "90 days" in page
    assert "outside of its weeks" not in page
    project = build.project()
    dbsession.execute(
        text("INSERT INTO message_event (project_id, at, type, kind) SELECT :id, '2020-01-01', 'SENT', 'test'"
             " FROM generate_series(1, 3)"), {"id": project.id},
    )  # fmt: skip
    dbsession.commit()
    page = admin.get("/admin/tables").text
    assert "Rows of message_event lie outside of its weeks" in page
    assert "3 rows found no partition of their week." in page


def test_partitions_that_run_out_are_said(admin, dbsession):
    for one in [one for one in machinery.partitions(dbsession) if one.parent == "message_event" and one.since][-5:]:
        dbsession.connection().exec_driver_sql(f"DROP TABLE {one.name}")
    dbsession.commit()
    page = admin.get("/admin/tables").text
    assert "Partitions of message_event run out" in page
    assert "Partitions of message run out" not in page


def test_statements_are_shown_without_their_values_and_stopped(live, tmp_path):
    """A real statement of a program of ours, which waits for another one of ours."""
    app = mailhub.admin.configure(raw_settings(live.url, tmp_path)).make_wsgi_app()
    app.registry.publisher = RecordingPublisher()
    root = live.build.user("root@people.test", is_admin=True)
    project = live.build.project()
    admin = Client(app).sign_in(root, app="reports")
    failed = []

    def wait_for_the_row():
        try:
            with live.engine.begin() as connection:
                connection.execute(text("UPDATE project SET name = 'anna@people.test' WHERE id = 1 OR true"))
        except DBAPIError as error:
            failed.append(error.orig.sqlstate)

    with ExitStack() as stack:
        stack.callback(app.registry.engine.dispose)
        stack.callback(app.registry.reading_engine.dispose)
        holder = stack.enter_context(live.engine.connect())
        holder.execute(text("SELECT FROM project WHERE id = :id FOR UPDATE"), {"id": project.id})
        thread = Thread(target=wait_for_the_row)
        thread.start()
        deadline = time.monotonic() + 60
        while "Kept waiting by" not in (page := admin.get("/admin/database")).text:
            assert time.monotonic() < deadline, page.text
        assert "anna@people.test" not in page.text
        assert "UPDATE project SET name = ? WHERE id = ? OR true" in page.text
        form = next(one for one in page.forms.values() if "/cancel" in (one.action or ""))
        url, began = form.action, form["began"].value
        admin.post_form(url, {"began": "1"}, status=303)  # another statement than this one
        assert "not running any more" in admin.get("/admin/database").text
        assert failed == []
        admin.post_form(url, {"began": began}, status=303)
        thread.join(60)
        assert failed == ["57014"]
        admin.post_form(url, {"began": began}, status=303)
        admin.post_form("/admin/database/x/cancel", status=404)
    entries = live.session.scalars(select(AuditEntry)).all()
    assert [(one.action, one.actor, one.object_name) for one in entries] == [
        ("query.cancelled", "root@people.test", "mailhub site")
    ]


def test_costs_of_statements_are_shown_or_it_is_said_how_they_could_be(admin, live):
    assert "CREATE EXTENSION pg_stat_statements" in admin.get("/admin/database").text
    with closing(as_superuser(live.url)) as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
    live.session.execute(text("SELECT 'anna@people.test' AS counted, 4711"))
    found = machinery.statements(live.session, most=1000)
    ours = [one for one in found if "counted" in one.query]
    assert [(one.calls, one.rows) for one in ours] == [(1, 1)]
    assert "anna" not in ours[0].query
    assert machinery.server(live.session).has_statements


@pytest.mark.parametrize(
    ("page", "most"),
    [
        ("/admin/queues", 15),
        ("/admin/periodic", 6),
        ("/admin/tables", 8),
        ("/admin/database", 6),
        ("/admin/people", 6),
        ("/admin/campaigns", 5),
        ("/admin/imports", 5),
        ("/admin/messages", 5),
    ],
)
def test_a_page_asks_the_database_a_few_times_only(admin, connection, build, page, most):
    for _n in range(3):
        project = build.project(build.user())
        build.campaign(project)
    asked = []
    listener = lambda *given: asked.append(given[2])  # noqa: E731
    event.listen(connection, "before_cursor_execute", listener)
    admin.get(page, status=200)
    event.remove(connection, "before_cursor_execute", listener)
    asked = [one for one in asked if not one.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK"))]
    assert len(asked) <= most, "\n".join(asked)
