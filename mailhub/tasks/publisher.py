"""Wake-ups on their way to the broker: a background thread, so that no request ever waits for a broker.

With publisher confirms RabbitMQ's memory alarm hangs a publisher for ever, without them it may lose a message:
both are harmless here, because the row is the queue and the sweep repairs (delivery.md, 1.7).
"""

from __future__ import annotations

import atexit
import os
import queue
import threading
from typing import Any

from mailhub import logs

log = logs.get(__name__)

#: More than this waiting means that the broker is away: the newest wake-ups are dropped, the sweep finds their rows.
LIMIT = 10_000
#: At exit the thread gets this long to send what waits.
EXIT_SECONDS = 5.0


class Publisher:
    """Sends (task name, arguments, queue) to Celery's broker from a thread of its own; one thread a process."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry
        self._pid = 0
        self._queue: queue.Queue[tuple[str, tuple[Any, ...], str] | None] = queue.Queue(LIMIT)
        self._thread: threading.Thread | None = None
        self._start_lock = threading.Lock()

    def publish(self, name: str, args: tuple[Any, ...], queue_name: str) -> None:
        """Hand over a wake-up. Never raises, never waits."""
        self._ensure_thread()
        try:
            self._queue.put_nowait((name, args, queue_name))
        except queue.Full:
            log.warning("wakeup.dropped", task=name)

    def _ensure_thread(self) -> None:
        """Start the thread on first use; again in a forked child, where the parent's thread does not live on."""
        if self._pid == os.getpid():
            return
        if self._pid:
            self._queue = queue.Queue(LIMIT)
            self._start_lock = threading.Lock()
        with self._start_lock:
            if self._pid == os.getpid():
                return
            self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
            self._thread.start()
            self._pid = os.getpid()
            atexit.register(self.close)

    def _run(self) -> None:
        from mailhub.tasks.celery_app import make_celery

        app = make_celery(self._registry.mailhub)
        while (item := self._queue.get()) is not None:
            name, args, queue_name = item
            try:
                app.send_task(name, args=list(args), queue=queue_name, retry=False, ignore_result=True)
            except Exception as failure:
                log.warning("wakeup.lost", task=name, error=type(failure).__name__)

    def close(self) -> None:
        """Send what waits, for at most five seconds."""
        if self._thread is None or self._pid != os.getpid():
            return
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(EXIT_SECONDS)
