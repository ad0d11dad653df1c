"""A batch of an import, merged as sets: COPY into staging, then a statement for each thing that happens to people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import psycopg
from sqlalchemy import CursorResult, Executable, text
from sqlalchemy.orm import Session

COUNT_KEYS = ("created", "updated", "skipped")
#: Rows that were left alone on purpose stand with the rejected ones, under reasons with this beginning.
SKIPPED = "skipped_"

# Imports of one project take turns, batch by batch: they meet on the same counters and the same people.
_TURN = text("SELECT id FROM project WHERE id = :project FOR NO KEY UPDATE")

# Stale statistics must not choose the plan: a staging table is never analysed, and a prepared statement remembers how
# small its tables were (a batch of 5,000 against 200,000 people then took over 30 s). Each row is looked up by index.
_PLAN = text(
    """
    SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('enable_hashjoin', 'off', true),
        set_config('enable_mergejoin', 'off', true), set_config('enable_seqscan', 'off', true)
    """
)

# Whom we must not write to: on the stop list, gone as a person (bounce, complaint, left all), or gone from this list.
_LEAVE_ALONE = text(
    """
    WITH left_alone AS (
        INSERT INTO import_rejected_row (project_id, import_id, line, reason, raw)
        SELECT s.project_id, s.import_id, s.line,
            CASE
                WHEN x.id IS NOT NULL THEN 'skipped_suppressed'
                WHEN p.status <> 'active' THEN 'skipped_' || p.status
                ELSE 'skipped_unsubscribed'
            END,
            s.email
        FROM import_staging AS s
        LEFT JOIN suppression AS x
            ON x.project_id = s.project_id AND x.email_key = s.email_key
            AND (x.expires_at IS NULL OR x.expires_at > now())
        LEFT JOIN subscriber AS p ON p.project_id = s.project_id AND p.email_key = s.email_key
        LEFT JOIN subscription AS n
            ON n.project_id = p.project_id AND n.list_id = :list AND n.subscriber_id = p.id
        WHERE s.project_id = :project AND s.import_id = :import
            AND (x.id IS NOT NULL OR p.status <> 'active' OR n.status = 'unsubscribed')
        RETURNING project_id, import_id, line
    )
    DELETE FROM import_staging AS s USING left_alone AS a
    WHERE s.project_id = a.project_id AND s.import_id = a.import_id AND s.line = a.line
    """
)
# Sorted by key, so that two writers who meet wait for each other instead of locking each other out.
_NEW_PEOPLE = text(
    """
    INSERT INTO subscriber (project_id, email, email_key, email_domain, name, fields, source)
    SELECT s.project_id, s.email, s.email_key, s.email_domain, coalesce(s.name, ''), s.fields, :source
    FROM import_staging AS s
    WHERE s.project_id = :project AND s.import_id = :import
    ORDER BY s.email_key
    ON CONFLICT (project_id, email_key) DO NOTHING
    """
)
# An empty cell says nothing: it never takes a name or a field away.
_KNOWN_PEOPLE = text(
    """
    UPDATE subscriber AS p SET
        name = coalesce(s.name, p.name), fields = p.fields || s.fields, updated_at = now()
    FROM (
        SELECT k.project_id, k.id, s.name, s.fields
        FROM import_staging AS s
        CROSS JOIN LATERAL (
            SELECT q.project_id, q.id, q.name, q.fields FROM subscriber AS q
            WHERE q.project_id = s.project_id AND q.email_key = s.email_key OFFSET 0
        ) AS k
        WHERE s.project_id = :project AND s.import_id = :import
            AND (coalesce(s.name, k.name) <> k.name OR NOT k.fields @> s.fields)
        OFFSET 0
    ) AS s
    WHERE p.project_id = s.project_id AND p.id = s.id
    """
)
_SUBSCRIPTIONS = text(
    """
    INSERT INTO subscription AS n (project_id, list_id, subscriber_id, status, source)
    SELECT s.project_id, :list, p.id, 'subscribed', :source
    FROM import_staging AS s
    CROSS JOIN LATERAL (
        SELECT k.id FROM subscriber AS k WHERE k.project_id = s.project_id AND k.email_key = s.email_key OFFSET 0
    ) AS p
    WHERE s.project_id = :project AND s.import_id = :import
    ORDER BY p.id
    ON CONFLICT (project_id, list_id, subscriber_id) DO UPDATE SET status = 'subscribed', source = EXCLUDED.source
        WHERE n.status = 'unconfirmed'
    """
)
_SWEEP_OUT = text("DELETE FROM import_staging WHERE project_id = :project AND import_id = :import")


@dataclass(frozen=True)
class Merged:
    """What became of a batch's valid rows. `updated` are people who were known and are in the list with the file's data."""

    created: int
    updated: int
    skipped: int


def merge(
    dbsession: Session,
    *,
    project_id: int,
    import_id: int,
    list_id: int,
    staged: Sequence[tuple[Any, ...]],
    rejected: Sequence[tuple[Any, ...]],
    update_existing: bool,
) -> Merged:
    """Merge a batch; `staged` and `rejected` are rows of their tables in column order. Changes: subscriber,
    subscription and their counters, import_rejected_row; import_staging is empty for this import afterwards.

    Measured on two shared cores with 200,000 people: 5,000 new rows 0.30 s, 5,000 known rows 0.15 s.
    """
    values = {"project": project_id, "import": import_id, "list": list_id, "source": f"import:{import_id}"}
    dbsession.execute(_TURN, values)
    dbsession.execute(_PLAN)
    dbsession.execute(_SWEEP_OUT, values)
    connection = driver_connection(dbsession)
    with connection.cursor() as cursor:
        if rejected:
            _copy(cursor, "COPY import_rejected_row (project_id, import_id, line, reason, raw) FROM STDIN", rejected)
        if not staged:
            return Merged(0, 0, 0)
        _copy(
            cursor,
            "COPY import_staging (project_id, import_id, line, email, email_key, email_domain, name, fields) FROM STDIN",
            staged,
        )
    left_alone = touched(dbsession, _LEAVE_ALONE, values)
    wanted = len(staged) - left_alone
    created = touched(dbsession, _NEW_PEOPLE, values)
    if update_existing:
        if created < wanted:
            dbsession.execute(_KNOWN_PEOPLE, values)
        dbsession.execute(_SUBSCRIPTIONS, values)
        updated = wanted - created
    else:
        # Their profiles stay as they are; they count as updated only where the list is new to them.
        updated = touched(dbsession, _SUBSCRIPTIONS, values) - created
    dbsession.execute(_SWEEP_OUT, values)
    return Merged(created, updated, len(staged) - created - updated)


def touched(dbsession: Session, statement: Executable, values: Mapping[str, Any]) -> int:
    """Execute, and say how many rows were written."""
    return cast("CursorResult[Any]", dbsession.execute(statement, values)).rowcount


def driver_connection(dbsession: Session) -> psycopg.Connection[Any]:
    """psycopg's own connection behind a session, inside its transaction: for COPY."""
    connection = dbsession.connection().connection.driver_connection
    assert isinstance(connection, psycopg.Connection)
    return connection


def _copy(cursor: psycopg.Cursor[Any], statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    with cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
