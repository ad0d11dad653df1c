"""Questions to the database that must not hold a reader up: with a time limit, and none while it is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from psycopg import Error as PsycopgError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from mailhub.db import side_transaction

Answer = TypeVar("Answer")

#: A reader waits no longer for the database.
LIMIT_SECONDS = 2.0
#: After a failure, or an answer that did not come in time, nobody asks for so long; then one asks, and the others only
#: when that one has had its answer. Each failure doubles the pause, up to the longest.
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 8.0
#: Questions at once: not more than half of the pool's connections.
AT_ONCE = 6


class DatabaseAway(Exception):
    """No answer in time."""


class Asking:
    """Asks in a thread of its own, because a server that hangs cannot be told to give up."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry
        self._free = threading.BoundedSemaphore(AT_ONCE)
        self._lock = threading.Lock()
        self._failures = 0
        self._away_until = 0.0

    def ask(self, question: Callable[[Session], Answer], *, seconds: float = LIMIT_SECONDS) -> Answer:
        """The answer, from a transaction that is committed; raises DatabaseAway.

        What a question writes may be there although its answer came too late.
        """
        if not self._may_ask(seconds):
            raise DatabaseAway("the database has been away")
        if not self._free.acquire(timeout=seconds):
            self._note(went_well=False)
            raise DatabaseAway("everybody waits for the database")
        answers: list[Answer] = []
        failures: list[Exception] = []
        done = threading.Event()

        def run() -> None:
            try:
                with side_transaction(self._registry) as session:
                    answers.append(question(session))
            except Exception as failure:  # given to the thread that asked
                failures.append(failure)
            finally:
                self._free.release()
                done.set()

        threading.Thread(target=run, name="tracking question", daemon=True).start()
        in_time = done.wait(seconds)
        failure = (failures[0] if failures else None) if in_time else TimeoutError(f"no answer in {seconds} s")
        is_away = isinstance(failure, SQLAlchemyError | PsycopgError | TimeoutError)  # COPY's own errors are psycopg's
        self._note(went_well=not is_away)
        if is_away:
            raise DatabaseAway(type(failure).__name__) from failure
        if failure is not None:
            raise failure
        return answers[0]

    def _may_ask(self, seconds: float) -> bool:
        with self._lock:
            now = time.monotonic()
            if now < self._away_until:
                return False
            if self._failures:  # one tries for all
                self._away_until = now + seconds + PAUSE_SECONDS
            return True

    def _note(self, *, went_well: bool) -> None:
        with self._lock:
            if went_well:
                self._failures, self._away_until = 0, 0.0
            else:
                self._failures += 1
                pause = min(PAUSE_SECONDS * 2 ** min(self._failures - 1, 10), LONGEST_PAUSE_SECONDS)
                self._away_until = time.monotonic() + pause
