-- Opens and clicks with what lies around them: what tells people from machines (mail/classify.py, events/classifier.py).
-- Every statement goes by an index and by a range of time, so that old partitions are not touched.

-- name: place_of
-- The place of a reader in the events, locked until the transaction ends, and the database's clock.
-- binds: reader text
-- reads: feed_cursor
SELECT c.position, c.id, clock_timestamp() AS now
FROM feed_cursor AS c
WHERE c.name = :reader
FOR UPDATE

-- name: begin_place
-- Makes the place of a reader that has none; at the beginning, unless something else is given.
-- binds: reader text, position bigint, id bigint
-- writes: feed_cursor
INSERT INTO feed_cursor (name, position, id)
VALUES (:reader, :position, :id)
ON CONFLICT (name) DO NOTHING

-- name: move_place
-- Moves a reader's place on.
-- binds: reader text, position bigint, id bigint
-- writes: feed_cursor
UPDATE feed_cursor SET position = :position, id = :id, updated_at = clock_timestamp() WHERE name = :reader

-- name: forget_place
-- Takes a reader's place away: it has come to its end.
-- binds: reader text
-- writes: feed_cursor
DELETE FROM feed_cursor WHERE name = :reader

-- name: next_hits
-- One row per hit behind a place, in order, of transactions that have all ended.
-- binds: position bigint, id bigint, most integer
-- reads: message_event
-- measured: 9 ms for 2,000 of 100,000, 0.3 ms where there is none
SELECT
    e.project_id, e.position, e.id, e.at, e.type, e.message_id, e.campaign_id, e.subscriber_id, e.email_domain,
    host(e.ip) AS ip, e.user_agent, e.detail, e.actor, e.actor_cause
FROM message_event AS e
WHERE e.type IN ('OPENED', 'REDIRECTED')
    AND (e.position, e.id) > (:position, :id)
    AND e.position < feed_horizon()
ORDER BY e.position, e.id
LIMIT :most

-- name: kept_hits
-- One row per hit since a moment, of one project or of all (0), behind a place and up to another, in order.
-- binds: position bigint, id bigint, last_position bigint, last_id bigint, since timestamptz, project_id bigint
-- binds: most integer
-- reads: message_event
SELECT
    e.project_id, e.position, e.id, e.at, e.type, e.message_id, e.campaign_id, e.subscriber_id, e.email_domain,
    host(e.ip) AS ip, e.user_agent, e.detail, e.actor, e.actor_cause
FROM message_event AS e
WHERE e.type IN ('OPENED', 'REDIRECTED')
    AND e.at >= :since
    AND (e.project_id = :project_id OR :project_id = 0)
    AND (e.position, e.id) > (:position, :id)
    AND (e.position, e.id) <= (:last_position, :last_id)
ORDER BY e.position, e.id
LIMIT :most

-- name: overdue_hit
-- The moment of the first hit behind a reader's place, if its task is not paused; no row where there is none.
-- binds: reader text, task text
-- reads: message_event, feed_cursor, periodic_run
SELECT e.at, clock_timestamp() AS now
FROM message_event AS e
WHERE e.type IN ('OPENED', 'REDIRECTED')
    AND (e.position, e.id) > (
        coalesce((SELECT c.position FROM feed_cursor AS c WHERE c.name = :reader), 0),
        coalesce((SELECT c.id FROM feed_cursor AS c WHERE c.name = :reader), 0)
    )
    AND e.position < feed_horizon()
    AND NOT EXISTS (SELECT FROM periodic_run AS p WHERE p.name = :task AND p.paused)
ORDER BY e.position, e.id
LIMIT 1

-- name: around_letters_of_people
-- One row per delivery and click of a campaign's letter in its range; `n` is the letter's place in the arrays.
-- `first` and `last` hold all the ranges.
-- binds: project_id bigint[], campaign_id bigint[], subscriber_id bigint[], since timestamptz[], until timestamptz[]
-- binds: first timestamptz, last timestamptz
-- reads: message_event
SELECT l.n, e.type, e.at, e.link_id, host(e.ip) AS ip
FROM unnest(
    CAST(:project_id AS bigint[]), CAST(:campaign_id AS bigint[]), CAST(:subscriber_id AS bigint[]),
    CAST(:since AS timestamptz[]), CAST(:until AS timestamptz[])
) WITH ORDINALITY AS l (project_id, campaign_id, subscriber_id, since, until, n)
CROSS JOIN LATERAL (
    SELECT h.type, h.at, h.link_id, h.ip
    FROM message_event AS h
    WHERE h.project_id = l.project_id
        AND h.subscriber_id = l.subscriber_id
        AND h.at BETWEEN l.since AND l.until
        AND h.at BETWEEN :first AND :last
        AND h.campaign_id = l.campaign_id
        AND h.type IN ('SENT', 'REDIRECTED')
    LIMIT 500
) AS e

