"""A batch of an import, merged as sets: COPY into staging, then a statement for each thing that happens to people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import psycopg
from sqlalchemy import BigInteger, CursorResult, Executable, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from mailhub.imports.batches import Batch, Source, refused, staged
from mailhub.lists.tags import ensure_tags
from mailhub.suppression import service as suppression

COUNT_KEYS = ("created", "updated", "unchanged", "skipped", "rejected")
#: Rows that were left alone on purpose stand with the rejected ones, under reasons with this beginning.
SKIPPED = "skipped_"
#: Addresses that are looked up on the stop lists together.
LOOKED_UP = 2_000

STAGED = (
    "COPY import_staging (project_id, import_id, line, email, email_key, email_domain, name, fields, tags, consent_at,"
    " consent_source, consent_ip) FROM STDIN"
)
REFUSED = "COPY import_rejected_row (project_id, import_id, line, reason, raw, cells) FROM STDIN"

_IDS = ARRAY(BigInteger)

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

# Who is known, and whom we must not write to: on a stop list, gone as a person (bounce, complaint, left all), or gone
# from every list of this import. The rows of people who are neither known nor suppressed are not given.
_KNOWN = text(
    """
    SELECT s.line, p.id,
        CASE
            WHEN x.id IS NOT NULL OR s.email_key = ANY(:stopped) THEN 'suppressed'
            WHEN p.status <> 'active' THEN p.status
            WHEN n.has_left THEN 'unsubscribed'
            ELSE ''
        END AS reason
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
        SELECT bool_and(coalesce(m.status = 'unsubscribed', false)) AS has_left
        FROM unnest(CAST(:lists AS bigint[])) AS l (id)
        LEFT JOIN LATERAL (
            SELECT q.status FROM subscription AS q
            WHERE q.project_id = :project AND q.list_id = l.id AND q.subscriber_id >= p.id AND q.subscriber_id <= p.id
            ORDER BY q.subscriber_id LIMIT 1
        ) AS m ON true
        WHERE p.id IS NOT NULL
    ) AS n ON true
    WHERE s.project_id = :project AND s.import_id = :import
        AND (x.id IS NOT NULL OR p.id IS NOT NULL OR s.email_key = ANY(:stopped))
    """
).bindparams(bindparam("lists", type_=_IDS))
_HAS_OTHERS = text(
    """
    SELECT EXISTS (SELECT FROM global_suppression)
        OR EXISTS (SELECT FROM suppression WHERE project_id = :project AND email_hash IS NOT NULL)
    """
)
_LEAVE_ALONE = text(
    "DELETE FROM import_staging WHERE project_id = :project AND import_id = :import AND line = ANY(:lines)"
).bindparams(bindparam("lines", type_=_IDS))
# What people were like whose name or fields the file changes. An empty cell says nothing: it takes nothing away. They
# are locked, so that nobody can change them between this and the change.
_BEFORE = text(
    """
    WITH found AS MATERIALIZED (
        SELECT p.id, p.name, p.fields, p.updated_at, s.name AS name_given, s.fields AS fields_given
        FROM unnest(CAST(:lines AS bigint[]), CAST(:people AS bigint[])) AS k (line, id)
        CROSS JOIN LATERAL (
            SELECT q.name, q.fields, q.tags FROM import_staging AS q
            WHERE q.project_id = :project AND q.import_id = :import AND q.line >= k.line AND q.line <= k.line
            ORDER BY q.line LIMIT 1
        ) AS s
        CROSS JOIN LATERAL (
            SELECT q.id, q.name, q.fields, q.updated_at FROM subscriber AS q
            WHERE q.project_id = :project AND q.id >= k.id AND q.id <= k.id ORDER BY q.id LIMIT 1
        ) AS p
        WHERE coalesce(nullif(s.name, ''), p.name) <> p.name OR NOT p.fields @> s.fields
    )
    INSERT INTO import_change AS c (project_id, import_id, subscriber_id, name_before, name_given, fields_before,
        fields_given, updated_before)
    SELECT :project, :import, f.id,
        CASE WHEN coalesce(nullif(f.name_given, ''), f.name) <> f.name THEN f.name END,
        CASE WHEN coalesce(nullif(f.name_given, ''), f.name) <> f.name THEN f.name_given END,
        CASE WHEN NOT f.fields @> f.fields_given THEN f.fields END,
        CASE WHEN NOT f.fields @> f.fields_given THEN f.fields_given END,
        f.updated_at
    FROM found AS f
    ON CONFLICT (project_id, import_id, subscriber_id) DO NOTHING
    RETURNING c.subscriber_id
    """
)
# Sorted by key, so that two writers who meet wait for each other instead of locking each other out.
_NEW_PEOPLE = text(
    """
    WITH written AS (
        INSERT INTO subscriber (project_id, email, email_key, email_domain, name, fields, source)
        SELECT s.project_id, s.email, s.email_key, s.email_domain, coalesce(s.name, ''), s.fields, :source
        FROM import_staging AS s
        WHERE s.project_id = :project AND s.import_id = :import
        ORDER BY s.email_key
        ON CONFLICT (project_id, email_key) DO NOTHING
        RETURNING id
    )
    SELECT count(*) AS n, min(id) AS first, max(id) AS last FROM written
    """
)
# xmax is 0 for a row that this statement has made.
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
        RETURNING id, xmax = 0 AS created
    )
    SELECT count(*) AS n, min(id) AS first, max(id) AS last FROM written WHERE created
    """
)
# Who waits to confirm in a list and is subscribed by the import: how it was. The others who join are known by the
# source of their subscription.
_LISTS_BEFORE = text(
    """
    INSERT INTO import_change AS c (project_id, import_id, subscriber_id, lists_before)
    SELECT :project, :import, n.subscriber_id,
        jsonb_object_agg(n.list_id, jsonb_build_object('status', n.status, 'source', n.source))
    FROM unnest(CAST(:people AS bigint[])) AS k (id)
    CROSS JOIN unnest(CAST(:lists AS bigint[])) AS l (id)
    CROSS JOIN LATERAL (
        SELECT q.subscriber_id, q.list_id, q.status, q.source FROM subscription AS q
        WHERE q.project_id = :project AND q.list_id = l.id AND q.subscriber_id >= k.id AND q.subscriber_id <= k.id
        ORDER BY q.subscriber_id LIMIT 1
    ) AS n
    WHERE n.status = 'unconfirmed'
    GROUP BY n.subscriber_id
    ON CONFLICT (project_id, import_id, subscriber_id) DO UPDATE SET lists_before = EXCLUDED.lists_before
    """
).bindparams(bindparam("lists", type_=_IDS))
# The record of the consent is written with the subscription, in the words of the import or of the row.
_SUBSCRIPTIONS = text(
    """
    WITH who AS MATERIALIZED (
        SELECT p.id, s.line
        FROM import_staging AS s
        CROSS JOIN LATERAL (
            SELECT q.id FROM subscriber AS q
            WHERE q.project_id = :project AND q.email_key >= s.email_key AND q.email_key <= s.email_key
            ORDER BY q.email_key LIMIT 1
        ) AS p
        WHERE s.project_id = :project AND s.import_id = :import
    ), joined AS (
        INSERT INTO subscription AS n (project_id, list_id, subscriber_id, status, source)
        SELECT :project, l.id, who.id, :status, :source
        FROM unnest(CAST(:lists AS bigint[])) AS l (id) CROSS JOIN who
        ORDER BY l.id, who.id
        ON CONFLICT (project_id, list_id, subscriber_id) DO UPDATE SET status = 'subscribed', source = EXCLUDED.source
            WHERE n.status = 'unconfirmed' AND EXCLUDED.status = 'subscribed'
        RETURNING n.list_id, n.subscriber_id
    ), recorded AS (
        INSERT INTO consent (project_id, subscriber_id, list_id, kind, source, text_id)
        SELECT :project, joined.subscriber_id, joined.list_id, :kind, :source, :text FROM joined
        WHERE :records
    )
    SELECT array_agg(DISTINCT subscriber_id) FILTER (WHERE subscriber_id = ANY(:people)) AS known FROM joined
    """
).bindparams(bindparam("lists", type_=_IDS), bindparam("people", type_=_IDS), bindparam("text", type_=BigInteger()))
# What the file's own columns say of a consent. It is for no list; the same is written down once.
_CONSENT_WORDS = text(
    """
    INSERT INTO consent_text (project_id, digest, text)
    SELECT DISTINCT :project, encode(sha256(convert_to(s.consent_source, 'UTF8')), 'hex'), s.consent_source
    FROM import_staging AS s
    WHERE s.project_id = :project AND s.import_id = :import AND s.consent_source <> ''
    ON CONFLICT (project_id, digest) DO NOTHING
    """
)
_CONSENTS = text(
    """
    INSERT INTO consent (project_id, subscriber_id, list_id, kind, source, text_id, ip, at)
    SELECT :project, p.id, NULL, 'imported', :source, coalesce(w.id, :text), s.consent_ip, coalesce(s.consent_at, now())
    FROM import_staging AS s
    CROSS JOIN LATERAL (
        SELECT q.id FROM subscriber AS q
        WHERE q.project_id = :project AND q.email_key >= s.email_key AND q.email_key <= s.email_key
        ORDER BY q.email_key LIMIT 1
    ) AS p
    LEFT JOIN LATERAL (
        SELECT q.id FROM consent_text AS q
        WHERE q.project_id = :project AND s.consent_source <> ''
            AND q.digest >= encode(sha256(convert_to(s.consent_source, 'UTF8')), 'hex')
            AND q.digest <= encode(sha256(convert_to(s.consent_source, 'UTF8')), 'hex')
        ORDER BY q.digest LIMIT 1
    ) AS w ON true
    WHERE s.project_id = :project AND s.import_id = :import
        AND (s.consent_at IS NOT NULL OR s.consent_source <> '' OR s.consent_ip IS NOT NULL)
        AND NOT EXISTS (
            SELECT FROM consent AS c
            WHERE c.project_id = :project AND c.subscriber_id >= p.id AND c.subscriber_id <= p.id
                AND c.kind = 'imported' AND c.list_id IS NULL
                AND c.at = coalesce(s.consent_at, c.at) AND c.ip IS NOT DISTINCT FROM s.consent_ip
                AND c.text_id IS NOT DISTINCT FROM coalesce(w.id, :text)
        )
    """
).bindparams(bindparam("text", type_=BigInteger()))
_TAG_WORDS = text(
    """
    SELECT DISTINCT word FROM import_staging AS s CROSS JOIN LATERAL jsonb_array_elements_text(s.tags) AS word
    WHERE s.project_id = :project AND s.import_id = :import
    """
)
_TAGS = text(
    """
    WITH who AS MATERIALIZED (
        SELECT p.id, s.tags
        FROM import_staging AS s
        CROSS JOIN LATERAL (
            SELECT q.id FROM subscriber AS q
            WHERE q.project_id = :project AND q.email_key >= s.email_key AND q.email_key <= s.email_key
            ORDER BY q.email_key LIMIT 1
        ) AS p
        WHERE s.project_id = :project AND s.import_id = :import
    ), wanted AS (
        SELECT who.id, t.id AS tag_id FROM who CROSS JOIN unnest(CAST(:tags AS bigint[])) AS t (id)
        UNION
        SELECT who.id, w.id
        FROM who CROSS JOIN unnest(CAST(:words AS text[]), CAST(:word_tags AS bigint[])) AS w (word, id)
        WHERE who.tags ? w.word
    ), added AS (
        INSERT INTO subscriber_tag (project_id, tag_id, subscriber_id)
        SELECT :project, tag_id, id FROM wanted ORDER BY tag_id, id
        ON CONFLICT DO NOTHING
        RETURNING tag_id, subscriber_id
    )
    INSERT INTO import_change AS c (project_id, import_id, subscriber_id, tags_added)
    SELECT :project, :import, subscriber_id, jsonb_agg(tag_id ORDER BY tag_id) FROM added
    WHERE subscriber_id = ANY(:people)
    GROUP BY subscriber_id
    ON CONFLICT (project_id, import_id, subscriber_id) DO UPDATE SET tags_added = EXCLUDED.tags_added
    RETURNING c.subscriber_id
    """
).bindparams(bindparam("people", type_=_IDS))
# Who of the known would be changed: what the statements above would do, only asked.
_WOULD_CHANGE = text(
    """
    SELECT count(*)
    FROM unnest(CAST(:lines AS bigint[]), CAST(:people AS bigint[])) AS k (line, id)
    CROSS JOIN LATERAL (
        SELECT q.name, q.fields, q.tags FROM import_staging AS q
        WHERE q.project_id = :project AND q.import_id = :import AND q.line >= k.line AND q.line <= k.line
        ORDER BY q.line LIMIT 1
    ) AS s
    CROSS JOIN LATERAL (
        SELECT q.id, q.name, q.fields FROM subscriber AS q
        WHERE q.project_id = :project AND q.id >= k.id AND q.id <= k.id ORDER BY q.id LIMIT 1
    ) AS p
    CROSS JOIN LATERAL (
        SELECT count(x.status) AS n, count(*) FILTER (WHERE x.status = 'unconfirmed') AS waiting
        FROM unnest(CAST(:lists AS bigint[])) AS l (id)
        LEFT JOIN LATERAL (
            SELECT q.status FROM subscription AS q
            WHERE q.project_id = :project AND q.list_id = l.id AND q.subscriber_id >= p.id AND q.subscriber_id <= p.id
            ORDER BY q.subscriber_id LIMIT 1
        ) AS x ON true
    ) AS n
    WHERE (:update AND (coalesce(nullif(s.name, ''), p.name) <> p.name OR NOT p.fields @> s.fields))
        OR n.n < cardinality(:lists) OR (:status = 'subscribed' AND n.waiting > 0)
        OR EXISTS (
            SELECT FROM unnest(CAST(:tags AS text[]) || ARRAY(SELECT jsonb_array_elements_text(s.tags))) AS w (word)
            WHERE NOT EXISTS (
                SELECT FROM tag AS t
                JOIN subscriber_tag AS m
                    ON m.project_id = t.project_id AND m.tag_id = t.id AND m.subscriber_id = p.id
                WHERE t.project_id = :project AND t.name_key = lower(w.word)
            )
        )
    """
).bindparams(bindparam("lists", type_=_IDS))
# The checks of foreign keys are plans too, and nobody can write them otherwise: they need statistics that know of the
# people who are just coming in, sooner than autovacuum has them.
_STATISTICS = (
    text("ANALYZE subscriber (project_id, id, email_key, status)"),
    text("ANALYZE subscription (project_id, list_id, subscriber_id, status)"),
)
_SWEEP_OUT = text("DELETE FROM import_staging WHERE project_id = :project AND import_id = :import")


