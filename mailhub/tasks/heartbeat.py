"""A worker's own word that it lives and what it does: a row every few seconds, from a thread of its own."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from mailhub import logs

log = logs.get(__name__)

#: Longest pause between beats; with short leases a beat comes four times a lease.
EVERY_SECONDS = 5.0

#: Ids of a task that are longer than this are cut; a task has few of them.
ARGS_LENGTH = 200

# The task's beginning is told as seconds ago, so that all moments are those of the database's clock.
_BEAT = text(
    """
    INSERT INTO worker_heartbeat AS w (
        name, host, pid, parent_pid, queue, role, doing, task, task_args, task_since, sent, last_seen_at
    )
    VALUES (
        :name, :host, :pid, :parent_pid, :queue, :role, :doing, :task, :task_args,
        clock_timestamp() - make_interval(secs => CAST(:task_seconds AS double precision)), :sent, clock_timestamp()
    )
    ON CONFLICT (name) DO UPDATE SET
        doing = EXCLUDED.doing, task = EXCLUDED.task, task_args = EXCLUDED.task_args,
        task_since = CASE
            WHEN w.task = EXCLUDED.task AND w.task_args = EXCLUDED.task_args
                AND abs(extract(epoch FROM w.task_since - EXCLUDED.task_since)) < 1
            THEN w.task_since ELSE EXCLUDED.task_since
        END,
        sent = EXCLUDED.sent, last_seen_at = EXCLUDED.last_seen_at,
        last_progress_at = CASE WHEN w.sent = EXCLUDED.sent THEN w.last_progress_at ELSE EXCLUDED.last_seen_at END
    """
)

_COUNT = text(
    """
    INSERT INTO queue_minute AS q (queue, minute, letters, tasks, failed)
    VALUES (:queue, date_trunc('minute', clock_timestamp()), :letters, :tasks, :failed)
    ON CONFLICT (queue, minute) DO UPDATE
    SET letters = q.letters + EXCLUDED.letters, tasks = q.tasks + EXCLUDED.tasks, failed = q.failed + EXCLUDED.failed
    """
)


class Heartbeat:
    """`name` says who holds a lease. `doing` and `sent` are shown on the queues page.

    `task` is the name of the task that runs: a process without it and without anything to do is idle. What was done is
    counted by queue and minute (`queue_minute`).
    """

    def __init__(self, registry: Any, queue: str, role: str) -> None:
        self._registry = registry
        self.host = socket.gethostname()
        self.pid = os.getpid()
        self.parent_pid = os.getppid()
        self.queue = queue
        self.role = role
        self.name = f"{queue}@{self.host}:{self.pid}:{os.urandom(3).hex()}"
        self.doing = ""
        self.task = ""
        self.sent = 0
        self._task_args = ""
        self._task_began = 0.0
        #: Whose letters `sent` counts just now, and how many of them are counted already.
        self._letters_of = queue
        self._counted = 0
        #: (queue, letters or tasks or failed) → what the next beat adds.
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self._pause = min(EVERY_SECONDS, registry.mailhub.delivery_lease_seconds / 4)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop beating and take the row away: the worker has left in good order."""
        self._stop.set()
        self._thread.join(2)
        self._write([(text("DELETE FROM worker_heartbeat WHERE name = :name"), {"name": self.name})])

    def begin(self, task: str, args: Sequence[Any]) -> None:
        """A task begins."""
        with self._lock:
            self._task_args = json.dumps(list(args), default=str)[:ARGS_LENGTH] if args else ""
            self._task_began = time.monotonic()
            self.task = task

    def end(self, queue: str, *, failed: bool) -> None:
        """The task has ended; it had come through `queue`."""
        with self._lock:
            self.task = self._task_args = ""
            self._counts[queue, "tasks"] += 1
            self._counts[queue, "failed"] += failed

    def count_letters_of(self, queue: str) -> None:
        """From now on `sent` counts letters of this queue."""
        with self._lock:
            self._take_letters()
            self._letters_of = queue

    def _take_letters(self) -> None:
        sent = self.sent
        self._counts[self._letters_of, "letters"] += sent - self._counted
        self._counted = sent

    def _run(self) -> None:
        while True:
            self.beat()
            if self._stop.wait(self._pause):
                return

    def beat(self) -> None:
        """Write the row and add what was counted since the last beat; what could not be written is added later."""
        with self._lock:
            self._take_letters()
            counts, self._counts = self._counts, Counter()
            values = {
                "name": self.name,
                "host": self.host,
                "pid": self.pid,
                "parent_pid": self.parent_pid,
                "queue": self.queue,
                "role": self.role,
                "doing": self.doing or self.task,
                "task": self.task,
                "task_args": self._task_args,
                "task_seconds": time.monotonic() - self._task_began if self.task else None,
                "sent": self.sent,
            }
        # In one order everywhere, so that two processes never wait for each other.
        queues = sorted({queue for (queue, _what), n in counts.items() if n})
        added = [
            (_COUNT, {"queue": queue, **{what: counts[queue, what] for what in ("letters", "tasks", "failed")}})
            for queue in queues
        ]
        if not self._write([(_BEAT, values), *added]):
            with self._lock:
                self._counts.update(counts)

    def _write(self, statements: Sequence[tuple[Any, dict[str, Any]]]) -> bool:
        try:
            with self._registry.engine.begin() as connection:
                for statement, values in statements:
                    connection.execute(statement, values)
        except SQLAlchemyError as failure:
            log.warning("heartbeat.failed", worker=self.name, error=type(failure).__name__)
            return False
        return True
