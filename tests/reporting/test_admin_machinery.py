"""The machinery's queries on hand-counted rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from mailhub.models import PeriodicHistory, PeriodicRun, QueueMinute
from mailhub.reporting import admin_machinery as machinery
from mailhub.reporting.partitions import PARENTS


@pytest.fixture
def minute(dbsession):
    """The database's present minute, and how many seconds of it have passed when it was asked."""
    return dbsession.scalar(text("SELECT date_trunc('minute', clock_timestamp())"))


def test_rates_are_what_was_done_over_the_time_that_has_passed(dbsession, minute):
    done = ((0, 30, 1, 0), (1, 60, 2, 1), (2, 600, 7, 0), (60, 900, 5, 2), (61, 9999, 99, 9))
    for ago, letters, tasks, failed in done:
        at = minute - timedelta(minutes=ago)
        dbsession.add(QueueMinute(queue="bulk", minute=at, letters=letters, tasks=tasks, failed=failed))
    dbsession.add(QueueMinute(queue="celery", minute=minute - timedelta(minutes=61), letters=1))
    dbsession.commit()
    rates = machinery.queue_rates(dbsession)
    assert set(rates) == {"bulk"}
    bulk = rates["bulk"]
    if bulk.letters_by_minute[-1] == 60:  # unless a minute has just begun
        assert 90 / 120 <= bulk.letters_now <= 90 / 60
        assert 3 / 120 <= bulk.tasks_now <= 3 / 60
        assert 1590 / 3660 <= bulk.letters_hour <= 1590 / 3600
        assert 15 / 3660 <= bulk.tasks_hour <= 15 / 3600
        assert bulk.failed_in_hour == 3
        assert bulk.letters_by_minute[-2] == 600
        assert bulk.letters_by_minute[0] == 900
    assert len(bulk.letters_by_minute) == 60


def test_the_newest_runs_of_each_task(dbsession):
    now = datetime.now(UTC)
    for name in ("a", "b"):
        dbsession.add(PeriodicRun(name=name, started_at=now))
        for n in range(4):
            at = now - timedelta(hours=n)
            error = "oh" if n == 1 else ""
            dbsession.add(
                PeriodicHistory(name=name, started_at=at, finished_at=at + timedelta(seconds=3), error=error)
            )
    dbsession.commit()
    found = machinery.periodic_history(dbsession, most=2)
    assert [(one.started_at, one.seconds, one.error) for one in found["a"]] == [
        (now, 3.0, ""), (now - timedelta(hours=1), 3.0, "oh"),
    ]  # fmt: skip
    assert len(found["b"]) == 2


def test_a_partitioned_table_is_one_row(dbsession):
    found = {one.name: one for one in machinery.tables(dbsession)}
    own = [one for one in machinery.partitions(dbsession) if one.parent == "message"]
    message = found["message"]
    assert message.partitions == len(own)
    assert message.total_bytes == sum(one.total_bytes for one in own)
    assert message.table_bytes + message.index_bytes == message.total_bytes
    assert found["project"].partitions == 0
    assert not [name for name in found if name.startswith("message_2")]
    sizes = [one.total_bytes for one in machinery.tables(dbsession)]
    assert sizes == sorted(sizes, reverse=True)


def test_rows_without_a_week_are_counted_up_to_a_limit(dbsession, build, monkeypatch):
    assert machinery.default_rows(dbsession) == dict.fromkeys(PARENTS, 0)
    project = build.project()
    for _n in range(3):
        dbsession.execute(
            text("INSERT INTO message_event (project_id, at, type, kind) VALUES (:id, '2020-01-01', 'SENT', 'test')"),
            {"id": project.id},
        )
    assert machinery.default_rows(dbsession)["message_event"] == 3
    monkeypatch.setattr(machinery, "DEFAULT_ROWS_COUNTED", 2)
    assert machinery.default_rows(dbsession)["message_event"] == 2


def test_the_server_is_the_main_one(dbsession):
    server = machinery.server(dbsession)
    assert int(server.version.split(".")[0]) >= 15
    assert server.database_bytes > 1_000_000
    assert 0 < server.connections <= server.most_connections
    assert not server.is_replica


def test_nobody_elses_statement_is_cancelled(dbsession):
    pid = dbsession.scalar(text("SELECT pg_backend_pid()"))
    began = dbsession.scalar(text("SELECT CAST(extract(epoch FROM query_start) AS text) FROM pg_stat_activity"
                                  " WHERE pid = pg_backend_pid()"))  # fmt: skip
    assert machinery.cancel(dbsession, pid=pid, began=began) is None
    assert machinery.cancel(dbsession, pid=1, began="") is None
