-- What stands around the events: people, lists, letters.

-- name: people
-- A project's people, with the addresses that the events have.
-- binds: project_id bigint
-- reads: history.plan
-- writes: subscriber
INSERT INTO subscriber (project_id, id, email, email_key, email_domain, name, created_at, updated_at)
SELECT
    q.project_id, g.id, history.address(g.id, hashint8extended(g.id, 7)),
    history.address(g.id, hashint8extended(g.id, 7)), history.domain(hashint8extended(g.id, 7)), '',
    q.since + (hashint8extended(g.id, 8) & 1048575) / 1048576.0 * (q.until - q.since),
    q.until
FROM (
    SELECT p.project_id, p.first_subscriber, p.population, o.created_at AS since, max(p.started_at) AS until
    FROM history.plan AS p
    JOIN project AS o ON o.id = p.project_id
    WHERE p.project_id = :project_id
    GROUP BY p.project_id, p.first_subscriber, p.population, o.created_at
) AS q
CROSS JOIN LATERAL generate_series(q.first_subscriber, q.first_subscriber + q.population - 1) AS g (id)

-- name: subscriptions
-- Every person is in one of the project's two lists; one in twenty has left it.
-- binds: project_id bigint
-- reads: subscriber
-- writes: subscription
INSERT INTO subscription (project_id, list_id, subscriber_id, status, source, created_at, unsubscribed_at)
SELECT
    s.project_id, s.project_id * 2 - (s.id & 1), s.id,
    CASE WHEN (hashint8extended(s.id, 9) & 127) < 6 THEN 'unsubscribed' ELSE 'subscribed' END, 'import', s.created_at,
    CASE WHEN (hashint8extended(s.id, 9) & 127) < 6
        THEN s.created_at + ((hashint8extended(s.id, 9) >> 8) & 65535) / 65536.0 * (s.updated_at - s.created_at) END
FROM subscriber AS s
WHERE s.project_id = :project_id

-- name: letters
-- The settled letters of everything that was sent since a moment, and all that were not taken, as rows of message.
-- binds: since timestamptz, until timestamptz
-- reads: history.plan
-- writes: message
INSERT INTO message (
    project_id, created_at, id, kind, queue, state, reason, project_domain, campaign_id, campaign_name, list_id, list_name,
    subscriber_id, email, email_domain, subject, relay, header_id, attempts, smtp_code, smtp_reply, settled_at
)
SELECT
    p.project_id, e.at, history.letter_id(p.started_ms, i.n, p.microseconds_per_letter, p.seed), p.kind,
    CASE WHEN p.campaign_id IS NULL THEN 'transactional' ELSE 'bulk' END,
    CASE WHEN o.type IN (4, 5, 9) THEN 'failed' WHEN o.type = 10 THEN 'unknown' ELSE 'sent' END,
    coalesce(y.reason, ''), p.project_domain, p.campaign_id, p.campaign_name, p.list_id, p.list_name,
    CASE WHEN p.campaign_id IS NOT NULL THEN m.id END,
    history.address(m.id, hashint8extended(m.id, 7)), history.domain(hashint8extended(m.id, 7)),
    coalesce(nullif(p.campaign_name, ''), 'Your order'), 'default',
    CAST(history.letter_id(p.started_ms, i.n, p.microseconds_per_letter, p.seed) AS text) || '@' || p.project_domain,
    1, CASE WHEN o.type <> 10 THEN coalesce(y.code, 250) END,
    CASE WHEN o.type <> 10 THEN coalesce(y.detail, '250 2.0.0 Ok: queued as 4F2A7C01') ELSE '' END, e.at
FROM history.plan AS p
CROSS JOIN LATERAL generate_series(0, p.audience - 1) AS i (n)
CROSS JOIN LATERAL (SELECT hashint8extended(i.n, p.seed) AS u) AS h
CROSS JOIN LATERAL (SELECT p.first_subscriber + (p.first_member + i.n) % p.population AS id) AS m
CROSS JOIN LATERAL (
    SELECT p.started_at + i.n * p.microseconds_per_letter * interval '1 microsecond' AS at
) AS e
CROSS JOIN LATERAL (
    SELECT CAST(CASE
        WHEN (h.u & 65535) < p.hard THEN 4
        WHEN (h.u & 65535) < p.hard + p.soft THEN 5
        WHEN (h.u & 65535) < p.hard + p.soft + 150 THEN 9
        WHEN (h.u & 65535) < p.hard + p.soft + 160 THEN 10
        ELSE 1
    END AS smallint) AS type
) AS o
LEFT JOIN history.reply AS y ON y.type = o.type AND y.n = CAST((h.u >> 40) & 7 AS smallint)
WHERE (e.at >= :since OR o.type <> 1) AND e.at < :until

-- name: forget_list_days
-- The trigger took everybody to have joined today.
-- writes: list_day
DELETE FROM list_day

-- name: list_days
-- On which days people joined their lists and left them.
-- reads: subscription, project
-- writes: list_day
INSERT INTO list_day (project_id, list_id, day, joined, unsubscribed)
SELECT m.project_id, m.list_id, CAST(m.at AT TIME ZONE p.time_zone AS date), sum(m.joined), sum(m.gone)
FROM (
    SELECT project_id, list_id, created_at AS at, 1 AS joined, 0 AS gone FROM subscription
    UNION ALL
    SELECT project_id, list_id, unsubscribed_at, 0, 1 FROM subscription WHERE status = 'unsubscribed'
) AS m
JOIN project AS p ON p.id = m.project_id
GROUP BY 1, 2, 3
