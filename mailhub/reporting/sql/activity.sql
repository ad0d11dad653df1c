-- What is known of everybody's latest activity (subscriber_activity): followed by positions, some seconds behind.
-- Writers of many rows hold one advisory lock, so the rows need no order: with sorting switched off (events are to be
-- read along their index) an order would make the planner walk through all people for it.

-- name: activity_projects
-- One row per project with events behind its place, below the horizon; `most` at most.
-- binds: most integer
-- reads: project, activity_place, message_event
-- measured: 0.9 ms for 20 projects, 14 partitions
SELECT p.id AS project_id
FROM project AS p
LEFT JOIN activity_place AS a ON a.project_id = p.id
WHERE EXISTS (
    SELECT FROM message_event AS e
    WHERE e.project_id = p.id
        AND (e.position, e.id) > (coalesce(a.position, 0), coalesce(a.id, 0))
        AND e.position < feed_horizon()
)
ORDER BY p.id
LIMIT :most

-- name: activity_place_of
-- One row where the project has a place.
-- binds: project_id bigint
-- reads: activity_place
SELECT a.position, a.id FROM activity_place AS a WHERE a.project_id = :project_id FOR UPDATE

-- name: follow_letters
-- Takes up a project's next events behind a place: people who were sent a campaign's letter. One row: how many events
-- were looked at, how many people were written to. The place moves in the same statement, so that each counts once.
-- binds: project_id bigint, position bigint, id bigint, most integer
-- A person who has been merged with another since is the other one.
-- reads: message_event, subscriber, subscriber_merge, project
-- writes: subscriber_activity, activity_place
WITH next AS MATERIALIZED (
    SELECT e.position, e.id, e.type, e.kind, e.at, e.subscriber_id
    FROM message_event AS e
    WHERE e.project_id = :project_id
        AND (e.position, e.id) > (CAST(:position AS bigint), CAST(:id AS bigint))
        AND e.position < feed_horizon()
    ORDER BY e.position, e.id
    LIMIT :most
),
moved AS (
    INSERT INTO activity_place (project_id, position, id)
    SELECT p.id, n.position, n.id FROM next AS n JOIN project AS p ON p.id = :project_id
    ORDER BY n.position DESC, n.id DESC LIMIT 1
    ON CONFLICT (project_id) DO UPDATE SET position = EXCLUDED.position, id = EXCLUDED.id
),
written AS (
    INSERT INTO subscriber_activity AS a (project_id, subscriber_id, sent, last_sent_at)
    SELECT :project_id, s.id, count(*), max(n.at)
    FROM next AS n
    LEFT JOIN subscriber_merge AS g ON g.project_id = :project_id AND g.gone_id = n.subscriber_id
    JOIN subscriber AS s ON s.project_id = :project_id AND s.id = coalesce(g.subscriber_id, n.subscriber_id)
    WHERE n.type = 'SENT' AND n.kind = 'campaign'
    GROUP BY s.id
    ON CONFLICT (project_id, subscriber_id) DO UPDATE SET
        sent = a.sent + EXCLUDED.sent, last_sent_at = greatest(a.last_sent_at, EXCLUDED.last_sent_at)
    RETURNING a.subscriber_id
)
SELECT (SELECT count(*) FROM next) AS events, (SELECT count(*) FROM written) AS people

-- name: follow_reactions
-- Takes up the next opens and clicks behind a place and up to the classifier's: those by people. One row: how many hits
-- were looked at and the last one's place; nulls where there was none.
-- binds: position bigint, id bigint, classifier text, most integer
-- reads: message_event, feed_cursor, subscriber, subscriber_merge
-- writes: subscriber_activity
WITH next AS MATERIALIZED (
    SELECT e.project_id, e.position, e.id, e.type, e.kind, e.at, e.subscriber_id, e.actor
    FROM message_event AS e
    WHERE e.type IN ('OPENED', 'REDIRECTED')
        AND (e.position, e.id) > (CAST(:position AS bigint), CAST(:id AS bigint))
        AND (e.position, e.id) <= (
            (SELECT c.position FROM feed_cursor AS c WHERE c.name = :classifier),
            (SELECT c.id FROM feed_cursor AS c WHERE c.name = :classifier)
        )
    ORDER BY e.position, e.id
    LIMIT :most
),
written AS (
    INSERT INTO subscriber_activity AS a (project_id, subscriber_id, last_opened_at, last_redirected_at)
    SELECT
        s.project_id, s.id,
        max(n.at) FILTER (WHERE n.type = 'OPENED'), max(n.at) FILTER (WHERE n.type = 'REDIRECTED')
    FROM next AS n
    LEFT JOIN subscriber_merge AS g ON g.project_id = n.project_id AND g.gone_id = n.subscriber_id
    JOIN subscriber AS s ON s.project_id = n.project_id AND s.id = coalesce(g.subscriber_id, n.subscriber_id)
    WHERE n.kind = 'campaign' AND n.actor IN ('human', 'proxy_open', 'unknown')
    GROUP BY s.project_id, s.id
    ON CONFLICT (project_id, subscriber_id) DO UPDATE SET
        last_opened_at = greatest(a.last_opened_at, EXCLUDED.last_opened_at),
        last_redirected_at = greatest(a.last_redirected_at, EXCLUDED.last_redirected_at)
)
SELECT
    (SELECT count(*) FROM next) AS hits, last.position, last.id
