-- The rollups against a recount of the raw events: `mailhub stats verify [--repair]`. Only what the raw events still
-- cover is compared: days after, and campaigns made after, the first moment (`floor`) that retention has left.

-- name: raw_floor
-- One row: the beginning of the oldest week of raw events.
-- binds:
-- reads: pg_inherits
SELECT CAST(to_date(min(substring(CAST(inhrelid AS regclass)::text FROM '[0-9]{8}$')), 'YYYYMMDD') AS timestamp) AT TIME ZONE 'UTC'
    AS floor
FROM pg_inherits
WHERE inhparent = CAST('message_event' AS regclass)

-- name: lock_rollups
-- Keeps appends out for the rest of the transaction; in the order in which they take the tables.
-- binds:
-- writes: message_event and every rollup
LOCK TABLE
    campaign_reaction, campaign_link_reaction, campaign_link_stats, campaign_domain, campaign_day, campaign_stats,
    project_day, message_event
IN SHARE ROW EXCLUSIVE MODE

-- name: verify_project_days
-- One row per project and day whose rollup and recount differ; the arrays are in the order of the columns.
-- binds: floor timestamptz
-- reads: message_event, project_day, project, campaign
WITH recount AS (
    SELECT
        e.project_id AS project_id,
        CAST(e.at AT TIME ZONE p.time_zone AS date) AS day,
        count(*) FILTER (WHERE e.type = 'SENT') AS sent,
        count(*) FILTER (WHERE e.type = 'OPENED') AS opened,
        count(*) FILTER (WHERE e.type = 'REDIRECTED') AS redirected,
        count(*) FILTER (WHERE e.type = 'HARDBOUNCED') AS hardbounced,
        count(*) FILTER (WHERE e.type = 'SOFTBOUNCED') AS softbounced,
        count(*) FILTER (WHERE e.type = 'UNSUBSCRIBED') AS unsubscribed,
        count(*) FILTER (WHERE e.type = 'COMPLAINED') AS complained,
        count(*) FILTER (WHERE e.type = 'DEFERRED') AS deferred,
        count(*) FILTER (WHERE e.type = 'BLOCKED') AS blocked,
        count(*) FILTER (WHERE e.type = 'UNKNOWN') AS unknown
    FROM message_event AS e
    JOIN project AS p ON p.id = e.project_id
    WHERE e.at >= :floor AND e.kind IN ('campaign', 'transactional')
        AND CAST(e.at AT TIME ZONE p.time_zone AS date) > CAST(CAST(:floor AS timestamptz) AT TIME ZONE p.time_zone AS date)
    GROUP BY 1, 2
), rolled AS (
    SELECT r.project_id, r.day,
        r.sent, r.opened, r.redirected, r.hardbounced, r.softbounced, r.unsubscribed, r.complained, r.deferred,
        r.blocked, r.unknown
    FROM project_day AS r
    JOIN project AS p ON p.id = r.project_id AND r.day > CAST(CAST(:floor AS timestamptz) AT TIME ZONE p.time_zone AS date)
)
SELECT
    coalesce(n.project_id, r.project_id) AS project_id,
    coalesce(n.day, r.day) AS day,
    ARRAY[
        coalesce(r.sent, 0), coalesce(r.opened, 0), coalesce(r.redirected, 0), coalesce(r.hardbounced, 0),
        coalesce(r.softbounced, 0), coalesce(r.unsubscribed, 0), coalesce(r.complained, 0),
        coalesce(r.deferred, 0), coalesce(r.blocked, 0), coalesce(r.unknown, 0)
    ] AS rolled,
    ARRAY[
        coalesce(n.sent, 0), coalesce(n.opened, 0), coalesce(n.redirected, 0), coalesce(n.hardbounced, 0),
        coalesce(n.softbounced, 0), coalesce(n.unsubscribed, 0), coalesce(n.complained, 0),
        coalesce(n.deferred, 0), coalesce(n.blocked, 0), coalesce(n.unknown, 0)
    ] AS recounted
