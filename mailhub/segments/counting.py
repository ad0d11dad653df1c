"""How many people are in a segment, and a few of them: live under a guard of time, else by a job."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from mailhub.models import Subscriber, SubscriberStatus
from mailhub.segments.compile import condition
from mailhub.segments.tree import Tree

#: A count on a page that takes longer than this is given up, and becomes a job.
COUNT_SECONDS = 2.0
SAMPLE = 10
_QUERY_CANCELLED = "57014"


@dataclass(frozen=True)
class Count:
    """How many people, how many of them are active (may be written to at all), and how long counting took."""

    people: int
    active: int
    milliseconds: int
    at: datetime


def count(
    dbsession: Session, project_id: int, tree: Tree, seconds: float = COUNT_SECONDS, *, now: datetime | None = None
) -> Count | None:
    """Count the people by one statement; None if it takes longer than `seconds`. Changes nothing."""
    begun = time.monotonic()
    now = now or database_now(dbsession)
    active = Subscriber.status == SubscriberStatus.ACTIVE
    statement = select(func.count(), func.count().filter(active)).where(condition(project_id, tree, now))
    rows = guarded(dbsession, statement, seconds)
    if rows is None:
        return None
    row = rows[0]
    return Count(row[0], row[1], round((time.monotonic() - begun) * 1000), now)


def sample(
    dbsession: Session, project_id: int, tree: Tree, seconds: float = COUNT_SECONDS, *, now: datetime | None = None
) -> list[Subscriber] | None:
    """Ten people of the segment, those who came last; None where it takes too long."""
    now = now or database_now(dbsession)
    statement = (
        select(Subscriber)
        .where(condition(project_id, tree, now))
        .order_by(Subscriber.created_at.desc(), Subscriber.id.desc())
        .limit(SAMPLE)
    )
    rows = guarded(dbsession, statement, seconds)
    return None if rows is None else [row[0] for row in rows]


def guarded(dbsession: Session, statement: Any, seconds: float) -> list[Any] | None:
    """The statement's rows, or None when it was cut off after so many seconds; the transaction goes on either way.

    It may use more memory than usual: a hash that does not fit would be looked up row by row.
    """
    try:
        # A savepoint: its settings and a cancelled statement end with it.
        with dbsession.begin_nested():
            dbsession.execute(
                text(
                    "SELECT set_config('statement_timeout', :ms, true), set_config('work_mem', '128MB', true),"
                    " set_config('jit', 'off', true)"
                ),
                {"ms": str(max(1, int(seconds * 1000)))},
            )
            rows = list(dbsession.execute(statement).all())
            dbsession.execute(
                text("SET LOCAL statement_timeout TO DEFAULT; SET LOCAL work_mem TO DEFAULT; SET LOCAL jit TO DEFAULT")
            )
            return rows
    except OperationalError as failure:
        if getattr(failure.orig, "sqlstate", None) != _QUERY_CANCELLED:
            raise
        return None


def database_now(dbsession: Session) -> datetime:
    """The database's clock: it stamped the rows."""
    now: datetime = dbsession.execute(text("SELECT clock_timestamp()")).scalar_one()
    return now
