"""Imports: several lists and rules, the check before, roll-back after, and rejected rows in the file's own cells."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

STATES = ("pending", "running", "done", "failed")
NEW_STATES = ("draft", *STATES, "cancelled", "rolling_back", "rolled_back")


def _json(name: str, default: str) -> sa.Column:
    return sa.Column(name, postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text(default), nullable=False)


def _count(name: str) -> sa.Column:
    return sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)


def _columns() -> tuple[sa.Column, ...]:
    return (
        _json("reading", "'{}'"),
        _json("headers", "'[]'"),
        _json("rules", "'{}'"),
        sa.Column("consent_text_id", sa.BigInteger(), nullable=True),
        _json("checked", "'{}'"),
        sa.Column("check_job_id", sa.BigInteger(), nullable=True),
        _json("grade", "'{}'"),
        _count("rows_unchanged"),
        sa.Column("first_created", sa.BigInteger(), nullable=True),
        sa.Column("last_created", sa.BigInteger(), nullable=True),
        sa.Column("letters_open", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        _json("letters", "'{}'"),
        sa.Column("undo_job_id", sa.BigInteger(), nullable=True),
        _count("rows_undone"),
        _count("rows_kept"),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
    )


def _staged() -> tuple[sa.Column, ...]:
    return (
        _json("tags", "'[]'"),
        sa.Column("consent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("consent_source", sa.Text(), server_default="", nullable=False),
        sa.Column("consent_ip", postgresql.INET(), nullable=True),
    )


def upgrade() -> None:
    op.execute("SET LOCAL statement_timeout = 0")
    for column in _columns():
        op.add_column("subscriber_import", column)
    op.alter_column("subscriber_import", "list_id", existing_type=sa.BigInteger(), nullable=True)
    _states(NEW_STATES)
    op.execute("UPDATE subscriber_import SET state = 'draft' WHERE state = 'pending' AND mapping = '{}'")
    op.execute("UPDATE subscriber_import SET state = 'cancelled' WHERE state = 'failed' AND error = 'cancelled'")
    op.add_column("import_rejected_row", sa.Column("cells", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    for column in _staged():
        op.add_column("import_staging", column)
    op.create_table(
        "import_list",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("import_id", sa.BigInteger(), nullable=False),
        sa.Column("list_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "import_id"],
            ["subscriber_import.project_id", "subscriber_import.id"],
            name=op.f("fk_import_list_subscriber_import"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "list_id"],
            ["mailing_list.project_id", "mailing_list.id"],
            name=op.f("fk_import_list_mailing_list"),
        ),
        sa.PrimaryKeyConstraint("project_id", "import_id", "list_id", name=op.f("pk_import_list")),
    )
    op.create_index(op.f("ix_import_list_project_id_list_id"), "import_list", ["project_id", "list_id"])
    op.execute(
        "INSERT INTO import_list (project_id, import_id, list_id)"
        " SELECT project_id, id, list_id FROM subscriber_import WHERE list_id IS NOT NULL"
    )
    op.create_table(
        "import_change",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("import_id", sa.BigInteger(), nullable=False),
        sa.Column("subscriber_id", sa.BigInteger(), nullable=False),
        sa.Column("name_before", sa.Text(), nullable=True),
        sa.Column("name_given", sa.Text(), nullable=True),
        sa.Column("fields_before", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("fields_given", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("updated_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        _json("lists_before", "'{}'"),
        _json("tags_added", "'[]'"),
        sa.Column("kept", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "import_id"],
            ["subscriber_import.project_id", "subscriber_import.id"],
            name=op.f("fk_import_change_subscriber_import"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "subscriber_id"],
            ["subscriber.project_id", "subscriber.id"],
            name=op.f("fk_import_change_subscriber"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "import_id", "subscriber_id", name=op.f("pk_import_change")),
    )
    op.create_index(op.f("ix_import_change_project_id_subscriber_id"), "import_change", ["project_id", "subscriber_id"])
    op.create_index(
        "ix_import_change_kept",
        "import_change",
        ["project_id", "import_id", "subscriber_id"],
        postgresql_where=sa.text("kept <> ''"),
    )


def downgrade() -> None:
    op.drop_table("import_change")
    op.drop_table("import_list")
    for column in _staged():
        op.drop_column("import_staging", column.name)
    op.drop_column("import_rejected_row", "cells")
    # What the older program does not know: uploads without a list go, and what was taken back has failed.
    op.execute("DELETE FROM subscriber_import WHERE list_id IS NULL")
    op.execute("UPDATE subscriber_import SET state = 'pending', mapping = '{}' WHERE state = 'draft'")
    op.execute(
        "UPDATE subscriber_import SET state = 'failed', error = 'cancelled'"
        " WHERE state IN ('cancelled', 'rolling_back', 'rolled_back')"
    )
    _states(STATES)
    op.alter_column("subscriber_import", "list_id", existing_type=sa.BigInteger(), nullable=False)
    for column in _columns():
        op.drop_column("subscriber_import", column.name)


def _states(words: tuple[str, ...]) -> None:
    op.drop_constraint(op.f("ck_subscriber_import_state"), "subscriber_import")
    allowed = ", ".join(f"'{word}'" for word in words)
    op.create_check_constraint(op.f("ck_subscriber_import_state"), "subscriber_import", f"state IN ({allowed})")
