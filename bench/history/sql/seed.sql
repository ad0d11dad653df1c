-- The seed's way, for comparison: its tables with the same events, and its two queries.

-- name: seed_messages
-- The normalised letters: what they belong to is in other tables.
-- reads: message_event
-- writes: seed.message
INSERT INTO seed.message (id, uuid, project_id, campaign_id, list_id, email, created)
SELECT row_number() OVER (ORDER BY min(at)), message_id, min(project_id), min(campaign_id), min(list_id), min(email), min(at)
FROM message_event
GROUP BY message_id

-- name: seed_events
-- The normalised events: what they belong to is the letter's.
-- reads: message_event, seed.message
-- writes: seed.message_event
INSERT INTO seed.message_event (id, message_id, type, date, url, ip, user_agent)
SELECT e.id, m.id, e.type, e.at AT TIME ZONE 'UTC', e.url, e.ip, e.user_agent
FROM message_event AS e
JOIN seed.message AS m ON m.uuid = e.message_id

-- name: seed_flat_events
-- The denormalised events.
-- reads: message_event, seed.message
-- writes: seed.flat_event
INSERT INTO seed.flat_event (
    id, message_id, type, date, project_id, project_domain, campaign_id, campaign_name, list_id, list_name, email,
    email_domain, url, ip, user_agent
)
SELECT
    e.id, m.id, e.type, e.at AT TIME ZONE 'UTC', e.project_id, e.project_domain, e.campaign_id, e.campaign_name, e.list_id,
    e.list_name, e.email, e.email_domain, e.url, e.ip, e.user_agent
FROM message_event AS e
JOIN seed.message AS m ON m.uuid = e.message_id

-- name: seed_first
-- One row per day: the normalised way. Generated days are joined to the events by the text of their date, and the
-- letters are a list of ids in the statement (`{ids}`).
-- binds: since timestamp, until timestamp
-- reads: seed.message_event, seed.message
SELECT
    to_char(d.day, 'YYYY-MM-DD') AS day,
    count(e.id) FILTER (WHERE e.type = 'SENT') AS sent,
    count(e.id) FILTER (WHERE e.type = 'OPENED') AS opened,
    count(e.id) FILTER (WHERE e.type = 'REDIRECTED') AS redirected,
    count(e.id) FILTER (WHERE e.type = 'HARDBOUNCED') AS hardbounced,
    count(e.id) FILTER (WHERE e.type = 'SOFTBOUNCED') AS softbounced,
    count(e.id) FILTER (WHERE e.type = 'UNSUBSCRIBED') AS unsubscribed
FROM generate_series(:since, :until - interval '1 day', interval '1 day') AS d (day)
LEFT JOIN (
    SELECT v.id, v.type, v.date
    FROM seed.message_event AS v
    JOIN seed.message AS m ON m.id = v.message_id
    WHERE m.id IN ({ids})
) AS e ON to_char(e.date, 'YYYY-MM-DD') = to_char(d.day, 'YYYY-MM-DD')
GROUP BY 1
ORDER BY 1

-- name: seed_second
-- One row per day with events: the denormalised way, a project and a range of dates.
-- binds: project_id bigint, since timestamp, until timestamp
-- reads: seed.flat_event
SELECT
    CAST(e.date AS date) AS day,
    count(*) FILTER (WHERE e.type = 'SENT') AS sent,
    count(*) FILTER (WHERE e.type = 'OPENED') AS opened,
    count(*) FILTER (WHERE e.type = 'REDIRECTED') AS redirected,
    count(*) FILTER (WHERE e.type = 'HARDBOUNCED') AS hardbounced,
    count(*) FILTER (WHERE e.type = 'SOFTBOUNCED') AS softbounced,
    count(*) FILTER (WHERE e.type = 'UNSUBSCRIBED') AS unsubscribed
FROM seed.flat_event AS e
WHERE e.project_id = :project_id AND e.date >= :since AND e.date < :until
GROUP BY 1
ORDER BY 1