@dataclass
class Known:
    """Rows of a batch that are about people who are there already: line → person."""

    people: dict[int, int] = field(default_factory=dict)
    #: Line → why the row is left alone; these are not in `people`.
    alone: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Merged:
    """What became of a batch. `updated` are people who were known, and now have what the file says; `unchanged` are
    those of them who had it before. `first` and `last` are ids: the created people are between them.
    """

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    rejected: int = 0
    first: int | None = None
    last: int | None = None


def stage(dbsession: Session, source: Source, batch: Batch) -> Known:
    """Put a batch into import_staging, and its refused rows where they are listed; gives who is known.

    Rows that are left alone are listed too, and not in the staging any more. The same for a check and for an import.
    """
    values = {
        "project": source.project_id, "import": source.import_id, "lists": list(source.list_ids),
        "stopped": _stopped(dbsession, source.project_id, batch),
    }  # fmt: skip
    dbsession.execute(_PLAN)
    dbsession.execute(_SWEEP_OUT, values)
    connection = driver_connection(dbsession)
    with connection.cursor() as cursor:
        if batch.people:
            _copy(cursor, STAGED, [staged(source, person) for person in batch.people])
    known = Known()
    if batch.people:
        for line, person, reason in dbsession.execute(_KNOWN, values):
            if reason:
                known.alone[line] = reason
            else:
                known.people[line] = person
    if known.alone:
        dbsession.execute(_LEAVE_ALONE, values | {"lines": list(known.alone)})
    listed = [refused(source, row, reason) for row, reason in batch.rejected]
    listed += [
        refused(source, row, SKIPPED + known.alone[row.line]) for row in batch.rows_of_people if row.line in known.alone
    ]
    if listed:
        with connection.cursor() as cursor:
            _copy(cursor, REFUSED, listed)
    return known


