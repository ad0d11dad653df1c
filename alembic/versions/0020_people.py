"""People: saved views, notes, changes that can be undone, likely duplicates; tags count themselves."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

# As in 0003: a deletion only updates, because the tag's own row may be going too. Deleting a tag deletes its row first,
# and then nobody is left to be counted.
COUNT_TAGS = """
CREATE FUNCTION count_tags() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE tag AS t SET n = t.n + fresh.n
        FROM (
            SELECT project_id, tag_id, count(*) AS n FROM new_rows GROUP BY 1, 2 ORDER BY 1, 2
        ) AS fresh
        WHERE t.project_id = fresh.project_id AND t.id = fresh.tag_id;
    ELSE
        UPDATE tag AS t SET n = t.n - gone.n
        FROM (
            SELECT project_id, tag_id, count(*) AS n FROM old_rows GROUP BY 1, 2 ORDER BY 1, 2
        ) AS gone
        WHERE t.project_id = gone.project_id AND t.id = gone.tag_id;
    END IF;
    RETURN NULL;
END $$
"""
TABLES_SEEN = {"insert": "NEW TABLE AS new_rows", "delete": "OLD TABLE AS old_rows"}


def upgrade() -> None:
    # The index over everybody's source takes its time.
    op.execute("SET LOCAL statement_timeout = 0")
    op.create_table(
        "subscriber_columns",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("columns", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_subscriber_columns_project"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_subscriber_columns_user_account"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project_id", "user_id", name=op.f("pk_subscriber_columns")),
    )
    op.create_index(op.f("ix_subscriber_columns_user_id"), "subscriber_columns", ["user_id"], unique=False)
    op.create_table(
        "subscriber_view",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("shared", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("query", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("columns", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_subscriber_view_project"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_subscriber_view_user_account"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_subscriber_view")),
    )
    op.create_index(op.f("ix_subscriber_view_user_id"), "subscriber_view", ["user_id"], unique=False)
    op.create_table(
        "subscriber_note",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("subscriber_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("author", sa.Text(), server_default="", nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "subscriber_id"],
            ["subscriber.project_id", "subscriber.id"],
            name=op.f("fk_subscriber_note_subscriber"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_subscriber_note_user_account"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_subscriber_note")),
    )
    op.create_index(
        "ix_subscriber_note_person", "subscriber_note", ["project_id", "subscriber_id", "id"], unique=False
    )
    op.create_index(op.f("ix_subscriber_note_user_id"), "subscriber_note", ["user_id"], unique=False)
    op.create_table(
        "subscriber_change",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("job_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("subscriber_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "job_id"],
            ["project_job.project_id", "project_job.id"],
            name=op.f("fk_subscriber_change_project_job"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "subscriber_id"],
            ["subscriber.project_id", "subscriber.id"],
            name=op.f("fk_subscriber_change_subscriber"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "job_id", "subscriber_id", name=op.f("pk_subscriber_change")),
    )
    op.create_index(
        op.f("ix_subscriber_change_project_id_subscriber_id"),
        "subscriber_change",
        ["project_id", "subscriber_id"],
        unique=False,
    )
    op.create_table(
        "subscriber_duplicate",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("first_id", sa.BigInteger(), nullable=False),
        sa.Column("second_id", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("dismissed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "first_id"],
            ["subscriber.project_id", "subscriber.id"],
            name="fk_subscriber_duplicate_first",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "second_id"],
            ["subscriber.project_id", "subscriber.id"],
            name="fk_subscriber_duplicate_second",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_subscriber_duplicate")),
        sa.UniqueConstraint(
            "project_id", "first_id", "second_id", name=op.f("uq_subscriber_duplicate_project_id_first_id_second_id")
        ),
    )
    op.create_index(
        op.f("ix_subscriber_duplicate_project_id_second_id"),
        "subscriber_duplicate",
        ["project_id", "second_id"],
        unique=False,
    )
    op.create_index("ix_subscriber_source", "subscriber", ["project_id", "source", "id"], unique=False)
    op.execute(COUNT_TAGS)
    for event, seen in TABLES_SEEN.items():
        op.execute(
            f"CREATE TRIGGER count_tags_{event} AFTER {event.upper()} ON subscriber_tag "
            f"REFERENCING {seen} FOR EACH STATEMENT EXECUTE FUNCTION count_tags()"
        )


def downgrade() -> None:
    for event in TABLES_SEEN:
        op.execute(f"DROP TRIGGER count_tags_{event} ON subscriber_tag")
    op.execute("DROP FUNCTION count_tags()")
    op.drop_index("ix_subscriber_source", table_name="subscriber")
    op.drop_table("subscriber_duplicate")
    op.drop_table("subscriber_change")
    op.drop_table("subscriber_note")
    op.drop_table("subscriber_view")
    op.drop_table("subscriber_columns")
