"""Privacy and exports: erasures, how long unconfirmed sign-ups stay, since when a project's raw events are kept."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "erasure",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("subscriber_id", sa.BigInteger(), nullable=True),
        sa.Column("email_hash", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("asked_by", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("letters", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("events", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("traces", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint(
            "state IN ('waiting', 'erasing', 'following', 'done', 'withdrawn')", name=op.f("ck_erasure_state")
        ),
        sa.CheckConstraint("way IN ('page', 'many', 'api', 'own')", name=op.f("ck_erasure_way")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_erasure_project"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_erasure")),
    )
    op.create_index("ix_erasure_hash", "erasure", ["project_id", "email_hash"], unique=False)
    op.create_index(
        "ix_erasure_open",
        "erasure",
        ["project_id", "id"],
        unique=False,
        postgresql_where=sa.text("sealed IS NOT NULL"),
    )
    op.add_column("project", sa.Column("unconfirmed_days", sa.Integer(), nullable=True))
    op.add_column("project", sa.Column("raw_since", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("project", "raw_since")
    op.drop_column("project", "unconfirmed_days")
    op.drop_table("erasure")
