-- The rollups against a recount of the raw events: `mailhub stats verify [--repair]`. Only what the raw events still
-- cover is compared: days after, and campaigns made after, the first moment (`floor`) that retention has left. Every
-- statement sees rollup and events at one moment, and both move in one transaction: a difference is one for good, no
-- matter what is stored meanwhile, and is mended by adding it (rollup.sql).

-- name: raw_floor
-- One row: the beginning of the oldest week of raw events.
-- binds:
-- reads: pg_inherits
SELECT CAST(to_date(min(substring(CAST(inhrelid AS regclass)::text FROM '[0-9]{8}$')), 'YYYYMMDD') AS timestamp) AT TIME ZONE 'UTC'
    AS floor
FROM pg_inherits
WHERE inhparent = CAST('message_event' AS regclass)

-- name: project_floors
-- One row per project: since when its raw events are all there, where it keeps less than the others.
-- binds: projects bigint[]
-- reads: project
SELECT id, raw_since FROM project WHERE id = ANY (CAST(:projects AS bigint[])) ORDER BY raw_since, id

-- name: keep_partitions
-- No week of events is dropped until the transaction ends: a floor that has been read stays right.
-- binds:
-- writes: message_event
LOCK TABLE ONLY message_event IN ACCESS SHARE MODE

-- name: wait_at_most
-- Locks are waited for so long from now on in this transaction.
-- binds: wait text
-- reads: nothing
SELECT set_config('lock_timeout', :wait, true) AS lock_timeout, set_config('statement_timeout', '0', true) AS unlimited

-- name: repair_alone
-- One row when no other repair goes on: two that saw the same difference would add it twice.
-- binds:
-- reads: pg_locks
SELECT pg_advisory_xact_lock(hashtext('stats verify'), 0) AS alone

-- name: all_projects
-- One row per project that this is about: one, or all.
-- binds: project_id bigint
-- reads: project
SELECT id FROM project WHERE CAST(:project_id AS bigint) IS NULL OR id = :project_id ORDER BY id

-- name: verify_reactions
-- One row per campaign and person whose rollup and recount differ; the arrays are in the order of the columns, the last
-- number says whether they have left by it.
-- binds: projects bigint[], floor timestamptz
-- reads: message_event, campaign_reaction, campaign
WITH recount AS (
    SELECT
        e.project_id,
        e.campaign_id,
        e.subscriber_id,
        ARRAY[
            count(*) FILTER (WHERE e.type = 'OPENED'),
            count(*) FILTER (WHERE e.type = 'REDIRECTED'),
            count(*) FILTER (WHERE e.type = 'OPENED' AND e.actor IN ('machine_open', 'scanner')),
            count(*) FILTER (WHERE e.type = 'REDIRECTED' AND e.actor IN ('machine_open', 'scanner')),
            LEAST(count(*) FILTER (WHERE e.type = 'UNSUBSCRIBED'), 1)
        ] AS n,
        min(e.at) FILTER (WHERE e.type = 'OPENED') AS first_opened_at,
        min(e.at) FILTER (WHERE e.type = 'REDIRECTED') AS first_redirected_at,
        min(e.at) FILTER (WHERE e.type = 'UNSUBSCRIBED') AS unsubscribed_at
    FROM message_event AS e
    JOIN campaign AS c ON c.project_id = e.project_id AND c.id = e.campaign_id AND c.created_at >= :floor
    WHERE e.project_id = ANY (CAST(:projects AS bigint[])) AND e.at >= :floor AND e.kind = 'campaign'
        AND e.type IN ('OPENED', 'REDIRECTED', 'UNSUBSCRIBED') AND e.subscriber_id IS NOT NULL
    GROUP BY 1, 2, 3
), rolled AS (
    SELECT
        r.project_id, r.campaign_id, r.subscriber_id,
        ARRAY[
            r.opened, r.redirected, r.machine_opened, r.machine_redirected,
            CAST(CAST(r.unsubscribed_at IS NOT NULL AS integer) AS bigint)
        ] AS n
    FROM campaign_reaction AS r
    JOIN campaign AS c ON c.project_id = r.project_id AND c.id = r.campaign_id AND c.created_at >= :floor
    WHERE r.project_id = ANY (CAST(:projects AS bigint[]))
)
SELECT
    project_id, campaign_id, subscriber_id,
    coalesce(rolled.n, zero.n) AS rolled,
    coalesce(recount.n, zero.n) AS recounted,
    recount.first_opened_at, recount.first_redirected_at, recount.unsubscribed_at
