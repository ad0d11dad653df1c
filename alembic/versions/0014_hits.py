"""Hits: clicks by their address, what the classifier remembers of scanners, and its place in the events."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# Hits that are there already are people's until `mailhub stats reclassify` has been over them: a long history must not
# keep new hits waiting.
BEGIN = """
INSERT INTO feed_cursor (name, position, id)
SELECT 'classifier', e.position, e.id
FROM message_event AS e
WHERE e.type IN ('OPENED', 'REDIRECTED')
ORDER BY e.position DESC, e.id DESC
LIMIT 1
ON CONFLICT (name) DO NOTHING
"""


def upgrade() -> None:
    # Indexes over all that is stored take as long as they take.
    op.execute("SET LOCAL statement_timeout = 0")
    op.create_index(
        "ix_message_event_clicks",
        "message_event",
        ["ip", "project_id", "at"],
        postgresql_where=sa.text("type = 'REDIRECTED'"),
    )
    op.create_table(
        "hit_taint",
        sa.Column("reader", sa.Text(), nullable=False),
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ip", postgresql.INET(), nullable=False),
        sa.Column("agent", postgresql.UUID(as_uuid=True), nullable=False),
        sa.Column("since_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("caught_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_hit_taint_project"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("reader", "project_id", "ip", "agent", name=op.f("pk_hit_taint")),
    )
    op.execute(BEGIN)


def downgrade() -> None:
    op.execute("DELETE FROM feed_cursor WHERE name = 'classifier'")
    op.drop_table("hit_taint")
    op.drop_index("ix_message_event_clicks", "message_event")
