-- The rollups of a history. What they count from are the narrow rows, which are a fifth of the events' size; that they
-- agree with a recount of the events is for `mailhub stats verify` to say.

-- name: count_hours
-- A week's events by project or campaign, day of the project, hour since the campaign's start, and provider.
-- reads: history.raw, history.plan, history.agent, history.type, history.provider
-- writes: history.by_hour
INSERT INTO history.by_hour (project_id, campaign_id, day, hour, provider, type, is_machine, last_at, n)
SELECT
    e.project_id, e.campaign_id, e.day, e.hour, coalesce(v.provider, 'other'), t.type, e.is_machine, max(e.last_at),
    sum(e.n)
FROM (
    SELECT
        p.project_id,
        p.campaign_id,
        CAST(r.at AT TIME ZONE p.time_zone AS date) AS day,
        CASE WHEN p.campaign_id IS NOT NULL AND r.at < p.started_at + interval '72 hours'
            THEN CAST(floor(extract(epoch FROM r.at - p.started_at) / 3600) AS smallint) END AS hour,
        history.domain(hashint8extended(p.first_subscriber + (p.first_member + r.n) % p.population, 7)) AS domain,
        r.type,
        r.agent IN (2, 11) AS is_machine,
        max(r.at) AS last_at,
        count(*) AS n
    FROM {raw} AS r
    JOIN history.plan AS p ON p.id = r.plan
    GROUP BY 1, 2, 3, 4, 5, 6, 7
) AS e
JOIN history.type AS t ON t.id = e.type
LEFT JOIN history.provider AS v ON v.domain = e.domain
GROUP BY 1, 2, 3, 4, 5, 6, 7

-- name: count_domains
-- A week's events of campaigns by the recipients' domain.
-- reads: history.raw, history.plan, history.type
-- writes: history.by_domain
INSERT INTO history.by_domain (project_id, campaign_id, email_domain, type, is_machine, n)
SELECT e.project_id, e.campaign_id, e.domain, t.type, e.is_machine, e.n
FROM (
    SELECT
        p.project_id, p.campaign_id,
        history.domain(hashint8extended(p.first_subscriber + (p.first_member + r.n) % p.population, 7)) AS domain,
        r.type, r.agent IN (2, 11) AS is_machine, count(*) AS n
    FROM {raw} AS r
    JOIN history.plan AS p ON p.id = r.plan
    WHERE p.campaign_id IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5
) AS e
JOIN history.type AS t ON t.id = e.type

-- name: count_devices
-- A week's hits of campaigns by what they were made with.
-- reads: history.raw, history.plan, history.agent, history.type
-- writes: history.by_device
INSERT INTO history.by_device (project_id, campaign_id, device, client, type, is_machine, n)
SELECT p.project_id, p.campaign_id, a.device, a.client, t.type, e.agent IN (2, 11), e.n
FROM (
    SELECT r.plan, r.agent, r.type, count(*) AS n FROM {raw} AS r WHERE r.type IN (2, 3) GROUP BY 1, 2, 3
) AS e
JOIN history.plan AS p ON p.id = e.plan
JOIN history.agent AS a ON a.id = e.agent
JOIN history.type AS t ON t.id = e.type
WHERE p.campaign_id IS NOT NULL

-- name: react
-- What each person did with each campaign.
-- reads: history.raw, history.plan
-- writes: campaign_reaction
INSERT INTO campaign_reaction (
    project_id, campaign_id, subscriber_id, opened, redirected, machine_opened, machine_redirected, first_opened_at,
    first_redirected_at, unsubscribed_at
)
SELECT
    p.project_id, p.campaign_id, p.first_subscriber + (p.first_member + e.n) % p.population, e.opened, e.redirected,
    e.machine_opened, e.machine_redirected, e.first_opened_at, e.first_redirected_at, e.unsubscribed_at
FROM (
    SELECT
        r.plan, r.n,
        count(*) FILTER (WHERE r.type = 2) AS opened,
        count(*) FILTER (WHERE r.type = 3) AS redirected,
        count(*) FILTER (WHERE r.type = 2 AND r.agent IN (2, 11)) AS machine_opened,
        count(*) FILTER (WHERE r.type = 3 AND r.agent IN (2, 11)) AS machine_redirected,
        min(r.at) FILTER (WHERE r.type = 2) AS first_opened_at,
        min(r.at) FILTER (WHERE r.type = 3) AS first_redirected_at,
        min(r.at) FILTER (WHERE r.type = 6) AS unsubscribed_at
    FROM history.raw AS r
    WHERE r.type IN (2, 3, 6)
    GROUP BY r.plan, r.n
) AS e
JOIN history.plan AS p ON p.id = e.plan
WHERE p.campaign_id IS NOT NULL