FROM recount AS n
FULL JOIN rolled AS r ON n.project_id = r.project_id AND n.day = r.day
WHERE
    ARRAY[
        coalesce(r.sent, 0), coalesce(r.opened, 0), coalesce(r.redirected, 0), coalesce(r.hardbounced, 0),
        coalesce(r.softbounced, 0), coalesce(r.unsubscribed, 0), coalesce(r.complained, 0),
        coalesce(r.deferred, 0), coalesce(r.blocked, 0), coalesce(r.unknown, 0)
    ] <> ARRAY[
        coalesce(n.sent, 0), coalesce(n.opened, 0), coalesce(n.redirected, 0), coalesce(n.hardbounced, 0),
        coalesce(n.softbounced, 0), coalesce(n.unsubscribed, 0), coalesce(n.complained, 0),
        coalesce(n.deferred, 0), coalesce(n.blocked, 0), coalesce(n.unknown, 0)
    ]
ORDER BY 1, 2

-- name: repair_project_days
-- Sets one row of project_day to the recounted numbers, an array in the order of the columns.
-- binds: project_id bigint, day date, counts bigint[]
-- writes: project_day
INSERT INTO project_day (
    project_id, day, sent, opened, redirected, hardbounced, softbounced, unsubscribed, complained, deferred,
    blocked, unknown
)
SELECT
    CAST(:project_id AS bigint), CAST(:day AS date), c.n[1], c.n[2], c.n[3], c.n[4], c.n[5], c.n[6], c.n[7],
    c.n[8], c.n[9], c.n[10]
FROM (SELECT CAST(:counts AS bigint[])) AS c (n)
ON CONFLICT (project_id, day) DO UPDATE SET
    sent = EXCLUDED.sent,
    opened = EXCLUDED.opened,
    redirected = EXCLUDED.redirected,
    hardbounced = EXCLUDED.hardbounced,
    softbounced = EXCLUDED.softbounced,
    unsubscribed = EXCLUDED.unsubscribed,
    complained = EXCLUDED.complained,
    deferred = EXCLUDED.deferred,
    blocked = EXCLUDED.blocked,
    unknown = EXCLUDED.unknown

