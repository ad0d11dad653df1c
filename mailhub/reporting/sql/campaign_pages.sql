-- A campaign's report: what is usual for the project, the first hours, devices, what the mail servers refused.

-- name: campaign_usual
-- One row: over how many finished campaigns, and the median of each rate among them. They are the last ones of the
-- project that were started before this one, and of which something was sent. Opens and clicks are people's, of the
-- letters that say whose they are.
-- binds: project_id bigint, campaign_id bigint, started_at timestamptz, most integer
-- reads: campaign, campaign_stats, campaign_count
-- measured: 20 ms in a project with 10,000 sent campaigns (two busy cores)
WITH last AS (
    SELECT
        CAST(s.unique_opened - s.unique_machine_opened AS double precision) / nullif(n.by_name, 0) AS opened,
        CAST(s.unique_redirected - s.unique_machine_redirected AS double precision) / nullif(n.by_name, 0) AS clicked,
        CAST(s.hardbounced + s.softbounced AS double precision) / (s.sent + s.hardbounced + s.softbounced) AS bounced,
        CAST(s.unsubscribed AS double precision) / s.sent AS unsubscribed,
        CAST(s.complained AS double precision) / s.sent AS complained
    FROM campaign AS k
    JOIN campaign_stats AS s ON s.project_id = k.project_id AND s.campaign_id = k.id
    LEFT JOIN campaign_count AS c ON c.project_id = k.project_id AND c.campaign_id = k.id
    CROSS JOIN LATERAL (
        SELECT greatest(0, s.sent - coalesce(c.sent_aggregate, 0) - coalesce(c.sent_untracked, 0)) AS by_name
    ) AS n
    WHERE k.project_id = :project_id
        AND k.state = 'sent'
        AND k.id <> :campaign_id
        AND k.started_at < :started_at
        AND s.sent > 0
    ORDER BY k.started_at DESC, k.id DESC
    LIMIT :most
)
SELECT
    count(*) AS n,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY opened) AS opened,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY clicked) AS clicked,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY bounced) AS bounced,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY unsubscribed) AS unsubscribed,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY complained) AS complained
FROM last

-- name: campaign_hours
-- One row per hour since the start with events, below `hours`, the first one first.
-- binds: project_id bigint, campaign_id bigint, hours integer
-- reads: campaign_hour
SELECT
    hour, sent, opened, redirected, hardbounced, softbounced, unsubscribed, complained, deferred, blocked, unknown,
    machine_opened, machine_redirected
FROM campaign_hour
WHERE project_id = :project_id AND campaign_id = :campaign_id AND hour < :hours
ORDER BY hour

-- name: campaign_devices
-- One row per device and mail program or browser, those with most hits first, at most `most`.
-- binds: project_id bigint, campaign_id bigint, most integer
-- reads: campaign_device
SELECT device, client, opened, redirected, machine_opened, machine_redirected
FROM campaign_device
WHERE project_id = :project_id AND campaign_id = :campaign_id
ORDER BY opened + redirected DESC, device, client
LIMIT :most

-- name: campaign_refusals
-- One row per state, code and reason of the letters that failed or were put off, with how many of the latest `most` of
-- each state ended so and what the server said to the latest of them; the largest first, at most `kinds`. A letter's
-- row changes when it is tried again, so no counter that only grows could tell this. A campaign's letters that are not
-- its own are tests; to say so by an inequality keeps the planner from walking the whole project's letters instead.
-- binds: project_id bigint, campaign_id bigint, since timestamptz, most integer, kinds integer
-- reads: message
-- measured: 13 ms for the latest 2,000 of 50,000 failed letters among 300,000 (two busy cores)
SELECT
    w.state,
    l.smtp_code AS code,
    l.reason,
    count(*) AS n,
    (array_agg(l.smtp_reply ORDER BY l.id DESC))[1] AS reply
FROM (VALUES ('failed'), ('deferred')) AS w (state)
CROSS JOIN LATERAL (
    SELECT m.id, m.smtp_code, m.reason, m.smtp_reply
    FROM message AS m
    WHERE m.project_id = :project_id
        AND m.campaign_id = :campaign_id
        AND m.kind <> 'test'
        AND m.state = w.state
        AND m.created_at >= :since
    ORDER BY m.id DESC
    LIMIT :most
) AS l
GROUP BY w.state, l.smtp_code, l.reason
ORDER BY n DESC, l.smtp_code, l.reason
LIMIT :kinds
