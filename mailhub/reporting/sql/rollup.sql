-- The rollups, moved on in the transaction that stores or marks events. Every statement takes its rows' locks in the
-- order of their keys, and the statements run in the order of this file: two writers can't wait for each other in a
-- circle. What is given is a difference: a number below zero takes away.

-- name: hold_projects
-- One row: the database's clock. Until the end of the transaction these projects' days are cut by the zone that the
-- transaction's next statement reads: `wait_for_projects` waits for it. The locks have a table's name for a key.
-- binds: project_id bigint[]
-- reads: pg_locks
SELECT
    clock_timestamp() AS now,
    count(pg_advisory_xact_lock_shared(hashtext('project_day'), CAST(k.project_id % 2147483648 AS integer))) AS held
FROM unnest(CAST(:project_id AS bigint[])) AS k (project_id)

-- name: wait_for_projects
-- One row per project, when everybody who held it has ended their transaction.
-- binds: project_id bigint[]
-- reads: pg_locks
SELECT pg_advisory_xact_lock(hashtext('project_day'), CAST(k.project_id % 2147483648 AS integer)) AS waited
FROM (SELECT unnest(CAST(:project_id AS bigint[])) AS project_id ORDER BY 1) AS k

-- name: places_of_events
-- One row per key: the project's day of that quarter of an hour, whether the campaign is there, and when it started. A
-- project that is gone has no row. Every zone's offset is a multiple of 15 minutes, so a quarter lies in one day.
-- binds: project_id bigint[], campaign_id bigint[], quarter timestamptz[]
-- reads: project, campaign
SELECT
    k.project_id, k.campaign_id, k.quarter,
    CAST(k.quarter AT TIME ZONE p.time_zone AS date) AS day,
    c.id IS NOT NULL AS has_campaign,
    c.started_at
FROM unnest(CAST(:project_id AS bigint[]), CAST(:campaign_id AS bigint[]), CAST(:quarter AS timestamptz[]))
    AS k (project_id, campaign_id, quarter)
JOIN project AS p ON p.id = k.project_id
LEFT JOIN campaign AS c ON c.project_id = k.project_id AND c.id = k.campaign_id

-- name: react
-- One row per person and campaign with the opens and clicks up to now: as many as were given means the first.
-- binds: project_id bigint[], campaign_id bigint[], subscriber_id bigint[]
-- binds: opened bigint[], redirected bigint[], machine_opened bigint[], machine_redirected bigint[]
-- binds: first_opened_at timestamptz[], first_redirected_at timestamptz[]
-- writes: campaign_reaction
INSERT INTO campaign_reaction AS r (
    project_id, campaign_id, subscriber_id, opened, redirected, machine_opened, machine_redirected, first_opened_at,
    first_redirected_at
)
SELECT
    e.project_id, e.campaign_id, e.subscriber_id, e.opened, e.redirected, e.machine_opened, e.machine_redirected,
    e.first_opened_at, e.first_redirected_at
FROM unnest(
    CAST(:project_id AS bigint[]), CAST(:campaign_id AS bigint[]), CAST(:subscriber_id AS bigint[]),
    CAST(:opened AS bigint[]), CAST(:redirected AS bigint[]), CAST(:machine_opened AS bigint[]),
    CAST(:machine_redirected AS bigint[]), CAST(:first_opened_at AS timestamptz[]),
    CAST(:first_redirected_at AS timestamptz[])
) AS e (
    project_id, campaign_id, subscriber_id, opened, redirected, machine_opened, machine_redirected, first_opened_at,
    first_redirected_at
)
ORDER BY e.project_id, e.campaign_id, e.subscriber_id
ON CONFLICT (project_id, campaign_id, subscriber_id) DO UPDATE SET
    opened = r.opened + EXCLUDED.opened,
    redirected = r.redirected + EXCLUDED.redirected,
    machine_opened = r.machine_opened + EXCLUDED.machine_opened,
    machine_redirected = r.machine_redirected + EXCLUDED.machine_redirected,
    first_opened_at = LEAST(r.first_opened_at, EXCLUDED.first_opened_at),
    first_redirected_at = LEAST(r.first_redirected_at, EXCLUDED.first_redirected_at)
