-- The days of lists against the rows that they are made of: a recount, its mending, and another time zone. What rows do
-- not tell any more (who was deleted, who left and came back) is in no recount: sums are compared, and what is known moves.

-- name: hold_list_days
-- One row when everybody who counts a day of this project's lists has ended their transaction; later ones wait.
-- binds: project_id bigint
-- reads: pg_locks
SELECT pg_advisory_xact_lock(hashtext('list_day'), CAST(CAST(:project_id AS bigint) % 2147483648 AS integer)) AS held

-- name: verify_lists
-- One row per list and number that differ: subscribed, unconfirmed, unsubscribed are `list_count` against the rows, days
-- is the sum of the list's days against who is subscribed.
-- binds: projects bigint[]
-- reads: mailing_list, subscription, list_count, list_day
WITH rows AS (
    SELECT project_id, list_id, status, count(*) AS n FROM subscription
    WHERE project_id = ANY (CAST(:projects AS bigint[])) GROUP BY 1, 2, 3
), numbers AS (
    SELECT l.project_id, l.id AS list_id, s.status AS name, coalesce(c.n, 0) AS rolled, coalesce(r.n, 0) AS recounted
    FROM mailing_list AS l
    CROSS JOIN (VALUES ('subscribed'), ('unconfirmed'), ('unsubscribed')) AS s (status)
    LEFT JOIN list_count AS c ON c.project_id = l.project_id AND c.list_id = l.id AND c.status = s.status
    LEFT JOIN rows AS r ON r.project_id = l.project_id AND r.list_id = l.id AND r.status = s.status
    WHERE l.project_id = ANY (CAST(:projects AS bigint[]))
    UNION ALL
    SELECT l.project_id, l.id, 'days', coalesce(d.n, 0), coalesce(r.n, 0)
    FROM mailing_list AS l
    LEFT JOIN (
        SELECT project_id, list_id, sum(joined - unsubscribed - removed) AS n FROM list_day
        WHERE project_id = ANY (CAST(:projects AS bigint[])) GROUP BY 1, 2
    ) AS d ON d.project_id = l.project_id AND d.list_id = l.id
    LEFT JOIN rows AS r ON r.project_id = l.project_id AND r.list_id = l.id AND r.status = 'subscribed'
    WHERE l.project_id = ANY (CAST(:projects AS bigint[]))
)
SELECT project_id, list_id, name, CAST(rolled AS bigint) AS rolled, CAST(recounted AS bigint) AS recounted
FROM numbers WHERE rolled <> recounted ORDER BY 1, 2, 3

-- name: verify_list_sources
-- One row per list and day whose sources do not add up to the day; the arrays are joined, unsubscribed, removed.
-- binds: projects bigint[]
-- reads: list_day, list_source_day
SELECT project_id, list_id, day,
    ARRAY[coalesce(s.joined, 0), coalesce(s.unsubscribed, 0), coalesce(s.removed, 0)] AS rolled,
    ARRAY[coalesce(d.joined, 0), coalesce(d.unsubscribed, 0), coalesce(d.removed, 0)] AS recounted
FROM (
    SELECT project_id, list_id, day, joined, unsubscribed, removed FROM list_day
    WHERE project_id = ANY (CAST(:projects AS bigint[]))
) AS d
FULL JOIN (
    SELECT project_id, list_id, day,
        CAST(sum(joined) AS bigint) AS joined, CAST(sum(unsubscribed) AS bigint) AS unsubscribed,
        CAST(sum(removed) AS bigint) AS removed
    FROM list_source_day WHERE project_id = ANY (CAST(:projects AS bigint[])) GROUP BY 1, 2, 3
) AS s USING (project_id, list_id, day)
WHERE (coalesce(s.joined, 0), coalesce(s.unsubscribed, 0), coalesce(s.removed, 0))
    <> (coalesce(d.joined, 0), coalesce(d.unsubscribed, 0), coalesce(d.removed, 0))
ORDER BY 1, 2, 3

-- name: mend_list_counts
-- Sets the counters of a project's lists to what the rows say.
-- binds: project_id bigint
-- reads: mailing_list, subscription
-- writes: list_count
INSERT INTO list_count AS c (project_id, list_id, status, n)
SELECT l.project_id, l.id, s.status, count(r.subscriber_id)
FROM mailing_list AS l
CROSS JOIN (VALUES ('subscribed'), ('unconfirmed'), ('unsubscribed')) AS s (status)
LEFT JOIN subscription AS r ON r.project_id = l.project_id AND r.list_id = l.id AND r.status = s.status
WHERE l.project_id = :project_id
GROUP BY 1, 2, 3
ON CONFLICT (project_id, list_id, status) DO UPDATE SET n = EXCLUDED.n WHERE c.n <> EXCLUDED.n

