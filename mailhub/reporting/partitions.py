"""Weekly partitions: made ahead, dropped when they are old, each drop with a lock of a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import errors, sql
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from mailhub.reporting.named import SQL

#: Parent table → the column that it is partitioned by.
PARENTS = {"message": "created_at", "message_content": "created_at", "message_event": "at"}
AHEAD = timedelta(weeks=8)
WEEK = timedelta(weeks=1)
#: A drop waits this long for its lock, then lets the others go first and tries again.
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
    """A partition could not be taken off in LOCK_TRIES tries; the next run tries again."""


def ensure(engine: Engine, *, now: datetime, since: datetime | None = None) -> int:
    """Make the partitions from `since` (a week ago) to eight weeks ahead; gives how many were missing."""
    made = 0
    for parent, key in PARENTS.items():
        with engine.begin() as connection:
            binds = {"parent": parent, "key": key, "since": since or now - WEEK, "until": now + AHEAD}
            made += connection.execute(SQL["ensure_partitions"].text, binds).scalar_one()
    return made


def listed(engine: Engine) -> list[Partition]:
    """Every partition with its size, by table and age."""
    with engine.connect() as connection:
        rows = connection.execute(SQL["partitions"].text, {"parents": list(PARENTS)}).all()
    return [Partition(*tuple(row)) for row in rows]


def drop_before(engine: Engine, moment: datetime, *, sleep: Callable[[float], None] = time.sleep) -> list[str]:
    """Drop the partitions whose every row is older than `moment`; gives their names.

    Taking one off needs an exclusive lock on its parent: waited for at most LOCK_TIMEOUT_MS, then held for a
    millisecond. `DETACH … CONCURRENTLY` is not possible beside a default partition. Raises PartitionBusy.
    """
    old = [one for one in listed(engine) if one.until is not None and one.until <= moment]
    for partition in old:
        _detach(engine, partition, sleep)
        _run(engine, sql.SQL("DROP TABLE {}").format(sql.Identifier(partition.name)))
    return [partition.name for partition in old]


def _detach(engine: Engine, partition: Partition, sleep: Callable[[float], None]) -> None:
    statement = sql.SQL("ALTER TABLE {} DETACH PARTITION {}").format(
        sql.Identifier(partition.parent), sql.Identifier(partition.name)
    )
    for attempt in range(LOCK_TRIES):
        try:
            _run(engine, statement)
            return
        except OperationalError as error:
            if not isinstance(error.orig, errors.LockNotAvailable):
                raise
            sleep(min(0.1 * (attempt + 1), 1.0))
    raise PartitionBusy(f"{partition.name} is in use; it is dropped at the next run")


def _run(engine: Engine, statement: sql.Composed) -> None:
    with engine.begin() as connection:
        driver: Any = connection.connection.driver_connection
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
        connection.exec_driver_sql(statement.as_string(driver))
