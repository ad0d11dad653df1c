-- What happened to one person or one letter: raw events by key, newest or oldest first.

-- name: subscriber_timeline
-- One row per event of a person in the half-open range, newest first, those before the cursor (at, id).
-- binds: project_id bigint, subscriber_id bigint, since timestamptz, before_at timestamptz, before_id bigint, most integer
-- reads: message_event
SELECT
    at, id, type, kind, message_id, campaign_id, campaign_name, list_name, link_id, url, code, detail, actor
FROM message_event
WHERE project_id = :project_id
    AND subscriber_id = :subscriber_id
    AND at >= :since
    AND at <= :before_at
    AND (at, id) < (:before_at, :before_id)
ORDER BY at DESC, id DESC
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
