"""The machinery's own numbers: letters and tasks by queue and minute, the last runs of periodic tasks, who does what."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("worker_heartbeat", sa.Column("task", sa.Text(), server_default="", nullable=False))
    op.add_column("worker_heartbeat", sa.Column("task_args", sa.Text(), server_default="", nullable=False))
    op.add_column("worker_heartbeat", sa.Column("task_since", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "queue_minute",
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("minute", sa.DateTime(timezone=True), nullable=False),
        sa.Column("letters", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("tasks", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("failed", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("queue", "minute", name=op.f("pk_queue_minute")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_index("ix_queue_minute_minute", "queue_minute", ["minute"])
    op.create_table(
        "periodic_history",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("name", "started_at", name=op.f("pk_periodic_history")),
    )
    # Admins read all projects' rows by id, the newest first.
    op.create_index("ix_campaign_id", "campaign", ["id"])
    op.create_index("ix_subscriber_import_id", "subscriber_import", ["id"])


def downgrade() -> None:
    op.drop_index("ix_subscriber_import_id", table_name="subscriber_import")
    op.drop_index("ix_campaign_id", table_name="campaign")
    op.drop_table("periodic_history")
    op.drop_table("queue_minute")
    for name in ("task", "task_args", "task_since"):
        op.drop_column("worker_heartbeat", name)