FROM (recount FULL JOIN rolled USING (project_id, campaign_id, subscriber_id))
CROSS JOIN (SELECT array_fill(CAST(0 AS bigint), ARRAY[5])) AS zero (n)
WHERE coalesce(rolled.n, zero.n) <> coalesce(recount.n, zero.n)
ORDER BY 1, 2, 3

-- name: mend_leavings
-- Sets when these people left by a campaign, or that they have not. Their rows were locked by `react`.
-- binds: project_id bigint[], campaign_id bigint[], subscriber_id bigint[], unsubscribed_at timestamptz[]
-- writes: campaign_reaction
UPDATE campaign_reaction AS r
SET unsubscribed_at = e.unsubscribed_at
FROM unnest(
    CAST(:project_id AS bigint[]), CAST(:campaign_id AS bigint[]), CAST(:subscriber_id AS bigint[]),
    CAST(:unsubscribed_at AS timestamptz[])
) AS e (project_id, campaign_id, subscriber_id, unsubscribed_at)
WHERE r.project_id = e.project_id AND r.campaign_id = e.campaign_id AND r.subscriber_id = e.subscriber_id

-- name: verify_link_reactions
-- One row per link and person whose rollup and recount differ; the arrays are in the order of the columns.
-- binds: projects bigint[], floor timestamptz
-- reads: message_event, campaign_link_reaction, campaign
WITH recount AS (
    SELECT
        e.project_id,
        e.campaign_id,
        e.link_id,
        e.subscriber_id,
        ARRAY[count(*), count(*) FILTER (WHERE e.actor IN ('machine_open', 'scanner'))] AS n,
        min(e.at) AS first_redirected_at
    FROM message_event AS e
    JOIN campaign AS c ON c.project_id = e.project_id AND c.id = e.campaign_id AND c.created_at >= :floor
    WHERE e.project_id = ANY (CAST(:projects AS bigint[])) AND e.at >= :floor AND e.kind = 'campaign'
        AND e.type = 'REDIRECTED' AND e.link_id IS NOT NULL AND e.subscriber_id IS NOT NULL
    GROUP BY 1, 2, 3, 4
), rolled AS (
    SELECT
        r.project_id, r.campaign_id, r.link_id, r.subscriber_id,
        ARRAY[r.redirected, r.machine_redirected] AS n
    FROM campaign_link_reaction AS r
    JOIN campaign AS c ON c.project_id = r.project_id AND c.id = r.campaign_id AND c.created_at >= :floor
    WHERE r.project_id = ANY (CAST(:projects AS bigint[]))
)
SELECT
    project_id, campaign_id, link_id, subscriber_id,
    coalesce(rolled.n, zero.n) AS rolled,
    coalesce(recount.n, zero.n) AS recounted,
    recount.first_redirected_at
FROM (recount FULL JOIN rolled USING (project_id, campaign_id, link_id, subscriber_id))
CROSS JOIN (SELECT array_fill(CAST(0 AS bigint), ARRAY[2])) AS zero (n)
WHERE coalesce(rolled.n, zero.n) <> coalesce(recount.n, zero.n)
ORDER BY 1, 2, 3, 4