-- name: verify_campaigns
-- One row per campaign whose rollup and recount differ; the arrays are in the order of the columns.
-- binds: floor timestamptz
-- reads: message_event, campaign_stats, project, campaign
WITH recount AS (
    SELECT
        e.project_id AS project_id,
        e.campaign_id AS campaign_id,
        count(*) FILTER (WHERE e.type = 'SENT') AS sent,
        count(*) FILTER (WHERE e.type = 'OPENED') AS opened,
        count(*) FILTER (WHERE e.type = 'REDIRECTED') AS redirected,
        count(*) FILTER (WHERE e.type = 'HARDBOUNCED') AS hardbounced,
        count(*) FILTER (WHERE e.type = 'SOFTBOUNCED') AS softbounced,
        count(*) FILTER (WHERE e.type = 'UNSUBSCRIBED') AS unsubscribed,
        count(*) FILTER (WHERE e.type = 'COMPLAINED') AS complained,
        count(*) FILTER (WHERE e.type = 'DEFERRED') AS deferred,
        count(*) FILTER (WHERE e.type = 'BLOCKED') AS blocked,
        count(*) FILTER (WHERE e.type = 'UNKNOWN') AS unknown,
        count(DISTINCT e.subscriber_id) FILTER (WHERE e.type = 'OPENED') AS unique_opened,
        count(DISTINCT e.subscriber_id) FILTER (WHERE e.type = 'REDIRECTED') AS unique_redirected
    FROM message_event AS e
    JOIN project AS p ON p.id = e.project_id
    JOIN campaign AS c ON c.project_id = e.project_id AND c.id = e.campaign_id AND c.created_at >= :floor
    WHERE e.at >= :floor AND e.kind = 'campaign'
    GROUP BY 1, 2
), rolled AS (
    SELECT r.project_id, r.campaign_id,
        r.sent, r.opened, r.redirected, r.hardbounced, r.softbounced, r.unsubscribed, r.complained, r.deferred,
        r.blocked, r.unknown, r.unique_opened, r.unique_redirected
    FROM campaign_stats AS r
    JOIN campaign AS c ON c.project_id = r.project_id AND c.id = r.campaign_id AND c.created_at >= :floor
)
SELECT
    coalesce(n.project_id, r.project_id) AS project_id,
    coalesce(n.campaign_id, r.campaign_id) AS campaign_id,
    ARRAY[
        coalesce(r.sent, 0), coalesce(r.opened, 0), coalesce(r.redirected, 0), coalesce(r.hardbounced, 0),
        coalesce(r.softbounced, 0), coalesce(r.unsubscribed, 0), coalesce(r.complained, 0),
        coalesce(r.deferred, 0), coalesce(r.blocked, 0), coalesce(r.unknown, 0), coalesce(r.unique_opened, 0),
        coalesce(r.unique_redirected, 0)
    ] AS rolled,
    ARRAY[
        coalesce(n.sent, 0), coalesce(n.opened, 0), coalesce(n.redirected, 0), coalesce(n.hardbounced, 0),
        coalesce(n.softbounced, 0), coalesce(n.unsubscribed, 0), coalesce(n.complained, 0),
        coalesce(n.deferred, 0), coalesce(n.blocked, 0), coalesce(n.unknown, 0), coalesce(n.unique_opened, 0),
        coalesce(n.unique_redirected, 0)
    ] AS recounted
FROM recount AS n
FULL JOIN rolled AS r ON n.project_id = r.project_id AND n.campaign_id = r.campaign_id
WHERE
    ARRAY[
        coalesce(r.sent, 0), coalesce(r.opened, 0), coalesce(r.redirected, 0), coalesce(r.hardbounced, 0),
        coalesce(r.softbounced, 0), coalesce(r.unsubscribed, 0), coalesce(r.complained, 0),
        coalesce(r.deferred, 0), coalesce(r.blocked, 0), coalesce(r.unknown, 0), coalesce(r.unique_opened, 0),
        coalesce(r.unique_redirected, 0)
    ] <> ARRAY[
        coalesce(n.sent, 0), coalesce(n.opened, 0), coalesce(n.redirected, 0), coalesce(n.hardbounced, 0),
        coalesce(n.softbounced, 0), coalesce(n.unsubscribed, 0), coalesce(n.complained, 0),
        coalesce(n.deferred, 0), coalesce(n.blocked, 0), coalesce(n.unknown, 0), coalesce(n.unique_opened, 0),
        coalesce(n.unique_redirected, 0)
    ]
ORDER BY 1, 2

-- name: repair_campaigns
-- Sets one row of campaign_stats to the recounted numbers, an array in the order of the columns.
-- binds: project_id bigint, campaign_id bigint, counts bigint[]
-- writes: campaign_stats
INSERT INTO campaign_stats (
    project_id, campaign_id, sent, opened, redirected, hardbounced, softbounced, unsubscribed, complained,
    deferred, blocked, unknown, unique_opened, unique_redirected
)
SELECT
    CAST(:project_id AS bigint), CAST(:campaign_id AS bigint), c.n[1], c.n[2], c.n[3], c.n[4], c.n[5], c.n[6],
    c.n[7], c.n[8], c.n[9], c.n[10], c.n[11], c.n[12]
