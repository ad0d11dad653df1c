"""Celery's pool for a broker without an event loop (the embedded one), which a killed child does not bring to a halt.

Its children take their tasks from one pipe, one at a time under a lock, and the one that waits for the next task holds
that lock. billiard's is a semaphore, which nobody gives back for a child that was killed: the others would wait for
ever, until the canary ends the worker. A record lock goes with its process.
"""

from __future__ import annotations

import fcntl
import tempfile
from typing import Any

from billiard.pool import Pool
from celery.concurrency.prefork import TaskPool


class RecordLock:
    """A lock between processes that the kernel releases when its holder ends, however it ends."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it is open as long as the lock is used

    def acquire(self, block: bool = True) -> bool:
        """Take it; False where it is taken and nobody wants to wait."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | (0 if block else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Nobody needs it any more."""
        self._file.close()

    def __enter__(self) -> RecordLock:
        self.acquire()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.release()


class EnduringPool(Pool):
    """billiard's pool, whose two pipes have locks that a killed child gives back."""

    def _setup_queues(self) -> None:
        super()._setup_queues()
        for queue in (self._inqueue, self._outqueue):
            queue._rlock, queue._wlock = RecordLock(), RecordLock()


def use(pool: type[Any] = TaskPool) -> None:
    """Let workers that start from now on have it where they would have had billiard's."""
    pool.BlockingPool = EnduringPool
