-- The partitions of the tables that grow with time, and what retention takes out of the others.

-- name: ensure_partitions
-- One row: how many weekly partitions were made so that the range is covered.
-- binds: parent text, key text, since timestamptz, until timestamptz
-- writes: message, message_content, message_event
SELECT ensure_partitions(CAST(:parent AS text), CAST(:key AS text), :since, :until) AS made

-- name: missing_weeks
-- One row per week (Monday, 00:00 UTC) of the range that has no partition, oldest first.
-- binds: parent text, since timestamptz, until timestamptz
-- reads: pg_class
SELECT w.week AT TIME ZONE 'UTC' AS week
FROM generate_series(
    date_trunc('week', CAST(:since AS timestamptz) AT TIME ZONE 'UTC'),
    CAST(:until AS timestamptz) AT TIME ZONE 'UTC' - interval '1 microsecond',
    interval '7 days'
) AS w (week)
WHERE to_regclass(CAST(:parent AS text) || '_' || to_char(w.week, 'YYYYMMDD')) IS NULL
ORDER BY 1

-- name: detached_partitions
-- One row per table that was a partition of a week up to `before`, and is none any more.
-- binds: parents text[], before timestamptz
-- reads: pg_class
SELECT CAST(c.relname AS text) AS name
FROM unnest(CAST(:parents AS text[])) AS p (parent)
JOIN pg_class AS c ON c.relname ~ ('^' || p.parent || '_[0-9]{8}$')
WHERE c.relkind = 'r' AND NOT c.relispartition
    AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = CAST(p.parent AS regclass))
    AND to_date(right(c.relname, 8), 'YYYYMMDD') <= CAST(:before AS timestamptz) AT TIME ZONE 'UTC'
ORDER BY 1

-- name: partitions
-- One row per partition, oldest first; the default one has no beginning.
-- binds: parents text[]
-- reads: pg_inherits, pg_class
SELECT
    p.relname AS parent,
    c.relname AS name,
    CAST(to_date(substring(c.relname FROM '[0-9]{8}$'), 'YYYYMMDD') AS timestamp) AT TIME ZONE 'UTC' AS since,
    CAST(greatest(c.reltuples, 0) AS bigint) AS estimated_rows,
    pg_total_relation_size(c.oid) AS total_bytes
FROM pg_inherits AS i
JOIN pg_class AS p ON p.oid = i.inhparent
JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = ANY (CAST(CAST(:parents AS text[]) AS regclass[]))
ORDER BY p.relname, c.relname

-- name: purge_old_messages
-- One row per slice: how many late rows left the default partition.
-- binds: before timestamptz, most integer
-- writes: message_default
DELETE FROM message_default
WHERE ctid = ANY (ARRAY(SELECT ctid FROM message_default WHERE created_at < :before LIMIT :most))

-- name: purge_old_contents
-- As above.
-- binds: before timestamptz, most integer
-- writes: message_content_default
DELETE FROM message_content_default
WHERE ctid = ANY (ARRAY(SELECT ctid FROM message_content_default WHERE created_at < :before LIMIT :most))

-- name: purge_old_events
-- As above.
-- binds: before timestamptz, most integer
-- writes: message_event_default
DELETE FROM message_event_default
WHERE ctid = ANY (ARRAY(SELECT ctid FROM message_event_default WHERE at < :before LIMIT :most))

-- name: purge_sessions
-- Sessions that have ended.
-- binds: before timestamptz, most integer
-- writes: web_session
DELETE FROM web_session
WHERE token_hash = ANY (ARRAY(SELECT token_hash FROM web_session WHERE expires_at < :before LIMIT :most))

-- name: purge_one_time_links
-- Links that nobody can use any more; a used one is kept as long as it would have been good.
-- binds: before timestamptz, most integer
-- writes: one_time_link
DELETE FROM one_time_link
WHERE token_hash = ANY (ARRAY(SELECT token_hash FROM one_time_link WHERE expires_at < :before LIMIT :most))

-- name: purge_rate_limits
-- Buckets that have been full again for long.
-- binds: before timestamptz, most integer
-- writes: rate_limit
DELETE FROM rate_limit
WHERE key = ANY (ARRAY(SELECT key FROM rate_limit WHERE at < :before LIMIT :most))

-- name: purge_idempotency_keys
-- Keys whose client will not ask again.
-- binds: before timestamptz, most integer
-- writes: idempotency_key
DELETE FROM idempotency_key
WHERE ctid = ANY (ARRAY(SELECT ctid FROM idempotency_key WHERE created_at < :before LIMIT :most))

-- name: purge_worker_heartbeats
-- Workers that have been silent for long.
-- binds: before timestamptz, most integer
-- writes: worker_heartbeat
DELETE FROM worker_heartbeat
WHERE name = ANY (ARRAY(SELECT name FROM worker_heartbeat WHERE last_seen_at < :before LIMIT :most))

-- name: purge_queue_minutes
-- What the queues' workers did in minutes that nobody asks for any more.
-- binds: before timestamptz, most integer
-- writes: queue_minute
DELETE FROM queue_minute
WHERE (queue, minute) IN (SELECT queue, minute FROM queue_minute WHERE minute < :before LIMIT :most)