def _stopped(dbsession: Session, project_id: int, batch: Batch) -> list[str]:
    """Addresses that are stopped otherwise than by their own name on the project's list: erased people, of whom there
    is a hash, and the operator's list. Most projects have neither, and nothing is asked then.
    """
    if not dbsession.execute(_HAS_OTHERS, {"project": project_id}).scalar_one():
        return []
    keys = [person.address.key for person in batch.people]
    found: set[str] = set()
    for start in range(0, len(keys), LOOKED_UP):
        found |= suppression.suppressed_among(dbsession, project_id, keys[start : start + LOOKED_UP])
    return sorted(found)


def take_turn(dbsession: Session, project_id: int) -> None:
    """Wait until no other import of the project merges."""
    dbsession.execute(_TURN, {"project": project_id})


def merge(dbsession: Session, source: Source, batch: Batch) -> Merged:
    """Merge a batch. Changes: subscriber, subscription, subscriber_tag, consent and the counters; import_change and
    import_rejected_row; import_staging is empty for this import afterwards.
    """
    take_turn(dbsession, source.project_id)
    known = stage(dbsession, source, batch)
    wanted = len(batch.people) - len(known.alone)
    rejected = len(batch.rejected)
    if not wanted:
        return Merged(skipped=len(known.alone), rejected=rejected)
    people = list(known.people.values())
    values: dict[str, Any] = {
        "project": source.project_id, "import": source.import_id, "lists": list(source.list_ids),
        "source": f"import:{source.import_id}", "status": source.rules.status, "people": people,
        "lines": list(known.people), "text": source.text_id, "records": source.text_id is not None,
        "kind": "asked" if source.rules.asks else "imported",
    }  # fmt: skip
    changed: set[int] = set()
    if people and source.rules.update:
        changed.update(dbsession.scalars(_BEFORE, values))
    new = dbsession.execute(_ALL_PEOPLE if source.rules.update else _NEW_PEOPLE, values).one()
    if people and not source.rules.asks:
        dbsession.execute(_LISTS_BEFORE, values)
    changed.update(dbsession.execute(_SUBSCRIPTIONS, values).scalar_one() or ())
    if any(person.consent_at or person.consent_source or person.consent_ip for person in batch.people):
        dbsession.execute(_CONSENT_WORDS, values)
        dbsession.execute(_CONSENTS, values)
    changed |= _tag(dbsession, source, values)
    dbsession.execute(_SWEEP_OUT, values)
    counted = _counted(source, wanted, new.n, len(changed), len(known.alone), rejected)
    return replace(counted, first=new.first, last=new.last)


