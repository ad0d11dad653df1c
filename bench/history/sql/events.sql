-- What became of every letter of a plan, by hashes of its number: first as narrow rows (history.raw), a week a
-- partition, then as rows of message_event in the order in which they came.

-- name: outcomes
-- One row per letter: sent, bounced, blocked or in doubt.
-- binds: project_id bigint, until timestamptz
-- reads: history.plan
-- writes: history.raw
INSERT INTO history.raw (at, plan, n, type, agent, link, reply)
SELECT
    p.started_at + i.n * p.microseconds_per_letter * interval '1 microsecond', p.id, i.n,
    CASE
        WHEN (h.u & 65535) >= p.hard + p.soft + 160 THEN 1
        WHEN (h.u & 65535) < p.hard THEN 4
        WHEN (h.u & 65535) < p.hard + p.soft THEN 5
        WHEN (h.u & 65535) < p.hard + p.soft + 150 THEN 9
        ELSE 10
    END, 0, 0, CAST((h.u >> 40) & 7 AS smallint)
FROM history.plan AS p
CROSS JOIN LATERAL generate_series(0, p.audience - 1) AS i (n)
CROSS JOIN LATERAL (SELECT hashint8extended(i.n, p.seed) AS u) AS h
WHERE p.project_id = :project_id
    AND p.started_at + i.n * p.microseconds_per_letter * interval '1 microsecond' < :until

-- name: waits
-- One row per single letter that was queued, and one per letter that was put off before it was settled.
-- binds: project_id bigint, until timestamptz
-- reads: history.plan
-- writes: history.raw
INSERT INTO history.raw (at, plan, n, type, agent, link, reply)
SELECT
    p.started_at + (i.n * p.microseconds_per_letter - k.n * 100000) * interval '1 microsecond', p.id, i.n,
    CASE k.n WHEN 2 THEN 8 ELSE 11 END, 0, 0, CAST((h.u >> 40) & 7 AS smallint)
FROM history.plan AS p
CROSS JOIN LATERAL generate_series(1, p.audience - 1) AS i (n)
CROSS JOIN LATERAL (SELECT hashint8extended(i.n, p.seed) AS u) AS h
JOIN (VALUES (2), (3)) AS k (n) ON CASE k.n WHEN 2 THEN (h.u >> 16) & 127 = 1 ELSE p.campaign_id IS NULL END
WHERE p.project_id = :project_id
    AND p.started_at + i.n * p.microseconds_per_letter * interval '1 microsecond' < :until
    AND i.n * p.microseconds_per_letter > k.n * 100000

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
-- A week of narrow rows as events, by time; `{raw}` and `{week}` are the two tables of the week. OFFSET 0: each person's
-- hash is calculated once, not in every place that uses it.
-- binds: before bigint
-- reads: history.raw, history.plan, history.agent, history.link, history.type, history.reply
-- writes: message_event
INSERT INTO {week} (
    project_id, position, id, at, type, kind, project_domain, message_id, campaign_id, campaign_name, list_id,
    list_name, subscriber_id, email, email_domain, link_id, url, code, detail, ip, user_agent, device, client, actor,
    actor_cause
)
SELECT
    e.project_id,
    (:before + e.place) / 64 + 1,
    :before + e.place,
    e.at,
    t.type,
    e.kind,
    e.project_domain,
    history.letter_id(e.started_ms, e.n, e.microseconds_per_letter, e.seed),
    e.campaign_id,
    e.campaign_name,
    e.list_id,
    e.list_name,
    CASE WHEN e.campaign_id IS NOT NULL THEN e.person END,
    history.address(e.person, e.u),
    history.domain(e.u),
    l.link_id,
    coalesce(l.url, ''),
    y.code,
    coalesce(y.detail, ''),
    CASE WHEN e.agent > 0 THEN history.ip(e.agent, e.person) END,
    a.user_agent,
    a.device,
    a.client,
    a.actor,
    a.actor_cause
FROM (
    SELECT
        r.at, r.n, r.type, r.agent, r.link, r.reply, r.place, p.project_id, p.kind, p.project_domain, p.started_ms,
        p.microseconds_per_letter, p.seed, p.campaign_id, p.campaign_name, p.list_id, p.list_name,
        p.first_subscriber + (p.first_member + r.n) % p.population AS person,
        hashint8extended(p.first_subscriber + (p.first_member + r.n) % p.population, 7) AS u
    FROM (
        SELECT at, plan, n, type, agent, link, reply, row_number() OVER (ORDER BY at) AS place
        FROM {raw}
    ) AS r
    JOIN history.plan AS p ON p.id = r.plan
    OFFSET 0
) AS e
JOIN history.type AS t ON t.id = e.type
JOIN history.agent AS a ON a.id = e.agent
LEFT JOIN history.link AS l
    ON l.campaign_id = CASE WHEN e.type = 3 THEN e.campaign_id END AND l.position = e.link
LEFT JOIN history.reply AS y ON y.type = e.type AND y.n = e.reply