-- name: around_single_letters
-- One row per delivery and click of a single letter in its range; `n` is the letter's place in the arrays.
-- binds: project_id bigint[], message_id uuid[], since timestamptz[], until timestamptz[]
-- binds: first timestamptz, last timestamptz
-- reads: message_event
SELECT l.n, e.type, e.at, e.link_id, host(e.ip) AS ip
FROM unnest(
    CAST(:project_id AS bigint[]), CAST(:message_id AS uuid[]),
    CAST(:since AS timestamptz[]), CAST(:until AS timestamptz[])
) WITH ORDINALITY AS l (project_id, message_id, since, until, n)
CROSS JOIN LATERAL (
    SELECT h.type, h.at, h.link_id, h.ip
    FROM message_event AS h
    WHERE h.project_id = l.project_id
        AND h.message_id = l.message_id
        AND h.at BETWEEN l.since AND l.until
        AND h.at BETWEEN :first AND :last
        AND h.type IN ('SENT', 'REDIRECTED')
    LIMIT 500
) AS e

-- name: links_of_campaigns
-- One row per campaign that has links, with how many.
-- binds: project_id bigint[], campaign_id bigint[]
-- reads: link
SELECT k.project_id, k.campaign_id, count(*) AS links
FROM unnest(CAST(:project_id AS bigint[]), CAST(:campaign_id AS bigint[])) AS k (project_id, campaign_id)
JOIN link AS l ON l.project_id = k.project_id AND l.campaign_id = k.campaign_id
GROUP BY k.project_id, k.campaign_id

-- name: clicks_of_addresses
-- One row per click of an address in its range, oldest first, `most` at most; `n` is the address's place in the arrays,
-- `who` tells people apart.
-- binds: project_id bigint[], ip inet[], since timestamptz[], until timestamptz[]
-- binds: first timestamptz, last timestamptz, most integer
-- reads: message_event
SELECT a.n, e.at, e.email_domain, e.who
FROM unnest(
    CAST(:project_id AS bigint[]), CAST(:ip AS inet[]), CAST(:since AS timestamptz[]), CAST(:until AS timestamptz[])
) WITH ORDINALITY AS a (project_id, ip, since, until, n)
CROSS JOIN LATERAL (
    SELECT h.at, h.email_domain, coalesce(CAST(h.subscriber_id AS text), h.email) AS who
    FROM message_event AS h
    WHERE h.type = 'REDIRECTED'
        AND h.ip = a.ip
        AND h.project_id = a.project_id
        AND h.at BETWEEN a.since AND a.until
        AND h.at BETWEEN :first AND :last
    ORDER BY h.at
    LIMIT :most
) AS e

-- name: taints_of
-- One row per address and program that was a scanner for this reader; `n` is its place in the arrays.
-- binds: reader text, project_id bigint[], ip inet[], agent uuid[]
-- reads: hit_taint
SELECT k.n, t.since_at, t.until_at, t.caught_at
FROM unnest(CAST(:project_id AS bigint[]), CAST(:ip AS inet[]), CAST(:agent AS uuid[]))
    WITH ORDINALITY AS k (project_id, ip, agent, n)
JOIN hit_taint AS t
    ON t.reader = :reader AND t.project_id = k.project_id AND t.ip = k.ip AND t.agent = k.agent

-- name: remember_taints
-- Sets what is remembered of addresses and programs. Those of projects that are gone are left out.
-- binds: reader text, project_id bigint[], ip inet[], agent uuid[]
-- binds: since_at timestamptz[], until_at timestamptz[], caught_at timestamptz[]
-- writes: hit_taint
INSERT INTO hit_taint (reader, project_id, ip, agent, since_at, until_at, caught_at)
SELECT :reader, t.project_id, t.ip, t.agent, t.since_at, t.until_at, t.caught_at
FROM unnest(
    CAST(:project_id AS bigint[]), CAST(:ip AS inet[]), CAST(:agent AS uuid[]),
    CAST(:since_at AS timestamptz[]), CAST(:until_at AS timestamptz[]), CAST(:caught_at AS timestamptz[])
) AS t (project_id, ip, agent, since_at, until_at, caught_at)
JOIN project AS p ON p.id = t.project_id
ON CONFLICT (reader, project_id, ip, agent) DO UPDATE SET
    since_at = EXCLUDED.since_at, until_at = EXCLUDED.until_at, caught_at = EXCLUDED.caught_at

-- name: forget_taints
-- Takes away what a reader remembers of addresses and programs, up to a moment.
-- binds: reader text, until_at timestamptz
-- writes: hit_taint
DELETE FROM hit_taint WHERE reader = :reader AND until_at < :until_at
