"""Who has become whom by a merge, and days of lists that are cut by the old time zone until they are cut again."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0025"
branch_labels = None
depends_on = None

# Both kinds of growth triggers say it in the same words.
OLD = "now() AT TIME ZONE p.time_zone"
NEW = "now() AT TIME ZONE coalesce(p.days_zone, p.time_zone)"
# Whoever cuts a project's days again waits for those who cut by the zone of before, and makes later ones wait.
BEGIN = "\nBEGIN\n"
# The rows have other names in each kind of trigger, and a statement of PL/pgSQL is looked at only when it is come to.
HOLD = """
{indent}PERFORM pg_advisory_xact_lock_shared(hashtext('list_day'), CAST(t.project_id % 2147483648 AS integer))
{indent}FROM (SELECT DISTINCT project_id FROM {rows} ORDER BY 1) AS t;"""
HOLD_SUBSCRIPTIONS = (
    BEGIN
    + "    IF TG_OP = 'DELETE' THEN"
    + HOLD.format(indent=" " * 8, rows="old_rows")
    + "\n    ELSE"
    + HOLD.format(indent=" " * 8, rows="new_rows")
    + "\n    END IF;\n"
)
HOLD_BOUNCES = BEGIN.rstrip() + HOLD.format(indent=" " * 4, rows="new_rows WHERE status = 'bounced'") + "\n"
FUNCTIONS = {"count_subscriptions": HOLD_SUBSCRIPTIONS, "note_bounces": HOLD_BOUNCES}


def upgrade() -> None:
    op.create_table(
        "subscriber_merge",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("gone_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("subscriber_id", sa.BigInteger(), nullable=False),
        sa.Column("merged_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id", "subscriber_id"],
            ["subscriber.project_id", "subscriber.id"],
            name=op.f("fk_subscriber_merge_subscriber"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "gone_id", name=op.f("pk_subscriber_merge")),
    )
    op.create_index(
        op.f("ix_subscriber_merge_project_id_subscriber_id"), "subscriber_merge", ["project_id", "subscriber_id"]
    )
    op.create_index(
        "ix_subscriber_merge_open", "subscriber_merge", ["merged_at"], postgresql_where=sa.text("settled_at IS NULL")
    )
    op.add_column("project", sa.Column("days_zone", sa.Text(), nullable=True))
    for name, hold in FUNCTIONS.items():
        _rewrite(name, (BEGIN, hold), (OLD, NEW))


def downgrade() -> None:
    for name, hold in FUNCTIONS.items():
        _rewrite(name, (NEW, OLD), (hold, BEGIN))
    op.drop_column("project", "days_zone")
    op.drop_table("subscriber_merge")


def _rewrite(name: str, *changes: tuple[str, str]) -> None:
    """The function as 0022 has it, with these words in place of those."""
    known = sa.text("SELECT prosrc FROM pg_proc WHERE proname = :name")
    body = op.get_bind().execute(known, {"name": name}).scalar_one()
    for old, new in changes:
        assert old in body, (name, old)
        body = body.replace(old, new)
    op.execute(f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $${body}$$")