RETURNING project_id, campaign_id, subscriber_id, opened, redirected, machine_opened, machine_redirected

-- name: leave
-- One row per person who leaves by this campaign for the first time. Their rows were locked by `react`.
-- binds: project_id bigint[], campaign_id bigint[], subscriber_id bigint[], unsubscribed_at timestamptz[]
-- writes: campaign_reaction
UPDATE campaign_reaction AS r
SET unsubscribed_at = e.unsubscribed_at
FROM unnest(
    CAST(:project_id AS bigint[]), CAST(:campaign_id AS bigint[]), CAST(:subscriber_id AS bigint[]),
    CAST(:unsubscribed_at AS timestamptz[])
) AS e (project_id, campaign_id, subscriber_id, unsubscribed_at)
WHERE r.project_id = e.project_id AND r.campaign_id = e.campaign_id AND r.subscriber_id = e.subscriber_id
    AND r.unsubscribed_at IS NULL
RETURNING r.project_id, r.campaign_id, r.subscriber_id

-- name: react_to_link
-- One row per person and link with the clicks up to now: as many as were given means the first.
-- binds: project_id bigint[], campaign_id bigint[], link_id bigint[], subscriber_id bigint[]
-- binds: redirected bigint[], machine_redirected bigint[], first_redirected_at timestamptz[]
-- writes: campaign_link_reaction
INSERT INTO campaign_link_reaction AS r (
    project_id, campaign_id, link_id, subscriber_id, redirected, machine_redirected, first_redirected_at
)
SELECT
    e.project_id, e.campaign_id, e.link_id, e.subscriber_id, e.redirected, e.machine_redirected, e.first_redirected_at
FROM unnest(
    CAST(:project_id AS bigint[]), CAST(:campaign_id AS bigint[]), CAST(:link_id AS bigint[]),
    CAST(:subscriber_id AS bigint[]), CAST(:redirected AS bigint[]), CAST(:machine_redirected AS bigint[]),
    CAST(:first_redirected_at AS timestamptz[])
) AS e (project_id, campaign_id, link_id, subscriber_id, redirected, machine_redirected, first_redirected_at)
ORDER BY e.project_id, e.campaign_id, e.link_id, e.subscriber_id
ON CONFLICT (project_id, campaign_id, link_id, subscriber_id) DO UPDATE SET
    redirected = r.redirected + EXCLUDED.redirected,
    machine_redirected = r.machine_redirected + EXCLUDED.machine_redirected,
    first_redirected_at = LEAST(r.first_redirected_at, EXCLUDED.first_redirected_at)
RETURNING project_id, campaign_id, link_id, subscriber_id, redirected, machine_redirected

-- name: add_links
-- Clicks of links, and how many people clicked for the first time.
-- binds: project_id bigint[], campaign_id bigint[], link_id bigint[], redirected bigint[]
-- binds: unique_redirected bigint[], machine_redirected bigint[], unique_machine_redirected bigint[]
-- writes: campaign_link_stats
INSERT INTO campaign_link_stats AS r (
    project_id, campaign_id, link_id, redirected, unique_redirected, machine_redirected, unique_machine_redirected
)
SELECT
    e.project_id, e.campaign_id, e.link_id, e.redirected, e.unique_redirected, e.machine_redirected,
    e.unique_machine_redirected
FROM unnest(
    CAST(:project_id AS bigint[]), CAST(:campaign_id AS bigint[]), CAST(:link_id AS bigint[]),
    CAST(:redirected AS bigint[]), CAST(:unique_redirected AS bigint[]), CAST(:machine_redirected AS bigint[]),
    CAST(:unique_machine_redirected AS bigint[])
) AS e (
    project_id, campaign_id, link_id, redirected, unique_redirected, machine_redirected, unique_machine_redirected
)
ORDER BY e.project_id, e.campaign_id, e.link_id
ON CONFLICT (project_id, campaign_id, link_id) DO UPDATE SET
    redirected = r.redirected + EXCLUDED.redirected,
    unique_redirected = r.unique_redirected + EXCLUDED.unique_redirected,
    machine_redirected = r.machine_redirected + EXCLUDED.machine_redirected,
    unique_machine_redirected = r.unique_machine_redirected + EXCLUDED.unique_machine_redirected