-- name: verify_links
-- One row per campaign and link whose rollup and recount differ, or whose people are not those that their own rows
-- tell (`known`); the arrays are in the order of the columns.
-- binds: projects bigint[], floor timestamptz
-- reads: message_event, campaign_link_stats, campaign_link_reaction, campaign
WITH people AS (
    SELECT
        e.project_id,
        e.campaign_id,
        e.link_id,
        e.subscriber_id,
        count(*) AS redirected,
        count(*) FILTER (WHERE e.actor IN ('machine_open', 'scanner')) AS machine_redirected
    FROM message_event AS e
    JOIN campaign AS c ON c.project_id = e.project_id AND c.id = e.campaign_id AND c.created_at >= :floor
    WHERE e.project_id = ANY (CAST(:projects AS bigint[])) AND e.at >= :floor AND e.kind = 'campaign'
        AND e.type = 'REDIRECTED' AND e.link_id IS NOT NULL
    GROUP BY 1, 2, 3, 4
), recount AS (
    SELECT
        n.project_id,
        n.campaign_id,
        n.link_id,
        ARRAY[
            CAST(sum(n.redirected) AS bigint),
            CAST(sum(n.machine_redirected) AS bigint),
            count(n.subscriber_id),
            count(n.subscriber_id) FILTER (WHERE n.redirected = n.machine_redirected)
        ] AS n
    FROM people AS n
    GROUP BY 1, 2, 3
), known AS (
    SELECT
        r.project_id,
        r.campaign_id,
        r.link_id,
        ARRAY[
            count(*) FILTER (WHERE r.redirected > 0),
            count(*) FILTER (WHERE r.redirected > 0 AND r.redirected = r.machine_redirected)
        ] AS n
    FROM campaign_link_reaction AS r
    JOIN campaign AS c ON c.project_id = r.project_id AND c.id = r.campaign_id AND c.created_at >= :floor
    WHERE r.project_id = ANY (CAST(:projects AS bigint[]))
    GROUP BY 1, 2, 3
), rolled AS (
    SELECT
        r.project_id, r.campaign_id, r.link_id,
        ARRAY[r.redirected, r.machine_redirected, r.unique_redirected, r.unique_machine_redirected] AS n
    FROM campaign_link_stats AS r
    JOIN campaign AS c ON c.project_id = r.project_id AND c.id = r.campaign_id AND c.created_at >= :floor
    WHERE r.project_id = ANY (CAST(:projects AS bigint[]))
)
SELECT
    project_id, campaign_id, link_id,
    coalesce(rolled.n, zero.n) AS rolled,
    coalesce(recount.n, zero.n) AS recounted,
    coalesce(known.n, zero.n[1:2]) AS known
FROM (
    recount
    FULL JOIN rolled USING (project_id, campaign_id, link_id)
    FULL JOIN known USING (project_id, campaign_id, link_id)
)
CROSS JOIN (SELECT array_fill(CAST(0 AS bigint), ARRAY[4])) AS zero (n)
WHERE coalesce(rolled.n, zero.n) <> coalesce(recount.n, zero.n)
    OR (coalesce(rolled.n, zero.n))[3:4] <> coalesce(known.n, zero.n[1:2])
ORDER BY 1, 2, 3

-- name: verify_domains
-- One row per campaign and recipients' domain whose rollup and recount differ; the arrays are in the order of the columns.
-- binds: projects bigint[], floor timestamptz
-- reads: message_event, campaign_domain, campaign
WITH recount AS (
    SELECT
        e.project_id,
        e.campaign_id,
        e.email_domain,
        ARRAY[
            count(*) FILTER (WHERE e.type = 'SENT'),
            count(*) FILTER (WHERE e.type = 'OPENED'),
            count(*) FILTER (WHERE e.type = 'REDIRECTED'),
            count(*) FILTER (WHERE e.type = 'HARDBOUNCED'),
            count(*) FILTER (WHERE e.type = 'SOFTBOUNCED'),
            count(*) FILTER (WHERE e.type = 'UNSUBSCRIBED'),
            count(*) FILTER (WHERE e.type = 'COMPLAINED'),
            count(*) FILTER (WHERE e.type = 'DEFERRED'),
            count(*) FILTER (WHERE e.type = 'BLOCKED'),
            count(*) FILTER (WHERE e.type = 'UNKNOWN'),
            count(*) FILTER (WHERE e.type = 'OPENED' AND e.actor IN ('machine_open', 'scanner')),
            count(*) FILTER (WHERE e.type = 'REDIRECTED' AND e.actor IN ('machine_open', 'scanner'))
        ] AS n
    FROM message_event AS e
    JOIN campaign AS c ON c.project_id = e.project_id AND c.id = e.campaign_id AND c.created_at >= :floor
    WHERE e.project_id = ANY (CAST(:projects AS bigint[])) AND e.at >= :floor AND e.kind = 'campaign'
    GROUP BY 1, 2, 3
), rolled AS (
    SELECT
        r.project_id, r.campaign_id, r.email_domain,
        ARRAY[
            r.sent, r.opened, r.redirected, r.hardbounced, r.softbounced, r.unsubscribed, r.complained, r.deferred,
            r.blocked, r.unknown, r.machine_opened, r.machine_redirected
        ] AS n
    FROM campaign_domain AS r
    JOIN campaign AS c ON c.project_id = r.project_id AND c.id = r.campaign_id AND c.created_at >= :floor
    WHERE r.project_id = ANY (CAST(:projects AS bigint[]))
)
SELECT
    project_id, campaign_id, email_domain,
    coalesce(rolled.n, zero.n) AS rolled,
    coalesce(recount.n, zero.n) AS recounted
