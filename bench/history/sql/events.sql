-- What became of every letter of a plan, by hashes of its number: first as narrow rows (history.raw), a week a
-- partition, then as rows of message_event in the order in which they came.

-- name: outcomes
-- One row per letter, and one before it where it was put off; a single letter is queued first.
-- binds: project_id bigint, until timestamptz
-- reads: history.plan
-- writes: history.raw
INSERT INTO history.raw (at, plan, n, type, agent, link, reply)
SELECT e.at, p.id, i.n, e.type, 0, 0, CAST((h.u >> 40) & 7 AS smallint)
FROM history.plan AS p
CROSS JOIN LATERAL generate_series(0, p.audience - 1) AS i (n)
CROSS JOIN LATERAL (SELECT hashint8extended(i.n, p.seed) AS u) AS h
CROSS JOIN LATERAL (
    SELECT
        p.started_at + i.n * p.microseconds_per_letter * interval '1 microsecond' AS at,
        CAST(CASE
            WHEN (h.u & 65535) < p.hard THEN 4
            WHEN (h.u & 65535) < p.hard + p.soft THEN 5
            WHEN (h.u & 65535) < p.hard + p.soft + 150 THEN 9
            WHEN (h.u & 65535) < p.hard + p.soft + 160 THEN 10
            ELSE 1
        END AS smallint) AS type
) AS o
CROSS JOIN LATERAL (
    VALUES
        (o.at, o.type),
        (CASE WHEN p.campaign_id IS NULL THEN o.at - interval '300 milliseconds' END, CAST(11 AS smallint)),
        (CASE WHEN (h.u >> 16) & 127 = 1 THEN o.at - interval '200 milliseconds' END, CAST(8 AS smallint))
) AS e (at, type)
WHERE p.project_id = :project_id AND e.at >= p.started_at AND e.at < :until

-- name: opens
-- One row per open: of the people who care three of four letters, of the others hardly one. Half of the first opens
-- come within an hour.
-- binds: project_id bigint, until timestamptz
-- reads: history.plan
-- writes: history.raw
INSERT INTO history.raw (at, plan, n, type, agent, link, reply)
SELECT e.at, p.id, i.n, 2, history.open_agent(m.u, h.v >> (k.n * 7)), 0, 0
FROM history.plan AS p
CROSS JOIN LATERAL generate_series(0, p.audience - 1) AS i (n)
CROSS JOIN LATERAL (
    SELECT hashint8extended(i.n, p.seed) AS u, hashint8extended(i.n, p.seed + 1) AS v
) AS h
CROSS JOIN LATERAL (
    SELECT hashint8extended(p.first_subscriber + (p.first_member + i.n) % p.population, 7) AS u
) AS m
CROSS JOIN LATERAL generate_series(
    0, CASE WHEN (h.v & 127) < 83 THEN 0 WHEN (h.v & 127) < 108 THEN 1 WHEN (h.v & 127) < 122 THEN 2 ELSE 4 END
) AS k (n)
CROSS JOIN LATERAL (
    SELECT p.started_at + (
        i.n * p.microseconds_per_letter
        + 1.8e9 * power(1 - 0.996 * ((h.u >> 24) & 65535) / 65536.0::double precision, -1.1) * (1 + 0.37 * k.n)
        + (h.v & 1048575)
    ) * interval '1 microsecond' AS at
) AS e
WHERE p.project_id = :project_id
    AND (h.u & 65535) >= p.hard + p.soft + 160
    AND ((h.v >> 32) & 1023) < CASE WHEN ((m.u >> 20) & 1023) < 460 THEN 740 ELSE 30 END
    AND e.at < :until

-- name: clicks
-- One row per click: one opener in eight clicks, the upper links more often; at some companies
-- it is a scanner.
-- binds: project_id bigint, until timestamptz
-- reads: history.plan
-- writes: history.raw
INSERT INTO history.raw (at, plan, n, type, agent, link, reply)
SELECT
    e.at, p.id, i.n, 3, history.click_agent(m.u, h.w >> 16),
    CAST(least((h.w >> (8 + 3 * k.n)) & 7, (h.w >> (24 + 3 * k.n)) & 7) AS smallint), 0
