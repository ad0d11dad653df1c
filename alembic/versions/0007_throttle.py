"""The brakes: token buckets, connection slots, lanes slowed down, relays set aside, turns, canaries."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "canary",
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("seen_by", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("queue", name=op.f("pk_canary")),
    )
    op.create_table(
        "connection_slot",
        sa.Column("relay", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("relay", "lane", "owner", name=op.f("pk_connection_slot")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "rate_bucket",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("rate", sa.Double(), nullable=False),
        sa.Column("burst", sa.Double(), nullable=False),
        sa.Column("tokens", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("rate > 0 AND burst >= 1", name=op.f("ck_rate_bucket_positive")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_rate_bucket")),
        postgresql_with={"fillfactor": "10"},
    )
    op.create_table(
        "relay_health",
        sa.Column("relay", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="up", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("probe_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("probing_owner", sa.Text(), server_default="", nullable=False),
        sa.Column("probing_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("state IN ('up', 'down')", name=op.f("ck_relay_health_state")),
        sa.PrimaryKeyConstraint("relay", name=op.f("pk_relay_health")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "relay_lane",
        sa.Column("relay", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("base_rate", sa.Double(), nullable=True),
        sa.Column("base_connections", sa.Integer(), nullable=True),
        sa.Column("rate", sa.Double(), nullable=True),
        sa.Column("connections", sa.Integer(), nullable=True),
        sa.Column("normal_rate", sa.Double(), nullable=True),
        sa.Column("suspended_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("grown_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("last_code", sa.SmallInteger(), nullable=True),
        sa.Column("last_reply", sa.Text(), server_default="", nullable=False),
        sa.Column("slowed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("flow", sa.Double(), server_default="0", nullable=False),
        sa.Column("flow_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_total", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("deferred_total", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("failed_total", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("blocked_total", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("relay", "lane", name=op.f("pk_relay_lane")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "project_turn",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("weight", sa.Double(), server_default="1", nullable=False),
        sa.Column("vtime", sa.Double(), server_default="0", nullable=False),
        sa.Column("charged_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("weight > 0", name=op.f("ck_project_turn_weight")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_project_turn_project"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_project_turn")),
        postgresql_with={"fillfactor": "20"},
    )
    op.add_column("campaign", sa.Column("spread_seconds", sa.Integer(), nullable=True))
    op.add_column("project", sa.Column("messages_per_second", sa.Double(), nullable=True))
    op.add_column("worker_heartbeat", sa.Column("parent_pid", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("worker_heartbeat", "parent_pid")
    op.drop_column("project", "messages_per_second")
    op.drop_column("campaign", "spread_seconds")
    op.drop_table("project_turn")
    op.drop_table("relay_lane")
    op.drop_table("relay_health")
    op.drop_table("rate_bucket")
    op.drop_table("connection_slot")
    op.drop_table("canary")
