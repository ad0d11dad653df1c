"""The post office: several letters of a chunk on the wire at once, routes, a lane a mailbox provider."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

RUNNING = "state = 'running'"
PLACES = postgresql.ARRAY(sa.Integer())


def upgrade() -> None:
    op.execute("SET LOCAL statement_timeout = '60s'")
    for name in ("on_wire", "again", "unwritten"):
        op.add_column("chunk_lease", sa.Column(name, PLACES, server_default=sa.text("'{}'"), nullable=False))
    op.add_column("chunk_lease", sa.Column("writes", sa.Integer(), server_default="0", nullable=False))
    op.execute("UPDATE chunk_lease SET on_wire = ARRAY[pos], pos = pos + 1 WHERE state = 'running' AND in_flight")
    op.drop_column("chunk_lease", "in_flight")
    op.add_column("campaign_lane", sa.Column("route", sa.Text(), server_default="default", nullable=False))
    op.add_column("campaign_lane", sa.Column("total", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("message", sa.Column("route", sa.Text(), server_default="", nullable=False))
    op.create_index(
        "ix_message_in_flight",
        "message",
        ["lease_until"],
        postgresql_where=sa.text("in_flight AND state IN ('queued', 'deferred')"),
    )
    op.drop_index("ix_chunk_lease_running", table_name="chunk_lease")
    op.create_index(
        "ix_chunk_lease_running", "chunk_lease", ["project_id", "campaign_id"], postgresql_where=sa.text(RUNNING)
    )


def downgrade() -> None:
    # Only for an idle post office: several letters on the wire have no place in the earlier form.
    op.drop_index("ix_chunk_lease_running", table_name="chunk_lease")
    op.create_index("ix_chunk_lease_running", "chunk_lease", ["lease_until"], postgresql_where=sa.text(RUNNING))
    op.drop_index("ix_message_in_flight", table_name="message")
    op.drop_column("message", "route")
    op.drop_column("campaign_lane", "total")
    op.drop_column("campaign_lane", "route")
    op.add_column(
        "chunk_lease", sa.Column("in_flight", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.drop_column("chunk_lease", "writes")
    for name in ("unwritten", "again", "on_wire"):
        op.drop_column("chunk_lease", name)