FROM history.plan AS p
CROSS JOIN LATERAL generate_series(0, p.audience - 1) AS i (n)
CROSS JOIN LATERAL (
    SELECT
        hashint8extended(i.n, p.seed) AS u, hashint8extended(i.n, p.seed + 1) AS v,
        hashint8extended(i.n, p.seed + 2) AS w
) AS h
CROSS JOIN LATERAL (
    SELECT hashint8extended(p.first_subscriber + (p.first_member + i.n) % p.population, 7) AS u
) AS m
CROSS JOIN LATERAL generate_series(0, CASE WHEN (h.w & 7) < 6 THEN 0 WHEN (h.w & 7) = 6 THEN 1 ELSE 2 END) AS k (n)
CROSS JOIN LATERAL (
    SELECT p.started_at + (
        i.n * p.microseconds_per_letter
        + 1.8e9 * power(1 - 0.996 * ((h.u >> 24) & 65535) / 65536.0::double precision, -1.1)
        + 2e7 * (1 + k.n) + ((h.w >> 3) & 4194303)
    ) * interval '1 microsecond' AS at
) AS e
WHERE p.project_id = :project_id
    AND (h.u & 65535) >= p.hard + p.soft + 160
    AND ((h.v >> 32) & 1023) < CASE WHEN ((m.u >> 20) & 1023) < 460 THEN 740 ELSE 30 END
    AND ((h.v >> 48) & 1023) < 125
    AND e.at < :until

-- name: leavings
-- One row per person who unsubscribes by a campaign or complains about it.
-- binds: project_id bigint, until timestamptz
-- reads: history.plan
-- writes: history.raw
INSERT INTO history.raw (at, plan, n, type, agent, link, reply)
SELECT
    p.started_at + (i.n * p.microseconds_per_letter + 3e9 + ((h.v >> 8) & 68719476735)) * interval '1 microsecond',
    p.id, i.n, CASE WHEN (h.v & 65535) < p.complained THEN 7 ELSE 6 END, 0, 0, 0
FROM history.plan AS p
CROSS JOIN LATERAL generate_series(0, p.audience - 1) AS i (n)
CROSS JOIN LATERAL (
    SELECT hashint8extended(i.n, p.seed) AS u, hashint8extended(i.n, p.seed + 3) AS v
) AS h
WHERE p.project_id = :project_id
    AND p.campaign_id IS NOT NULL
    AND (h.u & 65535) >= p.hard + p.soft + 160
    AND (h.v & 65535) < p.complained + 110
    AND p.started_at + (i.n * p.microseconds_per_letter + 3e9 + ((h.v >> 8) & 68719476735)) * interval '1 microsecond'
        < :until

-- name: expand
-- A week of narrow rows as events, by time; `{raw}` and `{week}` are the two tables of the week.
-- binds: before bigint
-- reads: history.raw, history.plan, history.agent, history.link, history.type, history.reply
-- writes: message_event
INSERT INTO {week} (
    project_id, position, id, at, type, kind, project_domain, message_id, campaign_id, campaign_name, list_id,
    list_name, subscriber_id, email, email_domain, link_id, url, code, detail, ip, user_agent, device, client, actor,
    actor_cause
)
SELECT
    p.project_id,
    (:before + r.place) / 64 + 1,
    :before + r.place,
    r.at,
    t.type,
    p.kind,
    p.project_domain,
    history.letter_id(p.started_ms, r.n, p.microseconds_per_letter, p.seed),
    p.campaign_id,
    p.campaign_name,
    p.list_id,
    p.list_name,
    CASE WHEN p.campaign_id IS NOT NULL THEN m.id END,
    history.address(m.id, hashint8extended(m.id, 7)),
    history.domain(hashint8extended(m.id, 7)),
    l.link_id,
    coalesce(l.url, ''),
    y.code,
    coalesce(y.detail, ''),
    CASE WHEN r.agent > 0 THEN history.ip(r.agent, m.id) END,
    a.user_agent,
    a.device,
    a.client,
    a.actor,
    a.actor_cause
FROM (
    SELECT at, plan, n, type, agent, link, reply, row_number() OVER (ORDER BY at) AS place
    FROM {raw}
) AS r
JOIN history.plan AS p ON p.id = r.plan
JOIN history.type AS t ON t.id = r.type
JOIN history.agent AS a ON a.id = r.agent
LEFT JOIN history.link AS l ON r.type = 3 AND l.campaign_id = p.campaign_id AND l.position = r.link
LEFT JOIN history.reply AS y ON y.type = r.type AND y.n = r.reply
CROSS JOIN LATERAL (SELECT p.first_subscriber + (p.first_member + r.n) % p.population AS id) AS m
