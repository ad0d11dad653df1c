"""The reports process: what it keeps."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

OPEN = "state IN ('pending', 'running')"


def upgrade() -> None:
    # Indexes over all that is stored take as long as they take.
    op.execute("SET LOCAL statement_timeout = 0")
    # Reports read days of raw events. Rows come in the order of time, so that a summary of block ranges finds a day
    # for next to nothing; other indexes begin with the project.
    op.create_index(
        "ix_message_event_at", "message_event", ["at"], postgresql_using="brin", postgresql_with={"autosummarize": "on"}
    )
    op.create_table(
        "report_job",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("parameters", JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("slices_done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("slices_total", sa.Integer(), server_default="0", nullable=False),
        sa.Column("rows", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("file", sa.Text(), server_default="", nullable=False),
        sa.Column("file_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.Column("requested_by", sa.BigInteger(), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "kind IN ('events', 'reasons', 'recipients', 'recount')", name=op.f("ck_report_job_kind")
        ),
        sa.CheckConstraint(
            "state IN ('pending', 'running', 'done', 'failed', 'cancelled')", name=op.f("ck_report_job_state")
        ),
        sa.ForeignKeyConstraint(
            ["requested_by"], ["user_account.id"], name=op.f("fk_report_job_user_account"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report_job")),
    )
    op.create_index("ix_report_job_open", "report_job", ["state"], postgresql_where=sa.text(OPEN))
    op.create_index("ix_report_job_expires_at", "report_job", ["expires_at"])
    op.create_table(
        "suspect_decision",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("looked_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("decided_by", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_suspect_decision_project"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["decided_by"], ["user_account.id"], name=op.f("fk_suspect_decision_user_account"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_suspect_decision")),
    )


def downgrade() -> None:
    op.drop_table("suspect_decision")
    op.drop_table("report_job")
    op.drop_index("ix_message_event_at", "message_event")