-- name: mend_list_days
-- What the days of a list lack or have too much is of an unknown day: it counts today, as joined or as removed.
-- binds: project_id bigint
-- reads: project, list_count, list_day
-- writes: list_day
INSERT INTO list_day AS d (project_id, list_id, day, joined, removed)
SELECT l.project_id, l.id, CAST(now() AT TIME ZONE coalesce(p.days_zone, p.time_zone) AS date),
    greatest(lacking.n, 0), greatest(-lacking.n, 0)
FROM mailing_list AS l
JOIN project AS p ON p.id = l.project_id
CROSS JOIN LATERAL (
    SELECT
        coalesce((
            SELECT c.n FROM list_count AS c
            WHERE c.project_id = l.project_id AND c.list_id = l.id AND c.status = 'subscribed'
        ), 0) - coalesce((
            SELECT sum(x.joined - x.unsubscribed - x.removed) FROM list_day AS x
            WHERE x.project_id = l.project_id AND x.list_id = l.id
        ), 0) AS n
) AS lacking
WHERE l.project_id = :project_id AND lacking.n <> 0
ON CONFLICT (project_id, list_id, day) DO UPDATE SET
    joined = d.joined + EXCLUDED.joined, removed = d.removed + EXCLUDED.removed

-- name: mend_list_sources
-- What the sources of a day lack is of an unknown one.
-- binds: project_id bigint
-- reads: list_day, list_source_day
-- writes: list_source_day
INSERT INTO list_source_day AS o (project_id, list_id, day, source, joined, unsubscribed, removed)
SELECT :project_id, list_id, day, 'other',
    coalesce(d.joined, 0) - coalesce(s.joined, 0), coalesce(d.unsubscribed, 0) - coalesce(s.unsubscribed, 0),
    coalesce(d.removed, 0) - coalesce(s.removed, 0)
FROM (SELECT list_id, day, joined, unsubscribed, removed FROM list_day WHERE project_id = :project_id) AS d
FULL JOIN (
    SELECT list_id, day, sum(joined) AS joined, sum(unsubscribed) AS unsubscribed, sum(removed) AS removed
    FROM list_source_day WHERE project_id = :project_id GROUP BY 1, 2
) AS s USING (list_id, day)
WHERE (coalesce(s.joined, 0), coalesce(s.unsubscribed, 0), coalesce(s.removed, 0))
    <> (coalesce(d.joined, 0), coalesce(d.unsubscribed, 0), coalesce(d.removed, 0))
ON CONFLICT (project_id, list_id, day, source) DO UPDATE SET
    joined = o.joined + EXCLUDED.joined, unsubscribed = o.unsubscribed + EXCLUDED.unsubscribed,
    removed = o.removed + EXCLUDED.removed

-- name: move_list_days
-- Moves what the rows still tell from the days of one zone to those of another: who joined and left by the moments of
-- their subscription, never more than a day has of a source. One row: how many moves were counted on another day.
-- The sums of lists, days and sources stay what they are. Every zone's offset is a multiple of 15 minutes, so quarters
-- of an hour are moved, not people.
-- binds: project_id bigint, old text, new text
-- reads: subscription, list_source_day
-- writes: list_source_day, list_day
WITH quarters AS (
    SELECT m.list_id, m.source, m.quarter, sum(m.joined) AS joined, sum(m.gone) AS gone
    FROM (
        SELECT list_id, source_kind(source) AS source,
            date_bin('15 minutes', coalesce(confirmed_at, created_at), TIMESTAMPTZ '2000-01-01 00:00+00') AS quarter,
            1 AS joined, 0 AS gone
        FROM subscription WHERE project_id = :project_id AND status IN ('subscribed', 'unsubscribed')
        UNION ALL
        SELECT list_id, source_kind(source),
            date_bin('15 minutes', unsubscribed_at, TIMESTAMPTZ '2000-01-01 00:00+00'), 0, 1
        FROM subscription
        WHERE project_id = :project_id AND status = 'unsubscribed' AND unsubscribed_at IS NOT NULL
    ) AS m
    GROUP BY 1, 2, 3
), wanted AS (
    SELECT list_id, source, CAST(quarter AT TIME ZONE CAST(:old AS text) AS date) AS old_day,
        CAST(quarter AT TIME ZONE CAST(:new AS text) AS date) AS new_day, sum(joined) AS joined, sum(gone) AS gone
    FROM quarters GROUP BY 1, 2, 3, 4
), possible AS MATERIALIZED (
    SELECT w.list_id, w.source, w.old_day, w.new_day,
        greatest(0, least(w.joined, d.joined - (sum(w.joined) OVER before - w.joined))) AS joined,
        greatest(0, least(w.gone, d.unsubscribed - (sum(w.gone) OVER before - w.gone))) AS gone
    FROM wanted AS w
    JOIN list_source_day AS d
        ON d.project_id = :project_id AND d.list_id = w.list_id AND d.source = w.source AND d.day = w.old_day
    WHERE w.old_day <> w.new_day
    WINDOW before AS (PARTITION BY w.list_id, w.source, w.old_day ORDER BY w.new_day)
), changes AS MATERIALIZED (
    SELECT list_id, source, day, CAST(sum(joined) AS bigint) AS joined, CAST(sum(gone) AS bigint) AS gone
    FROM (
        SELECT list_id, source, old_day AS day, -joined AS joined, -gone AS gone FROM possible
        UNION ALL
        SELECT list_id, source, new_day, joined, gone FROM possible
    ) AS moved
    GROUP BY 1, 2, 3
), sources AS (
    INSERT INTO list_source_day AS d (project_id, list_id, day, source, joined, unsubscribed)
    SELECT :project_id, list_id, day, source, joined, gone FROM changes WHERE joined <> 0 OR gone <> 0
    ON CONFLICT (project_id, list_id, day, source) DO UPDATE SET
        joined = d.joined + EXCLUDED.joined, unsubscribed = d.unsubscribed + EXCLUDED.unsubscribed
), days AS (
    INSERT INTO list_day AS d (project_id, list_id, day, joined, unsubscribed)
    SELECT :project_id, list_id, day, sum(joined), sum(gone) FROM changes
    GROUP BY 2, 3 HAVING sum(joined) <> 0 OR sum(gone) <> 0
    ON CONFLICT (project_id, list_id, day) DO UPDATE SET
        joined = d.joined + EXCLUDED.joined, unsubscribed = d.unsubscribed + EXCLUDED.unsubscribed
)
SELECT CAST(coalesce(sum(joined + gone), 0) AS bigint) AS moved FROM possible

