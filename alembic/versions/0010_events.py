"""Events: a position to follow them by, who made a hit and with what; hours, devices, providers; machines' numbers."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# The transaction that wrote a row. A reader takes rows below the horizon: every transaction down there has ended, so
# nothing can come in behind it. A database restored into another cluster counts transactions from a lower number;
# `mailhub init` then replaces both functions by ones that add what is missing.
FEED_POSITION = """
CREATE FUNCTION feed_position() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint) + 0
$$
"""
FEED_HORIZON = """
CREATE FUNCTION feed_horizon() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) + 0
$$
"""
COUNTED = ("project_day", "campaign_stats", "campaign_day", "campaign_domain")
COUNTS = (
    "sent", "opened", "redirected", "hardbounced", "softbounced", "unsubscribed", "complained", "deferred", "blocked",
    "unknown", "machine_opened", "machine_redirected",
)  # fmt: skip
#: Table → its counters of machines' hits.
MACHINES = {
    **dict.fromkeys(COUNTED, ("machine_opened", "machine_redirected")),
    "campaign_reaction": ("machine_opened", "machine_redirected"),
    "campaign_link_stats": ("machine_redirected", "unique_machine_redirected"),
    "campaign_link_reaction": ("machine_redirected",),
}
ACTORS = "actor IN ('', 'human', 'proxy_open', 'machine_open', 'scanner', 'unknown')"
TEXTS = ("actor", "actor_cause", "device", "client")


def upgrade() -> None:
    # The new key, the constraint and the indexes read all events: as long as that takes.
    op.execute("SET LOCAL statement_timeout = 0")
    op.execute(FEED_POSITION)
    op.execute(FEED_HORIZON)
    # A constant first, so that the rows that are there need no writing; from now on the transaction.
    for table, column in (("message_event", "position"), ("link", "feed_position")):
        op.add_column(table, sa.Column(column, sa.BigInteger(), server_default="0", nullable=False))
        op.alter_column(table, column, server_default=sa.text("feed_position()"))
    for name in TEXTS:
        op.add_column("message_event", sa.Column(name, sa.Text(), server_default="", nullable=False))
    op.create_check_constraint(op.f("ck_message_event_actor"), "message_event", ACTORS)
    op.drop_constraint(op.f("pk_message_event"), "message_event", type_="primary")
    op.create_primary_key(op.f("pk_message_event"), "message_event", ["project_id", "position", "id", "at"])
    op.create_index(
        "ix_message_event_hits",
        "message_event",
        ["position", "id"],
        postgresql_where=sa.text("type IN ('OPENED', 'REDIRECTED')"),
    )
    op.create_index("ix_link_feed", "link", ["feed_position", "id"])
    for table, names in MACHINES.items():
        for name in names:
            op.add_column(table, sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))
    for name in ("unique_machine_opened", "unique_machine_redirected"):
        op.add_column("campaign_stats", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))
    _create_counted("campaign_hour", [sa.Column("hour", sa.SmallInteger(), autoincrement=False, nullable=False)])
    _create_counted(
        "campaign_device",
        [sa.Column("device", sa.Text(), nullable=False), sa.Column("client", sa.Text(), nullable=False)],
        counts=("opened", "redirected", "machine_opened", "machine_redirected"),
    )
    _create_counted(
        "project_provider_day",
        [sa.Column("day", sa.Date(), nullable=False), sa.Column("provider", sa.Text(), nullable=False)],
        campaign=False,
    )
    op.create_table(
        "feed_cursor",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("id", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_feed_cursor")),
    )
    op.create_table(
        "hit_spool",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("stored_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_hit_spool")),
    )


def _create_counted(table, keys, *, counts=COUNTS, campaign=True) -> None:
    """A rollup table: the project, the campaign where it has one, the keys, a counter a name."""
    names = ["project_id", *(["campaign_id"] if campaign else []), *(key.name for key in keys)]
    op.create_table(
        table,
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        *([sa.Column("campaign_id", sa.BigInteger(), nullable=False)] if campaign else []),
        *keys,
        *(sa.Column(name, sa.BigInteger(), server_default="0", nullable=False) for name in counts),
        sa.ForeignKeyConstraint(
            names[:2] if campaign else names[:1],
            ["campaign.project_id", "campaign.id"] if campaign else ["project.id"],
            name=op.f(f"fk_{table}_{'campaign' if campaign else 'project'}"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(*names, name=op.f(f"pk_{table}")),
    )


def downgrade() -> None:
    for table in ("hit_spool", "feed_cursor", "project_provider_day", "campaign_device", "campaign_hour"):
        op.drop_table(table)
    for name in ("unique_machine_redirected", "unique_machine_opened"):
        op.drop_column("campaign_stats", name)
    for table, names in MACHINES.items():
        for name in names:
            op.drop_column(table, name)
    op.drop_index("ix_link_feed", "link")
    op.drop_index("ix_message_event_hits", "message_event")
    op.drop_constraint(op.f("pk_message_event"), "message_event", type_="primary")
    op.create_primary_key(op.f("pk_message_event"), "message_event", ["project_id", "at", "id"])
    op.drop_constraint(op.f("ck_message_event_actor"), "message_event", type_="check")
    for name in TEXTS:
        op.drop_column("message_event", name)
    op.drop_column("link", "feed_position")
    op.drop_column("message_event", "position")
    op.execute("DROP FUNCTION feed_horizon()")
    op.execute("DROP FUNCTION feed_position()")
