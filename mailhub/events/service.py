"""The one door by which events are stored: raw rows by COPY, and every rollup moved on in the same transaction.

Which events count where: letters of campaigns and transactional letters in the project's day; campaign letters also
in their campaign's numbers; tests and service letters nowhere (their rows are kept for the log). A hit counts as a
person's until it is known who made it (mailhub.events.marking).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from sqlalchemy.orm import Session

from mailhub.events import rollup
from mailhub.events.event import MAX_TEXT, Event, agent, clean
from mailhub.reporting import rollups

__all__ = ["MAX_TEXT", "Event", "append", "append_in"]

#: A clock that is ahead of the database's by more than this is not believed.
FUTURE = timedelta(seconds=5)
_COPY = (
    "COPY message_event (project_id, at, type, kind, project_domain, message_id, campaign_id, campaign_name, list_id,"
    " list_name, subscriber_id, email, email_domain, link_id, url, code, detail, ip, user_agent, device, client)"
    " FROM STDIN"
)


def append(connection: psycopg.Connection[Any], events: Sequence[Event]) -> None:
    """Store events and move every rollup on, in the caller's transaction; never commits.

    Uniques are exact when several transactions do it at once. Call it once a transaction: its locks are taken in a
    fixed order, so that appends wait for one another but never in a circle. That a person leaves by a campaign they
    have left by already is not stored again. A moment in the future becomes now and FUTURE at most.
    Measured on two shared cores: 500 sent letters in 12 ms (9 ms of PostgreSQL's time), 500 mixed events of people in
    21 ms (16 ms), a single hit in 2.3 ms: hits should come in batches.
    """
    if not events:
        return
    if connection.autocommit and connection.info.transaction_status == TransactionStatus.IDLE:
        raise RuntimeError("events are appended inside a transaction")
    with connection.cursor(row_factory=tuple_row) as cursor:
        now = rollups.hold(cursor, {event.project_id for event in events})
        stored = rollup.move(cursor, _dated(events, now.astimezone(UTC)))
        if not stored:
            return
        with cursor.copy(_COPY) as copy:
            for event in stored:
                copy.write_row(_row(event))


def append_in(dbsession: Session, events: Sequence[Event]) -> None:
    """`append` in the transaction of a Session, after its pending changes."""
    append(driver_connection(dbsession), events)


def driver_connection(dbsession: Session) -> psycopg.Connection[Any]:
    """The psycopg connection that a Session's transaction is on, with the Session's changes written."""
    dbsession.flush()
    connection = dbsession.connection().connection.driver_connection
    assert isinstance(connection, psycopg.Connection)
    return connection


def _dated(events: Sequence[Event], now: datetime) -> list[Event]:
    """The events with a moment each, in UTC: the database's clock where none was given."""
    latest = now + FUTURE
    return [
        event
        if (at := event.at) is not None and at.tzinfo is UTC and at <= latest
        else replace(event, at=now if at is None else min(at.astimezone(UTC), latest))
        for event in events
    ]


def _row(event: Event) -> tuple[Any, ...]:
    """The columns of COPY."""
    made_with = agent(event)
    return (
        event.project_id, event.at, event.type, event.kind, event.project_domain, event.message_id, event.campaign_id,
        event.campaign_name, event.list_id, event.list_name, event.subscriber_id, event.email, event.email_domain,
        event.link_id, clean(event.url, 4 * MAX_TEXT), event.code, clean(event.detail), _address(event.ip),
        clean(event.user_agent), made_with.device, made_with.client,
    )  # fmt: skip


@lru_cache(maxsize=4096)
def _address(value: str | None) -> str | None:
    """An IP address that the column takes; a proxy's nonsense is none."""
    try:
        return str(ip_address(value.partition("%")[0])) if value else None
    except ValueError:
        return None
