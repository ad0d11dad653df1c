-- Two rows of people become one: what was sent to the second and done by it goes to the first.

-- name: movable_campaigns
-- One row per campaign of the second person that can go to the first whole: the first has nothing of it, and nothing
-- has happened for an hour, so that no hit waits for the classifier. People stay people then: every unique number of the
-- campaign is the same afterwards. A campaign that both got stays with its two ids, or its two people would become one.
-- binds: project_id bigint, winner_id bigint, loser_id bigint
-- reads: message_event, message, campaign_reaction, campaign
SELECT m.campaign_id
FROM (
    SELECT campaign_id, max(at) AS last_at FROM message_event
    WHERE project_id = :project_id AND subscriber_id = :loser_id AND campaign_id IS NOT NULL
    GROUP BY campaign_id
    UNION ALL
    SELECT campaign_id, max(coalesce(settled_at, created_at)) FROM message
    WHERE project_id = :project_id AND subscriber_id = :loser_id AND campaign_id IS NOT NULL
    GROUP BY campaign_id
    UNION ALL
    SELECT campaign_id, NULL FROM campaign_reaction
    WHERE project_id = :project_id AND subscriber_id = :loser_id
        AND campaign_id IN (SELECT id FROM campaign WHERE project_id = :project_id)
) AS m
WHERE NOT EXISTS (
        SELECT FROM message_event AS e
        WHERE e.project_id = :project_id AND e.subscriber_id = :winner_id AND e.campaign_id = m.campaign_id
    )
    AND NOT EXISTS (
        SELECT FROM message AS w
        WHERE w.project_id = :project_id AND w.subscriber_id = :winner_id AND w.campaign_id = m.campaign_id
    )
    AND NOT EXISTS (
        SELECT FROM campaign_reaction AS r
        WHERE r.project_id = :project_id AND r.subscriber_id = :winner_id AND r.campaign_id = m.campaign_id
    )
GROUP BY m.campaign_id
HAVING coalesce(max(m.last_at), '-infinity') < now() - INTERVAL '1 hour'
ORDER BY m.campaign_id

-- name: move_reactions
-- The second person's part of these campaigns becomes the first one's. The rows are locked by this: an event that is
-- being stored meanwhile either is seen by what follows, or stays with the second person, rollup and all.
-- binds: project_id bigint, winner_id bigint, loser_id bigint, campaign_ids bigint[]
-- writes: campaign_reaction
UPDATE campaign_reaction SET subscriber_id = :winner_id
WHERE project_id = :project_id AND campaign_id = ANY (CAST(:campaign_ids AS bigint[])) AND subscriber_id = :loser_id

-- name: move_link_reactions
-- The same for links.
-- binds: project_id bigint, winner_id bigint, loser_id bigint, campaign_ids bigint[]
-- writes: campaign_link_reaction
UPDATE campaign_link_reaction SET subscriber_id = :winner_id
WHERE project_id = :project_id AND campaign_id = ANY (CAST(:campaign_ids AS bigint[])) AND subscriber_id = :loser_id

-- name: move_events
-- The events of these campaigns, and those of single letters, get the first person's id. Their positions stay.
-- binds: project_id bigint, winner_id bigint, loser_id bigint, campaign_ids bigint[]
-- writes: message_event
UPDATE message_event SET subscriber_id = :winner_id
WHERE project_id = :project_id AND subscriber_id = :loser_id
    AND (campaign_id IS NULL OR campaign_id = ANY (CAST(:campaign_ids AS bigint[])))

-- name: move_messages
-- The same for letters whose fate is settled; one that waits is found without its person, and skipped.
-- binds: project_id bigint, winner_id bigint, loser_id bigint, campaign_ids bigint[]
-- writes: message
UPDATE message SET subscriber_id = :winner_id
WHERE project_id = :project_id AND subscriber_id = :loser_id
    AND state NOT IN ('queued', 'deferred')
    AND (campaign_id IS NULL OR campaign_id = ANY (CAST(:campaign_ids AS bigint[])))

-- name: has_news
-- One row: whether anything has happened within an hour to a person who was merged with another.
-- binds: project_id bigint, loser_id bigint
-- reads: message_event, message
SELECT EXISTS (
    SELECT FROM message_event
    WHERE project_id = :project_id AND subscriber_id = :loser_id AND at > now() - INTERVAL '1 hour'
) OR EXISTS (
    SELECT FROM message
    WHERE project_id = :project_id AND subscriber_id = :loser_id
        AND coalesce(settled_at, created_at) > now() - INTERVAL '1 hour'
) AS news
