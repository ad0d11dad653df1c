-- What happened to one person or one letter: raw events by key, newest or oldest first.

-- name: subscriber_timeline
-- One row per event of a person in the half-open range, newest first, those before the cursor (at, id); what those had
-- who were merged with them included.
-- binds: project_id bigint, subscriber_id bigint, since timestamptz, before_at timestamptz, before_id bigint, most integer
-- reads: message_event, subscriber_merge
SELECT
    e.at, e.id, e.type, e.kind, e.message_id, e.campaign_id, e.campaign_name, e.list_name, e.link_id, e.url, e.code,
    e.detail, e.actor
FROM (
    SELECT CAST(:subscriber_id AS bigint) AS id
    UNION ALL
    SELECT gone_id FROM subscriber_merge WHERE project_id = :project_id AND subscriber_id = :subscriber_id
) AS p
CROSS JOIN LATERAL (
    SELECT
        at, id, type, kind, message_id, campaign_id, campaign_name, list_name, link_id, url, code, detail, actor
    FROM message_event
    WHERE project_id = :project_id
        AND subscriber_id = p.id
        AND at >= :since
        AND at <= :before_at
        AND (at, id) < (:before_at, :before_id)
    ORDER BY at DESC, id DESC
    LIMIT :most
) AS e
ORDER BY e.at DESC, e.id DESC
LIMIT :most

-- name: message_timeline
-- One row per event of a letter since the moment that its id tells, oldest first.
-- binds: project_id bigint, message_id uuid, since timestamptz
-- reads: message_event
SELECT
    at, id, type, kind, message_id, campaign_id, campaign_name, list_name, link_id, url, code, detail, actor
FROM message_event
WHERE project_id = :project_id AND message_id = :message_id AND at >= :since
ORDER BY at, id
LIMIT 500
