"""A worker's own word that it lives: a row every few seconds, from a thread of its own."""

from __future__ import annotations

import os
import socket
import threading
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from mailhub import logs

log = logs.get(__name__)

#: Longest pause between beats; with short leases a beat comes four times a lease.
EVERY_SECONDS = 5.0

_BEAT = text(
    """
    INSERT INTO worker_heartbeat AS w (name, host, pid, parent_pid, queue, role, doing, sent, last_seen_at)
    VALUES (:name, :host, :pid, :parent_pid, :queue, :role, :doing, :sent, clock_timestamp())
    ON CONFLICT (name) DO UPDATE SET
        doing = EXCLUDED.doing, sent = EXCLUDED.sent, last_seen_at = EXCLUDED.last_seen_at,
        last_progress_at = CASE WHEN w.sent = EXCLUDED.sent THEN w.last_progress_at ELSE EXCLUDED.last_seen_at END
    """
)


class Heartbeat:
    """`name` says who holds a lease. `doing` and `sent` are shown on the queues page.

    `task` is the name of the task that runs: a process without it and without anything to do is idle.
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
        self._pause = min(EVERY_SECONDS, registry.mailhub.delivery_lease_seconds / 4)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop beating and take the row away: the worker has left in good order."""
        self._stop.set()
        self._thread.join(2)
        self._write(text("DELETE FROM worker_heartbeat WHERE name = :name"), {"name": self.name})

    def _run(self) -> None:
        while True:
            values = {
                "name": self.name,
                "host": self.host,
                "pid": self.pid,
                "parent_pid": self.parent_pid,
                "queue": self.queue,
                "role": self.role,
                "doing": self.doing or self.task,
                "sent": self.sent,
            }
            self._write(_BEAT, values)
            if self._stop.wait(self._pause):
                return

    def _write(self, statement: Any, values: dict[str, Any]) -> None:
        try:
            with self._registry.engine.begin() as connection:
                connection.execute(statement, values)
        except SQLAlchemyError as failure:
            log.warning("heartbeat.failed", worker=self.name, error=type(failure).__name__)
