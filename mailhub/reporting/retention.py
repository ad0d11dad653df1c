"""What is kept how long, and the purge that sees to it: partitions go whole, the rest in slices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine

from mailhub.reporting import partitions
from mailhub.reporting.named import SQL

SLICE = 5_000
#: Statement → how long its rows are kept beyond their own end.
KEPT = {
    "purge_sessions": timedelta(days=1),
    "purge_one_time_links": timedelta(days=1),
    "purge_rate_limits": timedelta(days=1),
    "purge_idempotency_keys": timedelta(hours=48),
    "purge_worker_heartbeats": timedelta(days=1),
    "purge_queue_minutes": timedelta(days=7),
}
_LATE = ("purge_old_messages", "purge_old_contents", "purge_old_events")


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge took away: partitions by name, rows by statement (those with any)."""

    partitions: tuple[str, ...]
    rows: dict[str, int]


def purge(engine: Engine, *, now: datetime, retention_days: int) -> Purged:
    """Drop what is older than it may be. Each slice is a transaction of its own; safe to run twice at once."""
    limit = now - timedelta(days=retention_days)
    dropped = partitions.drop_before(engine, limit)
    rows = {name: _in_slices(engine, name, limit) for name in _LATE}
    rows |= {name: _in_slices(engine, name, now - kept) for name, kept in KEPT.items()}
    return Purged(tuple(dropped), {name: count for name, count in rows.items() if count})


def _in_slices(engine: Engine, name: str, before: datetime) -> int:
    gone = 0
    while True:
        with engine.begin() as connection:
            taken = connection.execute(SQL[name].text, {"before": before, "most": SLICE}).rowcount
        gone += taken
        if taken < SLICE:
            return gone
