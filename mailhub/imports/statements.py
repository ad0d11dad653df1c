"""What happens to the people of a batch, as SQL: each statement does one thing for all of them."""

from __future__ import annotations

from sqlalchemy import BigInteger, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

_IDS = ARRAY(BigInteger)

STAGED = (
    "COPY import_staging (project_id, import_id, line, email, email_key, email_domain, name, fields, tags, consent_at,"
    " consent_source, consent_ip) FROM STDIN"
)
REFUSED = "COPY import_rejected_row (project_id, import_id, line, reason, raw, cells) FROM STDIN"

# Imports of one project take turns, batch by batch: they meet on the same counters and the same people.
TURN = text("SELECT id FROM project WHERE id = :project FOR NO KEY UPDATE")

# Statistics must not choose the plan. They are missing for staging and stale for whoever is being imported, all indexes
# look alike then, and a lookup through the wrong one reads every person of the project: 500 rows took over 30 s. A
# lookup is therefore written as the first row of a range in the order of the wanted index, which no other index has.
PLAN = text(
    """
    SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
        set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
        set_config('enable_sort', 'off', true)
    """
)

# Who is known, and whom we must not write to: on a stop list, gone as a person (bounce, complaint, left all), or gone
# from every list of this import. The rows of people who are neither known nor suppressed are not given.
KNOWN = text(
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
HAS_OTHERS = text(
    """
    SELECT EXISTS (SELECT FROM global_suppression)
        OR EXISTS (SELECT FROM suppression WHERE project_id = :project AND email_hash IS NOT NULL)
    """
)
LEAVE_ALONE = text(
    "DELETE FROM import_staging WHERE project_id = :project AND import_id = :import AND line = ANY(:lines)"
).bindparams(bindparam("lines", type_=_IDS))
# What people were like whose name or fields the file changes. An empty cell says nothing: it takes nothing away. They
# are locked, so that nobody can change them between this and the change.
BEFORE = text(
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
NEW_PEOPLE = text(
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
ALL_PEOPLE = text(
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
LISTS_BEFORE = text(
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
SUBSCRIPTIONS = text(
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
CONSENT_WORDS = text(
    """
    INSERT INTO consent_text (project_id, digest, text)
    SELECT DISTINCT :project, encode(sha256(convert_to(s.consent_source, 'UTF8')), 'hex'), s.consent_source
    FROM import_staging AS s
    WHERE s.project_id = :project AND s.import_id = :import AND s.consent_source <> ''
    ON CONFLICT (project_id, digest) DO NOTHING
    """
)
CONSENTS = text(
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
TAG_WORDS = text(
    """
    SELECT DISTINCT word FROM import_staging AS s CROSS JOIN LATERAL jsonb_array_elements_text(s.tags) AS word
    WHERE s.project_id = :project AND s.import_id = :import
    """
)
TAGS = text(
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
WOULD_CHANGE = text(
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
STATISTICS = (
    text("ANALYZE subscriber (project_id, id, email_key, status)"),
    text("ANALYZE subscription (project_id, list_id, subscriber_id, status)"),
)
SWEEP_OUT = text("DELETE FROM import_staging WHERE project_id = :project AND import_id = :import")
