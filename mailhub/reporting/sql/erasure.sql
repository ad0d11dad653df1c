-- One person's letters and events lose what tells who it was; a project's old ones go. Rollups and numbers stay.

-- name: person_addresses
-- One row per address, as it is spelled, that the letters and events of a person went to.
-- binds: project_id bigint, subscriber_id bigint
-- reads: message, message_event
SELECT m.email
FROM message AS m
WHERE m.project_id = :project_id AND m.subscriber_id = :subscriber_id AND m.email <> ''
UNION
SELECT e.email
FROM message_event AS e
WHERE e.project_id = :project_id AND e.subscriber_id = :subscriber_id AND e.email <> ''

-- name: letters_to
-- One row per letter to a person or to one of the addresses (in lower case): its key.
-- binds: project_id bigint, subscriber_id bigint, addresses text[]
-- reads: message
SELECT m.created_at, m.id
FROM message AS m
WHERE m.project_id = :project_id AND m.subscriber_id = :subscriber_id
UNION
SELECT m.created_at, m.id
FROM message AS m
WHERE m.project_id = :project_id AND lower(m.email) = ANY (CAST(:addresses AS text[]))

-- name: erase_letters
-- One row per letter of the keys: it has no address, no subject and no reply any more, and its number stays. A single
-- one that waits is skipped at once; a campaign's that waits is skipped by the post office, which finds nobody.
-- binds: project_id bigint, at timestamptz[], id uuid[], since timestamptz, until timestamptz
-- writes: message
UPDATE message AS m
SET email = '', subject = '', tag = '', smtp_reply = '',
    state = CASE WHEN m.kind <> 'campaign' AND m.state IN ('queued', 'deferred') AND NOT m.in_flight
        THEN 'skipped' ELSE m.state END,
    reason = CASE WHEN m.kind <> 'campaign' AND m.state IN ('queued', 'deferred') AND NOT m.in_flight
        THEN 'erased' ELSE m.reason END,
    settled_at = CASE WHEN m.kind <> 'campaign' AND m.state IN ('queued', 'deferred') AND NOT m.in_flight
        THEN clock_timestamp() ELSE m.settled_at END,
    due_at = CASE WHEN m.kind <> 'campaign' AND m.state IN ('queued', 'deferred') AND NOT m.in_flight
        THEN NULL ELSE m.due_at END
FROM unnest(CAST(:at AS timestamptz[]), CAST(:id AS uuid[])) AS k (created_at, id)
WHERE m.project_id = :project_id AND m.created_at = k.created_at AND m.id = k.id
    AND m.created_at BETWEEN :since AND :until
    AND (m.email <> '' OR m.subject <> '' OR m.tag <> '' OR m.smtp_reply <> '')
RETURNING m.id

-- name: erase_links
-- Stored addresses of links in the single letters of the keys: the letter is gone, so nobody can follow them.
-- binds: project_id bigint, at timestamptz[], id uuid[]
-- writes: link, message_content
UPDATE link AS l
SET url = '', label = ''
FROM unnest(CAST(:at AS timestamptz[]), CAST(:id AS uuid[])) AS k (created_at, id)
JOIN message_content AS t ON t.project_id = :project_id AND t.created_at = k.created_at AND t.message_id = k.id
WHERE l.project_id = :project_id AND l.campaign_id IS NULL AND l.id = ANY (t.link_ids)

-- name: erase_contents
-- What the single letters of the keys said goes.
-- binds: project_id bigint, at timestamptz[], id uuid[]
-- writes: message_content
DELETE FROM message_content AS t
USING unnest(CAST(:at AS timestamptz[]), CAST(:id AS uuid[])) AS k (created_at, id)
WHERE t.project_id = :project_id AND t.created_at = k.created_at AND t.message_id = k.id

