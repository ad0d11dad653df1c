"""The stop list: domains with those above them, counts by reason; lists' days by source, and who bounced."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

# a.b.example → {a.b.example, b.example, example}.
DOMAIN_AND_PARENTS = r"""
CREATE FUNCTION domain_and_parents(domain text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT array_agg(array_to_string(labels[n:], '.') ORDER BY n)
    FROM string_to_array(domain, '.') AS labels, generate_subscripts(labels, 1) AS n
$$
"""

COUNT_SUPPRESSIONS = """
CREATE FUNCTION count_suppressions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO suppression_count AS c (project_id, reason, n)
        SELECT project_id, reason, count(*) FROM new_rows GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (project_id, reason) DO UPDATE SET n = c.n + EXCLUDED.n;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO suppression_count AS c (project_id, reason, n)
        SELECT project_id, reason, sum(change) FROM (
            SELECT project_id, reason, 1 AS change FROM new_rows
            UNION ALL
            SELECT project_id, reason, -1 FROM old_rows
        ) AS moved
        GROUP BY 1, 2 HAVING sum(change) <> 0 ORDER BY 1, 2
        ON CONFLICT (project_id, reason) DO UPDATE SET n = c.n + EXCLUDED.n;
    ELSE
        UPDATE suppression_count AS c SET n = c.n - gone.n
        FROM (SELECT project_id, reason, count(*) AS n FROM old_rows GROUP BY 1, 2) AS gone
        WHERE c.project_id = gone.project_id AND c.reason = gone.reason;
    END IF;
    RETURN NULL;
END $$
"""
SEEN = {
    "insert": "NEW TABLE AS new_rows",
    "update": "OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "delete": "OLD TABLE AS old_rows",
}

# The kinds of subscription.source, of which only the first word is of interest: import:12 is an import.
SOURCE_KIND = """
CREATE FUNCTION source_kind(source text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE split_part(source, ':', 1)
        WHEN 'form' THEN 'form' WHEN 'import' THEN 'import' WHEN 'api' THEN 'api'
        WHEN 'manual' THEN 'hand' WHEN 'page' THEN 'hand' WHEN 'hand' THEN 'hand'
        ELSE 'other'
    END
$$
"""

# As 0011 made it, with the sources beside the days. Both tables are locked in this order by everybody.
COUNT_ON_INSERT = """
        INSERT INTO list_count AS c (project_id, list_id, status, n)
        SELECT project_id, list_id, status, count(*) FROM new_rows
        GROUP BY project_id, list_id, status ORDER BY project_id, list_id, status
        ON CONFLICT (project_id, list_id, status) DO UPDATE SET n = c.n + EXCLUDED.n;
"""
COUNT_ON_UPDATE = """
        INSERT INTO list_count AS c (project_id, list_id, status, n)
        SELECT project_id, list_id, status, sum(change) FROM (
            SELECT project_id, list_id, status, 1 AS change FROM new_rows
            UNION ALL
            SELECT project_id, list_id, status, -1 FROM old_rows
        ) AS moved
        GROUP BY project_id, list_id, status HAVING sum(change) <> 0 ORDER BY project_id, list_id, status
        ON CONFLICT (project_id, list_id, status) DO UPDATE SET n = c.n + EXCLUDED.n;
"""
COUNT_ON_DELETE = """
        UPDATE list_count AS c SET n = c.n - gone.n
        FROM (SELECT project_id, list_id, status, count(*) AS n FROM old_rows GROUP BY 1, 2, 3) AS gone
        WHERE c.project_id = gone.project_id AND c.list_id = gone.list_id AND c.status = gone.status;
"""
DAY_ON_INSERT = """
        INSERT INTO list_day AS d (project_id, list_id, day, joined)
        SELECT m.project_id, m.list_id, CAST(now() AT TIME ZONE p.time_zone AS date), m.n
        FROM (
            SELECT project_id, list_id, count(*) AS n FROM new_rows WHERE status = 'subscribed' GROUP BY 1, 2
        ) AS m
        JOIN project AS p ON p.id = m.project_id
        JOIN mailing_list AS l ON l.project_id = m.project_id AND l.id = m.list_id
        ORDER BY m.project_id, m.list_id
        ON CONFLICT (project_id, list_id, day) DO UPDATE SET joined = d.joined + EXCLUDED.joined;
"""
DAY_ON_UPDATE = """
        INSERT INTO list_day AS d (project_id, list_id, day, joined, unsubscribed)
        SELECT m.project_id, m.list_id, CAST(now() AT TIME ZONE p.time_zone AS date), m.joined, m.unsubscribed
        FROM (
            SELECT
                project_id, list_id,
                count(*) FILTER (WHERE change > 0) AS joined, count(*) FILTER (WHERE change < 0) AS unsubscribed
            FROM (
                SELECT project_id, list_id, sum(change) AS change
                FROM (
                    SELECT project_id, list_id, subscriber_id, 1 AS change FROM new_rows WHERE status = 'subscribed'
                    UNION ALL
                    SELECT project_id, list_id, subscriber_id, -1 FROM old_rows WHERE status = 'subscribed'
                ) AS moved
                GROUP BY project_id, list_id, subscriber_id HAVING sum(change) <> 0
            ) AS people
            GROUP BY project_id, list_id
        ) AS m
        JOIN project AS p ON p.id = m.project_id
        JOIN mailing_list AS l ON l.project_id = m.project_id AND l.id = m.list_id
        ORDER BY m.project_id, m.list_id
        ON CONFLICT (project_id, list_id, day) DO UPDATE SET
            joined = d.joined + EXCLUDED.joined, unsubscribed = d.unsubscribed + EXCLUDED.unsubscribed;
"""
DAY_ON_DELETE = """
        INSERT INTO list_day AS d (project_id, list_id, day, removed)
        SELECT m.project_id, m.list_id, CAST(now() AT TIME ZONE p.time_zone AS date), m.n
        FROM (
            SELECT project_id, list_id, count(*) AS n FROM old_rows WHERE status = 'subscribed' GROUP BY 1, 2
        ) AS m
        JOIN project AS p ON p.id = m.project_id
        JOIN mailing_list AS l ON l.project_id = m.project_id AND l.id = m.list_id
        ORDER BY m.project_id, m.list_id
        ON CONFLICT (project_id, list_id, day) DO UPDATE SET removed = d.removed + EXCLUDED.removed;
"""
SOURCE_ON_INSERT = """
        INSERT INTO list_source_day AS d (project_id, list_id, day, source, joined)
        SELECT m.project_id, m.list_id, CAST(now() AT TIME ZONE p.time_zone AS date), m.source, m.n
        FROM (
            SELECT project_id, list_id, source_kind(source) AS source, count(*) AS n
            FROM new_rows WHERE status = 'subscribed' GROUP BY 1, 2, 3
        ) AS m
        JOIN project AS p ON p.id = m.project_id
        JOIN mailing_list AS l ON l.project_id = m.project_id AND l.id = m.list_id
        ORDER BY m.project_id, m.list_id, m.source
        ON CONFLICT (project_id, list_id, day, source) DO UPDATE SET joined = d.joined + EXCLUDED.joined;
"""
# Who joins comes by the source that the row says now, who leaves had come by the one that it said before.
SOURCE_ON_UPDATE = """
        INSERT INTO list_source_day AS d (project_id, list_id, day, source, joined, unsubscribed)
        SELECT m.project_id, m.list_id, CAST(now() AT TIME ZONE p.time_zone AS date), m.source, m.joined, m.unsubscribed
        FROM (
            SELECT
                project_id, list_id, source,
                count(*) FILTER (WHERE change > 0) AS joined, count(*) FILTER (WHERE change < 0) AS unsubscribed
            FROM (
                SELECT
                    project_id, list_id, sum(change) AS change,
                    source_kind(coalesce(max(source) FILTER (WHERE change > 0), max(source))) AS source
                FROM (
                    SELECT project_id, list_id, subscriber_id, source, 1 AS change
                    FROM new_rows WHERE status = 'subscribed'
                    UNION ALL
                    SELECT project_id, list_id, subscriber_id, source, -1 FROM old_rows WHERE status = 'subscribed'
                ) AS moved
                GROUP BY project_id, list_id, subscriber_id HAVING sum(change) <> 0
            ) AS people
            GROUP BY project_id, list_id, source
        ) AS m
        JOIN project AS p ON p.id = m.project_id
        JOIN mailing_list AS l ON l.project_id = m.project_id AND l.id = m.list_id
        ORDER BY m.project_id, m.list_id, m.source
        ON CONFLICT (project_id, list_id, day, source) DO UPDATE SET
            joined = d.joined + EXCLUDED.joined, unsubscribed = d.unsubscribed + EXCLUDED.unsubscribed;
"""
SOURCE_ON_DELETE = """
        INSERT INTO list_source_day AS d (project_id, list_id, day, source, removed)
        SELECT m.project_id, m.list_id, CAST(now() AT TIME ZONE p.time_zone AS date), m.source, m.n
        FROM (
            SELECT project_id, list_id, source_kind(source) AS source, count(*) AS n
            FROM old_rows WHERE status = 'subscribed' GROUP BY 1, 2, 3
        ) AS m
        JOIN project AS p ON p.id = m.project_id
        JOIN mailing_list AS l ON l.project_id = m.project_id AND l.id = m.list_id
        ORDER BY m.project_id, m.list_id, m.source
        ON CONFLICT (project_id, list_id, day, source) DO UPDATE SET removed = d.removed + EXCLUDED.removed;
"""
# The days before this revision, as far as the rows still tell. What list_day knows beyond that, people who have been
# deleted or have come back, is of an unknown source: with it the sources add up to the days.
SOURCES_BEFORE = """
INSERT INTO list_source_day (project_id, list_id, day, source, joined, unsubscribed)
SELECT
    m.project_id, m.list_id, CAST(m.at AT TIME ZONE p.time_zone AS date), source_kind(m.source), sum(m.joined),
    sum(m.unsubscribed)
FROM (
    SELECT project_id, list_id, source, coalesce(confirmed_at, created_at) AS at, 1 AS joined, 0 AS unsubscribed
    FROM subscription WHERE status IN ('subscribed', 'unsubscribed')
    UNION ALL
    SELECT project_id, list_id, source, coalesce(unsubscribed_at, created_at), 0, 1
    FROM subscription WHERE status = 'unsubscribed'
) AS m
JOIN project AS p ON p.id = m.project_id
GROUP BY 1, 2, 3, 4
"""
REST_BEFORE = """
INSERT INTO list_source_day AS s (project_id, list_id, day, source, joined, unsubscribed, removed)
SELECT d.project_id, d.list_id, d.day, 'other',
    d.joined - coalesce(k.joined, 0), d.unsubscribed - coalesce(k.unsubscribed, 0), d.removed
FROM list_day AS d
FULL JOIN (
    SELECT project_id, list_id, day, sum(joined) AS joined, sum(unsubscribed) AS unsubscribed
    FROM list_source_day GROUP BY 1, 2, 3
) AS k USING (project_id, list_id, day)
WHERE d.project_id IS NOT NULL
    AND (d.joined <> coalesce(k.joined, 0) OR d.unsubscribed <> coalesce(k.unsubscribed, 0) OR d.removed <> 0)
ON CONFLICT (project_id, list_id, day, source) DO UPDATE SET
    joined = s.joined + EXCLUDED.joined, unsubscribed = s.unsubscribed + EXCLUDED.unsubscribed,
    removed = s.removed + EXCLUDED.removed
"""

NOTE_BOUNCES = """
CREATE FUNCTION note_bounces() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO list_bounce_day AS d (project_id, list_id, day, source, bounced)
    SELECT m.project_id, m.list_id, CAST(now() AT TIME ZONE p.time_zone AS date), m.source, m.n
    FROM (
        SELECT s.project_id, s.list_id, source_kind(s.source) AS source, count(*) AS n
        FROM (
            SELECT project_id, id FROM new_rows WHERE status = 'bounced'
            EXCEPT
            SELECT project_id, id FROM old_rows WHERE status = 'bounced'
        ) AS b
        JOIN subscription AS s ON s.project_id = b.project_id AND s.subscriber_id = b.id AND s.status = 'subscribed'
        GROUP BY 1, 2, 3
    ) AS m
    JOIN project AS p ON p.id = m.project_id
    ORDER BY m.project_id, m.list_id, m.source
    ON CONFLICT (project_id, list_id, day, source) DO UPDATE SET bounced = d.bounced + EXCLUDED.bounced;
    RETURN NULL;
END $$
"""
BOUNCES_BEFORE = """
INSERT INTO list_bounce_day (project_id, list_id, day, source, bounced)
SELECT
    s.project_id, s.list_id, CAST(coalesce(b.status_changed_at, b.updated_at) AT TIME ZONE p.time_zone AS date),
    source_kind(s.source), count(*)
FROM subscriber AS b
JOIN subscription AS s ON s.project_id = b.project_id AND s.subscriber_id = b.id AND s.status = 'subscribed'
JOIN project AS p ON p.id = b.project_id
WHERE b.status = 'bounced'
GROUP BY 1, 2, 3, 4
"""


def count_subscriptions(sources: bool) -> str:
    return f"""
CREATE OR REPLACE FUNCTION count_subscriptions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN{COUNT_ON_INSERT}{DAY_ON_INSERT[1:]}{SOURCE_ON_INSERT[1:] if sources else ""}\
    ELSIF TG_OP = 'UPDATE' THEN{COUNT_ON_UPDATE}{DAY_ON_UPDATE[1:]}{SOURCE_ON_UPDATE[1:] if sources else ""}\
    ELSE{COUNT_ON_DELETE}{DAY_ON_DELETE[1:]}{SOURCE_ON_DELETE[1:] if sources else ""}\
    END IF;
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    op.execute("SET LOCAL statement_timeout = 0")
    op.execute(DOMAIN_AND_PARENTS)
    op.execute(SOURCE_KIND)
    op.create_index("ix_suppression_reason", "suppression", ["project_id", "reason", "id"])
    op.create_index(
        "ix_suppression_prefix",
        "suppression",
        ["project_id", "email_key"],
        postgresql_ops={"email_key": "text_pattern_ops"},
    )
    op.create_table(
        "suppression_count",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_suppression_count_project"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "reason", name=op.f("pk_suppression_count")),
    )
    _list_days("list_source_day", "joined", "unsubscribed", "removed")
    _list_days("list_bounce_day", "bounced")
    # One pass each, during which the rows can be read and not changed: a change in between would be in neither the
    # pass nor the trigger.
    op.execute("LOCK TABLE suppression, subscriber, subscription IN SHARE MODE")
    op.execute("INSERT INTO suppression_count SELECT project_id, reason, count(*) FROM suppression GROUP BY 1, 2")
    op.execute(COUNT_SUPPRESSIONS)
    for event, seen in SEEN.items():
        op.execute(
            f"CREATE TRIGGER count_suppressions_{event} AFTER {event.upper()} ON suppression "
            f"REFERENCING {seen} FOR EACH STATEMENT EXECUTE FUNCTION count_suppressions()"
        )
    op.execute(SOURCES_BEFORE)
    op.execute(REST_BEFORE)
    op.execute(count_subscriptions(sources=True))
    op.execute(BOUNCES_BEFORE)
    op.execute(NOTE_BOUNCES)
    # Its name comes behind that of count_subscribers_update: the counter of people is locked first, by everybody.
    op.execute(
        "CREATE TRIGGER note_bounces_update AFTER UPDATE ON subscriber "
        f"REFERENCING {SEEN['update']} FOR EACH STATEMENT EXECUTE FUNCTION note_bounces()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER note_bounces_update ON subscriber")
    op.execute("DROP FUNCTION note_bounces()")
    op.execute(count_subscriptions(sources=False))
    for event in SEEN:
        op.execute(f"DROP TRIGGER count_suppressions_{event} ON suppression")
    op.execute("DROP FUNCTION count_suppressions()")
    op.drop_table("list_bounce_day")
    op.drop_table("list_source_day")
    op.drop_table("suppression_count")
    op.drop_index("ix_suppression_prefix", table_name="suppression")
    op.drop_index("ix_suppression_reason", table_name="suppression")
    op.execute("DROP FUNCTION source_kind(text)")
    op.execute("DROP FUNCTION domain_and_parents(text)")


def _list_days(table: str, *counts: str) -> None:
    op.create_table(
        table,
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("list_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), server_default="0", nullable=False) for name in counts),
        sa.ForeignKeyConstraint(
            ["project_id", "list_id"],
            ["mailing_list.project_id", "mailing_list.id"],
            name=op.f(f"fk_{table}_mailing_list"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "list_id", "day", "source", name=op.f(f"pk_{table}")),
    )