def foretell(dbsession: Session, source: Source, batch: Batch) -> Merged:
    """What `merge` would make of a batch. Changes import_rejected_row and nothing else."""
    known = stage(dbsession, source, batch)
    values = {
        "project": source.project_id, "import": source.import_id, "lists": list(source.list_ids),
        "status": source.rules.status, "lines": list(known.people), "people": list(known.people.values()),
        "update": source.rules.update, "tags": list(source.rules.tags),
    }  # fmt: skip
    changed = int(dbsession.execute(_WOULD_CHANGE, values).scalar_one()) if known.people else 0
    dbsession.execute(_SWEEP_OUT, values)
    wanted = len(batch.people) - len(known.alone)
    return _counted(source, wanted, wanted - len(known.people), changed, len(known.alone), len(batch.rejected))


def _tag(dbsession: Session, source: Source, values: Mapping[str, Any]) -> set[int]:
    """Mark people with the tags of the rules and of their own cells; gives who of the known has new ones."""
    words = list(dbsession.scalars(_TAG_WORDS, values)) if _has_tags(source) else []
    if not words and not source.rules.tags:
        return set()
    own = ensure_tags(dbsession, source.project_id, source.rules.tags)
    pairs = [(word, tag.id) for word in words for tag in ensure_tags(dbsession, source.project_id, [word])]
    given = {
        "tags": [tag.id for tag in own], "words": [word for word, _tag in pairs],
        "word_tags": [tag for _word, tag in pairs],
    }  # fmt: skip
    return set(dbsession.scalars(_TAGS, dict(values) | given))


def _has_tags(source: Source) -> bool:
    return ":tags" in source.mapping.values()


def _counted(source: Source, wanted: int, created: int, changed: int, alone: int, rejected: int) -> Merged:
    found = wanted - created
    if source.rules.update:
        return Merged(created, found, max(0, found - changed), alone, rejected)
    # Their profiles stay as they are; they count as updated only where a list or a tag is new to them.
    changed = min(changed, found)
    return Merged(created, changed, 0, alone + found - changed, rejected)


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