-- name: add_domains
-- Events of campaigns by the recipients' mail domain.
-- binds: project_id bigint[], campaign_id bigint[], email_domain text[], sent bigint[], opened bigint[]
-- binds: redirected bigint[], hardbounced bigint[], softbounced bigint[], unsubscribed bigint[]
-- binds: complained bigint[], deferred bigint[], blocked bigint[], unknown bigint[], machine_opened bigint[]
-- binds: machine_redirected bigint[]
-- writes: campaign_domain
INSERT INTO campaign_domain AS r (
    project_id, campaign_id, email_domain, sent, opened, redirected, hardbounced, softbounced, unsubscribed,
    complained, deferred, blocked, unknown, machine_opened, machine_redirected
)
SELECT
    e.project_id, e.campaign_id, e.email_domain, e.sent, e.opened, e.redirected, e.hardbounced, e.softbounced,
    e.unsubscribed, e.complained, e.deferred, e.blocked, e.unknown, e.machine_opened, e.machine_redirected
FROM unnest(
    CAST(:project_id AS bigint[]), CAST(:campaign_id AS bigint[]), CAST(:email_domain AS text[]),
    CAST(:sent AS bigint[]), CAST(:opened AS bigint[]), CAST(:redirected AS bigint[]), CAST(:hardbounced AS bigint[]),
    CAST(:softbounced AS bigint[]), CAST(:unsubscribed AS bigint[]), CAST(:complained AS bigint[]),
    CAST(:deferred AS bigint[]), CAST(:blocked AS bigint[]), CAST(:unknown AS bigint[]),
    CAST(:machine_opened AS bigint[]), CAST(:machine_redirected AS bigint[])
) AS e (
    project_id, campaign_id, email_domain, sent, opened, redirected, hardbounced, softbounced, unsubscribed,
    complained, deferred, blocked, unknown, machine_opened, machine_redirected
)
ORDER BY e.project_id, e.campaign_id, e.email_domain
ON CONFLICT (project_id, campaign_id, email_domain) DO UPDATE SET
    sent = r.sent + EXCLUDED.sent,
    opened = r.opened + EXCLUDED.opened,
    redirected = r.redirected + EXCLUDED.redirected,
    hardbounced = r.hardbounced + EXCLUDED.hardbounced,
    softbounced = r.softbounced + EXCLUDED.softbounced,
    unsubscribed = r.unsubscribed + EXCLUDED.unsubscribed,
    complained = r.complained + EXCLUDED.complained,
    deferred = r.deferred + EXCLUDED.deferred,
    blocked = r.blocked + EXCLUDED.blocked,
    unknown = r.unknown + EXCLUDED.unknown,
    machine_opened = r.machine_opened + EXCLUDED.machine_opened,
    machine_redirected = r.machine_redirected + EXCLUDED.machine_redirected

-- name: add_devices
-- Opens and clicks of campaigns by what they were made with.
-- binds: project_id bigint[], campaign_id bigint[], device text[], client text[], opened bigint[]
-- binds: redirected bigint[], machine_opened bigint[], machine_redirected bigint[]
-- writes: campaign_device
INSERT INTO campaign_device AS r (
    project_id, campaign_id, device, client, opened, redirected, machine_opened, machine_redirected
)
SELECT
    e.project_id, e.campaign_id, e.device, e.client, e.opened, e.redirected, e.machine_opened, e.machine_redirected
FROM unnest(
    CAST(:project_id AS bigint[]), CAST(:campaign_id AS bigint[]), CAST(:device AS text[]), CAST(:client AS text[]),
    CAST(:opened AS bigint[]), CAST(:redirected AS bigint[]), CAST(:machine_opened AS bigint[]),
    CAST(:machine_redirected AS bigint[])
) AS e (
    project_id, campaign_id, device, client, opened, redirected, machine_opened, machine_redirected
)
ORDER BY e.project_id, e.campaign_id, e.device, e.client
ON CONFLICT (project_id, campaign_id, device, client) DO UPDATE SET
    opened = r.opened + EXCLUDED.opened,
    redirected = r.redirected + EXCLUDED.redirected,
    machine_opened = r.machine_opened + EXCLUDED.machine_opened,
    machine_redirected = r.machine_redirected + EXCLUDED.machine_redirected

