"""Sign-up forms: their pages, what comes in by them, their numbers, the caps on letters, each list's own letters."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sign_up_cap",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("times", sa.ARRAY(sa.DateTime(timezone=True)), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_sign_up_cap")),
    )
    op.create_index("ix_sign_up_cap_until", "sign_up_cap", ["until"], unique=False)
    op.create_table(
        "list_letter",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("list_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("html", sa.Text(), server_default="", nullable=False),
        sa.Column("text", sa.Text(), server_default="", nullable=False),
        sa.Column("updated_by", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('confirmation', 'welcome', 'goodbye')", name=op.f("ck_list_letter_kind")),
        sa.ForeignKeyConstraint(
            ["project_id", "list_id"],
            ["mailing_list.project_id", "mailing_list.id"],
            name=op.f("fk_list_letter_mailing_list"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "list_id", "kind", "language", name=op.f("pk_list_letter")),
    )
    op.create_table(
        "sign_up_form",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("default_list_id", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), server_default="active", nullable=False),
        sa.Column("pause_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opt_in", sa.Text(), server_default="double", nullable=False),
        sa.Column("language", sa.Text(), server_default="", nullable=False),
        sa.Column("redirect_url", sa.Text(), server_default="", nullable=False),
        sa.Column("choose_lists", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("tags", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("design", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_by", sa.BigInteger(), nullable=True),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("opt_in IN ('single', 'double')", name=op.f("ck_sign_up_form_opt_in")),
        sa.CheckConstraint("pause_reason IN ('', 'by_hand', 'flood')", name=op.f("ck_sign_up_form_pause_reason")),
        sa.CheckConstraint("state IN ('active', 'paused')", name=op.f("ck_sign_up_form_state")),
        sa.ForeignKeyConstraint(
            ["project_id", "default_list_id"],
            ["mailing_list.project_id", "mailing_list.id"],
            name=op.f("fk_sign_up_form_mailing_list"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_sign_up_form_project"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_sign_up_form")),
    )
    op.create_index(
        "uq_sign_up_form_default",
        "sign_up_form",
        ["project_id", "default_list_id"],
        unique=True,
        postgresql_where=sa.text("default_list_id IS NOT NULL"),
    )
    op.create_table(
        "sign_up_day",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("form_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("views", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("submits", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("confirmations", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "form_id"],
            ["sign_up_form.project_id", "sign_up_form.id"],
            name=op.f("fk_sign_up_day_sign_up_form"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "form_id", "day", "host", name=op.f("pk_sign_up_day")),
    )
    op.create_table(
        "sign_up_form_list",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("form_id", sa.BigInteger(), nullable=False),
        sa.Column("list_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "form_id"],
            ["sign_up_form.project_id", "sign_up_form.id"],
            name=op.f("fk_sign_up_form_list_sign_up_form"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "list_id"],
            ["mailing_list.project_id", "mailing_list.id"],
            name=op.f("fk_sign_up_form_list_mailing_list"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "form_id", "list_id", name=op.f("pk_sign_up_form_list")),
    )
    op.create_index(
        op.f("ix_sign_up_form_list_project_id_list_id"), "sign_up_form_list", ["project_id", "list_id"], unique=False
    )
    op.create_table(
        "sign_up_submission",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("form_id", sa.BigInteger(), nullable=False),
        sa.Column("stamp_key", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("fields", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("list_ids", sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("consents", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("subscriber_id", sa.BigInteger(), nullable=True),
        sa.Column("ip", postgresql.INET(), nullable=True),
        sa.Column("user_agent", sa.Text(), server_default="", nullable=False),
        sa.Column("host", sa.Text(), server_default="", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'asked', 'subscribed', 'confirmed', 'already', 'stopped', 'capped', 'expired')",
            name=op.f("ck_sign_up_submission_state"),
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "form_id"],
            ["sign_up_form.project_id", "sign_up_form.id"],
            name=op.f("fk_sign_up_submission_sign_up_form"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "subscriber_id"],
            ["subscriber.project_id", "subscriber.id"],
            name=op.f("fk_sign_up_submission_subscriber"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_sign_up_submission")),
    )
    op.create_index(
        "ix_sign_up_submission_asked",
        "sign_up_submission",
        ["settled_at"],
        unique=False,
        postgresql_where=sa.text("state = 'asked'"),
    )
    op.create_index("ix_sign_up_submission_created", "sign_up_submission", ["created_at"], unique=False)
    op.create_index("ix_sign_up_submission_form", "sign_up_submission", ["project_id", "form_id", "id"], unique=False)
    op.create_index("ix_sign_up_submission_person", "sign_up_submission", ["project_id", "subscriber_id"], unique=False)
    op.create_index(
        "ix_sign_up_submission_waiting",
        "sign_up_submission",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "uq_sign_up_submission_stamp",
        "sign_up_submission",
        ["stamp_key"],
        unique=True,
        postgresql_where=sa.text("stamp_key IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_table("sign_up_day")
    op.drop_table("sign_up_submission")
    op.drop_table("sign_up_form_list")
    op.drop_table("sign_up_form")
    op.drop_table("list_letter")
    op.drop_table("sign_up_cap")
