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
#: After a failure, or an answer that did not come in time, nobody asks for so long.
PAUSE_SECONDS = 1.0
#: Questions at once: not more than half of the pool's connections.
AT_ONCE = 6


class DatabaseAway(Exception):
    """No answer in time."""


class Asking:
    """Asks in a thread of its own, because a server that hangs cannot be told to give up."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry
        self._free = threading.BoundedSemaphore(AT_ONCE)
        self._away_until = 0.0

    def ask(self, question: Callable[[Session], Answer], *, seconds: float = LIMIT_SECONDS) -> Answer:
        """The answer, from a transaction that is committed; raises DatabaseAway.

        What a question writes may be there although its answer came too late.
        """
        if time.monotonic() < self._away_until or not self._free.acquire(timeout=seconds):
            raise DatabaseAway("the database has been away")
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
        if in_time and not failures:
            return answers[0]
        failure = failures[0] if in_time else TimeoutError(f"no answer in {seconds} s")
        if isinstance(failure, SQLAlchemyError | PsycopgError | TimeoutError):  # COPY's own errors come as psycopg's
            self._away_until = time.monotonic() + PAUSE_SECONDS
            raise DatabaseAway(type(failure).__name__) from failure
        raise failure