FROM (recount FULL JOIN rolled USING (project_id, campaign_id, email_domain))
CROSS JOIN (SELECT array_fill(CAST(0 AS bigint), ARRAY[12])) AS zero (n)
WHERE coalesce(rolled.n, zero.n) <> coalesce(recount.n, zero.n)
ORDER BY 1, 2, 3

-- name: verify_devices
-- One row per campaign, device and client whose rollup and recount differ; the arrays are in the order of the columns.
-- binds: projects bigint[], floor timestamptz
-- reads: message_event, campaign_device, campaign
WITH recount AS (
    SELECT
        e.project_id,
        e.campaign_id,
        e.device,
        e.client,
        ARRAY[
            count(*) FILTER (WHERE e.type = 'OPENED'),
            count(*) FILTER (WHERE e.type = 'REDIRECTED'),
            count(*) FILTER (WHERE e.type = 'OPENED' AND e.actor IN ('machine_open', 'scanner')),
            count(*) FILTER (WHERE e.type = 'REDIRECTED' AND e.actor IN ('machine_open', 'scanner'))
        ] AS n
    FROM message_event AS e
    JOIN campaign AS c ON c.project_id = e.project_id AND c.id = e.campaign_id AND c.created_at >= :floor
    WHERE e.project_id = ANY (CAST(:projects AS bigint[])) AND e.at >= :floor AND e.kind = 'campaign'
        AND e.type IN ('OPENED', 'REDIRECTED')
    GROUP BY 1, 2, 3, 4
), rolled AS (
    SELECT
        r.project_id, r.campaign_id, r.device, r.client,
        ARRAY[
            r.opened, r.redirected, r.machine_opened, r.machine_redirected
        ] AS n
    FROM campaign_device AS r
    JOIN campaign AS c ON c.project_id = r.project_id AND c.id = r.campaign_id AND c.created_at >= :floor
    WHERE r.project_id = ANY (CAST(:projects AS bigint[]))
)
SELECT
    project_id, campaign_id, device, client,
    coalesce(rolled.n, zero.n) AS rolled,
    coalesce(recount.n, zero.n) AS recounted
FROM (recount FULL JOIN rolled USING (project_id, campaign_id, device, client))
CROSS JOIN (SELECT array_fill(CAST(0 AS bigint), ARRAY[4])) AS zero (n)
WHERE coalesce(rolled.n, zero.n) <> coalesce(recount.n, zero.n)
ORDER BY 1, 2, 3, 4

