"""Counters of subscribers and subscriptions: statement triggers, so that every way of writing keeps them exact."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# A deletion only updates: when it cascades from the list or the project, the counter's own row goes too.
COUNT_SUBSCRIPTIONS = """
CREATE FUNCTION count_subscriptions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO list_count AS c (project_id, list_id, status, n)
        SELECT project_id, list_id, status, count(*) FROM new_rows
        GROUP BY project_id, list_id, status ORDER BY project_id, list_id, status
        ON CONFLICT (project_id, list_id, status) DO UPDATE SET n = c.n + EXCLUDED.n;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO list_count AS c (project_id, list_id, status, n)
        SELECT project_id, list_id, status, sum(change) FROM (
            SELECT project_id, list_id, status, 1 AS change FROM new_rows
            UNION ALL
            SELECT project_id, list_id, status, -1 FROM old_rows
        ) AS moved
        GROUP BY project_id, list_id, status HAVING sum(change) <> 0 ORDER BY project_id, list_id, status
        ON CONFLICT (project_id, list_id, status) DO UPDATE SET n = c.n + EXCLUDED.n;
    ELSE
        UPDATE list_count AS c SET n = c.n - gone.n
        FROM (SELECT project_id, list_id, status, count(*) AS n FROM old_rows GROUP BY 1, 2, 3) AS gone
        WHERE c.project_id = gone.project_id AND c.list_id = gone.list_id AND c.status = gone.status;
    END IF;
    RETURN NULL;
END $$
"""

COUNT_SUBSCRIBERS = """
CREATE FUNCTION count_subscribers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO subscriber_count AS c (project_id, status, n)
        SELECT project_id, status, count(*) FROM new_rows
        GROUP BY project_id, status ORDER BY project_id, status
        ON CONFLICT (project_id, status) DO UPDATE SET n = c.n + EXCLUDED.n;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO subscriber_count AS c (project_id, status, n)
        SELECT project_id, status, sum(change) FROM (
            SELECT project_id, status, 1 AS change FROM new_rows
            UNION ALL
            SELECT project_id, status, -1 FROM old_rows
        ) AS moved
        GROUP BY project_id, status HAVING sum(change) <> 0 ORDER BY project_id, status
        ON CONFLICT (project_id, status) DO UPDATE SET n = c.n + EXCLUDED.n;
    ELSE
        UPDATE subscriber_count AS c SET n = c.n - gone.n
        FROM (SELECT project_id, status, count(*) AS n FROM old_rows GROUP BY 1, 2) AS gone
        WHERE c.project_id = gone.project_id AND c.status = gone.status;
    END IF;
    RETURN NULL;
END $$
"""

WATCHED = {"subscription": "count_subscriptions", "subscriber": "count_subscribers"}
TABLES_SEEN = {
    "insert": "NEW TABLE AS new_rows",
    "update": "OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "delete": "OLD TABLE AS old_rows",
}


def upgrade() -> None:
    op.execute(COUNT_SUBSCRIPTIONS)
    op.execute(COUNT_SUBSCRIBERS)
    for table, function in WATCHED.items():
        for event, seen in TABLES_SEEN.items():
            op.execute(
                f"CREATE TRIGGER {function}_{event} AFTER {event.upper()} ON {table} "
                f"REFERENCING {seen} FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
            )


def downgrade() -> None:
    for table, function in WATCHED.items():
        for event in TABLES_SEEN:
            op.execute(f"DROP TRIGGER {function}_{event} ON {table}")
        op.execute(f"DROP FUNCTION {function}()")
