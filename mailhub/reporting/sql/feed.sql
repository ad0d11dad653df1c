-- The events of a project in the order in which they were stored, for readers who come back for more.

-- name: events_after
-- One row per event behind the place (position, id) and below the horizon, in their order. Whatever stands below the
-- horizon is complete: nothing can come in before a row that was read.
-- binds: project_id bigint, position bigint, id bigint, most integer
-- reads: message_event
SELECT
    position, id, type, kind, at, message_id, campaign_id, list_id, subscriber_id, email, link_id, url, code, detail,
    device, client, actor
FROM message_event
WHERE project_id = :project_id
    AND (position, id) > (CAST(:position AS bigint), CAST(:id AS bigint))
    AND position < feed_horizon()
ORDER BY position, id
LIMIT :most

-- name: feed_state
-- One row: the greatest position that is stored somewhere, and the one that the next transaction would give.
-- binds:
-- reads: message_event, project, link, feed_cursor, activity_place, rename_job
SELECT
    GREATEST(
        (
            SELECT max(last.position)
            FROM project AS p
            CROSS JOIN LATERAL (
                SELECT e.position FROM message_event AS e WHERE e.project_id = p.id ORDER BY e.position DESC LIMIT 1
            ) AS last
        ),
        (
            SELECT e.position FROM message_event AS e WHERE e.type IN ('OPENED', 'REDIRECTED')
            ORDER BY e.position DESC LIMIT 1
        ),
        (SELECT max(feed_position) FROM link),
        (SELECT max(position) FROM feed_cursor),
        (SELECT max(position) FROM activity_place),
        (SELECT max(changed_position) FROM rename_job),
        0
    ) AS stored,
    feed_horizon() - CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)
        + CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint) AS next,
    feed_horizon() - CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) AS added

-- name: stop_positions
-- Nobody stores a position until the transaction ends.
-- binds:
-- writes: message_event, link
LOCK TABLE ONLY message_event, link IN SHARE ROW EXCLUSIVE MODE