-- name: verify_campaign_days
-- One row per campaign and day whose rollup and recount differ; the arrays are in the order of the columns.
-- binds: projects bigint[], floor timestamptz
-- reads: message_event, campaign_day, project, campaign
WITH recount AS (
    SELECT
        e.project_id,
        e.campaign_id,
        CAST(e.at AT TIME ZONE p.time_zone AS date) AS day,
        ARRAY[
            count(*) FILTER (WHERE e.type = 'SENT'),
            count(*) FILTER (WHERE e.type = 'OPENED'),
            count(*) FILTER (WHERE e.type = 'REDIRECTED'),
            count(*) FILTER (WHERE e.type = 'HARDBOUNCED'),
            count(*) FILTER (WHERE e.type = 'SOFTBOUNCED'),
            count(*) FILTER (WHERE e.type = 'UNSUBSCRIBED'),
            count(*) FILTER (WHERE e.type = 'COMPLAINED'),
            count(*) FILTER (WHERE e.type = 'DEFERRED'),
            count(*) FILTER (WHERE e.type = 'BLOCKED'),
            count(*) FILTER (WHERE e.type = 'UNKNOWN'),
            count(*) FILTER (WHERE e.type = 'OPENED' AND e.actor IN ('machine_open', 'scanner')),
            count(*) FILTER (WHERE e.type = 'REDIRECTED' AND e.actor IN ('machine_open', 'scanner'))
        ] AS n
    FROM message_event AS e
    JOIN project AS p ON p.id = e.project_id
    JOIN campaign AS c ON c.project_id = e.project_id AND c.id = e.campaign_id AND c.created_at >= :floor
    WHERE e.project_id = ANY (CAST(:projects AS bigint[])) AND e.at >= :floor AND e.kind = 'campaign'
    GROUP BY 1, 2, 3
), rolled AS (
    SELECT
        r.project_id, r.campaign_id, r.day,
        ARRAY[
            r.sent, r.opened, r.redirected, r.hardbounced, r.softbounced, r.unsubscribed, r.complained, r.deferred,
            r.blocked, r.unknown, r.machine_opened, r.machine_redirected
        ] AS n
    FROM campaign_day AS r
    JOIN campaign AS c ON c.project_id = r.project_id AND c.id = r.campaign_id AND c.created_at >= :floor
    WHERE r.project_id = ANY (CAST(:projects AS bigint[]))
)
SELECT
    project_id, campaign_id, day,
    coalesce(rolled.n, zero.n) AS rolled,
    coalesce(recount.n, zero.n) AS recounted
FROM (recount FULL JOIN rolled USING (project_id, campaign_id, day))
CROSS JOIN (SELECT array_fill(CAST(0 AS bigint), ARRAY[12])) AS zero (n)
WHERE coalesce(rolled.n, zero.n) <> coalesce(recount.n, zero.n)
ORDER BY 1, 2, 3

-- name: verify_campaign_hours
-- One row per campaign and hour since its start whose rollup and recount differ; the arrays are in the order of the columns.
-- binds: projects bigint[], floor timestamptz
-- reads: message_event, campaign_hour, campaign
WITH recount AS (
    SELECT
        e.project_id,
        e.campaign_id,
        CAST(floor(extract(epoch FROM e.at - c.started_at) / 3600) AS smallint) AS hour,
        ARRAY[
            count(*) FILTER (WHERE e.type = 'SENT'),
            count(*) FILTER (WHERE e.type = 'OPENED'),
            count(*) FILTER (WHERE e.type = 'REDIRECTED'),
            count(*) FILTER (WHERE e.type = 'HARDBOUNCED'),
            count(*) FILTER (WHERE e.type = 'SOFTBOUNCED'),
            count(*) FILTER (WHERE e.type = 'UNSUBSCRIBED'),
            count(*) FILTER (WHERE e.type = 'COMPLAINED'),
            count(*) FILTER (WHERE e.type = 'DEFERRED'),
            count(*) FILTER (WHERE e.type = 'BLOCKED'),
            count(*) FILTER (WHERE e.type = 'UNKNOWN'),
            count(*) FILTER (WHERE e.type = 'OPENED' AND e.actor IN ('machine_open', 'scanner')),
            count(*) FILTER (WHERE e.type = 'REDIRECTED' AND e.actor IN ('machine_open', 'scanner'))
        ] AS n
    FROM message_event AS e
    JOIN campaign AS c ON c.project_id = e.project_id AND c.id = e.campaign_id AND c.created_at >= :floor
    WHERE e.project_id = ANY (CAST(:projects AS bigint[])) AND e.at >= :floor AND e.kind = 'campaign'
        AND e.at >= c.started_at AND e.at < c.started_at + interval '72 hours'
    GROUP BY 1, 2, 3
), rolled AS (
    SELECT
        r.project_id, r.campaign_id, r.hour,
        ARRAY[
            r.sent, r.opened, r.redirected, r.hardbounced, r.softbounced, r.unsubscribed, r.complained, r.deferred,
            r.blocked, r.unknown, r.machine_opened, r.machine_redirected
        ] AS n
    FROM campaign_hour AS r
    JOIN campaign AS c ON c.project_id = r.project_id AND c.id = r.campaign_id AND c.created_at >= :floor
    WHERE r.project_id = ANY (CAST(:projects AS bigint[]))
)
SELECT
    project_id, campaign_id, hour,
    coalesce(rolled.n, zero.n) AS rolled,
    coalesce(recount.n, zero.n) AS recounted