FROM (SELECT CAST(:counts AS bigint[])) AS c (n)
ON CONFLICT (project_id, campaign_id) DO UPDATE SET
    sent = EXCLUDED.sent,
    opened = EXCLUDED.opened,
    redirected = EXCLUDED.redirected,
    hardbounced = EXCLUDED.hardbounced,
    softbounced = EXCLUDED.softbounced,
    unsubscribed = EXCLUDED.unsubscribed,
    complained = EXCLUDED.complained,
    deferred = EXCLUDED.deferred,
    blocked = EXCLUDED.blocked,
    unknown = EXCLUDED.unknown,
    unique_opened = EXCLUDED.unique_opened,
    unique_redirected = EXCLUDED.unique_redirected

-- name: verify_campaign_days
-- One row per campaign and day whose rollup and recount differ; the arrays are in the order of the columns.
-- binds: floor timestamptz
-- reads: message_event, campaign_day, project, campaign
WITH recount AS (
    SELECT
        e.project_id AS project_id,
        e.campaign_id AS campaign_id,
        CAST(e.at AT TIME ZONE p.time_zone AS date) AS day,
        count(*) FILTER (WHERE e.type = 'SENT') AS sent,
        count(*) FILTER (WHERE e.type = 'OPENED') AS opened,
        count(*) FILTER (WHERE e.type = 'REDIRECTED') AS redirected,
        count(*) FILTER (WHERE e.type = 'HARDBOUNCED') AS hardbounced,
        count(*) FILTER (WHERE e.type = 'SOFTBOUNCED') AS softbounced,
        count(*) FILTER (WHERE e.type = 'UNSUBSCRIBED') AS unsubscribed,
        count(*) FILTER (WHERE e.type = 'COMPLAINED') AS complained,
        count(*) FILTER (WHERE e.type = 'DEFERRED') AS deferred,
        count(*) FILTER (WHERE e.type = 'BLOCKED') AS blocked,
        count(*) FILTER (WHERE e.type = 'UNKNOWN') AS unknown
    FROM message_event AS e
    JOIN project AS p ON p.id = e.project_id
    JOIN campaign AS c ON c.project_id = e.project_id AND c.id = e.campaign_id AND c.created_at >= :floor
    WHERE e.at >= :floor AND e.kind = 'campaign'
    GROUP BY 1, 2, 3
), rolled AS (
    SELECT r.project_id, r.campaign_id, r.day,
        r.sent, r.opened, r.redirected, r.hardbounced, r.softbounced, r.unsubscribed, r.complained, r.deferred,
        r.blocked, r.unknown
    FROM campaign_day AS r
    JOIN campaign AS c ON c.project_id = r.project_id AND c.id = r.campaign_id AND c.created_at >= :floor
)
SELECT
    coalesce(n.project_id, r.project_id) AS project_id,
    coalesce(n.campaign_id, r.campaign_id) AS campaign_id,
    coalesce(n.day, r.day) AS day,
    ARRAY[
        coalesce(r.sent, 0), coalesce(r.opened, 0), coalesce(r.redirected, 0), coalesce(r.hardbounced, 0),
        coalesce(r.softbounced, 0), coalesce(r.unsubscribed, 0), coalesce(r.complained, 0),
        coalesce(r.deferred, 0), coalesce(r.blocked, 0), coalesce(r.unknown, 0)
    ] AS rolled,
    ARRAY[
        coalesce(n.sent, 0), coalesce(n.opened, 0), coalesce(n.redirected, 0), coalesce(n.hardbounced, 0),
        coalesce(n.softbounced, 0), coalesce(n.unsubscribed, 0), coalesce(n.complained, 0),
        coalesce(n.deferred, 0), coalesce(n.blocked, 0), coalesce(n.unknown, 0)
    ] AS recounted
