-- The denormalised names in letters and events follow a change of the name: slice by slice along the primary key.

-- name: rename_value
-- One row: the name as it is now, and whether a campaign is being sent whose letters could still carry the old one.
-- Nothing where the object is gone.
-- binds: kind text, project_id bigint, object_id bigint
-- reads: project, campaign, mailing_list, campaign_version
SELECT n.value, EXISTS (
    SELECT FROM campaign AS c
    LEFT JOIN campaign_version AS v ON v.project_id = c.project_id AND v.campaign_id = c.id AND v.version = c.version
    WHERE c.project_id = :project_id
        AND (c.state IN ('sending', 'paused') OR c.finished_at > clock_timestamp() - interval '2 minutes')
        AND CASE CAST(:kind AS text)
            WHEN 'campaign_name' THEN c.id = :object_id WHEN 'list_name' THEN v.list_id = :object_id ELSE true END
) AS is_sending
FROM (
    SELECT domain AS value FROM project
    WHERE CAST(:kind AS text) = 'project_domain' AND id = :project_id AND id = :object_id
    UNION ALL
    SELECT name FROM campaign WHERE CAST(:kind AS text) = 'campaign_name' AND project_id = :project_id AND id = :object_id
    UNION ALL
    SELECT name FROM mailing_list WHERE CAST(:kind AS text) = 'list_name' AND project_id = :project_id AND id = :object_id
) AS n

-- name: rename_letters
-- One row: how many of the next `most` letters of the project were looked at and changed, and where the slice ends
-- (NULL: there are no more).
-- binds: kind text, project_id bigint, object_id bigint, value text, after_at timestamptz, after_id uuid, most integer
-- writes: message
WITH slice AS MATERIALIZED (
    SELECT m.created_at, m.id, CASE CAST(:kind AS text)
        WHEN 'project_domain' THEN m.project_domain <> :value
        WHEN 'campaign_name' THEN m.campaign_id = :object_id AND m.campaign_name <> :value
        ELSE m.list_id = :object_id AND m.list_name <> :value
    END AS is_old
    FROM message AS m
    WHERE m.project_id = :project_id AND m.created_at >= :after_at
        AND (m.created_at, m.id) > (CAST(:after_at AS timestamptz), CAST(:after_id AS uuid))
    ORDER BY m.created_at, m.id
    LIMIT :most
), changed AS (
    UPDATE message AS m
    SET project_domain = CASE CAST(:kind AS text) WHEN 'project_domain' THEN :value ELSE m.project_domain END,
        campaign_name = CASE CAST(:kind AS text) WHEN 'campaign_name' THEN :value ELSE m.campaign_name END,
        list_name = CASE CAST(:kind AS text) WHEN 'list_name' THEN :value ELSE m.list_name END
    FROM slice AS s
    WHERE s.is_old AND m.project_id = :project_id AND m.created_at = s.created_at AND m.id = s.id
        AND m.created_at >= :after_at
    RETURNING m.id
), ends AS (
    SELECT created_at, id FROM slice ORDER BY created_at DESC, id DESC LIMIT 1
)
SELECT
    (SELECT count(id) FROM slice) AS seen,
    (SELECT count(id) FROM changed) AS changed,
    (SELECT created_at FROM ends) AS end_at,
    (SELECT id FROM ends) AS end_id

-- name: rename_events
-- One row: as above, for events below the horizon by (position, id); `end_at` is the moment of the last one.
-- binds: kind text, project_id bigint, object_id bigint, value text, after_position bigint, after_id bigint, most integer
-- writes: message_event
WITH slice AS MATERIALIZED (
    SELECT e.position, e.id, e.at, CASE CAST(:kind AS text)
        WHEN 'project_domain' THEN e.project_domain <> :value
        WHEN 'campaign_name' THEN e.campaign_id = :object_id AND e.campaign_name <> :value
        ELSE e.list_id = :object_id AND e.list_name <> :value
    END AS is_old
    FROM message_event AS e
    WHERE e.project_id = :project_id AND e.position < feed_horizon()
        AND (e.position, e.id) > (CAST(:after_position AS bigint), CAST(:after_id AS bigint))
    ORDER BY e.position, e.id
    LIMIT :most
), changed AS (
    UPDATE message_event AS e
    SET project_domain = CASE CAST(:kind AS text) WHEN 'project_domain' THEN :value ELSE e.project_domain END,
        campaign_name = CASE CAST(:kind AS text) WHEN 'campaign_name' THEN :value ELSE e.campaign_name END,
        list_name = CASE CAST(:kind AS text) WHEN 'list_name' THEN :value ELSE e.list_name END
    FROM slice AS s
    WHERE s.is_old AND e.project_id = :project_id AND e.position = s.position AND e.id = s.id AND e.at = s.at
    RETURNING e.id
), ends AS (
    SELECT position, id, at FROM slice ORDER BY position DESC, id DESC LIMIT 1
)
SELECT
    (SELECT count(id) FROM slice) AS seen,
    (SELECT count(id) FROM changed) AS changed,
    (SELECT position FROM ends) AS end_position,
    (SELECT id FROM ends) AS end_id,
    (SELECT at FROM ends) AS end_at

-- name: rename_position
-- One row: the number of this transaction, and the horizon below which every transaction has ended.
-- binds:
-- reads: nothing
SELECT feed_position() AS position, feed_horizon() AS horizon

-- name: rename_progress
-- One row per kind and object that is not done: the share that is, from 0 to 1, by the time of the rows.
-- binds: project_id bigint
-- reads: rename_job, project
SELECT j.kind, j.object_id, j.state, j.rows_changed, CASE
        WHEN j.state = 'following' THEN 1
        WHEN j.reached_at IS NULL THEN CASE j.state WHEN 'events' THEN 0.5 ELSE 0 END
        ELSE CAST(
            CASE j.state WHEN 'events' THEN 0.5 ELSE 0 END + 0.5 * least(1, greatest(0,
                extract(epoch FROM j.reached_at - p.created_at)
                / greatest(1, extract(epoch FROM clock_timestamp() - p.created_at))
            )) AS double precision)
    END AS share
FROM rename_job AS j
JOIN project AS p ON p.id = j.project_id
WHERE j.project_id = :project_id AND j.state <> 'done'
ORDER BY j.kind, j.object_id
