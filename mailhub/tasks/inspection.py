"""What workers run, by their own word over the broker: Celery's `inspect active`, `reserved` and `scheduled`.

The broker is asked from a thread of its own, so that no request waits for it and no transaction is open meanwhile: a
page shows the last answer, and asks for the next one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from mailhub import logs

log = logs.get(__name__)

State = Literal["active", "reserved", "scheduled"]
STATES: tuple[State, ...] = ("active", "reserved", "scheduled")
#: How long a connection, and the first answer, are waited for, in seconds. The next answers come as fast or never.
CONNECT_SECONDS, ANSWER_SECONDS = 1.0, 2.0
#: An answer is good for so long, and forgotten after so long.
FRESH_SECONDS, KEPT_SECONDS = 2.0, 60.0


@dataclass(frozen=True, slots=True)
class RemoteTask:
    """A task that a worker has. `since`: when it began (active); `at`: when it is to begin (scheduled)."""

    worker: str
    state: State
    name: str
    args: str
    pid: int | None
    since: datetime | None
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the workers said. `problem`: "" for none, "no_answer" from any worker, "away" for the broker."""

    asked_at: datetime
    workers: tuple[str, ...] = ()
    tasks: tuple[RemoteTask, ...] = ()
    problem: str = ""


class Inspector:
    """Belongs to a process. `look()` never waits."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry
        self._lock = threading.Lock()
        self._answer: Answer | None = None
        self._answered = float("-inf")
        self._thread: threading.Thread | None = None

    @property
    def is_possible(self) -> bool:
        """Whether this broker carries questions to workers: RabbitMQ does, the embedded one does not."""
        return bool(self._registry.mailhub.broker_url.startswith("amqp"))

    def look(self) -> Answer | None:
        """The last answer, if it is not too old; the workers are asked again if it is not fresh. None: none yet."""
        if not self.is_possible:
            return None
        with self._lock:
            age = time.monotonic() - self._answered
            if age > FRESH_SECONDS and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._ask, name="inspection", daemon=True)
                self._thread.start()
            return self._answer if age <= KEPT_SECONDS else None

    def wait(self, seconds: float) -> Answer | None:
        """The answer to the question that is under way, for programs and tests."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)
        return self._answer

    def _ask(self) -> None:
        answer = ask(self._registry.mailhub)
        with self._lock:
            self._answer, self._answered = answer, time.monotonic()


def ask(settings: Any) -> Answer:
    """Ask all workers: what they say within ANSWER_SECONDS; 3 s where none answers, one where the broker is away."""
    from mailhub.tasks.celery_app import make_celery

    app, asked_at = make_celery(settings), datetime.now(UTC)
    found: dict[State, Mapping[str, Any]] = {}
    try:
        with app.connection_for_write(connect_timeout=CONNECT_SECONDS) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=CONNECT_SECONDS)
            first = app.control.inspect(timeout=ANSWER_SECONDS, connection=connection)
            found["active"] = first.active() or {}
            if not found["active"]:
                return Answer(asked_at, problem="no_answer")
            # As many answers as there were: nobody is waited for who is not there.
            rest = app.control.inspect(
                timeout=ANSWER_SECONDS, connection=connection, destination=list(found["active"]),
                limit=len(found["active"]),
            )  # fmt: skip
            found["reserved"] = rest.reserved() or {}
            found["scheduled"] = rest.scheduled() or {}
    except Exception as failure:
        log.info("inspection.failed", error=type(failure).__name__)
        return Answer(asked_at, problem="away")
    finally:
        app.close()
    return Answer(asked_at, tuple(sorted(found["active"])), told(found))


def told(found: Mapping[State, Mapping[str, Any]]) -> tuple[RemoteTask, ...]:
    """Celery's answers, by worker, as rows: what runs first, then what is reserved, then what is for later."""
    rows = []
    for state in STATES:
        for worker, tasks in sorted(found.get(state, {}).items()):
            for one in tasks or ():
                request = one.get("request", one)
                began = request.get("time_start")
                args = request.get("args") or ()
                rows.append(
                    RemoteTask(
                        worker,
                        state,
                        str(request.get("name") or request.get("type") or ""),
                        args if isinstance(args, str) else ", ".join(map(str, args)),
                        request.get("worker_pid"),
                        datetime.fromtimestamp(began, UTC) if isinstance(began, float) else None,
                        _moment(one.get("eta")),
                    )
                )
    return tuple(rows)


def _moment(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