FROM recount AS n
FULL JOIN rolled AS r ON n.project_id = r.project_id AND n.campaign_id = r.campaign_id AND n.day = r.day
WHERE
    ARRAY[
        coalesce(r.sent, 0), coalesce(r.opened, 0), coalesce(r.redirected, 0), coalesce(r.hardbounced, 0),
        coalesce(r.softbounced, 0), coalesce(r.unsubscribed, 0), coalesce(r.complained, 0),
        coalesce(r.deferred, 0), coalesce(r.blocked, 0), coalesce(r.unknown, 0)
    ] <> ARRAY[
        coalesce(n.sent, 0), coalesce(n.opened, 0), coalesce(n.redirected, 0), coalesce(n.hardbounced, 0),
        coalesce(n.softbounced, 0), coalesce(n.unsubscribed, 0), coalesce(n.complained, 0),
        coalesce(n.deferred, 0), coalesce(n.blocked, 0), coalesce(n.unknown, 0)
    ]
ORDER BY 1, 2, 3

-- name: repair_campaign_days
-- Sets one row of campaign_day to the recounted numbers, an array in the order of the columns.
-- binds: project_id bigint, campaign_id bigint, day date, counts bigint[]
-- writes: campaign_day
INSERT INTO campaign_day (
    project_id, campaign_id, day, sent, opened, redirected, hardbounced, softbounced, unsubscribed, complained,
    deferred, blocked, unknown
)
SELECT
    CAST(:project_id AS bigint), CAST(:campaign_id AS bigint), CAST(:day AS date), c.n[1], c.n[2], c.n[3],
    c.n[4], c.n[5], c.n[6], c.n[7], c.n[8], c.n[9], c.n[10]
FROM (SELECT CAST(:counts AS bigint[])) AS c (n)
ON CONFLICT (project_id, campaign_id, day) DO UPDATE SET
    sent = EXCLUDED.sent,
    opened = EXCLUDED.opened,
    redirected = EXCLUDED.redirected,
    hardbounced = EXCLUDED.hardbounced,
    softbounced = EXCLUDED.softbounced,
    unsubscribed = EXCLUDED.unsubscribed,
    complained = EXCLUDED.complained,
    deferred = EXCLUDED.deferred,
    blocked = EXCLUDED.blocked,
    unknown = EXCLUDED.unknown

-- name: verify_domains
-- One row per campaign and domain whose rollup and recount differ; the arrays are in the order of the columns.
-- binds: floor timestamptz
-- reads: message_event, campaign_domain, project, campaign
WITH recount AS (
    SELECT
        e.project_id AS project_id,
        e.campaign_id AS campaign_id,
        e.email_domain AS email_domain,
        count(*) FILTER (WHERE e.type = 'SENT') AS sent,
        count(*) FILTER (WHERE e.type = 'OPENED') AS opened,
        count(*) FILTER (WHERE e.type = 'REDIRECTED') AS redirected,
        count(*) FILTER (WHERE e.type = 'HARDBOUNCED') AS hardbounced,
        count(*) FILTER (WHERE e.type = 'SOFTBOUNCED') AS softbounced,
        count(*) FILTER (WHERE e.type = 'UNSUBSCRIBED') AS unsubscribed,
        count(*) FILTER (WHERE e.type = 'COMPLAINED') AS complained,
        count(*) FILTER (WHERE e.type = 'DEFERRED') AS deferred,
        count(*) FILTER (WHERE e.type = 'BLOCKED') AS blocked,
        count(*) FILTER (WHERE e.type = 'UNKNOWN') AS unknown
    FROM message_event AS e
    JOIN project AS p ON p.id = e.project_id
    JOIN campaign AS c ON c.project_id = e.project_id AND c.id = e.campaign_id AND c.created_at >= :floor
    WHERE e.at >= :floor AND e.kind = 'campaign'
    GROUP BY 1, 2, 3
), rolled AS (
    SELECT r.project_id, r.campaign_id, r.email_domain,
        r.sent, r.opened, r.redirected, r.hardbounced, r.softbounced, r.unsubscribed, r.complained, r.deferred,
        r.blocked, r.unknown
    FROM campaign_domain AS r
    JOIN campaign AS c ON c.project_id = r.project_id AND c.id = r.campaign_id AND c.created_at >= :floor
)
SELECT
    coalesce(n.project_id, r.project_id) AS project_id,
    coalesce(n.campaign_id, r.campaign_id) AS campaign_id,
    coalesce(n.email_domain, r.email_domain) AS email_domain,
    ARRAY[
        coalesce(r.sent, 0), coalesce(r.opened, 0), coalesce(r.redirected, 0), coalesce(r.hardbounced, 0),
        coalesce(r.softbounced, 0), coalesce(r.unsubscribed, 0), coalesce(r.complained, 0),
        coalesce(r.deferred, 0), coalesce(r.blocked, 0), coalesce(r.unknown, 0)
    ] AS rolled,
    ARRAY[
        coalesce(n.sent, 0), coalesce(n.opened, 0), coalesce(n.redirected, 0), coalesce(n.hardbounced, 0),
        coalesce(n.softbounced, 0), coalesce(n.unsubscribed, 0), coalesce(n.complained, 0),
        coalesce(n.deferred, 0), coalesce(n.blocked, 0), coalesce(n.unknown, 0)
    ] AS recounted
