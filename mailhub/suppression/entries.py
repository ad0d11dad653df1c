"""The one writer of a project's stop list, on a plain connection: pumps write it between letters, pages too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from sqlalchemy.orm import Session

from mailhub.models import SuppressionReason

#: Of two reasons for one address the later one in this row stays: who has complained has not merely left.
WEIGHT = (
    SuppressionReason.UNSUBSCRIBED.value,
    SuppressionReason.MANUAL.value,
    SuppressionReason.HARD_BOUNCE.value,
    SuppressionReason.COMPLAINT.value,
)

# Sorted, so that two writers who meet wait for each other instead of locking each other out. What is in force is never
# shortened; it gives way to a heavier reason, or to the same one for longer.
_PUT = """
    INSERT INTO suppression AS x
        (project_id, email_key, reason, note, event_id, campaign_id, created_by, expires_at)
    SELECT %(project_id)s, key, %(reason)s, %(note)s, %(event_id)s, %(campaign_id)s, %(user_id)s, %(expires_at)s
    FROM (SELECT DISTINCT key FROM unnest(%(keys)s::text[]) AS given (key)) AS keys
    ORDER BY key
    ON CONFLICT (project_id, email_key) DO UPDATE SET
        reason = EXCLUDED.reason, note = EXCLUDED.note, event_id = EXCLUDED.event_id,
        campaign_id = EXCLUDED.campaign_id, created_by = EXCLUDED.created_by, created_at = clock_timestamp(),
        expires_at = CASE
            WHEN x.expires_at <= clock_timestamp() THEN EXCLUDED.expires_at
            WHEN x.expires_at IS NULL OR EXCLUDED.expires_at IS NULL THEN NULL
            ELSE greatest(x.expires_at, EXCLUDED.expires_at)
        END
    WHERE x.expires_at <= clock_timestamp()
        OR array_position(%(weight)s::text[], EXCLUDED.reason) > array_position(%(weight)s::text[], x.reason)
        OR (x.reason = EXCLUDED.reason AND x.expires_at < coalesce(EXCLUDED.expires_at, 'infinity'))
    RETURNING email_key
"""

_PUT_HASH = """
    INSERT INTO suppression (project_id, email_hash, reason, note, created_by)
    VALUES (%(project_id)s, %(hash)s, 'erased', %(note)s, %(user_id)s)
    ON CONFLICT (project_id, email_hash) WHERE email_hash IS NOT NULL DO NOTHING
    RETURNING id
"""

_BOUNCED = """
    UPDATE subscriber
    SET status = 'bounced', status_changed_at = clock_timestamp(), updated_at = clock_timestamp()
    WHERE project_id = %(project_id)s AND email_key = ANY(%(keys)s) AND status = 'active'
"""

# The events are stored behind the entries, because of the order of locks: their ids are filled in at the end.
_NAME_EVENTS = """
    UPDATE suppression AS x SET event_id = e.id
    FROM message_event AS e
    WHERE e.project_id = %(project_id)s AND e.message_id = ANY(%(messages)s) AND e.type = 'HARDBOUNCED'
      AND e.at >= %(since)s
      AND x.project_id = e.project_id AND x.email_key = lower(e.email) AND x.reason = 'hard_bounce'
      AND x.event_id IS NULL
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """Why addresses are put on the list, and for how long; without an end for good."""

    reason: str
    note: str = ""
    event_id: int | None = None
    campaign_id: int | None = None
    user_id: int | None = None
    expires_at: datetime | None = None


def put(connection: Connection[Any], project_id: int, email_keys: Sequence[str], entry: Entry) -> list[str]:
    """Put addresses (in lower case) on the list; gives those for which it says something new."""
    binds = {
        "project_id": project_id, "keys": list(email_keys), "reason": entry.reason, "note": entry.note,
        "event_id": entry.event_id, "campaign_id": entry.campaign_id, "user_id": entry.user_id,
        "expires_at": entry.expires_at, "weight": list(WEIGHT),
    }  # fmt: skip
    return [row[0] for row in connection.execute(_PUT, binds).fetchall()]


def put_hash(connection: Connection[Any], project_id: int, hashed: bytes, *, note: str, user_id: int | None) -> bool:
    """Put the keyed hash of an erased person on the list; False: it stands there."""
    binds = {"project_id": project_id, "hash": hashed, "note": note, "user_id": user_id}
    return connection.execute(_PUT_HASH, binds).fetchone() is not None


def hard_bounce(connection: Connection[Any], project_id: int, email: str, campaign_id: int | None = None) -> None:
    """After a hard bounce: nothing more goes to this address of the project, and the person's state says so."""
    key = email.lower()
    put(connection, project_id, [key], Entry(SuppressionReason.HARD_BOUNCE.value, campaign_id=campaign_id))
    connection.execute(_BOUNCED, {"project_id": project_id, "keys": [key]})


def name_events(connection: Connection[Any], project_id: int, messages: Sequence[Any], since: datetime) -> None:
    """Write the events of letters that have just bounced into the entries that they caused.

    `since` keeps to the partitions of those events.
    """
    connection.execute(_NAME_EVENTS, {"project_id": project_id, "messages": list(messages), "since": since})


def connection_of(dbsession: Session) -> Connection[Any]:
    """The plain connection of a session, in the session's transaction."""
    connection = dbsession.connection().connection.driver_connection
    assert isinstance(connection, Connection)
    return connection