FROM (recount FULL JOIN rolled USING (project_id, campaign_id, hour))
CROSS JOIN (SELECT array_fill(CAST(0 AS bigint), ARRAY[12])) AS zero (n)
WHERE coalesce(rolled.n, zero.n) <> coalesce(recount.n, zero.n)
ORDER BY 1, 2, 3

-- name: verify_campaigns
-- One row per campaign whose rollup and recount differ, or whose people are not those that their own rows tell
-- (`known`); the arrays are in the order of the columns.
-- binds: projects bigint[], floor timestamptz
-- reads: message_event, campaign_stats, campaign_reaction, campaign
WITH people AS (
    SELECT
        e.project_id,
        e.campaign_id,
        e.subscriber_id,
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
        count(*) FILTER (WHERE e.type = 'OPENED' AND e.actor IN ('machine_open', 'scanner')) AS machine_opened,
        count(*) FILTER (WHERE e.type = 'REDIRECTED' AND e.actor IN ('machine_open', 'scanner')) AS machine_redirected,
        max(e.at) FILTER (WHERE e.type <> 'QUEUED') AS last_event_at
    FROM message_event AS e
    JOIN campaign AS c ON c.project_id = e.project_id AND c.id = e.campaign_id AND c.created_at >= :floor
    WHERE e.project_id = ANY (CAST(:projects AS bigint[])) AND e.at >= :floor AND e.kind = 'campaign'
    GROUP BY 1, 2, 3
), recount AS (
    SELECT
        n.project_id,
        n.campaign_id,
        ARRAY[
            CAST(sum(n.sent) AS bigint),
            CAST(sum(n.opened) AS bigint),
            CAST(sum(n.redirected) AS bigint),
            CAST(sum(n.hardbounced) AS bigint),
            CAST(sum(n.softbounced) AS bigint),
            CAST(sum(n.unsubscribed) AS bigint),
            CAST(sum(n.complained) AS bigint),
            CAST(sum(n.deferred) AS bigint),
            CAST(sum(n.blocked) AS bigint),
            CAST(sum(n.unknown) AS bigint),
            CAST(sum(n.machine_opened) AS bigint),
            CAST(sum(n.machine_redirected) AS bigint),
            count(n.subscriber_id) FILTER (WHERE n.opened > 0),
            count(n.subscriber_id) FILTER (WHERE n.redirected > 0),
            count(n.subscriber_id) FILTER (WHERE n.opened > 0 AND n.opened = n.machine_opened),
            count(n.subscriber_id) FILTER (WHERE n.redirected > 0 AND n.redirected = n.machine_redirected)
        ] AS n,
        max(n.last_event_at) AS last_event_at
    FROM people AS n
    GROUP BY 1, 2
), known AS (
    SELECT
        r.project_id,
        r.campaign_id,
        ARRAY[
            count(*) FILTER (WHERE r.opened > 0),
            count(*) FILTER (WHERE r.redirected > 0),
            count(*) FILTER (WHERE r.opened > 0 AND r.opened = r.machine_opened),
            count(*) FILTER (WHERE r.redirected > 0 AND r.redirected = r.machine_redirected)
        ] AS n
    FROM campaign_reaction AS r
    JOIN campaign AS c ON c.project_id = r.project_id AND c.id = r.campaign_id AND c.created_at >= :floor
    WHERE r.project_id = ANY (CAST(:projects AS bigint[]))
    GROUP BY 1, 2
), rolled AS (
    SELECT
        r.project_id, r.campaign_id,
        ARRAY[
            r.sent, r.opened, r.redirected, r.hardbounced, r.softbounced, r.unsubscribed, r.complained, r.deferred,
            r.blocked, r.unknown, r.machine_opened, r.machine_redirected, r.unique_opened, r.unique_redirected,
            r.unique_machine_opened, r.unique_machine_redirected
        ] AS n
    FROM campaign_stats AS r
    JOIN campaign AS c ON c.project_id = r.project_id AND c.id = r.campaign_id AND c.created_at >= :floor
    WHERE r.project_id = ANY (CAST(:projects AS bigint[]))
)
SELECT
    project_id, campaign_id,
    coalesce(rolled.n, zero.n) AS rolled,
    coalesce(recount.n, zero.n) AS recounted,
    coalesce(known.n, zero.n[1:4]) AS known,
    recount.last_event_at
