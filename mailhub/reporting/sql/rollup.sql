-- The rollups, moved on in the transaction that stores the events. Every statement takes its rows' locks in the order
-- of their keys, and the statements run in the order of this file: two appends can't wait for each other in a circle.

-- name: days_of_events
-- One row per key: the project's day of that quarter of an hour, and whether the campaign is there. A project that is
-- gone has no row. Every zone's offset is a multiple of 15 minutes, so a quarter lies in one day.
-- binds: project_id bigint[], campaign_id bigint[], quarter timestamptz[]
-- reads: project, campaign
SELECT
    k.project_id, k.campaign_id, k.quarter,
    CAST(k.quarter AT TIME ZONE p.time_zone AS date) AS day,
    c.id IS NOT NULL AS has_campaign
FROM unnest(CAST(:project_id AS bigint[]), CAST(:campaign_id AS bigint[]), CAST(:quarter AS timestamptz[]))
    AS k (project_id, campaign_id, quarter)
JOIN project AS p ON p.id = k.project_id
LEFT JOIN campaign AS c ON c.project_id = k.project_id AND c.id = k.campaign_id

-- name: react
-- One row per person and campaign with the opens and clicks up to now: as many as were given means the first.
-- binds: project_id bigint[], campaign_id bigint[], subscriber_id bigint[]
-- binds: opened bigint[], redirected bigint[], first_opened_at timestamptz[], first_redirected_at timestamptz[]
-- writes: campaign_reaction
INSERT INTO campaign_reaction AS r (
    project_id, campaign_id, subscriber_id, opened, redirected, first_opened_at, first_redirected_at
)
SELECT
    e.project_id, e.campaign_id, e.subscriber_id, e.opened, e.redirected, e.first_opened_at, e.first_redirected_at
FROM unnest(
    CAST(:project_id AS bigint[]), CAST(:campaign_id AS bigint[]), CAST(:subscriber_id AS bigint[]),
    CAST(:opened AS bigint[]), CAST(:redirected AS bigint[]),
    CAST(:first_opened_at AS timestamptz[]), CAST(:first_redirected_at AS timestamptz[])
) AS e (project_id, campaign_id, subscriber_id, opened, redirected, first_opened_at, first_redirected_at)
ORDER BY e.project_id, e.campaign_id, e.subscriber_id
ON CONFLICT (project_id, campaign_id, subscriber_id) DO UPDATE SET
    opened = r.opened + EXCLUDED.opened,
    redirected = r.redirected + EXCLUDED.redirected,
    first_opened_at = LEAST(r.first_opened_at, EXCLUDED.first_opened_at),
    first_redirected_at = LEAST(r.first_redirected_at, EXCLUDED.first_redirected_at)
RETURNING project_id, campaign_id, subscriber_id, opened, redirected

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
-- binds: redirected bigint[], first_redirected_at timestamptz[]
-- writes: campaign_link_reaction
INSERT INTO campaign_link_reaction AS r (
    project_id, campaign_id, link_id, subscriber_id, redirected, first_redirected_at
)
SELECT e.project_id, e.campaign_id, e.link_id, e.subscriber_id, e.redirected, e.first_redirected_at
FROM unnest(
    CAST(:project_id AS bigint[]), CAST(:campaign_id AS bigint[]), CAST(:link_id AS bigint[]),
    CAST(:subscriber_id AS bigint[]), CAST(:redirected AS bigint[]), CAST(:first_redirected_at AS timestamptz[])
) AS e (project_id, campaign_id, link_id, subscriber_id, redirected, first_redirected_at)
ORDER BY e.project_id, e.campaign_id, e.link_id, e.subscriber_id
ON CONFLICT (project_id, campaign_id, link_id, subscriber_id) DO UPDATE SET
    redirected = r.redirected + EXCLUDED.redirected,
    first_redirected_at = LEAST(r.first_redirected_at, EXCLUDED.first_redirected_at)
RETURNING project_id, campaign_id, link_id, subscriber_id, redirected