FROM recount AS n
FULL JOIN rolled AS r ON n.project_id = r.project_id AND n.campaign_id = r.campaign_id AND n.email_domain = r.email_domain
WHERE
    ARRAY[
        coalesce(r.sent, 0), coalesce(r.opened, 0), coalesce(r.redirected, 0), coalesce(r.hardbounced, 0),
        coalesce(r.softbounced, 0), coalesce(r.unsubscribed, 0), coalesce(r.complained, 0),
        coalesce(r.deferred, 0), coalesce(r.blocked, 0), coalesce(r.unknown, 0)
    ] <> ARRAY[
        coalesce(n.sent, 0), coalesce(n.opened, 0), coalesce(n.redirected, 0), coalesce(n.hardbounced, 0),
        coalesce(n.softbounced, 0), coalesce(n.unsubscribed, 0), coalesce(n.complained, 0),
        coalesce(n.deferred, 0), coalesce(n.blocked, 0), coalesce(n.unknown, 0)
    ]
ORDER BY 1, 2, 3

-- name: repair_domains
-- Sets one row of campaign_domain to the recounted numbers, an array in the order of the columns.
-- binds: project_id bigint, campaign_id bigint, email_domain text, counts bigint[]
-- writes: campaign_domain
INSERT INTO campaign_domain (
    project_id, campaign_id, email_domain, sent, opened, redirected, hardbounced, softbounced, unsubscribed,
    complained, deferred, blocked, unknown
)
SELECT
    CAST(:project_id AS bigint), CAST(:campaign_id AS bigint), CAST(:email_domain AS text), c.n[1], c.n[2],
    c.n[3], c.n[4], c.n[5], c.n[6], c.n[7], c.n[8], c.n[9], c.n[10]
FROM (SELECT CAST(:counts AS bigint[])) AS c (n)
ON CONFLICT (project_id, campaign_id, email_domain) DO UPDATE SET
    sent = EXCLUDED.sent,
    opened = EXCLUDED.opened,
    redirected = EXCLUDED.redirected,
    hardbounced = EXCLUDED.hardbounced,
    softbounced = EXCLUDED.softbounced,
    unsubscribed = EXCLUDED.unsubscribed,
    complained = EXCLUDED.complained,
    deferred = EXCLUDED.deferred,
    blocked = EXCLUDED.blocked,
    unknown = EXCLUDED.unknown

