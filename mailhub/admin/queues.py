"""The three queues: what waits in each, who works on it, how fast."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from mailhub.admin import periodic
from mailhub.admin.periodic import Periodic
from mailhub.models import Queue
from mailhub.reporting import admin as reports
from mailhub.reporting import admin_machinery as machinery
from mailhub.reporting.admin import CanaryTrip, Lane, Later, Lease, RelayDown, Waiting, Worker
from mailhub.reporting.admin_machinery import QueueRate
from mailhub.web.health import ALIVE_SECONDS

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
    rate: QueueRate = field(default_factory=lambda: QueueRate(""))

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
class State:
    """Everything that the queues' page and the overview show."""

    queues: tuple[QueueState, ...]
    leases: tuple[Lease, ...]
    periodic: tuple[Periodic, ...]
    relays_down: tuple[RelayDown, ...] = ()
    lanes: tuple[Lane, ...] = ()
    #: Processes that run a task just now, by their heartbeats.
    running: tuple[Worker, ...] = ()


def is_alive(worker: Worker) -> bool:
    return worker.silent_seconds <= ALIVE_SECONDS


def state(session: Session) -> State:
    """Read the queues, their workers, running leases and periodic tasks."""
    now = reports.clock(session)
    waiting, workers = reports.waiting(session), reports.workers(session)
    later = {one.queue: one for one in reports.later(session)}
    canaries = {one.queue: one for one in reports.canaries(session)}
    rates = machinery.queue_rates(session)
    queues = []
    for queue in Queue:
        parts = tuple(one for one in waiting if one.queue == queue.value)
        oldest = min((one.oldest_at for one in parts if one.oldest_at is not None), default=None)
        age = None if oldest is None else max(0.0, (now - oldest).total_seconds())
        # A worker may serve several queues: "bulk,celery".
        mine = tuple(worker for worker in workers if queue.value in worker.queue.split(","))
        rate = rates.get(queue.value, QueueRate(queue.value))
        queues.append(
            QueueState(queue.value, parts, later.get(queue.value), age, mine, canaries.get(queue.value), rate)
        )
    return State(
        tuple(queues),
        tuple(reports.leases(session)),
        tuple(periodic.listed(session)),
        tuple(reports.relays_down(session)),
        tuple(reports.lanes(session)),
        tuple(worker for worker in workers if worker.task and is_alive(worker)),
    )
