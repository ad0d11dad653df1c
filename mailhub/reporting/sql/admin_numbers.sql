-- The numbers of all projects that admins look for trouble in: rollups, and raw rows only where no rollup knows.

-- name: numbers
-- One row per (day, project, provider) of those that are asked for; the others are NULL. Days are the projects' own,
-- since..until, half-open. By provider, or of one provider, the numbers come from project_provider_day.
-- binds: since date, until date, project_id bigint, provider text, by_day boolean, by_project boolean
-- binds: by_provider boolean
-- reads: project, project_day, project_provider_day
SELECT
    CASE WHEN CAST(:by_day AS boolean) THEN d.day END AS day,
    CASE WHEN CAST(:by_project AS boolean) THEN d.project_id END AS project_id,
    CASE WHEN CAST(:by_provider AS boolean) THEN d.provider END AS provider,
    CAST(sum(d.sent) AS bigint) AS sent,
    CAST(sum(d.opened) AS bigint) AS opened,
    CAST(sum(d.redirected) AS bigint) AS redirected,
    CAST(sum(d.hardbounced) AS bigint) AS hardbounced,
    CAST(sum(d.softbounced) AS bigint) AS softbounced,
    CAST(sum(d.unsubscribed) AS bigint) AS unsubscribed,
    CAST(sum(d.complained) AS bigint) AS complained,
    CAST(sum(d.deferred) AS bigint) AS deferred,
    CAST(sum(d.blocked) AS bigint) AS blocked,
    CAST(sum(d.unknown) AS bigint) AS unknown,
    CAST(sum(d.machine_opened) AS bigint) AS machine_opened,
    CAST(sum(d.machine_redirected) AS bigint) AS machine_redirected
FROM (
    SELECT
        a.project_id, a.day, '' AS provider, a.sent, a.opened, a.redirected, a.hardbounced, a.softbounced,
        a.unsubscribed, a.complained, a.deferred, a.blocked, a.unknown, a.machine_opened, a.machine_redirected
    FROM project AS p
    JOIN project_day AS a ON a.project_id = p.id AND a.day >= :since AND a.day < :until
    WHERE NOT CAST(:by_provider AS boolean)
        AND CAST(:provider AS text) = ''
        AND (CAST(:project_id AS bigint) = 0 OR p.id = CAST(:project_id AS bigint))
    UNION ALL
    SELECT
        b.project_id, b.day, b.provider, b.sent, b.opened, b.redirected, b.hardbounced, b.softbounced,
        b.unsubscribed, b.complained, b.deferred, b.blocked, b.unknown, b.machine_opened, b.machine_redirected
    FROM project AS p
    JOIN project_provider_day AS b ON b.project_id = p.id AND b.day >= :since AND b.day < :until
    WHERE (CAST(:by_provider AS boolean) OR CAST(:provider AS text) <> '')
        AND (CAST(:provider AS text) = '' OR b.provider = CAST(:provider AS text))
        AND (CAST(:project_id AS bigint) = 0 OR p.id = CAST(:project_id AS bigint))
) AS d
GROUP BY 1, 2, 3

-- name: numbers_projects
-- One row per project of the list: what it is called.
-- binds: ids bigint[]
-- reads: project
SELECT p.id, p.slug, p.name, p.domain, p.created_at, p.archived_at
FROM project AS p
WHERE p.id = ANY (CAST(:ids AS bigint[]))

-- name: numbers_project_list
-- One row per project by its name, a thousand at most: what a filter offers.
-- reads: project
SELECT p.id, p.slug, p.name, p.domain, p.created_at, p.archived_at
FROM project AS p
ORDER BY lower(p.name), p.id
LIMIT 1000

-- name: numbers_project_id
-- One row with the id of the project of this slug, or none.
-- binds: slug text
-- reads: project
SELECT p.id
FROM project AS p
WHERE p.slug = :slug

-- name: movers
-- One row per project with events in since..until or in the equally many days before: both sums.
-- binds: before date, since date, until date
-- reads: project, project_day
SELECT
    p.id,
    CAST(sum(d.sent) FILTER (WHERE d.day >= :since) AS bigint) AS sent,
    CAST(sum(d.hardbounced + d.softbounced + d.blocked) FILTER (WHERE d.day >= :since) AS bigint) AS bounced,
    CAST(sum(d.complained) FILTER (WHERE d.day >= :since) AS bigint) AS complained,
    CAST(sum(d.unsubscribed) FILTER (WHERE d.day >= :since) AS bigint) AS unsubscribed,
    CAST(sum(d.sent) FILTER (WHERE d.day < :since) AS bigint) AS sent_before,
    CAST(sum(d.hardbounced + d.softbounced + d.blocked) FILTER (WHERE d.day < :since) AS bigint) AS bounced_before,
    CAST(sum(d.complained) FILTER (WHERE d.day < :since) AS bigint) AS complained_before,
    CAST(sum(d.unsubscribed) FILTER (WHERE d.day < :since) AS bigint) AS unsubscribed_before
FROM project AS p
JOIN project_day AS d ON d.project_id = p.id AND d.day >= :before AND d.day < :until
GROUP BY p.id

-- name: suspect_rates
-- One row per project that has sent anything in since..until: its events there, its best day, how much it sent on
-- a usual day of the `past` days before (days on which it sent nothing are not counted), how many such days.
-- binds: since date, until date, past integer
-- reads: project, project_day
SELECT
    p.id, p.slug, p.name, p.domain, p.created_at, p.archived_at, n.sent, n.hardbounced, n.softbounced, n.blocked,
    n.complained, n.unsubscribed, n.peak, n.peak_day, coalesce(o.days, 0) AS past_days,
    coalesce(o.sent, 0) AS past_sent
