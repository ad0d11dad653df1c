"""The three queues: what waits in each, who works on it, what runs by the clock."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from mailhub.models import PeriodicRun, Queue
from mailhub.reporting import admin as reports
from mailhub.reporting.admin import CanaryTrip, Lane, Later, Lease, RelayDown, Waiting, Worker
from mailhub.tasks import TASKS, TaskSpec
from mailhub.web.health import ALIVE_SECONDS

_ROOMS = Path(__file__).parent.parent
#: Work that has waited for longer than this, in seconds, is late: somebody should look.
LATE_SECONDS = {Queue.TRANSACTIONAL: 60, Queue.BULK: 600, Queue.CELERY: 300}


@dataclass(frozen=True)
class QueueState:
    """A queue at a moment. `parts` are its kinds of work, `age_seconds` is None where nothing waits."""

    name: str
    parts: tuple[Waiting, ...]
    later: Later | None
    age_seconds: float | None
    workers: tuple[Worker, ...]
    #: The last task that did nothing but come through; None before the first one.
    canary: CanaryTrip | None = None

    @property
    def waiting(self) -> int:
        return sum(part.waiting for part in self.parts)

    @property
    def alive(self) -> int:
        """Worker processes of which the first one has given a sign of life."""
        return sum(1 for worker in self.workers if worker.role == "main" and is_alive(worker))

    @property
    def is_late(self) -> bool:
        return self.age_seconds is not None and self.age_seconds > LATE_SECONDS[Queue(self.name)]


@dataclass(frozen=True)
class Periodic:
    """A periodic task as it is declared, and its last run. `running`: begun and not ended."""

    name: str
    queue: str
    every_seconds: float | None
    started_at: datetime | None
    finished_at: datetime | None
    error: str
    paused: bool

    @property
    def running(self) -> bool:
        begun, ended = self.started_at, self.finished_at
        return begun is not None and (ended is None or ended < begun)


@dataclass(frozen=True)
class State:
    """Everything that the queues' page shows."""

    queues: tuple[QueueState, ...]
    leases: tuple[Lease, ...]
    periodic: tuple[Periodic, ...]
    relays_down: tuple[RelayDown, ...] = ()
    lanes: tuple[Lane, ...] = ()


def is_alive(worker: Worker) -> bool:
    return worker.silent_seconds <= ALIVE_SECONDS


def state(session: Session) -> State:
    """Read the queues, their workers, running leases and periodic tasks."""
    now = reports.clock(session)
    waiting, workers = reports.waiting(session), reports.workers(session)
    later = {one.queue: one for one in reports.later(session)}
    canaries = {one.queue: one for one in reports.canaries(session)}
    queues = []
    for queue in Queue:
        parts = tuple(one for one in waiting if one.queue == queue.value)
        oldest = min((one.oldest_at for one in parts if one.oldest_at is not None), default=None)
        age = None if oldest is None else max(0.0, (now - oldest).total_seconds())
        # A worker may serve several queues: "bulk,celery".
        mine = tuple(worker for worker in workers if queue.value in worker.queue.split(","))
        queues.append(QueueState(queue.value, parts, later.get(queue.value), age, mine, canaries.get(queue.value)))
    return State(
        tuple(queues),
        tuple(reports.leases(session)),
        tuple(_periodic(session)),
        tuple(reports.relays_down(session)),
        tuple(reports.lanes(session)),
    )


def periodic_specs() -> dict[str, TaskSpec]:
    """The periodic tasks that workers know, by name."""
    for module in pkgutil.iter_modules([str(_ROOMS)], "mailhub."):
        if module.ispkg and importlib.util.find_spec(f"{module.name}.tasks") is not None:
            importlib.import_module(f"{module.name}.tasks")
    return {name: spec for name, spec in sorted(TASKS.items()) if spec.every is not None}


def set_paused(dbsession: Session, name: str, paused: bool) -> None:
    """Pause or resume a periodic task; beat's wake-ups find it paused and do nothing."""
    row = insert(PeriodicRun).values(name=name, paused=paused)
    dbsession.execute(row.on_conflict_do_update(index_elements=[PeriodicRun.name], set_={"paused": paused}))


def is_paused(dbsession: Session, name: str) -> bool:
    found = dbsession.get(PeriodicRun, name)
    return found is not None and found.paused


def _periodic(session: Session) -> list[Periodic]:
    runs = {one.name: one for one in reports.periodic_tasks(session)}
    specs = periodic_specs()
    found = []
    for name in sorted(specs.keys() | runs.keys()):
        spec, run = specs.get(name), runs.get(name)
        found.append(
            Periodic(
                name,
                spec.queue if spec is not None else "",
                spec.every if spec is not None else None,
                run.started_at if run is not None else None,
                run.finished_at if run is not None else None,
                run.error if run is not None else "",
                run.paused if run is not None else False,
            )
        )
    return found
