"""The one door by which events are stored: raw rows by COPY, and every rollup moved on in the same transaction.

Which events count where: letters of campaigns and transactional letters in the project's day; campaign letters also
in their campaign's numbers; tests and service letters nowhere (their rows are kept for the log).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address
from typing import Any
from uuid import UUID

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from sqlalchemy.orm import Session

from mailhub.events import rollup


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to a letter. `type` is an EventType, `kind` a MessageKind; without `at` it happens now."""

    type: str
    project_id: int
    kind: str
    at: datetime | None = None
    project_domain: str = ""
    message_id: UUID | None = None
    campaign_id: int | None = None
    campaign_name: str = ""
    list_id: int | None = None
    list_name: str = ""
    subscriber_id: int | None = None
    email: str = ""
    email_domain: str = ""
    link_id: int | None = None
    url: str = ""
    code: int | None = None
    detail: str = ""
    ip: str | None = None
    user_agent: str = ""


#: Longer texts from outside are cut.
MAX_TEXT = 1_000
_COPY = (
    "COPY message_event (project_id, at, type, kind, project_domain, message_id, campaign_id, campaign_name, list_id,"
    " list_name, subscriber_id, email, email_domain, link_id, url, code, detail, ip, user_agent) FROM STDIN"
)


def append(connection: psycopg.Connection[Any], events: Sequence[Event]) -> None:
    """Store events and move every rollup on, in the caller's transaction; never commits.

    Uniques are exact when several transactions do it at once. Call it once a transaction: its locks are taken in a
    fixed order, so that appends wait for one another but never in a circle. That a person leaves by a campaign they
    have left by already is not stored again.
    Measured on two shared cores: 500 sent letters in 14 ms (37,000/s), 500 mixed events of people in 22 ms (22,000/s),
    a single hit 2 ms.
    """
    if not events:
        return
    if connection.autocommit and connection.info.transaction_status == TransactionStatus.IDLE:
        raise RuntimeError("events are appended inside a transaction")
    with connection.cursor(row_factory=tuple_row) as cursor:
        stored = rollup.move(cursor, _dated(cursor, events))
        if not stored:
            return
        with cursor.copy(_COPY) as copy:
            for event in stored:
                copy.write_row(_row(event))


def append_in(dbsession: Session, events: Sequence[Event]) -> None:
    """`append` in the transaction of a Session, after its pending changes."""
    dbsession.flush()
    connection = dbsession.connection().connection.driver_connection
    assert isinstance(connection, psycopg.Connection)
    append(connection, events)


def _dated(cursor: psycopg.Cursor[Any], events: Sequence[Event]) -> list[Event]:
    """The events with a moment each, in UTC: the database's clock where none was given."""
    now: datetime | None = None
    if any(event.at is None for event in events):
        row = cursor.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        now = row[0].astimezone(UTC)
    return [event if _is_utc(event.at) else replace(event, at=(event.at or now).astimezone(UTC)) for event in events]  # type: ignore[union-attr]


def _is_utc(at: datetime | None) -> bool:
    return at is not None and at.tzinfo is UTC


def _row(event: Event) -> tuple[Any, ...]:
    """The columns of COPY. Texts from outside lose NUL, which PostgreSQL has no place for."""
    return (
        event.project_id, event.at, event.type, event.kind, event.project_domain, event.message_id, event.campaign_id,
        event.campaign_name, event.list_id, event.list_name, event.subscriber_id, event.email, event.email_domain,
        event.link_id, _clean(event.url, 4 * MAX_TEXT), event.code, _clean(event.detail), _address(event.ip),
        _clean(event.user_agent),
    )  # fmt: skip


def _clean(value: str, most: int = MAX_TEXT) -> str:
    if not value:
        return value
    value = value[:most].replace("\0", "")
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")


@lru_cache(maxsize=4096)
def _address(value: str | None) -> str | None:
    """An IP address that the column takes; a proxy's nonsense is none."""
    try:
        return str(ip_address(value.partition("%")[0])) if value else None
    except ValueError:
        return None
