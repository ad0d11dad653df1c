-- Heavy reports: raw events by time. Only under jobs.heavy; the window prunes partitions, a BRIN index the rest.

-- name: raw_window
-- One row: from when until when the days since..until (half-open) of all projects are, each in its own time zone.
-- binds: since date, until date
-- reads: project
SELECT
    min(CAST(CAST(:since AS date) AS timestamp) AT TIME ZONE p.time_zone) AS since_at,
    max(CAST(CAST(:until AS date) AS timestamp) AT TIME ZONE p.time_zone) AS until_at
FROM project AS p

-- name: raw_events
-- One row per day (the project's own), project, event type and recipient domain, most events first.
-- binds: since date, until date, since_at timestamptz, until_at timestamptz, project_ids bigint[], most bigint
-- reads: message_event, project
SELECT
    CAST(e.at AT TIME ZONE p.time_zone AS date) AS day, p.slug, e.type, e.email_domain,
    count(e.id) AS events, count(DISTINCT e.subscriber_id) AS people
FROM message_event AS e
JOIN project AS p ON p.id = e.project_id
WHERE e.at >= :since_at AND e.at < :until_at
    AND (CAST(:project_ids AS bigint[]) = '{}' OR e.project_id = ANY (CAST(:project_ids AS bigint[])))
    AND e.at >= CAST(CAST(:since AS date) AS timestamp) AT TIME ZONE p.time_zone
    AND e.at < CAST(CAST(:until AS date) AS timestamp) AT TIME ZONE p.time_zone
    AND e.kind IN ('campaign', 'transactional')
GROUP BY 1, 2, 3, 4
ORDER BY 1, 5 DESC, 2, 3, 4
LIMIT :most

-- name: raw_reasons
-- One row per day, project, event type and refusal: its code, its enhanced code, its words without what differs from
-- letter to letter (addresses, long numbers and ids).
-- binds: since date, until date, since_at timestamptz, until_at timestamptz, project_ids bigint[], most bigint
-- reads: message_event, project
SELECT
    CAST(e.at AT TIME ZONE p.time_zone AS date) AS day, p.slug, e.type, e.code,
    coalesce(substring(e.detail FROM '\m[245]\.\d{1,3}\.\d{1,3}\M'), '') AS enhanced,
    left(regexp_replace(regexp_replace(
        e.detail, '<?[^\s<>"]+@[^\s<>"]+>?', '<address>', 'g'), '\m(?=[\w-]*\d)[\w-]{7,}\M|\d{3,}\.\d+\.\d+\.\d+', '#', 'g'
    ), 160) AS words,
    count(e.id) AS events, count(DISTINCT e.email_domain) AS domains
FROM message_event AS e
JOIN project AS p ON p.id = e.project_id
WHERE e.at >= :since_at AND e.at < :until_at
    AND (CAST(:project_ids AS bigint[]) = '{}' OR e.project_id = ANY (CAST(:project_ids AS bigint[])))
    AND e.at >= CAST(CAST(:since AS date) AS timestamp) AT TIME ZONE p.time_zone
    AND e.at < CAST(CAST(:until AS date) AS timestamp) AT TIME ZONE p.time_zone
    AND e.type IN ('HARDBOUNCED', 'SOFTBOUNCED', 'BLOCKED', 'DEFERRED')
    AND e.kind IN ('campaign', 'transactional')
GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY 1, 7 DESC, 2, 3, 4, 5, 6
LIMIT :most

-- name: raw_recipients
-- One row per day, project of the list and address: what became of the letters to it, and where the project has the
-- address from.
-- binds: since date, until date, since_at timestamptz, until_at timestamptz, project_ids bigint[], most bigint
-- reads: message_event, project, subscriber
SELECT
    d.day, d.slug, d.email, d.email_domain, s.source, s.created_at AS known_since, d.sent, d.hardbounced,
    d.softbounced, d.blocked, d.complained, d.unsubscribed
FROM (
    SELECT
        CAST(e.at AT TIME ZONE p.time_zone AS date) AS day, p.id AS project_id, p.slug, e.email, e.email_domain,
        max(e.subscriber_id) AS subscriber_id,
        count(e.id) FILTER (WHERE e.type = 'SENT') AS sent,
        count(e.id) FILTER (WHERE e.type = 'HARDBOUNCED') AS hardbounced,
        count(e.id) FILTER (WHERE e.type = 'SOFTBOUNCED') AS softbounced,
        count(e.id) FILTER (WHERE e.type = 'BLOCKED') AS blocked,
        count(e.id) FILTER (WHERE e.type = 'COMPLAINED') AS complained,
        count(e.id) FILTER (WHERE e.type = 'UNSUBSCRIBED') AS unsubscribed
    FROM message_event AS e
    JOIN project AS p ON p.id = e.project_id
    WHERE e.at >= :since_at AND e.at < :until_at
        AND e.project_id = ANY (CAST(:project_ids AS bigint[]))
        AND e.at >= CAST(CAST(:since AS date) AS timestamp) AT TIME ZONE p.time_zone
        AND e.at < CAST(CAST(:until AS date) AS timestamp) AT TIME ZONE p.time_zone
        AND e.type IN ('SENT', 'HARDBOUNCED', 'SOFTBOUNCED', 'BLOCKED', 'COMPLAINED', 'UNSUBSCRIBED')
        AND e.kind IN ('campaign', 'transactional')
    GROUP BY 1, 2, 3, 4, 5
) AS d
LEFT JOIN subscriber AS s ON s.project_id = d.project_id AND s.id = d.subscriber_id
ORDER BY d.day, d.slug, d.email
LIMIT :most
