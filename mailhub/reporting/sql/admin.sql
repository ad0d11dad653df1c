-- What the reports process shows to admins: all projects by day, and the state of the queues.

-- name: admin_projects
-- One row per project by its id, archived ones too: the events of its days since..until, half-open, in its own time
-- zone; without dates the last `days` days up to today. on_days and sent_on_days are the days that have events.
-- binds: since date, until date, days integer, after_id bigint, project text, pattern text, most integer
-- reads: project, project_day
-- measured: 120 ms for 90 days of 500 projects, all with events every day
SELECT
    p.id, p.slug, p.name, p.domain, p.time_zone, p.archived_at, r.first_day, r.end_day,
    coalesce(v.sent, 0) AS sent,
    coalesce(v.opened, 0) AS opened,
    coalesce(v.redirected, 0) AS redirected,
    coalesce(v.hardbounced, 0) AS hardbounced,
    coalesce(v.softbounced, 0) AS softbounced,
    coalesce(v.unsubscribed, 0) AS unsubscribed,
    coalesce(v.complained, 0) AS complained,
    coalesce(v.deferred, 0) AS deferred,
    coalesce(v.blocked, 0) AS blocked,
    coalesce(v.unknown, 0) AS unknown,
    coalesce(v.machine_opened, 0) AS machine_opened,
    coalesce(v.machine_redirected, 0) AS machine_redirected,
    coalesce(v.on_days, '{}') AS on_days,
    coalesce(v.sent_on_days, '{}') AS sent_on_days
FROM project AS p
CROSS JOIN LATERAL (
    SELECT
        coalesce(CAST(:since AS date), t.today - CAST(:days AS integer) + 1) AS first_day,
        coalesce(CAST(:until AS date), t.today + 1) AS end_day
    FROM (SELECT CAST(clock_timestamp() AT TIME ZONE p.time_zone AS date) AS today) AS t
) AS r
LEFT JOIN LATERAL (
    SELECT
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
        CAST(sum(d.machine_redirected) AS bigint) AS machine_redirected,
        array_agg(d.day ORDER BY d.day) AS on_days,
        array_agg(d.sent ORDER BY d.day) AS sent_on_days
    FROM project_day AS d
    WHERE d.project_id = p.id AND d.day >= r.first_day AND d.day < r.end_day
) AS v ON true
WHERE p.id > :after_id
    AND (CAST(:project AS text) = '' OR p.slug = CAST(:project AS text))
    AND (
        CAST(:pattern AS text) = ''
        OR p.name ILIKE CAST(:pattern AS text)
        OR p.slug ILIKE CAST(:pattern AS text)
        OR p.domain ILIKE CAST(:pattern AS text)
    )
ORDER BY p.id
LIMIT :most

-- name: admin_projects_count
-- One row: how many projects fit the same filters.
-- binds: project text, pattern text
-- reads: project
-- measured: 0.7 ms for 500 projects
SELECT count(p.id) AS n
FROM project AS p
WHERE (CAST(:project AS text) = '' OR p.slug = CAST(:project AS text))
    AND (
        CAST(:pattern AS text) = ''
        OR p.name ILIKE CAST(:pattern AS text)
        OR p.slug ILIKE CAST(:pattern AS text)
        OR p.domain ILIKE CAST(:pattern AS text)
    )

-- name: admin_waiting
-- One row per queue and kind of work that could be done now: how much of it, and since when the oldest waits.
-- Letters are due message rows, chunks are free chunks of campaigns that are being sent.
-- reads: message, campaign, campaign_lane, subscriber_import
-- measured: 34 ms with 40,000 due letters among 400,000
SELECT m.queue, 'letters' AS what, count(m.id) AS waiting, min(m.due_at) AS oldest_at
FROM message AS m
WHERE m.state IN ('queued', 'deferred') AND m.due_at <= clock_timestamp()
GROUP BY m.queue
UNION ALL
SELECT 'bulk', 'chunks', CAST(sum(n.last_seq - n.next_seq + 1) AS bigint), min(coalesce(c.fanned_out_at, c.started_at))
FROM campaign AS c
JOIN campaign_lane AS n ON n.project_id = c.project_id AND n.campaign_id = c.id
WHERE c.state = 'sending' AND n.next_seq <= n.last_seq
HAVING count(c.id) > 0
UNION ALL
SELECT 'bulk', 'starts', count(c.id), min(coalesce(c.started_at, c.send_at))
FROM campaign AS c
WHERE (c.state = 'sending' AND c.fanned_out_at IS NULL)
    OR (c.state = 'scheduled' AND c.send_at <= clock_timestamp())
