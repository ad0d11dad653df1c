"""Partitions are there before they are needed and go when they are old; rows without one are not lost."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from mailhub.events.service import Event, append_in
from mailhub.events.tasks import ensure_partitions, purge
from mailhub.reporting import partitions, retention

NOW = datetime.now(UTC)


def count(live: Any, table: str) -> int:
    with live.engine.connect() as connection:
        return connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()


def happen(live: Any, project_id: int, at: datetime) -> None:
    append_in(live.session, [Event("OPENED", project_id, "transactional", at, subscriber_id=1)])
    live.session.commit()


def test_partitions_are_made_once(live: Any) -> None:
    before = len(partitions.listed(live.engine))
    assert partitions.ensure(live.engine, now=NOW, since=NOW - timedelta(weeks=4)) >= 3
    assert partitions.ensure(live.engine, now=NOW, since=NOW - timedelta(weeks=4)) == 0
    assert len(partitions.listed(live.engine)) > before
    weeks = [one for one in partitions.listed(live.engine) if one.parent == "message_event" and one.since]
    assert all(one.since.weekday() == 0 for one in weeks)  # type: ignore[union-attr]


def test_a_row_without_a_partition_waits_in_the_default_one_and_moves(live: Any) -> None:
    project = live.build.project()
    happen(live, project.id, NOW - timedelta(weeks=6))
    assert count(live, "message_event_default") == 1
    partitions.ensure(live.engine, now=NOW, since=NOW - timedelta(weeks=7))
    assert (count(live, "message_event_default"), count(live, "message_event")) == (0, 1)


def test_rows_that_come_in_while_their_week_is_made_are_all_there(live: Any) -> None:
    """Writers of a week without a partition neither fail nor lose a row when it is made."""
    project_id = live.build.project().id
    at = NOW - timedelta(weeks=6)
    stored, failures = [0, 0, 0], []
    stop = threading.Event()

    def work(number: int) -> None:
        try:
            while not stop.is_set():
                with live.registry.session_factory() as session:
                    append_in(session, [Event("SENT", project_id, "service", at)] * 3)
                    session.commit()
                stored[number] += 3
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    while min(stored) < 30 and not failures:
        time.sleep(0.01)
    # The oldest first: this week is made while the writers are at it.
    made = partitions.ensure(live.engine, now=at, since=at - timedelta(weeks=1))
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert made >= 2
    assert (count(live, "message_event_default"), count(live, "message_event")) == (0, sum(stored))


def test_a_partition_that_was_only_taken_off_is_dropped(live: Any) -> None:
    partitions.ensure(live.engine, now=NOW, since=NOW - timedelta(weeks=4))
    (oldest, *_rest) = [one for one in partitions.listed(live.engine) if one.parent == "message_event" and one.since]
    with live.engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE message_event DETACH PARTITION {oldest.name}"))
    assert oldest.name in partitions.drop_before(live.engine, NOW - timedelta(weeks=2))
    with live.engine.connect() as connection:
        assert connection.execute(text(f"SELECT to_regclass('{oldest.name}')")).scalar_one() is None


def test_a_week_is_made_when_its_readers_are_gone(live: Any) -> None:
    waits: list[float] = []
    reader = live.engine.connect()
    reader.execute(text("SELECT count(*) FROM message"))

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        reader.close()

    assert partitions.ensure(live.engine, now=NOW, since=NOW - timedelta(weeks=3), sleep=sleep) >= 3
    assert len(waits) == 1


def test_retention_drops_old_weeks_and_late_rows_and_keeps_rollups(live: Any) -> None:
    project = live.build.project()
    partitions.ensure(live.engine, now=NOW, since=NOW - timedelta(days=120))
    for days in (110, 60, 1, 200):
        happen(live, project.id, NOW - timedelta(days=days))
    purged = retention.purge(live.engine, now=NOW, retention_days=90)
    assert any(name.startswith("message_event_2") for name in purged.partitions)
    assert purged.rows == {"purge_old_events": 1}
    assert count(live, "message_event") == 2
    assert count(live, "project_day") == 4
    assert retention.purge(live.engine, now=NOW, retention_days=90).partitions == ()


def test_what_has_ended_is_purged(live: Any) -> None:
    session = live.session
    user = live.build.user()
    project = live.build.project()
    for statement in (
        "INSERT INTO web_session (token_hash, user_id, expires_at) VALUES ('a', :u, now() - interval '2 days'),"
        " ('b', :u, now() + interval '1 day')",
        "INSERT INTO one_time_link (token_hash, user_id, expires_at) VALUES ('a', :u, now() - interval '2 days'),"
        " ('b', :u, now())",
        "INSERT INTO rate_limit (key, tokens, at) VALUES ('a', 1, now() - interval '2 days'), ('b', 1, now())",
        "INSERT INTO idempotency_key (project_id, key, request_hash, created_at)"
        " VALUES (:p, 'a', '', now() - interval '3 days'), (:p, 'b', '', now() - interval '47 hours')",
        "INSERT INTO worker_heartbeat (name, host, pid, queue, last_seen_at)"
        " VALUES ('a', '', 1, '', now() - interval '2 days'), ('b', '', 1, '', now())",
    ):
        binds = {":u": user.id, ":p": project.id}
        session.execute(text(statement), {name[1:]: value for name, value in binds.items() if name in statement})
    session.commit()
    retention.purge(live.engine, now=NOW, retention_days=90)
    for table in ("web_session", "one_time_link", "rate_limit", "idempotency_key", "worker_heartbeat"):
        assert count(live, table) == 1, table


def test_a_drop_gives_way_to_a_transaction_and_tries_again(live: Any) -> None:
    partitions.ensure(live.engine, now=NOW, since=NOW - timedelta(weeks=4))
    waits: list[float] = []
    reader = live.engine.connect()
    reader.execute(text("SELECT count(*) FROM message_event"))

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            reader.close()

    assert partitions.drop_before(live.engine, NOW - timedelta(weeks=2), sleep=sleep)
    assert len(waits) == 2


def test_a_drop_that_never_gets_its_lock_says_so(live: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "LOCK_TRIES", 2)
    partitions.ensure(live.engine, now=NOW, since=NOW - timedelta(weeks=4))
    with live.engine.connect() as reader:
        reader.execute(text("SELECT count(*) FROM message_event"))
        with pytest.raises(partitions.PartitionBusy):
            partitions.drop_before(live.engine, NOW - timedelta(weeks=2), sleep=lambda seconds: None)


def test_events_come_in_while_weeks_are_dropped(live: Any) -> None:
    project_id = live.build.project().id
    partitions.ensure(live.engine, now=NOW, since=NOW - timedelta(days=150))
    slowest: list[float] = []
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            started = time.monotonic()
            with live.registry.session_factory() as session:
                append_in(session, [Event("OPENED", project_id, "transactional", NOW)])
                session.commit()
            slowest.append(time.monotonic() - started)

    thread = threading.Thread(target=work)
    thread.start()
    retention.purge(live.engine, now=NOW, retention_days=30)
    stop.set()
    thread.join()
    assert count(live, "message_event") == len(slowest)
    assert max(slowest) < 2


def test_the_tasks_run_twice(live: Any) -> None:
    from mailhub.tasks import TASKS, run

    for spec in (ensure_partitions.spec, purge.spec):
        assert TASKS[spec.name] is spec
        run(live.registry, spec, ())
        run(live.registry, spec, ())
