"""Projects: whether the days of the statistics are still cut by a time zone from before."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("project", sa.Column("days_stale_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("project", "days_stale_at")