FROM project AS p
JOIN LATERAL (
    SELECT
        CAST(sum(d.sent) AS bigint) AS sent,
        CAST(sum(d.hardbounced) AS bigint) AS hardbounced,
        CAST(sum(d.softbounced) AS bigint) AS softbounced,
        CAST(sum(d.blocked) AS bigint) AS blocked,
        CAST(sum(d.complained) AS bigint) AS complained,
        CAST(sum(d.unsubscribed) AS bigint) AS unsubscribed,
        max(d.sent) AS peak,
        (array_agg(d.day ORDER BY d.sent DESC, d.day))[1] AS peak_day
    FROM project_day AS d
    WHERE d.project_id = p.id AND d.day >= :since AND d.day < :until
) AS n ON n.sent + n.hardbounced + n.softbounced + n.blocked > 0
LEFT JOIN LATERAL (
    SELECT count(d.day) AS days, CAST(sum(d.sent) AS bigint) AS sent
    FROM project_day AS d
    WHERE d.project_id = p.id AND d.sent > 0
        AND d.day >= CAST(:since AS date) - CAST(:past AS integer) AND d.day < :since
) AS o ON true

-- name: suspect_blocked
-- One row per project and provider: letters that it took and letters that it refused because of the sender.
-- binds: since date, until date, least bigint
-- reads: project, project_provider_day
SELECT
    p.id, d.provider, CAST(sum(d.sent) AS bigint) AS sent, CAST(sum(d.blocked) AS bigint) AS blocked,
    CAST(sum(d.hardbounced + d.softbounced) AS bigint) AS bounced
FROM project AS p
JOIN project_provider_day AS d ON d.project_id = p.id AND d.day >= :since AND d.day < :until
GROUP BY p.id, d.provider
HAVING sum(d.blocked) > 0 AND sum(d.sent + d.blocked + d.hardbounced + d.softbounced) >= CAST(:least AS bigint)

-- name: suspect_campaigns
-- One row per project of the list: of its campaigns in these days the one with most letters that came back or were
-- complained about.
-- binds: ids bigint[], since date, until date
-- reads: campaign_day, campaign
SELECT DISTINCT ON (d.project_id)
    d.project_id, d.campaign_id, c.name,
    CAST(sum(d.sent) AS bigint) AS sent,
    CAST(sum(d.hardbounced + d.softbounced + d.blocked) AS bigint) AS bounced,
    CAST(sum(d.complained) AS bigint) AS complained,
    CAST(sum(d.unsubscribed) AS bigint) AS unsubscribed
FROM campaign_day AS d
JOIN campaign AS c ON c.project_id = d.project_id AND c.id = d.campaign_id
WHERE d.project_id = ANY (CAST(:ids AS bigint[])) AND d.day >= :since AND d.day < :until
GROUP BY d.project_id, d.campaign_id, c.name
HAVING sum(d.hardbounced + d.softbounced + d.blocked + d.complained + d.unsubscribed) > 0
ORDER BY d.project_id, sum(d.hardbounced + d.softbounced + d.blocked + 10 * d.complained) DESC, d.campaign_id DESC

-- name: suspect_unknown
-- One row per project of the list: campaign letters of these days that failed because there is no such mailbox.
-- Raw rows by an index: those of failed letters of the campaigns that did anything in these days.
-- binds: ids bigint[], since date, until date, since_at timestamptz
-- reads: campaign_day, message
SELECT c.project_id, CAST(sum(m.n) AS bigint) AS unknown_users
FROM (
    SELECT DISTINCT d.project_id, d.campaign_id
    FROM campaign_day AS d
    WHERE d.project_id = ANY (CAST(:ids AS bigint[])) AND d.day >= :since AND d.day < :until AND d.hardbounced > 0
) AS c
CROSS JOIN LATERAL (
    SELECT count(l.id) AS n
    FROM message AS l
    WHERE l.project_id = c.project_id AND l.campaign_id = c.campaign_id AND l.state = 'failed'
        AND l.reason = 'userunknown' AND l.created_at >= :since_at
) AS m
GROUP BY c.project_id

-- name: suspect_twins
-- One row per project that is younger than `young_at` and has sent the same letter as another such project: how many
-- others, one of its campaigns with it, and the others' ids. Letters are compared without space, in lower case and
-- without the project's own domain and name.
-- binds: young_at timestamptz, since_at timestamptz
-- reads: project, campaign, campaign_version
WITH sent AS (
    SELECT
        v.project_id, c.id AS campaign_id, c.name,
        md5(regexp_replace(
            replace(replace(lower(v.html || v.text), lower(v.project_domain), ''), lower(v.project_name), ''),
            '\s+', '', 'g'
        )) AS content
    FROM project AS p
    JOIN campaign AS c ON c.project_id = p.id AND c.started_at >= :since_at
    JOIN campaign_version AS v ON v.project_id = c.project_id AND v.campaign_id = c.id AND v.version = c.version
    WHERE p.created_at >= :young_at AND length(v.html || v.text) >= 40
), shared AS (
    SELECT s.content, array_agg(DISTINCT s.project_id) AS ids
    FROM sent AS s
    GROUP BY s.content
    HAVING count(DISTINCT s.project_id) > 1
)
SELECT DISTINCT ON (s.project_id)
    s.project_id, s.campaign_id, s.name, s.content, array_remove(h.ids, s.project_id) AS others
FROM sent AS s
JOIN shared AS h ON h.content = s.content
ORDER BY s.project_id, array_length(h.ids, 1) DESC, s.campaign_id DESC