-- name: count_links
-- Clicks of links.
-- binds: project_id bigint[], campaign_id bigint[], link_id bigint[], redirected bigint[], unique_redirected bigint[]
-- writes: campaign_link_stats
INSERT INTO campaign_link_stats AS r (project_id, campaign_id, link_id, redirected, unique_redirected)
SELECT e.project_id, e.campaign_id, e.link_id, e.redirected, e.unique_redirected
FROM unnest(
    CAST(:project_id AS bigint[]), CAST(:campaign_id AS bigint[]), CAST(:link_id AS bigint[]),
    CAST(:redirected AS bigint[]), CAST(:unique_redirected AS bigint[])
) AS e (project_id, campaign_id, link_id, redirected, unique_redirected)
ORDER BY e.project_id, e.campaign_id, e.link_id
ON CONFLICT (project_id, campaign_id, link_id) DO UPDATE SET
    redirected = r.redirected + EXCLUDED.redirected,
    unique_redirected = r.unique_redirected + EXCLUDED.unique_redirected

-- name: count_domains
-- Events of campaigns by the recipients' mail domain.
-- binds: project_id bigint[], campaign_id bigint[], email_domain text[], sent bigint[], opened bigint[]
-- binds: redirected bigint[], hardbounced bigint[], softbounced bigint[], unsubscribed bigint[]
-- binds: complained bigint[], deferred bigint[], blocked bigint[], unknown bigint[]
-- writes: campaign_domain
INSERT INTO campaign_domain AS r (
    project_id, campaign_id, email_domain, sent, opened, redirected, hardbounced, softbounced, unsubscribed,
    complained, deferred, blocked, unknown
)
SELECT
    e.project_id, e.campaign_id, e.email_domain, e.sent, e.opened, e.redirected, e.hardbounced,
    e.softbounced, e.unsubscribed, e.complained, e.deferred, e.blocked, e.unknown