FROM (
    recount
    FULL JOIN rolled USING (project_id, campaign_id)
    FULL JOIN known USING (project_id, campaign_id)
)
CROSS JOIN (SELECT array_fill(CAST(0 AS bigint), ARRAY[16])) AS zero (n)
WHERE coalesce(rolled.n, zero.n) <> coalesce(recount.n, zero.n)
    OR (coalesce(rolled.n, zero.n))[13:16] <> coalesce(known.n, zero.n[1:4])
ORDER BY 1, 2

-- name: verify_provider_days
-- One row per project, day and mailbox provider whose rollup and recount differ. The table of providers' domains is
-- given; every other domain is `other`; the arrays are in the order of the columns.
-- binds: projects bigint[], floor timestamptz, domains text[], providers text[]
-- reads: message_event, project_provider_day, project
WITH recount AS (
    SELECT
        e.project_id,
        CAST(e.at AT TIME ZONE p.time_zone AS date) AS day,
        coalesce(l.provider, 'other') AS provider,
        ARRAY[
            count(*) FILTER (WHERE e.type = 'SENT'),
            count(*) FILTER (WHERE e.type = 'OPENED'),
            count(*) FILTER (WHERE e.type = 'REDIRECTED'),
            count(*) FILTER (WHERE e.type = 'HARDBOUNCED'),
            count(*) FILTER (WHERE e.type = 'SOFTBOUNCED'),
            count(*) FILTER (WHERE e.type = 'UNSUBSCRIBED'),
            count(*) FILTER (WHERE e.type = 'COMPLAINED'),
            count(*) FILTER (WHERE e.type = 'DEFERRED'),
            count(*) FILTER (WHERE e.type = 'BLOCKED'),
            count(*) FILTER (WHERE e.type = 'UNKNOWN'),
            count(*) FILTER (WHERE e.type = 'OPENED' AND e.actor IN ('machine_open', 'scanner')),
            count(*) FILTER (WHERE e.type = 'REDIRECTED' AND e.actor IN ('machine_open', 'scanner'))
        ] AS n
    FROM message_event AS e
    JOIN project AS p ON p.id = e.project_id
    LEFT JOIN unnest(CAST(:domains AS text[]), CAST(:providers AS text[])) AS l (domain, provider)
        ON l.domain = e.email_domain
    WHERE e.project_id = ANY (CAST(:projects AS bigint[])) AND e.at >= :floor AND e.kind IN ('campaign', 'transactional')
        AND CAST(e.at AT TIME ZONE p.time_zone AS date) > CAST(CAST(:floor AS timestamptz) AT TIME ZONE p.time_zone AS date)
    GROUP BY 1, 2, 3
), rolled AS (
    SELECT
        r.project_id, r.day, r.provider,
        ARRAY[
            r.sent, r.opened, r.redirected, r.hardbounced, r.softbounced, r.unsubscribed, r.complained, r.deferred,
            r.blocked, r.unknown, r.machine_opened, r.machine_redirected
        ] AS n
    FROM project_provider_day AS r
    JOIN project AS p ON p.id = r.project_id AND r.day > CAST(CAST(:floor AS timestamptz) AT TIME ZONE p.time_zone AS date)
    WHERE r.project_id = ANY (CAST(:projects AS bigint[]))
)
SELECT
    project_id, day, provider,
    coalesce(rolled.n, zero.n) AS rolled,
    coalesce(recount.n, zero.n) AS recounted
FROM (recount FULL JOIN rolled USING (project_id, day, provider))
CROSS JOIN (SELECT array_fill(CAST(0 AS bigint), ARRAY[12])) AS zero (n)
WHERE coalesce(rolled.n, zero.n) <> coalesce(recount.n, zero.n)
ORDER BY 1, 2, 3