-- name: react_to_links
-- Which links each person clicked.
-- reads: history.raw, history.plan, history.link
-- writes: campaign_link_reaction
INSERT INTO campaign_link_reaction (
    project_id, campaign_id, link_id, subscriber_id, redirected, machine_redirected, first_redirected_at
)
SELECT
    p.project_id, p.campaign_id, l.link_id, p.first_subscriber + (p.first_member + e.n) % p.population, e.redirected,
    e.machine_redirected, e.first_redirected_at
FROM (
    SELECT
        r.plan, r.n, r.link, count(*) AS redirected,
        count(*) FILTER (WHERE r.agent IN (2, 11)) AS machine_redirected,
        min(r.at) AS first_redirected_at
    FROM history.raw AS r
    WHERE r.type = 3
    GROUP BY r.plan, r.n, r.link
) AS e
JOIN history.plan AS p ON p.id = e.plan
JOIN history.link AS l ON l.campaign_id = p.campaign_id AND l.position = e.link
WHERE p.campaign_id IS NOT NULL

-- name: project_days
-- Every project's days.
-- reads: history.by_hour
-- writes: project_day
INSERT INTO project_day (
    project_id, day, sent, opened, redirected, hardbounced, softbounced, unsubscribed, complained, deferred,
    blocked, unknown, machine_opened, machine_redirected
)
SELECT
    t.project_id, t.day,
    coalesce(sum(t.n) FILTER (WHERE t.type = 'SENT'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'OPENED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'REDIRECTED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'HARDBOUNCED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'SOFTBOUNCED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'UNSUBSCRIBED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'COMPLAINED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'DEFERRED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'BLOCKED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'UNKNOWN'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'OPENED' AND t.is_machine), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'REDIRECTED' AND t.is_machine), 0)
FROM history.by_hour AS t
WHERE t.type <> 'QUEUED'
GROUP BY t.project_id, t.day

-- name: provider_days
-- Every project's days at each provider.
-- reads: history.by_hour
-- writes: project_provider_day
INSERT INTO project_provider_day (
    project_id, day, provider, sent, opened, redirected, hardbounced, softbounced, unsubscribed, complained, deferred,
    blocked, unknown, machine_opened, machine_redirected
)
SELECT
    t.project_id, t.day, t.provider,
    coalesce(sum(t.n) FILTER (WHERE t.type = 'SENT'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'OPENED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'REDIRECTED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'HARDBOUNCED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'SOFTBOUNCED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'UNSUBSCRIBED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'COMPLAINED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'DEFERRED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'BLOCKED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'UNKNOWN'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'OPENED' AND t.is_machine), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'REDIRECTED' AND t.is_machine), 0)
FROM history.by_hour AS t
WHERE t.type <> 'QUEUED'
GROUP BY t.project_id, t.day, t.provider

-- name: campaign_days
-- Every campaign's days.
-- reads: history.by_hour
-- writes: campaign_day
INSERT INTO campaign_day (
    project_id, campaign_id, day, sent, opened, redirected, hardbounced, softbounced, unsubscribed, complained, deferred,
    blocked, unknown, machine_opened, machine_redirected
)
SELECT
    t.project_id, t.campaign_id, t.day,
    coalesce(sum(t.n) FILTER (WHERE t.type = 'SENT'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'OPENED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'REDIRECTED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'HARDBOUNCED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'SOFTBOUNCED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'UNSUBSCRIBED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'COMPLAINED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'DEFERRED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'BLOCKED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'UNKNOWN'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'OPENED' AND t.is_machine), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'REDIRECTED' AND t.is_machine), 0)
FROM history.by_hour AS t
WHERE t.campaign_id IS NOT NULL
GROUP BY t.project_id, t.campaign_id, t.day

-- name: campaign_hours
-- Every campaign's first 72 hours.
-- reads: history.by_hour
-- writes: campaign_hour
INSERT INTO campaign_hour (
    project_id, campaign_id, hour, sent, opened, redirected, hardbounced, softbounced, unsubscribed, complained, deferred,
    blocked, unknown, machine_opened, machine_redirected
)
SELECT
    t.project_id, t.campaign_id, t.hour,
    coalesce(sum(t.n) FILTER (WHERE t.type = 'SENT'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'OPENED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'REDIRECTED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'HARDBOUNCED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'SOFTBOUNCED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'UNSUBSCRIBED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'COMPLAINED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'DEFERRED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'BLOCKED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'UNKNOWN'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'OPENED' AND t.is_machine), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'REDIRECTED' AND t.is_machine), 0)