FROM unnest(
    CAST(:project_id AS bigint[]), CAST(:campaign_id AS bigint[]), CAST(:email_domain AS text[]),
    CAST(:sent AS bigint[]), CAST(:opened AS bigint[]), CAST(:redirected AS bigint[]),
    CAST(:hardbounced AS bigint[]), CAST(:softbounced AS bigint[]), CAST(:unsubscribed AS bigint[]),
    CAST(:complained AS bigint[]), CAST(:deferred AS bigint[]), CAST(:blocked AS bigint[]),
    CAST(:unknown AS bigint[])
) AS e (
    project_id, campaign_id, email_domain, sent, opened, redirected, hardbounced, softbounced, unsubscribed,
    complained, deferred, blocked, unknown
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
    unknown = r.unknown + EXCLUDED.unknown

-- name: count_campaign_days
-- Events of campaigns by the project's day.
-- binds: project_id bigint[], campaign_id bigint[], day date[], sent bigint[], opened bigint[]
-- binds: redirected bigint[], hardbounced bigint[], softbounced bigint[], unsubscribed bigint[]
-- binds: complained bigint[], deferred bigint[], blocked bigint[], unknown bigint[]
-- writes: campaign_day
INSERT INTO campaign_day AS r (
    project_id, campaign_id, day, sent, opened, redirected, hardbounced, softbounced, unsubscribed,
    complained, deferred, blocked, unknown
)
SELECT
    e.project_id, e.campaign_id, e.day, e.sent, e.opened, e.redirected, e.hardbounced, e.softbounced,
    e.unsubscribed, e.complained, e.deferred, e.blocked, e.unknown
FROM unnest(
    CAST(:project_id AS bigint[]), CAST(:campaign_id AS bigint[]), CAST(:day AS date[]),
    CAST(:sent AS bigint[]), CAST(:opened AS bigint[]), CAST(:redirected AS bigint[]),
    CAST(:hardbounced AS bigint[]), CAST(:softbounced AS bigint[]), CAST(:unsubscribed AS bigint[]),
    CAST(:complained AS bigint[]), CAST(:deferred AS bigint[]), CAST(:blocked AS bigint[]),
    CAST(:unknown AS bigint[])
) AS e (
    project_id, campaign_id, day, sent, opened, redirected, hardbounced, softbounced, unsubscribed,
    complained, deferred, blocked, unknown
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
    unknown = r.unknown + EXCLUDED.unknown

-- name: count_campaigns
-- Events of campaigns, and how many people opened or clicked for the first time.
-- binds: project_id bigint[], campaign_id bigint[], sent bigint[], opened bigint[], redirected bigint[]
-- binds: hardbounced bigint[], softbounced bigint[], unsubscribed bigint[], complained bigint[]
-- binds: deferred bigint[], blocked bigint[], unknown bigint[], unique_opened bigint[]
-- binds: unique_redirected bigint[], last_event_at timestamptz[]
-- writes: campaign_stats
INSERT INTO campaign_stats AS r (
    project_id, campaign_id, sent, opened, redirected, hardbounced, softbounced, unsubscribed, complained,
    deferred, blocked, unknown, unique_opened, unique_redirected, last_event_at
)
SELECT
    e.project_id, e.campaign_id, e.sent, e.opened, e.redirected, e.hardbounced, e.softbounced,
    e.unsubscribed, e.complained, e.deferred, e.blocked, e.unknown, e.unique_opened, e.unique_redirected,
    e.last_event_at
FROM unnest(
    CAST(:project_id AS bigint[]), CAST(:campaign_id AS bigint[]), CAST(:sent AS bigint[]),
    CAST(:opened AS bigint[]), CAST(:redirected AS bigint[]), CAST(:hardbounced AS bigint[]),
    CAST(:softbounced AS bigint[]), CAST(:unsubscribed AS bigint[]), CAST(:complained AS bigint[]),
    CAST(:deferred AS bigint[]), CAST(:blocked AS bigint[]), CAST(:unknown AS bigint[]),
    CAST(:unique_opened AS bigint[]), CAST(:unique_redirected AS bigint[]),
    CAST(:last_event_at AS timestamptz[])
) AS e (
    project_id, campaign_id, sent, opened, redirected, hardbounced, softbounced, unsubscribed, complained,
    deferred, blocked, unknown, unique_opened, unique_redirected, last_event_at
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
    unique_opened = r.unique_opened + EXCLUDED.unique_opened,
    unique_redirected = r.unique_redirected + EXCLUDED.unique_redirected,
    last_event_at = GREATEST(r.last_event_at, EXCLUDED.last_event_at)

-- name: count_project_days
-- Events of projects by the project's day: the hottest rows come last.
-- binds: project_id bigint[], day date[], sent bigint[], opened bigint[], redirected bigint[]
-- binds: hardbounced bigint[], softbounced bigint[], unsubscribed bigint[], complained bigint[]
-- binds: deferred bigint[], blocked bigint[], unknown bigint[]
-- writes: project_day
INSERT INTO project_day AS r (
    project_id, day, sent, opened, redirected, hardbounced, softbounced, unsubscribed, complained, deferred,
    blocked, unknown
)
SELECT
    e.project_id, e.day, e.sent, e.opened, e.redirected, e.hardbounced, e.softbounced, e.unsubscribed,
    e.complained, e.deferred, e.blocked, e.unknown
FROM unnest(
    CAST(:project_id AS bigint[]), CAST(:day AS date[]), CAST(:sent AS bigint[]), CAST(:opened AS bigint[]),
    CAST(:redirected AS bigint[]), CAST(:hardbounced AS bigint[]), CAST(:softbounced AS bigint[]),
    CAST(:unsubscribed AS bigint[]), CAST(:complained AS bigint[]), CAST(:deferred AS bigint[]),
    CAST(:blocked AS bigint[]), CAST(:unknown AS bigint[])
) AS e (
    project_id, day, sent, opened, redirected, hardbounced, softbounced, unsubscribed, complained, deferred,
    blocked, unknown
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
    unknown = r.unknown + EXCLUDED.unknown
