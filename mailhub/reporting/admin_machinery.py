"""What admins read of the machinery: rates of the queues, periodic runs, tables and partitions, the database's work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from mailhub.reporting.named import SQL
from mailhub.reporting.partitions import PARENTS, Partition

#: A default partition is empty. How many rows it has when it is not matters little beyond this.
DEFAULT_ROWS_COUNTED = 1_000
_MINUTES = 60


@dataclass(frozen=True, slots=True)
class QueueRate:
    """What a queue's workers do a second, over the last one to two minutes and over the last hour.

    `letters_by_minute` has the last 60 whole minutes, oldest first. `failed_in_hour` are tasks that ended in an error.
    """

    queue: str
    letters_now: float = 0.0
    letters_hour: float = 0.0
    tasks_now: float = 0.0
    tasks_hour: float = 0.0
    failed_in_hour: int = 0
    letters_by_minute: tuple[int, ...] = (0,) * _MINUTES


@dataclass(frozen=True, slots=True)
class PeriodicPast:
    """A run of a periodic task that has ended; `error` is empty where all went well."""

    name: str
    started_at: datetime
    finished_at: datetime
    error: str

    @property
    def seconds(self) -> float:
        return max(0.0, (self.finished_at - self.started_at).total_seconds())


@dataclass(frozen=True, slots=True)
class Table:
    """A table, with all of its partitions where it has some. Rows are an estimate."""

    name: str
    partitions: int
    estimated_rows: int
    table_bytes: int
    index_bytes: int
    total_bytes: int
    dead_rows: int
    vacuumed_at: datetime | None
    analyzed_at: datetime | None


@dataclass(frozen=True, slots=True)
class DatabaseServer:
    """The server that answers the reports, and its database's size in bytes."""

    version: str
    database_bytes: int
    connections: int
    most_connections: int
    is_replica: bool
    has_statements: bool


@dataclass(frozen=True, slots=True)
class Activity:
    """A session that does something, or is in a transaction. `query` has its literals: show it with `mask` only.

    `began` names this statement, so that no later one of the same session is cancelled for it.
    """

    pid: int
    application: str
    role: str
    state: str
    waits_for: str
    query: str
    seconds: float | None
    transaction_seconds: float | None
    blocked_by: Sequence[int]
    began: str


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement since the statistics were reset; times in milliseconds."""

    query: str
    calls: int
    total_ms: float
    mean_ms: float
    max_ms: float
    rows: int


def queue_rates(dbsession: Session) -> dict[str, QueueRate]:
    """The rates by queue; a queue whose workers did nothing for an hour is not among them."""
    by_queue: dict[str, dict[int, tuple[int, int, int]]] = {}
    now_seconds = 0.0
    for row in dbsession.execute(SQL["machinery_queue_minutes"].text):
        by_queue.setdefault(row.queue, {})[row.ago] = (row.letters, row.tasks, row.failed)
        now_seconds = row.now_seconds
    return {queue: _rate(queue, minutes, now_seconds) for queue, minutes in by_queue.items()}


def _rate(queue: str, minutes: dict[int, tuple[int, int, int]], now_seconds: float) -> QueueRate:
    def total(what: int, until: int) -> int:
        return sum(done[what] for ago, done in minutes.items() if ago <= until)

    lately, hour = 60 + now_seconds, 60 * _MINUTES + now_seconds
    return QueueRate(
        queue,
        letters_now=total(0, 1) / lately,
        letters_hour=total(0, _MINUTES) / hour,
        tasks_now=total(1, 1) / lately,
        tasks_hour=total(1, _MINUTES) / hour,
        failed_in_hour=total(2, _MINUTES),
        letters_by_minute=tuple(minutes.get(ago, (0, 0, 0))[0] for ago in range(_MINUTES, 0, -1)),
    )


def periodic_history(dbsession: Session, *, most: int = 10) -> dict[str, list[PeriodicPast]]:
    """The last `most` ended runs of every periodic task, the newest first."""
    found: dict[str, list[PeriodicPast]] = {}
    for row in dbsession.execute(SQL["machinery_periodic_history"].text, {"most": most}):
        found.setdefault(row.name, []).append(PeriodicPast(*row))
    return found


def tables(dbsession: Session) -> list[Table]:
    """The tables, the largest first, 200 at most."""
    return [Table(*row) for row in dbsession.execute(SQL["machinery_tables"].text)]


def partitions(dbsession: Session) -> list[Partition]:
    """Every partition with its size, by table and age; the default ones have no beginning."""
    rows = dbsession.execute(SQL["machinery_partitions"].text, {"parents": list(PARENTS)})
    return [Partition(*tuple(row)) for row in rows]


def default_rows(dbsession: Session) -> dict[str, int]:
    """How many rows found no partition of their week, by table; counted up to DEFAULT_ROWS_COUNTED."""
    rows = dbsession.execute(SQL["machinery_default_rows"].text, {"most": DEFAULT_ROWS_COUNTED})
    return {row.parent: row.n for row in rows}


def server(dbsession: Session) -> DatabaseServer:
    """The server behind the reports."""
    return DatabaseServer(*dbsession.execute(SQL["machinery_server"].text).one())


def activity(dbsession: Session) -> list[Activity]:
    """What the database is doing for this database's clients, the oldest statement first, 100 at most."""
    return [Activity(*row) for row in dbsession.execute(SQL["machinery_activity"].text)]


def statements(dbsession: Session, *, most: int = 30) -> list[Statement] | None:
    """The statements that cost most; None where the extension is installed and not loaded by the server."""
    if dbsession.scalar(text("SELECT current_setting('pg_stat_statements.max', true)")) is None:
        return None
    return [Statement(*row) for row in dbsession.execute(SQL["machinery_statements"].text, {"most": most})]


def cancel(dbsession: Session, *, pid: int, began: str) -> str | None:
    """Stop a statement of one of our own programs: its application's name, or None if it has ended by itself."""
    row = dbsession.execute(SQL["machinery_cancel"].text, {"pid": pid, "began": began}).one_or_none()
    return str(row.application) if row is not None and row.cancelled else None
