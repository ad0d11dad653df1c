"""Delivery's own road to the database: one connection, short transactions, and PostgreSQL may restart under it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError as EngineFailure
from sqlalchemy.pool import PoolProxiedConnection

from mailhub import logs

log = logs.get(__name__)

Result = TypeVar("Result")
Connection = psycopg.Connection[Any]

#: serialization_failure, deadlock_detected.
_AGAIN = frozenset({"40001", "40P01"})
#: lock_not_available, query_canceled (by a time-out): somebody holds a lock for long. What is on the wire must not be
#: given up for that.
_LATER = frozenset({"55P03", "57014"})
_TRIES = 5


class Database:
    """A connection of the engine's pool for one thread.

    `durable` False lets commits return before the disk has them (`mailhub.delivery.position_durable`). While the
    server is away its statements wait, for `patience_seconds` at most: whatever is given here may run twice, because
    nobody knows whether a commit whose answer was lost has happened.
    """

    def __init__(self, engine: Engine, *, durable: bool = True, patience_seconds: float = 30) -> None:
        self._engine = engine
        self._durable = durable
        self._patience = patience_seconds
        self._held: PoolProxiedConnection | None = None

    def transaction(self, work: Callable[[Connection], Result]) -> Result:
        """Run `work` in a transaction, again after a deadlock or when the server comes back."""

        def whole(connection: Connection) -> Result:
            with connection.transaction():
                return work(connection)

        return self.statement(whole)

    def statement(self, work: Callable[[Connection], Result]) -> Result:
        """Run `work`, a single statement that commits by itself."""
        tries = 0
        away_since: float | None = None
        while True:
            try:
                return work(self._connection())
            except (psycopg.OperationalError, EngineFailure) as failure:
                tries += 1
                sqlstate = getattr(failure, "sqlstate", None)
                if sqlstate in _AGAIN and tries < _TRIES:
                    time.sleep(random.uniform(0, 0.02 * tries))  # noqa: S311
                    continue
                if sqlstate not in _LATER:
                    if not self._is_broken(failure):
                        raise
                    self._discard()
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > self._patience:
                    raise
                log.warning("database.away", error=type(failure).__name__)
                time.sleep(0.25)

    def is_idle(self) -> bool:
        """Whether no transaction is open on this connection."""
        if self._held is None:
            return True
        connection: Connection = self._held.driver_connection  # type: ignore[assignment]
        return connection.info.transaction_status in (TransactionStatus.IDLE, TransactionStatus.UNKNOWN)

    def close(self) -> None:
        """Give the connection back as it was."""
        if self._held is None:
            return
        try:
            connection = self._connection()
            if not self._durable:
                connection.execute("RESET synchronous_commit")
            connection.autocommit = False
            self._held.close()
        except psycopg.Error:
            self._discard()
        self._held = None

    def _connection(self) -> Connection:
        if self._held is None:
            self._held = self._engine.raw_connection()
            fresh: Connection = self._held.driver_connection  # type: ignore[assignment]
            fresh.autocommit = True
            if not self._durable:
                fresh.execute("SET synchronous_commit = off")
        return self._held.driver_connection  # type: ignore[return-value]

    def _is_broken(self, failure: Exception) -> bool:
        if self._held is None or isinstance(failure, EngineFailure):
            return True
        connection: Connection = self._held.driver_connection  # type: ignore[assignment]
        return connection.closed or connection.broken

    def _discard(self) -> None:
        if self._held is not None:
            self._held.invalidate()
            self._held = None