HAVING count(c.id) > 0
UNION ALL
SELECT 'celery', 'imports', count(i.id), min(i.created_at)
FROM subscriber_import AS i
WHERE i.state = 'pending'
HAVING count(i.id) > 0

-- name: admin_later
-- One row per queue: letters that wait for a later time, mostly for another attempt, and when the next is due.
-- reads: message
-- measured: 44 ms with 40,000 deferred letters among 400,000
SELECT m.queue, count(m.id) AS later, min(m.due_at) AS next_at
FROM message AS m
WHERE m.state IN ('queued', 'deferred') AND m.due_at > clock_timestamp()
GROUP BY m.queue

-- name: admin_workers
-- One row per worker process that was seen within a day, the first processes before the pools' children.
-- reads: worker_heartbeat
-- measured: 0.3 ms
SELECT
    w.name, w.host, w.pid, w.queue, w.role, w.doing, w.sent, w.started_at, w.last_seen_at, w.last_progress_at,
    CAST(extract(epoch FROM clock_timestamp() - w.last_seen_at) AS double precision) AS silent_seconds,
    w.task, w.task_args, w.task_since
FROM worker_heartbeat AS w
WHERE w.last_seen_at > clock_timestamp() - interval '1 day'
ORDER BY w.queue, w.role, w.started_at, w.name
LIMIT 500

-- name: admin_canaries
-- One row per queue: how long the last canary took to come through, or how long the one on its way has waited.
-- reads: canary
-- measured: 0.1 ms
SELECT
    c.queue,
    CASE
        WHEN c.seen_at >= c.sent_at THEN CAST(extract(epoch FROM c.seen_at - c.sent_at) AS double precision)
        ELSE CAST(extract(epoch FROM clock_timestamp() - c.sent_at) AS double precision)
    END AS seconds,
    coalesce(c.seen_at >= c.sent_at, false) AS is_back, c.seen_at, c.seen_by
FROM canary AS c
ORDER BY c.queue

-- name: admin_relays_down
-- One row per relay that takes nothing now: why, since when, when it is tried again.
-- reads: relay_health
-- measured: 0.1 ms
SELECT h.relay, h.reason, h.since, h.probe_at
FROM relay_health AS h
WHERE h.state = 'down'
ORDER BY h.relay

-- name: admin_lanes
-- One row per mailbox provider and relay that was written to within a day or is slowed down: the limit in letters a
-- second (NULL: none), letters a second over the last 10 s, why it was slowed down.
-- reads: relay_lane
-- measured: 0.2 ms with 30 rows
SELECT
    l.relay, l.lane, least(l.rate, l.base_rate) AS rate,
    l.flow / 10 * exp(-least(600, greatest(0, CAST(
        extract(epoch FROM clock_timestamp() - l.flow_at) AS double precision
    ))) / 10) AS flow,
    l.rate IS NOT NULL AS slowed,
    CASE WHEN l.suspended_until > clock_timestamp() THEN l.suspended_until END AS suspended_until,
    l.reason, l.last_code, l.last_reply, l.slowed_at, l.sent_total, l.deferred_total, l.blocked_total
FROM relay_lane AS l
WHERE l.rate IS NOT NULL OR l.sent_at > clock_timestamp() - interval '1 day'
   OR l.slowed_at > clock_timestamp() - interval '1 day'
ORDER BY l.relay, l.lane
LIMIT 500

-- name: admin_leases
-- One row per chunk that somebody is sending now: whose letters, how far, by whom, until when. The oldest first.
-- reads: chunk_lease, campaign_chunk, campaign, project
-- measured: 0.7 ms without leases
SELECT
    l.project_id, p.slug, l.campaign_id, c.name AS campaign_name, l.lane, l.seq, l.pos, k.n, l.owner,
    l.claimed_at, l.lease_until, l.lease_until < clock_timestamp() AS is_over
FROM chunk_lease AS l
JOIN campaign_chunk AS k
    ON k.project_id = l.project_id AND k.campaign_id = l.campaign_id AND k.lane = l.lane AND k.seq = l.seq
JOIN campaign AS c ON c.project_id = l.project_id AND c.id = l.campaign_id
JOIN project AS p ON p.id = l.project_id
WHERE l.state = 'running'
ORDER BY l.claimed_at, l.campaign_id, l.seq
LIMIT 200

-- name: admin_periodic
-- One row per periodic task that has run or was paused.
-- reads: periodic_run
-- measured: 0.3 ms
SELECT r.name, r.started_at, r.finished_at, r.error, r.paused
FROM periodic_run AS r
ORDER BY r.name

-- name: admin_clock
-- One row: the database's clock.
-- reads: nothing
SELECT clock_timestamp() AS now
