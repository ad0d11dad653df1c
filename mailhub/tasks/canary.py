"""Canaries: a task that does nothing, sent through each queue every half minute, so that a stuck consumer is noticed.

A worker can be alive and connected and consume nothing more (celery#10205, #8030 and their kin). Then its children are
idle, no task begins, and the canary does not come through: the first process ends with an error, and its supervisor
starts it again. Children that are busy, a broker that is away, or a backlog that is being worked off never look so.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Sequence
from typing import Any

from pyramid.request import Request
from sqlalchemy import text

from mailhub.models import Queue
from mailhub.tasks import sweep, task

#: A queue with a living worker gets a canary this often, in seconds; one that is lost is replaced by the next.
EVERY_SECONDS = 30
#: A canary that waits for longer while a child of the worker is idle shows that nothing is consumed.
STUCK_SECONDS = 60
#: A worker that is silent for so long is dead, in seconds.
ALIVE_SECONDS = 15

# `sent_at` stays that of the first one that has not come through.
_SEND = text(
    """
    INSERT INTO canary AS c (queue, sent_at, published_at)
    SELECT q.queue, clock_timestamp(), clock_timestamp() FROM unnest(CAST(:queues AS text[])) AS q (queue)
    WHERE EXISTS (
        SELECT FROM worker_heartbeat AS w
        WHERE w.role = 'main' AND q.queue = ANY(string_to_array(w.queue, ','))
          AND w.last_seen_at > clock_timestamp() - make_interval(secs => :alive)
    )
    ON CONFLICT (queue) DO UPDATE
    SET published_at = EXCLUDED.published_at,
        sent_at = CASE WHEN c.seen_at >= c.sent_at THEN EXCLUDED.sent_at ELSE c.sent_at END
    WHERE c.published_at < clock_timestamp() - make_interval(secs => :every)
    RETURNING queue
    """
)

_SEEN = text("UPDATE canary SET seen_at = clock_timestamp(), seen_by = :seen_by WHERE queue = :queue")

_WAITING = text(
    """
    SELECT c.queue, CAST(extract(epoch FROM clock_timestamp() - c.sent_at) AS double precision)
    FROM canary AS c
    WHERE c.queue = ANY(CAST(:queues AS text[])) AND (c.seen_at IS NULL OR c.seen_at < c.sent_at)
      AND c.sent_at < clock_timestamp() - make_interval(secs => :stuck)
      AND EXISTS (
        SELECT FROM worker_heartbeat AS w
        WHERE w.host = :host AND w.parent_pid = :pid AND w.role = 'pool' AND w.doing = ''
          AND w.last_seen_at > clock_timestamp() - make_interval(secs => :alive)
      )
    ORDER BY c.sent_at
    LIMIT 1
    """
)

_BUSY = text(
    """
    SELECT count(*) FROM worker_heartbeat
    WHERE host = :host AND parent_pid = :pid AND role = 'pool' AND doing <> ''
      AND last_seen_at > clock_timestamp() - make_interval(secs => :alive)
    """
)


@task("mailhub.tasks.canary")
def canary(request: Request, queue: str) -> None:
    """Come through the queue."""
    heartbeat = getattr(request.registry, "heartbeat", None)
    seen_by = heartbeat.name if heartbeat is not None else ""
    request.dbsession.execute(_SEEN, {"queue": queue, "seen_by": seen_by})


@sweep
def send_canaries(request: Request) -> None:
    """Send one through each queue that somebody serves, unless the last one is fresh."""
    binds = {"queues": [queue.value for queue in Queue], "alive": ALIVE_SECONDS, "every": EVERY_SECONDS}
    for (queue,) in request.dbsession.execute(_SEND, binds).all():
        request.registry.publisher.publish(canary.spec.name, (queue,), queue)


class Begun:
    """When a task was last begun by any process of a worker; in shared memory, made before the pool is forked."""

    def __init__(self, memory: Any) -> None:
        self._memory = memory

    def note(self, now: float | None = None) -> None:
        """Called by a child as it begins a task."""
        self._memory[0:8] = struct.pack("d", time.monotonic() if now is None else now)

    @property
    def at(self) -> float:
        """On the machine's monotonic clock; 0 before the first one."""
        return float(struct.unpack("d", self._memory[0:8])[0])


class Watch:
    """A worker's first process looks at its own consumer with this."""

    def __init__(
        self, registry: Any, queues: Sequence[str], *, host: str, pid: int, begun: Begun, started_at: float
    ) -> None:
        self._registry = registry
        self._binds = {"queues": list(queues), "host": host, "pid": pid, "alive": ALIVE_SECONDS, "stuck": STUCK_SECONDS}
        self._begun = begun
        self._started_at = started_at

    def stuck(self, now: float, reaches_broker: Callable[[], bool]) -> tuple[str, float] | None:
        """The queue of which nothing is consumed, and for how many seconds its canary has waited; None: all is well."""
        if now - max(self._started_at, self._begun.at) < STUCK_SECONDS:
            return None
        with self._registry.engine.connect() as connection:
            row = connection.execute(_WAITING, self._binds).first()
        if row is None or not reaches_broker():
            return None
        return str(row[0]), float(row[1])

    def busy(self) -> int:
        """How many of the worker's children are at something."""
        with self._registry.engine.connect() as connection:
            return int(connection.execute(_BUSY, self._binds).scalar_one())
