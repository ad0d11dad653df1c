"""Pages of the machinery: queues, periodic tasks, tables, the database."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from mailhub.models import AuditEntry, Canary, PeriodicRun, RelayHealth, RelayLane, WorkerHeartbeat

TASK = "mailhub.lists.clean_imports"


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
    assert "2.5s at last" in bulk.replace("\xa0", "")
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
    for name in ("mailhub.lists.run_import", "os.system"):
        admin.post_form(f"/admin/periodic/{name}/{action}", status=404)
    assert reports_app.registry.publisher.sent == []