-- name: add_campaign_days
-- Events of campaigns by the project's day.
-- binds: project_id bigint[], campaign_id bigint[], day date[], sent bigint[], opened bigint[]
-- binds: redirected bigint[], hardbounced bigint[], softbounced bigint[], unsubscribed bigint[]
-- binds: complained bigint[], deferred bigint[], blocked bigint[], unknown bigint[], machine_opened bigint[]
-- binds: machine_redirected bigint[]
-- writes: campaign_day
INSERT INTO campaign_day AS r (
    project_id, campaign_id, day, sent, opened, redirected, hardbounced, softbounced, unsubscribed, complained,
    deferred, blocked, unknown, machine_opened, machine_redirected
)
SELECT
    e.project_id, e.campaign_id, e.day, e.sent, e.opened, e.redirected, e.hardbounced, e.softbounced, e.unsubscribed,
    e.complained, e.deferred, e.blocked, e.unknown, e.machine_opened, e.machine_redirected
FROM unnest(
    CAST(:project_id AS bigint[]), CAST(:campaign_id AS bigint[]), CAST(:day AS date[]), CAST(:sent AS bigint[]),
    CAST(:opened AS bigint[]), CAST(:redirected AS bigint[]), CAST(:hardbounced AS bigint[]),
    CAST(:softbounced AS bigint[]), CAST(:unsubscribed AS bigint[]), CAST(:complained AS bigint[]),
    CAST(:deferred AS bigint[]), CAST(:blocked AS bigint[]), CAST(:unknown AS bigint[]),
    CAST(:machine_opened AS bigint[]), CAST(:machine_redirected AS bigint[])
) AS e (
    project_id, campaign_id, day, sent, opened, redirected, hardbounced, softbounced, unsubscribed, complained,
    deferred, blocked, unknown, machine_opened, machine_redirected
)
ORDER BY e.project_id, e.campaign_id, e.day
ON CONFLICT (project_id, campaign_id, day) DO UPDATE SET
    sent = r.sent + EXCLUDED.sent,
    opened = r.opened + EXCLUDED.opened,
    redirected = r.redirected + EXCLUDED.redirected,
    hardbounced = r.hardbounced + EXCLUDED.hardbounced,
    softbounced = r.softbounced + EXCLUDED.softbounced,
    unsubscribed = r.unsubscribed + EXCLUDED.unsubscribed,
    complained = r.complained + EXCLUDED.complained,
    deferred = r.deferred + EXCLUDED.deferred,
    blocked = r.blocked + EXCLUDED.blocked,
    unknown = r.unknown + EXCLUDED.unknown,
    machine_opened = r.machine_opened + EXCLUDED.machine_opened,
    machine_redirected = r.machine_redirected + EXCLUDED.machine_redirected

-- name: add_campaign_hours
-- Events of campaigns by the hour since their start.
-- binds: project_id bigint[], campaign_id bigint[], hour smallint[], sent bigint[], opened bigint[]
-- binds: redirected bigint[], hardbounced bigint[], softbounced bigint[], unsubscribed bigint[]
-- binds: complained bigint[], deferred bigint[], blocked bigint[], unknown bigint[], machine_opened bigint[]
-- binds: machine_redirected bigint[]
-- writes: campaign_hour
INSERT INTO campaign_hour AS r (
    project_id, campaign_id, hour, sent, opened, redirected, hardbounced, softbounced, unsubscribed, complained,
    deferred, blocked, unknown, machine_opened, machine_redirected
)
SELECT
    e.project_id, e.campaign_id, e.hour, e.sent, e.opened, e.redirected, e.hardbounced, e.softbounced, e.unsubscribed,
    e.complained, e.deferred, e.blocked, e.unknown, e.machine_opened, e.machine_redirected
