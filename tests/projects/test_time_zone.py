"""Another time zone: the days of the statistics are cut again."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from mailhub.events.service import Event, append_in
from mailhub.projects.tasks import cut_days
from mailhub.reporting.verify import RepairBusy, repair_project, verify
from mailhub.tasks import run, run_sweeps


@pytest.fixture
def evening(live: Any) -> Any:
    """A project in UTC with a letter at 22:00, three days ago."""
    live.alice = live.build.user("alice@people.test")
    live.project = live.build.project(live.alice, slug="bakery", domain="bakery.test")
    live.day = datetime.now(UTC).date() - timedelta(days=3)
    at = datetime(live.day.year, live.day.month, live.day.day, 22, tzinfo=UTC)
    append_in(live.session, [Event("SENT", live.project.id, "transactional", at)])
    live.session.commit()
    return live


def days(live: Any) -> list[date]:
    with live.engine.connect() as connection:
        return list(connection.execute(text("SELECT day FROM project_day ORDER BY day")).scalars())


def stale(live: Any) -> bool:
    with live.engine.connect() as connection:
        return bool(connection.execute(text("SELECT days_stale_at IS NOT NULL FROM project")).scalar_one())


def change_zone(live: Any, zone: str) -> None:
    settings = {
        "name": "Bakery", "domain": "bakery.test", "time_zone": zone, "language": "en", "postal_address": "",
        "notify_email": "", "messages_per_second": "",
    }  # fmt: skip
    live.client.sign_in(live.alice).post_form("/projects/bakery/settings", settings, status=303)


def test_the_days_follow_a_new_zone(evening: Any) -> None:
    assert days(evening) == [evening.day]
    change_zone(evening, "Asia/Tokyo")
    assert stale(evening)
    assert ("mailhub.projects.cut_days", (evening.project.id,), "celery") in evening.publisher.sent
    evening.publisher.run_all()
    assert days(evening) == [evening.day + timedelta(days=1)]
    assert verify(evening.engine) == []
    assert not stale(evening)
    run(evening.registry, cut_days.spec, (evening.project.id,))


def test_a_lost_wake_up_is_found(evening: Any) -> None:
    change_zone(evening, "Asia/Tokyo")
    evening.publisher.sent.clear()
    run_sweeps(evening.registry)
    assert "mailhub.projects.cut_days" not in evening.publisher.names()
    with evening.engine.begin() as connection:
        connection.execute(text("UPDATE project SET days_stale_at = days_stale_at - interval '2 minutes'"))
    run_sweeps(evening.registry)
    evening.publisher.run_all()
    assert days(evening) == [evening.day + timedelta(days=1)]


def test_whoever_cuts_by_the_old_zone_is_waited_for(evening: Any) -> None:
    """An append that read the zone before the change ends after the repair has begun to wait."""
    at = datetime(evening.day.year, evening.day.month, evening.day.day, 23, tzinfo=UTC)
    with evening.registry.session_factory() as late:
        append_in(late, [Event("SENT", evening.project.id, "transactional", at)])
        change_zone(evening, "Asia/Tokyo")
        worker = threading.Thread(target=evening.publisher.run_all)
        worker.start()
        worker.join(0.3)
        assert worker.is_alive()
        late.commit()
        worker.join()
    assert days(evening) == [evening.day + timedelta(days=1)]
    assert verify(evening.engine) == []


def test_two_repairs_take_turns(evening: Any) -> None:
    with evening.engine.begin() as other:
        other.execute(text("SELECT pg_advisory_xact_lock(hashtext('stats verify'), 0)"))
        with pytest.raises(RepairBusy):
            repair_project(evening.engine, evening.project.id, wait_seconds=0.05)
        change_zone(evening, "Asia/Tokyo")
        evening.publisher.run_all()
    assert stale(evening)
