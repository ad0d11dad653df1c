-- The machinery: rates of the queues, runs of periodic tasks, tables and their partitions, what the database is doing.

-- name: machinery_queue_minutes
-- One row per queue and minute of the last hour in which its workers did something, oldest first; ago is how many
-- minutes ago it began, 0 for the present one. The present minute has lasted for now_seconds.
-- reads: queue_minute
-- measured: 0.3 ms
SELECT
    q.queue,
    CAST(extract(epoch FROM date_trunc('minute', clock_timestamp()) - q.minute) / 60 AS integer) AS ago,
    q.letters, q.tasks, q.failed,
    CAST(extract(epoch FROM clock_timestamp() - date_trunc('minute', clock_timestamp())) AS double precision)
        AS now_seconds
FROM queue_minute AS q
WHERE q.minute >= date_trunc('minute', clock_timestamp()) - interval '60 minutes'
ORDER BY q.queue, q.minute

-- name: machinery_periodic_history
-- One row per ended run of a periodic task, the newest first, `most` at most of each task.
-- binds: most integer
-- reads: periodic_run, periodic_history
-- measured: 0.4 ms with 10 tasks
SELECT h.name, h.started_at, h.finished_at, h.error
FROM periodic_run AS r
CROSS JOIN LATERAL (
    SELECT p.name, p.started_at, p.finished_at, p.error
    FROM periodic_history AS p
    WHERE p.name = r.name
    ORDER BY p.started_at DESC
    LIMIT :most
) AS h
ORDER BY h.name, h.started_at DESC

-- name: machinery_tables
-- One row per table, the largest first; a partitioned table is one row with all of its partitions. Rows are an
-- estimate: the planner's, or what was counted as it was written. The oldest vacuum of its parts is the table's (NULL:
-- one of them was never vacuumed).
-- reads: pg_class, pg_inherits, pg_stat_user_tables
-- measured: 9 ms with 90 tables and partitions
SELECT
    p.relname AS name,
    CAST(count(i.inhrelid) AS integer) AS partitions,
    CAST(sum(greatest(c.reltuples, s.n_live_tup, 0)) AS bigint) AS estimated_rows,
    CAST(sum(pg_table_size(c.oid)) AS bigint) AS table_bytes,
    CAST(sum(pg_indexes_size(c.oid)) AS bigint) AS index_bytes,
    CAST(sum(pg_total_relation_size(c.oid)) AS bigint) AS total_bytes,
    CAST(coalesce(sum(s.n_dead_tup), 0) AS bigint) AS dead_rows,
    CASE WHEN bool_and(greatest(s.last_vacuum, s.last_autovacuum) IS NOT NULL)
        THEN min(greatest(s.last_vacuum, s.last_autovacuum)) END AS vacuumed_at,
    max(greatest(s.last_analyze, s.last_autoanalyze)) AS analyzed_at
FROM pg_class AS p
LEFT JOIN pg_inherits AS i ON i.inhparent = p.oid
JOIN pg_class AS c ON c.oid = coalesce(i.inhrelid, p.oid)
LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid
WHERE p.relkind IN ('r', 'p') AND NOT p.relispartition AND p.relnamespace = CAST('public' AS regnamespace)
GROUP BY p.oid, p.relname
ORDER BY total_bytes DESC, p.relname
LIMIT 200

-- name: machinery_partitions
-- One row per partition, oldest first; the default one has no beginning. Rows are an estimate, as above.
-- binds: parents text[]
-- reads: pg_inherits, pg_class, pg_stat_user_tables
-- measured: 7 ms with 33 partitions
SELECT
    p.relname AS parent,
    c.relname AS name,
    CAST(to_date(substring(c.relname FROM '[0-9]{8}$'), 'YYYYMMDD') AS timestamp) AT TIME ZONE 'UTC' AS since,
    CAST(greatest(c.reltuples, s.n_live_tup, 0) AS bigint) AS estimated_rows,
    pg_total_relation_size(c.oid) AS total_bytes