FROM unnest(
    CAST(:project_id AS bigint[]), CAST(:campaign_id AS bigint[]), CAST(:hour AS smallint[]), CAST(:sent AS bigint[]),
    CAST(:opened AS bigint[]), CAST(:redirected AS bigint[]), CAST(:hardbounced AS bigint[]),
    CAST(:softbounced AS bigint[]), CAST(:unsubscribed AS bigint[]), CAST(:complained AS bigint[]),
    CAST(:deferred AS bigint[]), CAST(:blocked AS bigint[]), CAST(:unknown AS bigint[]),
    CAST(:machine_opened AS bigint[]), CAST(:machine_redirected AS bigint[])
) AS e (
    project_id, campaign_id, hour, sent, opened, redirected, hardbounced, softbounced, unsubscribed, complained,
    deferred, blocked, unknown, machine_opened, machine_redirected
)
ORDER BY e.project_id, e.campaign_id, e.hour
ON CONFLICT (project_id, campaign_id, hour) DO UPDATE SET
    sent = r.sent + EXCLUDED.sent,
    opened = r.opened + EXCLUDED.opened,
    redirected = r.redirected + EXCLUDED.redirected,
    hardbounced = r.hardbounced + EXCLUDED.hardbounced,
    softbounced = r.softbounced + EXCLUDED.softbounced,
    unsubscribed = r.unsubscribed + EXCLUDED.unsubscribed,
    complained = r.complained + EXCLUDED.complained,
    deferred = r.deferred + EXCLUDED.deferred,
    blocked = r.blocked + EXCLUDED.blocked,
    unknown = r.unknown + EXCLUDED.unknown,
    machine_opened = r.machine_opened + EXCLUDED.machine_opened,
    machine_redirected = r.machine_redirected + EXCLUDED.machine_redirected

-- name: add_campaigns
-- Events of campaigns, and how many people opened or clicked for the first time.
-- binds: project_id bigint[], campaign_id bigint[], sent bigint[], opened bigint[], redirected bigint[]
-- binds: hardbounced bigint[], softbounced bigint[], unsubscribed bigint[], complained bigint[]
-- binds: deferred bigint[], blocked bigint[], unknown bigint[], machine_opened bigint[]
-- binds: machine_redirected bigint[], unique_opened bigint[], unique_redirected bigint[]
-- binds: unique_machine_opened bigint[], unique_machine_redirected bigint[], last_event_at timestamptz[]
-- writes: campaign_stats
INSERT INTO campaign_stats AS r (
    project_id, campaign_id, sent, opened, redirected, hardbounced, softbounced, unsubscribed, complained, deferred,
    blocked, unknown, machine_opened, machine_redirected, unique_opened, unique_redirected, unique_machine_opened,
    unique_machine_redirected, last_event_at
)
SELECT
    e.project_id, e.campaign_id, e.sent, e.opened, e.redirected, e.hardbounced, e.softbounced, e.unsubscribed,
    e.complained, e.deferred, e.blocked, e.unknown, e.machine_opened, e.machine_redirected, e.unique_opened,
    e.unique_redirected, e.unique_machine_opened, e.unique_machine_redirected, e.last_event_at
FROM unnest(
    CAST(:project_id AS bigint[]), CAST(:campaign_id AS bigint[]), CAST(:sent AS bigint[]), CAST(:opened AS bigint[]),
    CAST(:redirected AS bigint[]), CAST(:hardbounced AS bigint[]), CAST(:softbounced AS bigint[]),
    CAST(:unsubscribed AS bigint[]), CAST(:complained AS bigint[]), CAST(:deferred AS bigint[]),
    CAST(:blocked AS bigint[]), CAST(:unknown AS bigint[]), CAST(:machine_opened AS bigint[]),
    CAST(:machine_redirected AS bigint[]), CAST(:unique_opened AS bigint[]), CAST(:unique_redirected AS bigint[]),
    CAST(:unique_machine_opened AS bigint[]), CAST(:unique_machine_redirected AS bigint[]),
    CAST(:last_event_at AS timestamptz[])
) AS e (
    project_id, campaign_id, sent, opened, redirected, hardbounced, softbounced, unsubscribed, complained, deferred,
    blocked, unknown, machine_opened, machine_redirected, unique_opened, unique_redirected, unique_machine_opened,
    unique_machine_redirected, last_event_at
)
ORDER BY e.project_id, e.campaign_id
ON CONFLICT (project_id, campaign_id) DO UPDATE SET
    sent = r.sent + EXCLUDED.sent,
    opened = r.opened + EXCLUDED.opened,
    redirected = r.redirected + EXCLUDED.redirected,
    hardbounced = r.hardbounced + EXCLUDED.hardbounced,
    softbounced = r.softbounced + EXCLUDED.softbounced,
    unsubscribed = r.unsubscribed + EXCLUDED.unsubscribed,
    complained = r.complained + EXCLUDED.complained,
    deferred = r.deferred + EXCLUDED.deferred,
    blocked = r.blocked + EXCLUDED.blocked,
    unknown = r.unknown + EXCLUDED.unknown,
    machine_opened = r.machine_opened + EXCLUDED.machine_opened,
    machine_redirected = r.machine_redirected + EXCLUDED.machine_redirected,
    unique_opened = r.unique_opened + EXCLUDED.unique_opened,
    unique_redirected = r.unique_redirected + EXCLUDED.unique_redirected,
    unique_machine_opened = r.unique_machine_opened + EXCLUDED.unique_machine_opened,
    unique_machine_redirected = r.unique_machine_redirected + EXCLUDED.unique_machine_redirected,
    last_event_at = GREATEST(r.last_event_at, EXCLUDED.last_event_at)