-- name: erase_events
-- One row per event of a person, or of the letters of the ids: all that is left is what is counted.
-- binds: project_id bigint, subscriber_id bigint, id uuid[]
-- writes: message_event
UPDATE message_event AS e
SET email = '', ip = NULL, user_agent = '', detail = '', url = CASE WHEN e.campaign_id IS NULL THEN '' ELSE e.url END
WHERE e.project_id = :project_id
    AND (e.subscriber_id = :subscriber_id OR e.message_id = ANY (CAST(:id AS uuid[])))
    AND (e.email <> '' OR e.ip IS NOT NULL OR e.user_agent <> '' OR e.detail <> '')
RETURNING e.id

-- name: old_letters
-- One row: how many of the next `most` letters of the project before a moment were looked at and deleted, and where the
-- slice ends (NULL: there are no more). Those that still wait stay.
-- binds: project_id bigint, after_at timestamptz, after_id uuid, until timestamptz, most integer
-- writes: message
WITH slice AS MATERIALIZED (
    SELECT m.created_at, m.id, m.state
    FROM message AS m
    WHERE m.project_id = :project_id AND m.created_at >= :after_at AND m.created_at < :until
        AND (m.created_at, m.id) > (CAST(:after_at AS timestamptz), CAST(:after_id AS uuid))
    ORDER BY m.created_at, m.id
    LIMIT :most
), gone AS (
    DELETE FROM message AS m
    USING slice AS s
    WHERE s.state NOT IN ('queued', 'deferred') AND m.project_id = :project_id AND m.created_at = s.created_at
        AND m.id = s.id AND m.created_at >= :after_at AND m.created_at < :until
    RETURNING m.id
), contents AS (
    DELETE FROM message_content AS t
    USING slice AS s
    WHERE s.state NOT IN ('queued', 'deferred') AND t.project_id = :project_id AND t.created_at = s.created_at
        AND t.message_id = s.id AND t.created_at >= :after_at AND t.created_at < :until
    RETURNING t.message_id
), ends AS (
    SELECT created_at, id FROM slice ORDER BY created_at DESC, id DESC LIMIT 1
)
SELECT
    (SELECT count(id) FROM gone) + 0 * (SELECT count(message_id) FROM contents) AS gone,
    (SELECT created_at FROM ends) AS end_at,
    (SELECT id FROM ends) AS end_id

-- name: old_events
-- One row: how many of the next `most` events of the project before a moment were deleted, and where the slice ends
-- (NULL: there are no more).
-- binds: project_id bigint, after_position bigint, after_id bigint, since timestamptz, until timestamptz, most integer
-- writes: message_event
WITH slice AS MATERIALIZED (
    SELECT e.position, e.id, e.at
    FROM message_event AS e
    WHERE e.project_id = :project_id AND e.at >= :since AND e.at < :until
        AND (e.position, e.id) > (CAST(:after_position AS bigint), CAST(:after_id AS bigint))
    ORDER BY e.position, e.id
    LIMIT :most
), gone AS (
    DELETE FROM message_event AS e
    USING slice AS s
    WHERE e.project_id = :project_id AND e.position = s.position AND e.id = s.id AND e.at = s.at
        AND e.at >= :since AND e.at < :until
    RETURNING e.id
), ends AS (
    SELECT position, id FROM slice ORDER BY position DESC, id DESC LIMIT 1
)
SELECT
    (SELECT count(id) FROM gone) AS gone,
    (SELECT position FROM ends) AS end_position,
    (SELECT id FROM ends) AS end_id

-- name: still_flying
-- One row: whether somebody may still write what they knew of people erased at a moment: a worker with a chunk of before
-- then, or with a single letter of before then on the wire.
-- binds: project_id bigint, until timestamptz
-- reads: chunk_lease, message
SELECT EXISTS (
    SELECT FROM chunk_lease AS l
    WHERE l.project_id = :project_id AND l.state = 'running' AND l.claimed_at <= :until
) OR EXISTS (
    SELECT FROM message AS m
    WHERE m.in_flight AND m.state IN ('queued', 'deferred') AND m.project_id = :project_id AND m.created_at <= :until
) AS flying