-- name: move_list_bounces
-- The same of bounces, by the moment at which the people's status changed.
-- binds: project_id bigint, old text, new text
-- reads: subscriber, subscription, list_bounce_day
-- writes: list_bounce_day
WITH wanted AS (
    SELECT s.list_id, source_kind(s.source) AS source,
        CAST(b.status_changed_at AT TIME ZONE CAST(:old AS text) AS date) AS old_day,
        CAST(b.status_changed_at AT TIME ZONE CAST(:new AS text) AS date) AS new_day, count(*) AS n
    FROM subscriber AS b
    JOIN subscription AS s ON s.project_id = b.project_id AND s.subscriber_id = b.id AND s.status = 'subscribed'
    WHERE b.project_id = :project_id AND b.status = 'bounced' AND b.status_changed_at IS NOT NULL
    GROUP BY 1, 2, 3, 4
), possible AS MATERIALIZED (
    SELECT w.list_id, w.source, w.old_day, w.new_day,
        greatest(0, least(w.n, d.bounced - (sum(w.n) OVER before - w.n))) AS n
    FROM wanted AS w
    JOIN list_bounce_day AS d
        ON d.project_id = :project_id AND d.list_id = w.list_id AND d.source = w.source AND d.day = w.old_day
    WHERE w.old_day <> w.new_day
    WINDOW before AS (PARTITION BY w.list_id, w.source, w.old_day ORDER BY w.new_day)
), written AS (
    INSERT INTO list_bounce_day AS d (project_id, list_id, day, source, bounced)
    SELECT :project_id, list_id, day, source, CAST(sum(n) AS bigint)
    FROM (
        SELECT list_id, source, old_day AS day, -n AS n FROM possible
        UNION ALL
        SELECT list_id, source, new_day, n FROM possible
    ) AS moved
    GROUP BY 2, 3, 4 HAVING sum(n) <> 0
    ON CONFLICT (project_id, list_id, day, source) DO UPDATE SET bounced = d.bounced + EXCLUDED.bounced
)
SELECT CAST(coalesce(sum(n), 0) AS bigint) AS moved FROM possible

-- name: sweep_list_days
-- Days of a project's lists on which nothing is left that happened.
-- binds: project_id bigint
-- writes: list_day
DELETE FROM list_day WHERE project_id = :project_id AND joined = 0 AND unsubscribed = 0 AND removed = 0

-- name: sweep_list_source_days
-- The same by source.
-- binds: project_id bigint
-- writes: list_source_day
DELETE FROM list_source_day WHERE project_id = :project_id AND joined = 0 AND unsubscribed = 0 AND removed = 0

-- name: sweep_list_bounce_days
-- The same of bounces.
-- binds: project_id bigint
-- writes: list_bounce_day
DELETE FROM list_bounce_day WHERE project_id = :project_id AND bounced = 0

-- name: zone_of_list_days
-- One row per project: the zone by which its lists' days are cut, where it is an old one, and the present one.
-- binds: project_id bigint
-- reads: project
SELECT days_zone, time_zone FROM project WHERE id = :project_id FOR NO KEY UPDATE

-- name: list_days_are_cut
-- The lists' days of a project are cut by its present zone.
-- binds: project_id bigint
-- writes: project
UPDATE project SET days_zone = NULL WHERE id = :project_id
