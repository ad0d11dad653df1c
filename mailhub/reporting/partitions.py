"""Weekly partitions: made ahead, dropped when they are old, each drop with a lock of a moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from psycopg import errors, sql
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from mailhub.reporting.named import SQL

Done = TypeVar("Done")

#: Parent table → the column that it is partitioned by.
PARENTS = {"message": "created_at", "message_content": "created_at", "message_event": "at"}
AHEAD = timedelta(weeks=8)
WEEK = timedelta(weeks=1)
#: Who makes or drops one waits this long for its lock, then lets the others go first and tries again.
LOCK_TIMEOUT_MS = 150
LOCK_TRIES = 20


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition. The default one, for rows that no week takes, has no `since`; rows are the planner's estimate."""

    parent: str
    name: str
    since: datetime | None
    estimated_rows: int
    total_bytes: int

    @property
    def until(self) -> datetime | None:
        return self.since + WEEK if self.since is not None else None


class PartitionBusy(Exception):
    """A partition could not be made or taken off in LOCK_TRIES tries; the next run tries again."""


def ensure(
    engine: Engine, *, now: datetime, since: datetime | None = None, sleep: Callable[[float], None] = time.sleep
) -> int:
    """Make the partitions from `since` (a week ago) to eight weeks ahead; gives how many were missing.

    A week's rows that lie in the default partition move into the new one. For that moment writers of the table wait:
    they would still send rows of this week to the default partition, and fail. The locks are waited for at most
    LOCK_TIMEOUT_MS and then held for some 20 ms a week, longer only with many rows to move. Raises PartitionBusy.
    """
    made = 0
    for parent, key in PARENTS.items():
        for week in _missing(engine, parent, since or now - WEEK, now + AHEAD):
            made += _patiently(partial(_make, engine, parent, key, week), f"{parent} of {week:%Y-%m-%d}", sleep)
    return made


def _missing(engine: Engine, parent: str, since: datetime, until: datetime) -> list[datetime]:
    with engine.connect() as connection:
        binds = {"parent": parent, "since": since, "until": until}
        return list(connection.execute(SQL["missing_weeks"].text, binds).scalars())


def _make(engine: Engine, parent: str, key: str, week: datetime) -> int:
    with _impatient(engine) as connection:
        for statement, table in (
            ("LOCK TABLE ONLY {} IN SHARE ROW EXCLUSIVE MODE", parent),
            ("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", f"{parent}_default"),
        ):
            _execute(connection, sql.SQL(statement).format(sql.Identifier(table)))
        binds = {"parent": parent, "key": key, "since": week, "until": week + timedelta(days=1)}
        made: int = connection.execute(SQL["ensure_partitions"].text, binds).scalar_one()
    return made


def listed(engine: Engine) -> list[Partition]:
    """Every partition with its size, by table and age."""
    with engine.connect() as connection:
        rows = connection.execute(SQL["partitions"].text, {"parents": list(PARENTS)}).all()
    return [Partition(*tuple(row)) for row in rows]


def drop_before(engine: Engine, moment: datetime, *, sleep: Callable[[float], None] = time.sleep) -> list[str]:
    """Drop the partitions whose every row is older than `moment`; gives their names.

    Taking one off needs an exclusive lock on its parent: waited for at most LOCK_TIMEOUT_MS, then held for a
    millisecond. `DETACH … CONCURRENTLY` is not possible beside a default partition. One that was taken off by a process
    that ended before the drop is dropped too. Raises PartitionBusy.
    """
    detach = sql.SQL("ALTER TABLE {} DETACH PARTITION {}")
    for one in listed(engine):
        if one.until is not None and one.until <= moment:
            statement = detach.format(sql.Identifier(one.parent), sql.Identifier(one.name))
            _patiently(partial(_run, engine, statement), one.name, sleep)
    with engine.connect() as connection:
        binds = {"parents": list(PARENTS), "before": moment - WEEK}
        names = list(connection.execute(SQL["detached_partitions"].text, binds).scalars())
    for name in names:
        _run(engine, sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
    return names


def _patiently(step: Callable[[], Done], what: str, sleep: Callable[[float], None]) -> Done:
    """Try until the locks are there, and let the others go first between two tries."""
    for attempt in range(LOCK_TRIES):
        try:
            return step()
        except OperationalError as error:
            if not isinstance(error.orig, (errors.LockNotAvailable, errors.DeadlockDetected)):
                raise
            sleep(min(0.1 * (attempt + 1), 1.0))
    raise PartitionBusy(f"{what} is in use; the next run tries again")


@contextmanager
def _impatient(engine: Engine) -> Iterator[Connection]:
    """A transaction that waits for no lock longer than LOCK_TIMEOUT_MS."""
    with engine.begin() as connection:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
        yield connection


def _run(engine: Engine, statement: sql.Composed) -> None:
    with _impatient(engine) as connection:
        _execute(connection, statement)


def _execute(connection: Connection, statement: sql.Composed) -> None:
    driver: Any = connection.connection.driver_connection
    connection.exec_driver_sql(statement.as_string(driver))
