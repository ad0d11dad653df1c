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

# Statistics must not choose the plan. They are missing for staging and stale for whoever is being imported, all indexes
# look alike then, and a lookup through the wrong one reads every person of the project: 500 rows took over 30 s. A
# lookup is therefore written as the first row of a range in the order of the wanted index, which no other index has.
_PLAN = text(
    """
    SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
        set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
        set_config('enable_sort', 'off', true)
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
        LEFT JOIN LATERAL (
            SELECT q.id FROM suppression AS q
            WHERE q.project_id = :project AND q.email_key >= s.email_key AND q.email_key <= s.email_key
                AND (q.expires_at IS NULL OR q.expires_at > now())
            ORDER BY q.email_key LIMIT 1
        ) AS x ON true
        LEFT JOIN LATERAL (
            SELECT q.id, q.status FROM subscriber AS q
            WHERE q.project_id = :project AND q.email_key >= s.email_key AND q.email_key <= s.email_key
            ORDER BY q.email_key LIMIT 1
        ) AS p ON true
        LEFT JOIN LATERAL (
            SELECT q.status FROM subscription AS q
            WHERE q.project_id = :project AND q.list_id = :list
                AND q.subscriber_id >= p.id AND q.subscriber_id <= p.id
            ORDER BY q.subscriber_id LIMIT 1
        ) AS n ON true
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
# An empty cell says nothing: it never takes a name or a field away. xmax is 0 for a row that this statement has made.
_ALL_PEOPLE = text(
    """
    WITH written AS (
        INSERT INTO subscriber AS p (project_id, email, email_key, email_domain, name, fields, source)
        SELECT s.project_id, s.email, s.email_key, s.email_domain, coalesce(s.name, ''), s.fields, :source
        FROM import_staging AS s
        WHERE s.project_id = :project AND s.import_id = :import
        ORDER BY s.email_key
        ON CONFLICT (project_id, email_key) DO UPDATE SET
            name = coalesce(nullif(EXCLUDED.name, ''), p.name), fields = p.fields || EXCLUDED.fields, updated_at = now()
            WHERE coalesce(nullif(EXCLUDED.name, ''), p.name) <> p.name OR NOT p.fields @> EXCLUDED.fields
        RETURNING xmax = 0 AS created
    )
    SELECT count(*) FILTER (WHERE created) FROM written
    """
)
_SUBSCRIPTIONS = text(
    """
    INSERT INTO subscription AS n (project_id, list_id, subscriber_id, status, source)
    SELECT s.project_id, :list, p.id, 'subscribed', :source
    FROM import_staging AS s
    CROSS JOIN LATERAL (
        SELECT q.id FROM subscriber AS q
        WHERE q.project_id = :project AND q.email_key >= s.email_key AND q.email_key <= s.email_key
        ORDER BY q.email_key LIMIT 1
    ) AS p
    WHERE s.project_id = :project AND s.import_id = :import
    ORDER BY p.id
    ON CONFLICT (project_id, list_id, subscriber_id) DO UPDATE SET status = 'subscribed', source = EXCLUDED.source
        WHERE n.status = 'unconfirmed'
    """
)
# The checks of foreign keys are plans too, and nobody can write them otherwise: they need statistics that know of the
# people who are just coming in, sooner than autovacuum has them.
_STATISTICS = (
    text("ANALYZE subscriber (project_id, id, email_key, status)"),
    text("ANALYZE subscription (project_id, list_id, subscriber_id, status)"),
)
_SWEEP_OUT = text("DELETE FROM import_staging WHERE project_id = :project AND import_id = :import")


@dataclass(frozen=True)
class Merged:
    """What became of a batch's valid rows. `updated` are people who were known, and now have what the file says."""

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
            "COPY import_staging (project_id, import_id, line, email, email_key, email_domain, name, fields)"
            " FROM STDIN",
            staged,
        )
    left_alone = touched(dbsession, _LEAVE_ALONE, values)
    wanted = len(staged) - left_alone
    if update_existing:
        created = int(dbsession.execute(_ALL_PEOPLE, values).scalar_one())
        dbsession.execute(_SUBSCRIPTIONS, values)
        updated = wanted - created
    else:
        created = touched(dbsession, _NEW_PEOPLE, values)
        # Their profiles stay as they are; they count as updated only where the list is new to them.
        updated = touched(dbsession, _SUBSCRIPTIONS, values) - created
    dbsession.execute(_SWEEP_OUT, values)
    return Merged(created, updated, len(staged) - created - updated)


def refresh_statistics(dbsession: Session) -> None:
    """Let the planner see a growing project; a transaction of its own. 0.2 s whatever the size."""
    for statement in _STATISTICS:
        dbsession.execute(statement)


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