-- name: verify_links
-- One row per campaign and link whose rollup and recount differ; the arrays are in the order of the columns.
-- binds: floor timestamptz
-- reads: message_event, campaign_link_stats, campaign
WITH recount AS (
    SELECT
        e.project_id,
        e.campaign_id,
        e.link_id,
        count(*) AS redirected,
        count(DISTINCT e.subscriber_id) AS unique_redirected
    FROM message_event AS e
    JOIN campaign AS c ON c.project_id = e.project_id AND c.id = e.campaign_id AND c.created_at >= :floor
    WHERE e.at >= :floor AND e.kind = 'campaign' AND e.type = 'REDIRECTED' AND e.link_id IS NOT NULL
    GROUP BY 1, 2, 3
), rolled AS (
    SELECT r.project_id, r.campaign_id, r.link_id, r.redirected, r.unique_redirected
    FROM campaign_link_stats AS r
    JOIN campaign AS c ON c.project_id = r.project_id AND c.id = r.campaign_id AND c.created_at >= :floor
)
SELECT
    coalesce(n.project_id, r.project_id) AS project_id,
    coalesce(n.campaign_id, r.campaign_id) AS campaign_id,
    coalesce(n.link_id, r.link_id) AS link_id,
    ARRAY[coalesce(r.redirected, 0), coalesce(r.unique_redirected, 0)] AS rolled,
    ARRAY[coalesce(n.redirected, 0), coalesce(n.unique_redirected, 0)] AS recounted
FROM recount AS n
FULL JOIN rolled AS r ON n.project_id = r.project_id AND n.campaign_id = r.campaign_id AND n.link_id = r.link_id
WHERE ARRAY[coalesce(r.redirected, 0), coalesce(r.unique_redirected, 0)] <> ARRAY[coalesce(n.redirected, 0), coalesce(n.unique_redirected, 0)]
ORDER BY 1, 2, 3

-- name: repair_links
-- Sets one row of campaign_link_stats to the recounted numbers, an array in the order of the columns.
-- binds: project_id bigint, campaign_id bigint, link_id bigint, counts bigint[]
-- writes: campaign_link_stats
INSERT INTO campaign_link_stats (
    project_id, campaign_id, link_id, redirected, unique_redirected
)
SELECT
    CAST(:project_id AS bigint), CAST(:campaign_id AS bigint), CAST(:link_id AS bigint), c.n[1], c.n[2]
FROM (SELECT CAST(:counts AS bigint[])) AS c (n)
ON CONFLICT (project_id, campaign_id, link_id) DO UPDATE SET
    redirected = EXCLUDED.redirected,
    unique_redirected = EXCLUDED.unique_redirected

-- name: verify_reactions
-- One row per campaign and person whose rollup and recount differ; the arrays are in the order of the columns.
-- binds: floor timestamptz
-- reads: message_event, campaign_reaction, campaign
WITH recount AS (
    SELECT
        e.project_id,
        e.campaign_id,
        e.subscriber_id,
        count(*) FILTER (WHERE e.type = 'OPENED') AS opened,
        count(*) FILTER (WHERE e.type = 'REDIRECTED') AS redirected
    FROM message_event AS e
    JOIN campaign AS c ON c.project_id = e.project_id AND c.id = e.campaign_id AND c.created_at >= :floor
    WHERE e.at >= :floor AND e.kind = 'campaign' AND e.type IN ('OPENED', 'REDIRECTED') AND e.subscriber_id IS NOT NULL
    GROUP BY 1, 2, 3
), rolled AS (
    SELECT r.project_id, r.campaign_id, r.subscriber_id, r.opened, r.redirected
    FROM campaign_reaction AS r
    JOIN campaign AS c ON c.project_id = r.project_id AND c.id = r.campaign_id AND c.created_at >= :floor
)
SELECT
    coalesce(n.project_id, r.project_id) AS project_id,
    coalesce(n.campaign_id, r.campaign_id) AS campaign_id,
    coalesce(n.subscriber_id, r.subscriber_id) AS subscriber_id,
    ARRAY[coalesce(r.opened, 0), coalesce(r.redirected, 0)] AS rolled,
    ARRAY[coalesce(n.opened, 0), coalesce(n.redirected, 0)] AS recounted