FROM history.by_hour AS t
WHERE t.hour IS NOT NULL
GROUP BY t.project_id, t.campaign_id, t.hour

-- name: campaign_domains
-- Every campaign's domains.
-- reads: history.by_domain
-- writes: campaign_domain
INSERT INTO campaign_domain (
    project_id, campaign_id, email_domain, sent, opened, redirected, hardbounced, softbounced, unsubscribed, complained, deferred,
    blocked, unknown, machine_opened, machine_redirected
)
SELECT
    t.project_id, t.campaign_id, t.email_domain,
    coalesce(sum(t.n) FILTER (WHERE t.type = 'SENT'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'OPENED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'REDIRECTED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'HARDBOUNCED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'SOFTBOUNCED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'UNSUBSCRIBED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'COMPLAINED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'DEFERRED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'BLOCKED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'UNKNOWN'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'OPENED' AND t.is_machine), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'REDIRECTED' AND t.is_machine), 0)
FROM history.by_domain AS t
GROUP BY t.project_id, t.campaign_id, t.email_domain

-- name: campaign_devices
-- Every campaign's devices.
-- reads: history.by_device
-- writes: campaign_device
INSERT INTO campaign_device (
    project_id, campaign_id, device, client, opened, redirected, machine_opened, machine_redirected
)
SELECT
    t.project_id, t.campaign_id, t.device, t.client,
    coalesce(sum(t.n) FILTER (WHERE t.type = 'OPENED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'REDIRECTED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'OPENED' AND t.is_machine), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'REDIRECTED' AND t.is_machine), 0)
FROM history.by_device AS t
GROUP BY t.project_id, t.campaign_id, t.device, t.client

-- name: campaign_totals
-- Every campaign's totals, with its people from campaign_reaction.
-- reads: history.by_hour, campaign_reaction
-- writes: campaign_stats
INSERT INTO campaign_stats (
    project_id, campaign_id, sent, opened, redirected, hardbounced, softbounced, unsubscribed, complained, deferred,
    blocked, unknown, machine_opened, machine_redirected,
    last_event_at, unique_opened, unique_redirected, unique_machine_opened, unique_machine_redirected
)
SELECT
    t.project_id, t.campaign_id,
    coalesce(sum(t.n) FILTER (WHERE t.type = 'SENT'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'OPENED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'REDIRECTED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'HARDBOUNCED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'SOFTBOUNCED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'UNSUBSCRIBED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'COMPLAINED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'DEFERRED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'BLOCKED'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'UNKNOWN'), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'OPENED' AND t.is_machine), 0),
    coalesce(sum(t.n) FILTER (WHERE t.type = 'REDIRECTED' AND t.is_machine), 0),
    max(t.last_at), coalesce(max(u.opened), 0), coalesce(max(u.redirected), 0), coalesce(max(u.machine_opened), 0),
    coalesce(max(u.machine_redirected), 0)
FROM history.by_hour AS t
LEFT JOIN (
    SELECT
        project_id, campaign_id,
        count(*) FILTER (WHERE opened > 0) AS opened,
        count(*) FILTER (WHERE redirected > 0) AS redirected,
        count(*) FILTER (WHERE opened > 0 AND machine_opened = opened) AS machine_opened,
        count(*) FILTER (WHERE redirected > 0 AND machine_redirected = redirected) AS machine_redirected
    FROM campaign_reaction
    GROUP BY project_id, campaign_id
) AS u ON u.project_id = t.project_id AND u.campaign_id = t.campaign_id
WHERE t.campaign_id IS NOT NULL
GROUP BY t.project_id, t.campaign_id

-- name: campaign_links
-- Every link's clicks and people.
-- reads: campaign_link_reaction
-- writes: campaign_link_stats
INSERT INTO campaign_link_stats (
    project_id, campaign_id, link_id, redirected, unique_redirected, machine_redirected, unique_machine_redirected
)
SELECT
    project_id, campaign_id, link_id, sum(redirected), count(*), sum(machine_redirected),
    count(*) FILTER (WHERE machine_redirected = redirected)
FROM campaign_link_reaction
GROUP BY project_id, campaign_id, link_id

-- name: campaign_counts
-- Every campaign's ledger.
-- reads: history.plan, campaign_stats
-- writes: campaign_count
INSERT INTO campaign_count (project_id, campaign_id, audience, sent, failed, unknown)
SELECT s.project_id, s.campaign_id, p.audience, s.sent, s.hardbounced + s.softbounced + s.blocked, s.unknown
FROM history.plan AS p
JOIN campaign_stats AS s ON s.project_id = p.project_id AND s.campaign_id = p.campaign_id