FROM (SELECT 1) AS one (n)
LEFT JOIN (SELECT n.position, n.id FROM next AS n ORDER BY n.position DESC, n.id DESC LIMIT 1) AS last ON true

-- name: recount_reactions
-- Sets people's latest open and click anew after hits were judged again: from the hits that are kept, or else from
-- their first reactions to campaigns, which stay for ever. Hits of whoever was merged with a person are that person's.
-- binds: project_id bigint[], subscriber_id bigint[]
-- reads: message_event, campaign_reaction, subscriber_merge
-- writes: subscriber_activity
UPDATE subscriber_activity AS a SET
    last_opened_at = coalesce(hit.opened_at, (
        SELECT max(r.first_opened_at) FROM campaign_reaction AS r
        JOIN campaign AS c ON c.project_id = r.project_id AND c.id = r.campaign_id
        WHERE r.project_id = k.project_id AND r.subscriber_id = ANY (k.ids) AND r.opened > r.machine_opened
    )),
    last_redirected_at = coalesce(hit.redirected_at, (
        SELECT max(r.first_redirected_at) FROM campaign_reaction AS r
        JOIN campaign AS c ON c.project_id = r.project_id AND c.id = r.campaign_id
        WHERE r.project_id = k.project_id AND r.subscriber_id = ANY (k.ids)
            AND r.redirected > r.machine_redirected
    ))
FROM (
    SELECT w.project_id, w.subscriber_id, ARRAY(
        SELECT w.subscriber_id
        UNION ALL
        SELECT g.gone_id FROM subscriber_merge AS g
        WHERE g.project_id = w.project_id AND g.subscriber_id = w.subscriber_id
    ) AS ids
    FROM (
        SELECT DISTINCT u.project_id, coalesce(g.subscriber_id, u.subscriber_id) AS subscriber_id
        FROM unnest(CAST(:project_id AS bigint[]), CAST(:subscriber_id AS bigint[])) AS u (project_id, subscriber_id)
        LEFT JOIN subscriber_merge AS g ON g.project_id = u.project_id AND g.gone_id = u.subscriber_id
    ) AS w
) AS k
CROSS JOIN LATERAL (
    SELECT
        max(e.at) FILTER (WHERE e.type = 'OPENED') AS opened_at,
        max(e.at) FILTER (WHERE e.type = 'REDIRECTED') AS redirected_at
    FROM message_event AS e
    WHERE e.project_id = k.project_id AND e.subscriber_id = ANY (k.ids)
        AND e.type IN ('OPENED', 'REDIRECTED') AND e.kind = 'campaign'
        AND e.actor IN ('human', 'proxy_open', 'unknown')
) AS hit
WHERE a.project_id = k.project_id AND a.subscriber_id = k.subscriber_id

-- name: rebuild_activity
-- Counts a project's activity anew from the events that are kept, and sets its place behind them. What raw events no
-- longer tell stays as it was known: `sent` is never lowered. One row: how many people have a row now by it.
-- binds: project_id bigint
-- reads: message_event, subscriber, subscriber_merge
-- writes: subscriber_activity, activity_place
-- measured: see docs/benchmarks.md
WITH last AS MATERIALIZED (
    SELECT e.position, e.id
    FROM message_event AS e
    WHERE e.project_id = :project_id AND e.position < feed_horizon()
    ORDER BY e.position DESC, e.id DESC
    LIMIT 1
),
moved AS (
    INSERT INTO activity_place (project_id, position, id)
    SELECT :project_id, l.position, l.id FROM last AS l
    ON CONFLICT (project_id) DO UPDATE SET position = EXCLUDED.position, id = EXCLUDED.id
),
known AS (
    SELECT
        coalesce(g.subscriber_id, e.subscriber_id) AS subscriber_id,
        count(*) FILTER (WHERE e.type = 'SENT') AS sent,
        max(e.at) FILTER (WHERE e.type = 'SENT') AS sent_at,
        max(e.at) FILTER (WHERE e.type = 'OPENED' AND e.actor IN ('human', 'proxy_open', 'unknown')) AS opened_at,
        max(e.at) FILTER (WHERE e.type = 'REDIRECTED' AND e.actor IN ('human', 'proxy_open', 'unknown')) AS clicked_at
    FROM message_event AS e
    JOIN last AS l ON (e.position, e.id) <= (l.position, l.id)
    LEFT JOIN subscriber_merge AS g ON g.project_id = :project_id AND g.gone_id = e.subscriber_id
    WHERE e.project_id = :project_id AND e.kind = 'campaign' AND e.type IN ('SENT', 'OPENED', 'REDIRECTED')
    GROUP BY 1
),
written AS (
    INSERT INTO subscriber_activity AS a (
        project_id, subscriber_id, sent, last_sent_at, last_opened_at, last_redirected_at
    )
    SELECT :project_id, k.subscriber_id, k.sent, k.sent_at, k.opened_at, k.clicked_at
    FROM known AS k
    JOIN subscriber AS s ON s.project_id = :project_id AND s.id = k.subscriber_id
    WHERE coalesce(k.sent_at, k.opened_at, k.clicked_at) IS NOT NULL
    ON CONFLICT (project_id, subscriber_id) DO UPDATE SET
        sent = greatest(a.sent, EXCLUDED.sent),
        last_sent_at = greatest(a.last_sent_at, EXCLUDED.last_sent_at),
        last_opened_at = coalesce(EXCLUDED.last_opened_at, a.last_opened_at),
        last_redirected_at = coalesce(EXCLUDED.last_redirected_at, a.last_redirected_at)
    RETURNING a.subscriber_id
)
SELECT count(*) AS people FROM written

