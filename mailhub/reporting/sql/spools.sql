-- What hits stand for, a batch at a time; how much of a spool is stored; links for the local copy.

-- name: campaigns_of_hits
-- One row per campaign that is there: the present names of its project's domain, of itself, and of the list that its
-- last version was written to; the project's mode of tracking.
-- binds: project_id bigint[], campaign_id bigint[]
-- reads: campaign, project, campaign_version, mailing_list
SELECT
    c.project_id, c.id, p.domain, c.name AS campaign_name, v.list_id, coalesce(l.name, v.list_name, '') AS list_name,
    p.tracking
FROM unnest(CAST(:project_id AS bigint[]), CAST(:campaign_id AS bigint[])) AS k (project_id, campaign_id)
JOIN campaign AS c ON c.project_id = k.project_id AND c.id = k.campaign_id
JOIN project AS p ON p.id = c.project_id
LEFT JOIN campaign_version AS v ON v.project_id = c.project_id AND v.campaign_id = c.id AND v.version = c.version
LEFT JOIN mailing_list AS l ON l.project_id = v.project_id AND l.id = v.list_id

-- name: people_of_hits
-- One row per person of a campaign who is still known, with the strictest mode of tracking that holds for them now:
-- of the project, their own, and of the lists that the campaign was written to and that they are or were in. Whoever was
-- merged with another person is that one: `id`.
-- binds: project_id bigint[], campaign_id bigint[], subscriber_id bigint[]
-- reads: subscriber, subscriber_merge, project, campaign_list, mailing_list, subscription
-- measured: 4 ms for 1,000 people of 100,000
SELECT
    s.project_id, k.campaign_id, k.subscriber_id, s.email, s.email_domain,
    CASE
        WHEN 'off' IN (p.tracking, s.tracking) OR 'off' = ANY (l.modes) THEN 'off'
        WHEN 'aggregate' IN (p.tracking, s.tracking) OR l.modes IS NOT NULL THEN 'aggregate'
        ELSE 'full'
    END AS tracking,
    s.id
FROM unnest(
    CAST(:project_id AS bigint[]), CAST(:campaign_id AS bigint[]), CAST(:subscriber_id AS bigint[])
) AS k (project_id, campaign_id, subscriber_id)
LEFT JOIN subscriber_merge AS g ON g.project_id = k.project_id AND g.gone_id = k.subscriber_id
JOIN subscriber AS s ON s.project_id = k.project_id AND s.id = coalesce(g.subscriber_id, k.subscriber_id)
JOIN project AS p ON p.id = k.project_id
CROSS JOIN LATERAL (
    SELECT array_agg(m.tracking) AS modes
    FROM campaign_list AS c
    JOIN mailing_list AS m ON m.project_id = c.project_id AND m.id = c.list_id AND m.tracking <> 'full'
    JOIN subscription AS b
        ON b.project_id = c.project_id AND b.list_id = c.list_id AND b.subscriber_id = s.id
    WHERE c.project_id = k.project_id AND c.campaign_id = k.campaign_id AND c.side = 'include'
) AS l

-- name: letters_of_hits
-- One row per single letter whose row retention has not dropped, with the stricter mode of tracking of its project and
-- of the person with its address. A letter's own time is near its row's; the first and
-- the last time of all of them are what leaves partitions out.
-- binds: project_id bigint[], message_id uuid[], since timestamptz[], until timestamptz[]
-- binds: first timestamptz, last timestamptz
-- reads: message, project, subscriber
SELECT
    m.project_id, m.id, m.kind, m.project_domain, m.campaign_id, m.campaign_name, m.list_id, m.list_name,
    m.subscriber_id, m.email, m.email_domain,
    CASE
        WHEN 'off' IN (p.tracking, s.tracking) THEN 'off'
        WHEN 'aggregate' IN (p.tracking, s.tracking) THEN 'aggregate'
        ELSE 'full'
    END AS tracking
FROM unnest(
    CAST(:project_id AS bigint[]), CAST(:message_id AS uuid[]), CAST(:since AS timestamptz[]),
    CAST(:until AS timestamptz[])
) AS k (project_id, message_id, since, until)
JOIN message AS m
    ON m.project_id = k.project_id AND m.id = k.message_id AND m.created_at BETWEEN k.since AND k.until
JOIN project AS p ON p.id = m.project_id
LEFT JOIN subscriber AS s ON s.project_id = m.project_id AND s.email_key = lower(m.email)
WHERE m.created_at BETWEEN :first AND :last

-- name: domains_of_projects
-- One row per project that is there, with its mode of tracking.
-- binds: project_id bigint[]
-- reads: project
SELECT p.id, p.domain, p.tracking
FROM project AS p
WHERE p.id = ANY (CAST(:project_id AS bigint[]))

-- name: begin_spool
-- No row. A spool that is met for the first time has nothing stored.
-- binds: name text
-- writes: hit_spool
INSERT INTO hit_spool (name) VALUES (:name) ON CONFLICT (name) DO NOTHING

-- name: lock_spool
-- One row: how many bytes of the spool are events. Locked until the transaction ends: one batch of it at a time.
-- binds: name text
-- reads: hit_spool
SELECT stored_bytes FROM hit_spool WHERE name = :name FOR UPDATE

-- name: move_spool
-- No row. In the transaction that stores the events.
-- binds: name text, stored_bytes bigint
-- writes: hit_spool
UPDATE hit_spool SET stored_bytes = :stored_bytes, updated_at = now() WHERE name = :name

-- name: forget_spools
-- No row. The rows of files that are gone stay for a while: a folder that comes back from a backup is not stored again.
-- binds: before timestamptz, names text[]
-- writes: hit_spool
DELETE FROM hit_spool WHERE updated_at < :before AND name <> ALL (CAST(:names AS text[]))

-- name: spools
-- One row per spool of those named that has been met: how many bytes of it are events.
-- binds: names text[]
-- reads: hit_spool
SELECT name, stored_bytes FROM hit_spool WHERE name = ANY (CAST(:names AS text[]))

-- name: link_source
-- One row: which database this is, and the URL of the link that a copy ends with, if it is still where it was.
-- binds: position bigint, id bigint
-- reads: project, link
SELECT
    concat_ws(' ',
        current_database(),
        (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()),
        (SELECT extract(epoch FROM p.created_at) FROM project AS p ORDER BY p.id LIMIT 1)
    ) AS source,
    (SELECT l.url FROM link AS l WHERE l.feed_position = :position AND l.id = :id) AS last_url

-- name: links_after
-- One row per link behind a place, in the order of the places; none that a running transaction could come before.
-- binds: position bigint, id bigint, most integer
-- reads: link
-- measured: 6 ms for 5,000 rows
SELECT l.feed_position, l.id, l.project_id, l.url
FROM link AS l
WHERE (l.feed_position, l.id) > (:position, :id) AND l.feed_position < feed_horizon()
ORDER BY l.feed_position, l.id
LIMIT :most

-- name: project_ids
-- One row per project.
-- reads: project
SELECT id FROM project