FROM recount AS n
FULL JOIN rolled AS r ON n.project_id = r.project_id AND n.campaign_id = r.campaign_id AND n.subscriber_id = r.subscriber_id
WHERE ARRAY[coalesce(r.opened, 0), coalesce(r.redirected, 0)] <> ARRAY[coalesce(n.opened, 0), coalesce(n.redirected, 0)]
ORDER BY 1, 2, 3

-- name: repair_reactions
-- Sets one row of campaign_reaction to the recounted numbers, an array in the order of the columns.
-- binds: project_id bigint, campaign_id bigint, subscriber_id bigint, counts bigint[]
-- writes: campaign_reaction
INSERT INTO campaign_reaction (
    project_id, campaign_id, subscriber_id, opened, redirected
)
SELECT
    CAST(:project_id AS bigint), CAST(:campaign_id AS bigint), CAST(:subscriber_id AS bigint), c.n[1], c.n[2]
FROM (SELECT CAST(:counts AS bigint[])) AS c (n)
ON CONFLICT (project_id, campaign_id, subscriber_id) DO UPDATE SET
    opened = EXCLUDED.opened,
    redirected = EXCLUDED.redirected

-- name: verify_link_reactions
-- One row per link and person whose rollup and recount differ; the arrays are in the order of the columns.
-- binds: floor timestamptz
-- reads: message_event, campaign_link_reaction, campaign
WITH recount AS (
    SELECT
        e.project_id,
        e.campaign_id,
        e.link_id,
        e.subscriber_id,
        count(*) AS redirected
    FROM message_event AS e
    JOIN campaign AS c ON c.project_id = e.project_id AND c.id = e.campaign_id AND c.created_at >= :floor
    WHERE e.at >= :floor AND e.kind = 'campaign' AND e.type = 'REDIRECTED' AND e.link_id IS NOT NULL AND e.subscriber_id IS NOT NULL
    GROUP BY 1, 2, 3, 4
), rolled AS (
    SELECT r.project_id, r.campaign_id, r.link_id, r.subscriber_id, r.redirected
    FROM campaign_link_reaction AS r
    JOIN campaign AS c ON c.project_id = r.project_id AND c.id = r.campaign_id AND c.created_at >= :floor
)
SELECT
    coalesce(n.project_id, r.project_id) AS project_id,
    coalesce(n.campaign_id, r.campaign_id) AS campaign_id,
    coalesce(n.link_id, r.link_id) AS link_id,
    coalesce(n.subscriber_id, r.subscriber_id) AS subscriber_id,
    ARRAY[coalesce(r.redirected, 0)] AS rolled,
    ARRAY[coalesce(n.redirected, 0)] AS recounted
FROM recount AS n
FULL JOIN rolled AS r ON n.project_id = r.project_id AND n.campaign_id = r.campaign_id AND n.link_id = r.link_id AND n.subscriber_id = r.subscriber_id
WHERE ARRAY[coalesce(r.redirected, 0)] <> ARRAY[coalesce(n.redirected, 0)]
ORDER BY 1, 2, 3, 4

-- name: repair_link_reactions
-- Sets one row of campaign_link_reaction to the recounted numbers, an array in the order of the columns.
-- binds: project_id bigint, campaign_id bigint, link_id bigint, subscriber_id bigint, counts bigint[]
-- writes: campaign_link_reaction
INSERT INTO campaign_link_reaction (
    project_id, campaign_id, link_id, subscriber_id, redirected
)
SELECT
    CAST(:project_id AS bigint), CAST(:campaign_id AS bigint), CAST(:link_id AS bigint),
    CAST(:subscriber_id AS bigint), c.n[1]
FROM (SELECT CAST(:counts AS bigint[])) AS c (n)
ON CONFLICT (project_id, campaign_id, link_id, subscriber_id) DO UPDATE SET
    redirected = EXCLUDED.redirected
