"""Lists of the people behind a campaign's numbers: who left, who clicked."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# Few people leave and few click: a list of them is a walk of its own index and not of everybody who opened. The
# predicates are moments that are set once, so that a further hit of the same person is still a HOT update.
INDEXES = (
    ("ix_campaign_reaction_left", "unsubscribed_at IS NOT NULL"),
    ("ix_campaign_reaction_clicked", "first_redirected_at IS NOT NULL"),
)


def upgrade() -> None:
    # Indexes over all that is stored take as long as they take.
    op.execute("SET LOCAL statement_timeout = 0")
    for name, few in INDEXES:
        op.create_index(
            name,
            "campaign_reaction",
            ["project_id", "campaign_id", "subscriber_id"],
            postgresql_where=sa.text(few),
        )


def downgrade() -> None:
    for name, _few in INDEXES:
        op.drop_index(name, "campaign_reaction")