FROM pg_inherits AS i
JOIN pg_class AS p ON p.oid = i.inhparent
JOIN pg_class AS c ON c.oid = i.inhrelid
LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid
WHERE i.inhparent = ANY (CAST(CAST(:parents AS text[]) AS regclass[]))
ORDER BY p.relname, c.relname

-- name: machinery_default_rows
-- One row per partitioned table: how many rows its default partition holds, counted up to `most` of them.
-- binds: most integer
-- reads: message_default, message_content_default, message_event_default
-- measured: 0.1 ms, all empty
SELECT 'message' AS parent, count(m.n) AS n
FROM (SELECT 1 AS n FROM message_default LIMIT :most) AS m
UNION ALL
SELECT 'message_content', count(c.n)
FROM (SELECT 1 AS n FROM message_content_default LIMIT :most) AS c
UNION ALL
SELECT 'message_event', count(e.n)
FROM (SELECT 1 AS n FROM message_event_default LIMIT :most) AS e

-- name: machinery_server
-- One row: the server's version, the database's size, its connections and their limit, and whether it is a replica.
-- reads: pg_stat_activity
-- measured: 2 ms
SELECT
    current_setting('server_version') AS version,
    pg_database_size(current_database()) AS database_bytes,
    (SELECT count(a.pid) FROM pg_stat_activity AS a WHERE a.backend_type = 'client backend') AS connections,
    CAST(current_setting('max_connections') AS integer) AS most_connections,
    pg_is_in_recovery() AS is_replica,
    EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = 'pg_stat_statements') AS has_statements

-- name: machinery_activity
-- One row per session of this database that does something, or that has been in a transaction for more than a second
-- (state NULL: another role's, which may not be seen), the oldest statement first: what it runs (as it stands: with its
-- literals), for how long, who keeps it waiting. `began` names this statement of that session. Statements of other roles
-- have no text without pg_read_all_stats.
-- reads: pg_stat_activity
-- measured: 2 ms with 40 sessions
SELECT
    a.pid,
    coalesce(a.application_name, '') AS application,
    coalesce(a.usename, '') AS role,
    coalesce(a.state, '') AS state,
    coalesce(a.wait_event_type || ': ' || a.wait_event, '') AS waits_for,
    coalesce(a.query, '') AS query,
    CAST(extract(epoch FROM clock_timestamp() - a.query_start) AS double precision) AS seconds,
    CAST(extract(epoch FROM clock_timestamp() - a.xact_start) AS double precision) AS transaction_seconds,
    pg_blocking_pids(a.pid) AS blocked_by,
    coalesce(CAST(extract(epoch FROM a.query_start) AS text), '') AS began
FROM pg_stat_activity AS a
WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
    AND (a.state IS NULL OR a.state = 'active' OR a.xact_start < clock_timestamp() - interval '1 second')
ORDER BY a.query_start NULLS LAST, a.pid
LIMIT 100

-- name: machinery_cancel
-- One row if there is still this statement of one of our own programs: whether it was told to stop.
-- binds: pid integer, began text
-- reads: pg_stat_activity
SELECT pg_cancel_backend(a.pid) AS cancelled, a.application_name AS application
FROM pg_stat_activity AS a
WHERE a.pid = :pid AND CAST(extract(epoch FROM a.query_start) AS text) = CAST(:began AS text)
    AND a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.state = 'active'
    AND a.application_name LIKE 'mailhub%'

-- name: machinery_statements
-- One row per statement by the time that it has cost in all, the most first: how often, how long, rows, without its
-- literals. The times are in milliseconds.
-- binds: most integer
-- reads: pg_stat_statements
-- measured: 6 ms with 1,000 statements
SELECT
    s.query, s.calls, s.total_exec_time AS total_ms, s.mean_exec_time AS mean_ms, s.max_exec_time AS max_ms, s.rows
FROM pg_stat_statements AS s
JOIN pg_database AS d ON d.oid = s.dbid
WHERE d.datname = current_database()
ORDER BY s.total_exec_time DESC
LIMIT :most
