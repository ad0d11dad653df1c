"""Two heavy reports at a time, over threads and processes; what is too slow says so and offers the job."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

import mailhub.admin
from mailhub.accounts import service
from mailhub.admin import raw
from mailhub.db import Lock
from mailhub.jobs import heavy
from mailhub.reporting import raw_reports
from tests.client import ApiClient, Client
from tests.conftest import RecordingPublisher, raw_settings

PAGE = "/admin/numbers/events?run=1&days=2"


@pytest.fixture
def door(live, tmp_path):
    """The reports process on a database with real commits, a signed-in admin and a token."""
    raw_ = raw_settings(live.url, tmp_path) | {"mailhub.reports.statement_timeout_seconds": "1"}
    app = mailhub.admin.configure(raw_).make_wsgi_app()
    app.registry.publisher = RecordingPublisher()
    app.registry.publisher.registry = app.registry
    root = live.build.user("root@people.test", is_admin=True)
    live.build.project()
    issued = service.create_admin_token(live.session, user=root, name="watcher")
    live.session.commit()
    yield SimpleNamespace(
        app=app, browser=Client(app).sign_in(root, app="reports"), api=ApiClient(app, issued.shown), live=live
    )
    app.registry.engine.dispose()
    app.registry.reading_engine.dispose()


@contextmanager
def taken(live, *places):
    with live.engine.connect() as connection:
        for place in places:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": int(place)})
        yield
        connection.rollback()


def is_ours(pid):
    """Whether the server's process is on this machine and runs as we do."""
    path = Path(f"/proc/{pid}")
    return path.exists() and path.stat().st_uid == os.getuid()


def _again(door):
    """The same person in another window: a browser of these tests makes one request at a time."""
    other = door.browser.new()
    other.set_cookie("mailhub-reports", door.browser.token)
    return other


def test_a_third_report_is_told_to_wait_and_offered_as_a_job(door, monkeypatch):
    monkeypatch.setattr(heavy, "WAIT_SECONDS", 0.0)
    with taken(door.live, *heavy.PLACES):
        page = door.browser.get(PAGE, status=503)
        assert "Two heavy reports are running" in page.text
        assert page.headers["Retry-After"] == "10"
        refused = door.api.get("/api/v1/reports/suspects", status=503)
        assert "Two heavy reports are running." in refused.json["detail"]
        door.browser.get("/admin/numbers/volume", status=200)
        form = next(one for one in page.forms.values() if one.action == "/admin/jobs")
        assert form["kind"].value == "events"
        form.submit(status=303)
    assert door.app.registry.publisher.names() == ["mailhub.jobs.run_report"]
    assert door.live.session.execute(text("SELECT kind FROM report_job")).scalar_one() == "events"


def test_one_place_that_is_free_is_enough(door, monkeypatch):
    monkeypatch.setattr(heavy, "WAIT_SECONDS", 0.0)
    for place in heavy.PLACES:
        with taken(door.live, place):
            door.browser.get(PAGE, status=200)


def test_of_four_asked_for_at_once_two_are_made_at_a_time(door, monkeypatch):
    """Real threads, real transactions; each query waits until another one has come, or cannot come."""
    monkeypatch.setattr(heavy, "WAIT_SECONDS", 30.0)
    lock, now, most, both = threading.Lock(), [0], [0], threading.Barrier(2)
    rows = raw_reports.rows

    def counted(session, report, of, **options):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        both.wait(60)
        found = list(rows(session, report, of, **options))
        with lock:
            now[0] -= 1
        return iter(found)

    monkeypatch.setattr(raw.raw_reports, "rows", counted)
    statuses = []

    def ask():
        statuses.append(_again(door).get(PAGE).status_int)

    threads = [threading.Thread(target=ask) for _n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert statuses == [200] * 4
    assert most == [2]


def test_a_report_past_its_time_is_stopped_and_offered_as_a_job(door, monkeypatch):
    def slow(session, report, of, **options):
        session.execute(text("SELECT pg_sleep(60)"))
        return iter(())

    monkeypatch.setattr(raw.raw_reports, "rows", slow)
    page = door.browser.get(PAGE, status=503)
    assert "The report took too long" in page.text
    assert "It was stopped after 1s" in page.text
    assert "Make it a job" in page.text
    with taken(door.live, *heavy.PLACES):
        pass  # both places are free again


def test_a_heavy_query_gets_one_processor_little_memory_and_stands_back(door):
    with Session(door.app.registry.reading_engine) as session:
        heavy.take(session, seconds=7)
        shown = {
            name: session.execute(text("SELECT current_setting(:name)"), {"name": name}).scalar_one()
            for name in ("max_parallel_workers_per_gather", "work_mem", "statement_timeout", "jit")
        }
        assert shown == {
            "max_parallel_workers_per_gather": "0", "work_mem": "32MB", "statement_timeout": "7s", "jit": "off"
        }  # fmt: skip
        held = (
            session.execute(text("SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND granted")).scalars().all()
        )
        assert len(held) == 1
        pid = session.connection().connection.driver_connection.info.backend_pid
        if is_ours(pid):
            assert os.getpriority(os.PRIO_PROCESS, pid) == heavy.NICE
            group = Path(f"/proc/{pid}/autogroup")
            if group.exists():
                assert group.read_text().endswith(f"nice {heavy.NICE}\n")
        with pytest.raises(heavy.Busy), Session(door.live.engine) as other, taken(door.live, Lock.HEAVY_2):
            heavy.take(other, seconds=1, wait_seconds=0)
        session.rollback()
    with taken(door.live, *heavy.PLACES):
        pass
