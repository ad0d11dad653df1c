-- How lists grow: from `list_day`, which the trigger of subscriptions keeps beside `list_count`.

-- name: list_days
-- One row per day of the half-open range, days without a change included, oldest first; `subscribed` is how many were
-- subscribed when the day ended.
-- binds: project_id bigint, list_id bigint, since date, until date
-- reads: list_day
-- measured: 4 ms for the last year of a list with five years
SELECT
    CAST(d.day AS date) AS day,
    coalesce(r.joined, 0) AS joined,
    coalesce(r.unsubscribed, 0) AS unsubscribed,
    coalesce(r.removed, 0) AS removed,
    b.subscribed + sum(coalesce(r.joined - r.unsubscribed - r.removed, 0)) OVER (ORDER BY d.day) AS subscribed
FROM generate_series(
    CAST(:since AS timestamp), CAST(:until AS timestamp) - interval '1 day', interval '1 day'
) AS d (day)
LEFT JOIN list_day AS r ON r.project_id = :project_id AND r.list_id = :list_id AND r.day = CAST(d.day AS date)
CROSS JOIN (
    SELECT coalesce(sum(joined - unsubscribed - removed), 0) AS subscribed
    FROM list_day
    WHERE project_id = :project_id AND list_id = :list_id AND day < :since
) AS b
ORDER BY d.day

-- name: lists_growth
-- One row per list in use, by its name: what happened on the days of the half-open range, and who is subscribed now.
-- binds: project_id bigint, since date, until date
-- reads: mailing_list, list_day, list_count
-- measured: 2 ms for 90 days of 20 lists with five years each
SELECT
    l.id AS list_id,
    l.name,
    coalesce(g.joined, 0) AS joined,
    coalesce(g.unsubscribed, 0) AS unsubscribed,
    coalesce(g.removed, 0) AS removed,
    coalesce(c.n, 0) AS subscribed
FROM mailing_list AS l
LEFT JOIN (
    SELECT list_id, sum(joined) AS joined, sum(unsubscribed) AS unsubscribed, sum(removed) AS removed
    FROM list_day
    WHERE project_id = :project_id AND day >= :since AND day < :until
    GROUP BY list_id
) AS g ON g.list_id = l.id
LEFT JOIN list_count AS c ON c.project_id = l.project_id AND c.list_id = l.id AND c.status = 'subscribed'
WHERE l.project_id = :project_id AND l.archived_at IS NULL
ORDER BY l.name, l.id

-- name: lists_that_differ
-- One row per list whose days do not add up to the number of people subscribed; none where all is well.
-- binds:
-- reads: mailing_list, list_day, list_count
-- measured: 0.4 s for 400 lists with five years each; for tests and the operator
SELECT l.project_id, l.id AS list_id, coalesce(d.n, 0) AS by_days, coalesce(c.n, 0) AS counted
FROM mailing_list AS l
LEFT JOIN (
    SELECT project_id, list_id, sum(joined - unsubscribed - removed) AS n FROM list_day GROUP BY project_id, list_id
) AS d ON d.project_id = l.project_id AND d.list_id = l.id
LEFT JOIN list_count AS c ON c.project_id = l.project_id AND c.list_id = l.id AND c.status = 'subscribed'
WHERE coalesce(d.n, 0) <> coalesce(c.n, 0)
ORDER BY l.project_id, l.id