-- name: join_activity
-- One person's activity becomes another's: the sum of the letters, the latest of each moment.
-- binds: project_id bigint, winner_id bigint, loser_id bigint
-- reads: subscriber_activity
-- writes: subscriber_activity
WITH gone AS (
    DELETE FROM subscriber_activity WHERE project_id = :project_id AND subscriber_id = :loser_id
    RETURNING project_id, sent, last_sent_at, last_opened_at, last_redirected_at
)
INSERT INTO subscriber_activity AS a (
    project_id, subscriber_id, sent, last_sent_at, last_opened_at, last_redirected_at
)
SELECT g.project_id, :winner_id, g.sent, g.last_sent_at, g.last_opened_at, g.last_redirected_at FROM gone AS g
ON CONFLICT (project_id, subscriber_id) DO UPDATE SET
    sent = a.sent + EXCLUDED.sent,
    last_sent_at = greatest(a.last_sent_at, EXCLUDED.last_sent_at),
    last_opened_at = greatest(a.last_opened_at, EXCLUDED.last_opened_at),
    last_redirected_at = greatest(a.last_redirected_at, EXCLUDED.last_redirected_at)

-- name: activity_as_of
-- One row: the moment up to which a project's activity is complete. Hits come after a minute, when it is known who made
-- them.
-- binds: project_id bigint, reader text
-- reads: message_event, activity_place, feed_cursor
SELECT least(
    clock_timestamp(),
    (
        SELECT e.at FROM message_event AS e
        WHERE e.project_id = :project_id
            AND (e.position, e.id) > (
                coalesce((SELECT a.position FROM activity_place AS a WHERE a.project_id = :project_id), 0),
                coalesce((SELECT a.id FROM activity_place AS a WHERE a.project_id = :project_id), 0)
            )
        ORDER BY e.position, e.id LIMIT 1
    ),
    (
        SELECT e.at FROM message_event AS e
        WHERE e.type IN ('OPENED', 'REDIRECTED')
            AND (e.position, e.id) > (
                coalesce((SELECT c.position FROM feed_cursor AS c WHERE c.name = :reader), 0),
                coalesce((SELECT c.id FROM feed_cursor AS c WHERE c.name = :reader), 0)
            )
        ORDER BY e.position, e.id LIMIT 1
    )
) AS as_of

-- name: count_bands
-- How many people of a project are in each band of engagement: active people by band (list 0), and by list and band
-- those who are subscribed to it. The moments are now less the bands' days (segments/engagement.py).
-- binds: project_id bigint, new_at timestamptz, active_at timestamptz, warm_at timestamptz, cooling_at timestamptz
-- binds: letters integer
-- reads: subscriber, subscriber_activity, subscription
-- measured: see docs/benchmarks.md
WITH person AS MATERIALIZED (
    SELECT
        s.id, s.status,
        CASE
            WHEN s.created_at > :new_at THEN 'new'
            WHEN greatest(a.last_opened_at, a.last_redirected_at) > :active_at THEN 'active'
            WHEN greatest(a.last_opened_at, a.last_redirected_at) > :warm_at THEN 'warm'
            WHEN greatest(a.last_opened_at, a.last_redirected_at) > :cooling_at THEN 'cooling'
            WHEN greatest(a.last_opened_at, a.last_redirected_at) IS NOT NULL THEN 'asleep'
            WHEN a.sent >= :letters THEN 'never'
            ELSE 'unknown'
        END AS band
    FROM subscriber AS s
    LEFT JOIN subscriber_activity AS a ON a.project_id = s.project_id AND a.subscriber_id = s.id
    WHERE s.project_id = :project_id
)
SELECT CAST(0 AS bigint) AS list_id, p.band, count(*) AS n
FROM person AS p
WHERE p.status = 'active'
GROUP BY p.band
UNION ALL
SELECT l.list_id, p.band, count(*) AS n
FROM subscription AS l
JOIN person AS p ON p.id = l.subscriber_id
WHERE l.project_id = :project_id AND l.status = 'subscribed'
GROUP BY l.list_id, p.band