-- name: add_provider_days
-- Events of projects by the project's day and the recipients' mailbox provider.
-- binds: project_id bigint[], day date[], provider text[], sent bigint[], opened bigint[], redirected bigint[]
-- binds: hardbounced bigint[], softbounced bigint[], unsubscribed bigint[], complained bigint[]
-- binds: deferred bigint[], blocked bigint[], unknown bigint[], machine_opened bigint[]
-- binds: machine_redirected bigint[]
-- writes: project_provider_day
INSERT INTO project_provider_day AS r (
    project_id, day, provider, sent, opened, redirected, hardbounced, softbounced, unsubscribed, complained, deferred,
    blocked, unknown, machine_opened, machine_redirected
)
SELECT
    e.project_id, e.day, e.provider, e.sent, e.opened, e.redirected, e.hardbounced, e.softbounced, e.unsubscribed,
    e.complained, e.deferred, e.blocked, e.unknown, e.machine_opened, e.machine_redirected
FROM unnest(
    CAST(:project_id AS bigint[]), CAST(:day AS date[]), CAST(:provider AS text[]), CAST(:sent AS bigint[]),
    CAST(:opened AS bigint[]), CAST(:redirected AS bigint[]), CAST(:hardbounced AS bigint[]),
    CAST(:softbounced AS bigint[]), CAST(:unsubscribed AS bigint[]), CAST(:complained AS bigint[]),
    CAST(:deferred AS bigint[]), CAST(:blocked AS bigint[]), CAST(:unknown AS bigint[]),
    CAST(:machine_opened AS bigint[]), CAST(:machine_redirected AS bigint[])
) AS e (
    project_id, day, provider, sent, opened, redirected, hardbounced, softbounced, unsubscribed, complained, deferred,
    blocked, unknown, machine_opened, machine_redirected
)
ORDER BY e.project_id, e.day, e.provider
ON CONFLICT (project_id, day, provider) DO UPDATE SET
    sent = r.sent + EXCLUDED.sent,
    opened = r.opened + EXCLUDED.opened,
    redirected = r.redirected + EXCLUDED.redirected,
    hardbounced = r.hardbounced + EXCLUDED.hardbounced,
    softbounced = r.softbounced + EXCLUDED.softbounced,
    unsubscribed = r.unsubscribed + EXCLUDED.unsubscribed,
    complained = r.complained + EXCLUDED.complained,
    deferred = r.deferred + EXCLUDED.deferred,
    blocked = r.blocked + EXCLUDED.blocked,
    unknown = r.unknown + EXCLUDED.unknown,
    machine_opened = r.machine_opened + EXCLUDED.machine_opened,
    machine_redirected = r.machine_redirected + EXCLUDED.machine_redirected