-- name: verify_project_days
-- One row per project and day whose rollup and recount differ; the arrays are in the order of the columns.
-- binds: projects bigint[], floor timestamptz
-- reads: message_event, project_day, project
WITH recount AS (
    SELECT
        e.project_id,
        CAST(e.at AT TIME ZONE p.time_zone AS date) AS day,
        ARRAY[
            count(*) FILTER (WHERE e.type = 'SENT'),
            count(*) FILTER (WHERE e.type = 'OPENED'),
            count(*) FILTER (WHERE e.type = 'REDIRECTED'),
            count(*) FILTER (WHERE e.type = 'HARDBOUNCED'),
            count(*) FILTER (WHERE e.type = 'SOFTBOUNCED'),
            count(*) FILTER (WHERE e.type = 'UNSUBSCRIBED'),
            count(*) FILTER (WHERE e.type = 'COMPLAINED'),
            count(*) FILTER (WHERE e.type = 'DEFERRED'),
            count(*) FILTER (WHERE e.type = 'BLOCKED'),
            count(*) FILTER (WHERE e.type = 'UNKNOWN'),
            count(*) FILTER (WHERE e.type = 'OPENED' AND e.actor IN ('machine_open', 'scanner')),
            count(*) FILTER (WHERE e.type = 'REDIRECTED' AND e.actor IN ('machine_open', 'scanner'))
        ] AS n
    FROM message_event AS e
    JOIN project AS p ON p.id = e.project_id
    WHERE e.project_id = ANY (CAST(:projects AS bigint[])) AND e.at >= :floor AND e.kind IN ('campaign', 'transactional')
        AND CAST(e.at AT TIME ZONE p.time_zone AS date) > CAST(CAST(:floor AS timestamptz) AT TIME ZONE p.time_zone AS date)
    GROUP BY 1, 2
), rolled AS (
    SELECT
        r.project_id, r.day,
        ARRAY[
            r.sent, r.opened, r.redirected, r.hardbounced, r.softbounced, r.unsubscribed, r.complained, r.deferred,
            r.blocked, r.unknown, r.machine_opened, r.machine_redirected
        ] AS n
    FROM project_day AS r
    JOIN project AS p ON p.id = r.project_id AND r.day > CAST(CAST(:floor AS timestamptz) AT TIME ZONE p.time_zone AS date)
    WHERE r.project_id = ANY (CAST(:projects AS bigint[]))
)
SELECT
    project_id, day,
    coalesce(rolled.n, zero.n) AS rolled,
    coalesce(recount.n, zero.n) AS recounted
FROM (recount FULL JOIN rolled USING (project_id, day))
CROSS JOIN (SELECT array_fill(CAST(0 AS bigint), ARRAY[12])) AS zero (n)
WHERE coalesce(rolled.n, zero.n) <> coalesce(recount.n, zero.n)
ORDER BY 1, 2

-- name: sweep_campaign_days
-- Days of campaigns on which nothing has happened after all.
-- binds: project_id bigint
-- writes: campaign_day
DELETE FROM campaign_day
WHERE project_id = :project_id AND sent = 0 AND opened = 0 AND redirected = 0 AND hardbounced = 0 AND softbounced = 0
    AND unsubscribed = 0 AND complained = 0 AND deferred = 0 AND blocked = 0 AND unknown = 0

-- name: sweep_provider_days
-- Days of providers on which nothing has happened after all.
-- binds: project_id bigint
-- writes: project_provider_day
DELETE FROM project_provider_day
WHERE project_id = :project_id AND sent = 0 AND opened = 0 AND redirected = 0 AND hardbounced = 0 AND softbounced = 0
    AND unsubscribed = 0 AND complained = 0 AND deferred = 0 AND blocked = 0 AND unknown = 0

-- name: sweep_project_days
-- Days of projects on which nothing has happened after all.
-- binds: project_id bigint
-- writes: project_day
DELETE FROM project_day
WHERE project_id = :project_id AND sent = 0 AND opened = 0 AND redirected = 0 AND hardbounced = 0 AND softbounced = 0
    AND unsubscribed = 0 AND complained = 0 AND deferred = 0 AND blocked = 0 AND unknown = 0
