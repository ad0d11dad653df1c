"""What a worker says of itself: its task, and what it has done by queue and minute."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from mailhub.models import PeriodicHistory, PeriodicRun, QueueMinute, WorkerHeartbeat
from mailhub.tasks import HISTORY, TASKS, TaskSpec, run
from mailhub.tasks.heartbeat import Heartbeat


@pytest.fixture
def heartbeat(live):
    return Heartbeat(live.registry, "bulk", "pool")


def row(live):
    live.session.expire_all()
    found = live.session.scalars(select(WorkerHeartbeat)).one()
    live.session.rollback()
    return found


def done(live):
    """Letters, tasks and failed ones by queue, over all minutes."""
    sums = (func.sum(QueueMinute.letters), func.sum(QueueMinute.tasks), func.sum(QueueMinute.failed))
    rows = live.session.execute(select(QueueMinute.queue, *sums).group_by(QueueMinute.queue)).all()
    live.session.rollback()
    return {queue: (int(letters), int(tasks), int(failed)) for queue, letters, tasks, failed in rows}


def test_the_running_task_is_said_with_its_ids_and_since_when(live, heartbeat):
    heartbeat.beat()
    assert (row(live).task, row(live).task_since, row(live).doing) == ("", None, "")
    heartbeat.begin("mailhub.imports.run_import", (3, 14))
    heartbeat.beat()
    first = row(live)
    assert (first.task, first.task_args, first.doing) == ("mailhub.imports.run_import", "[3, 14]", first.task)
    heartbeat.beat()
    assert row(live).task_since == first.task_since
    heartbeat.end("celery", failed=False)
    heartbeat.beat()
    assert (row(live).task, row(live).task_args, row(live).task_since) == ("", "", None)


def test_letters_and_tasks_are_counted_for_their_queue(live, heartbeat):
    heartbeat.count_letters_of("bulk")
    heartbeat.sent += 5
    heartbeat.count_letters_of("transactional")
    heartbeat.sent += 2
    heartbeat.begin("a", ())
    heartbeat.end("bulk", failed=False)
    heartbeat.begin("b", ())
    heartbeat.end("celery", failed=True)
    heartbeat.beat()
    heartbeat.beat()
    assert done(live) == {"bulk": (5, 1, 0), "celery": (0, 1, 1), "transactional": (2, 0, 0)}
    heartbeat.sent += 1
    heartbeat.beat()
    assert done(live)["transactional"] == (3, 0, 0)


def test_what_could_not_be_written_is_counted_later(live, heartbeat, monkeypatch):
    heartbeat.sent = 7
    with monkeypatch.context() as away:
        away.setattr("mailhub.tasks.heartbeat._BEAT", _broken())
        heartbeat.beat()
    assert done(live) == {}
    heartbeat.beat()
    assert done(live) == {"bulk": (7, 0, 0)}


def _broken():
    from sqlalchemy import text

    return text("SELECT 1 / 0")


def test_ended_runs_of_a_periodic_task_are_kept_but_not_for_ever(live, monkeypatch):
    spec = TaskSpec("mailhub.tests.tick", "celery", lambda request: None, True, 60.0)
    monkeypatch.setitem(TASKS, spec.name, spec)
    monkeypatch.setattr("mailhub.tasks.HISTORY", 3)
    for _n in range(5):
        run(live.registry, spec, ())
    runs = live.session.scalars(select(PeriodicHistory).order_by(PeriodicHistory.started_at)).all()
    last = live.session.get(PeriodicRun, spec.name)
    assert len(runs) == 3
    assert runs[-1].started_at == last.started_at
    assert [one.error for one in runs] == [""] * 3
    assert HISTORY >= 10  # the page shows so many


def test_a_failed_run_keeps_its_error_and_a_paused_task_has_none(live, monkeypatch):
    def fail(request):
        raise ValueError("oh")

    spec = TaskSpec("mailhub.tests.fail", "celery", fail, True, 60.0)
    with pytest.raises(ValueError, match="oh"):
        run(live.registry, spec, ())
    assert live.session.scalars(select(PeriodicHistory.error)).all() == ["ValueError: oh"]
    live.session.get(PeriodicRun, spec.name).paused = True
    live.session.commit()
    run(live.registry, spec, ())
    assert live.session.scalar(select(func.count()).select_from(PeriodicHistory)) == 1