-- name: add_project_days
-- Events of projects by the project's day: the hottest rows come last.
-- binds: project_id bigint[], day date[], sent bigint[], opened bigint[], redirected bigint[]
-- binds: hardbounced bigint[], softbounced bigint[], unsubscribed bigint[], complained bigint[]
-- binds: deferred bigint[], blocked bigint[], unknown bigint[], machine_opened bigint[]
-- binds: machine_redirected bigint[]
-- writes: project_day
INSERT INTO project_day AS r (
    project_id, day, sent, opened, redirected, hardbounced, softbounced, unsubscribed, complained, deferred, blocked,
    unknown, machine_opened, machine_redirected
)
SELECT
    e.project_id, e.day, e.sent, e.opened, e.redirected, e.hardbounced, e.softbounced, e.unsubscribed, e.complained,
    e.deferred, e.blocked, e.unknown, e.machine_opened, e.machine_redirected
FROM unnest(
    CAST(:project_id AS bigint[]), CAST(:day AS date[]), CAST(:sent AS bigint[]), CAST(:opened AS bigint[]),
    CAST(:redirected AS bigint[]), CAST(:hardbounced AS bigint[]), CAST(:softbounced AS bigint[]),
    CAST(:unsubscribed AS bigint[]), CAST(:complained AS bigint[]), CAST(:deferred AS bigint[]),
    CAST(:blocked AS bigint[]), CAST(:unknown AS bigint[]), CAST(:machine_opened AS bigint[]),
    CAST(:machine_redirected AS bigint[])
) AS e (
    project_id, day, sent, opened, redirected, hardbounced, softbounced, unsubscribed, complained, deferred, blocked,
    unknown, machine_opened, machine_redirected
)
ORDER BY e.project_id, e.day
ON CONFLICT (project_id, day) DO UPDATE SET
    sent = r.sent + EXCLUDED.sent,
    opened = r.opened + EXCLUDED.opened,
    redirected = r.redirected + EXCLUDED.redirected,
    hardbounced = r.hardbounced + EXCLUDED.hardbounced,
    softbounced = r.softbounced + EXCLUDED.softbounced,
    unsubscribed = r.unsubscribed + EXCLUDED.unsubscribed,
    complained = r.complained + EXCLUDED.complained,
    deferred = r.deferred + EXCLUDED.deferred,
    blocked = r.blocked + EXCLUDED.blocked,
    unknown = r.unknown + EXCLUDED.unknown,
    machine_opened = r.machine_opened + EXCLUDED.machine_opened,
    machine_redirected = r.machine_redirected + EXCLUDED.machine_redirected

-- name: marked_events
-- One row per event that is there still, locked for its mark, in the order of the keys. The half-open range holds the
-- moments of all keys: only their partitions are read.
-- binds: project_id bigint[], position bigint[], id bigint[], at timestamptz[], since timestamptz, until timestamptz
-- reads: message_event
SELECT
    e.project_id, e.position, e.id, e.at, e.type, e.kind, e.campaign_id, e.subscriber_id, e.link_id, e.email_domain,
    e.device, e.client, e.actor, e.actor_cause
FROM unnest(
    CAST(:project_id AS bigint[]), CAST(:position AS bigint[]), CAST(:id AS bigint[]), CAST(:at AS timestamptz[])
) AS k (project_id, position, id, at)
JOIN message_event AS e
    ON e.project_id = k.project_id AND e.position = k.position AND e.id = k.id AND e.at = k.at
WHERE e.at >= :since AND e.at < :until
ORDER BY e.project_id, e.position, e.id
FOR NO KEY UPDATE OF e

-- name: mark_events
-- Sets who made these events and how that is known.
-- binds: project_id bigint[], position bigint[], id bigint[], at timestamptz[], actor text[], actor_cause text[]
-- binds: since timestamptz, until timestamptz
-- writes: message_event
UPDATE message_event AS e
SET actor = k.actor, actor_cause = k.actor_cause
FROM unnest(
    CAST(:project_id AS bigint[]), CAST(:position AS bigint[]), CAST(:id AS bigint[]), CAST(:at AS timestamptz[]),
    CAST(:actor AS text[]), CAST(:actor_cause AS text[])
) AS k (project_id, position, id, at, actor, actor_cause)
WHERE e.project_id = k.project_id AND e.position = k.position AND e.id = k.id AND e.at = k.at
    AND e.at >= :since AND e.at < :until
