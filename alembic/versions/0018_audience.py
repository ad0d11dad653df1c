"""Audience: segments, tags, consents, typed fields, the operator's stop list, jobs of a project, tracking modes."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

# Columns whose words are given, and the words.
WORDS = (
    ("project", "tracking", ("full", "aggregate", "off")),
    ("mailing_list", "tracking", ("full", "aggregate", "off")),
    ("subscriber", "tracking", ("full", "aggregate", "off")),
    ("subscriber_field", "type", ("text", "number", "date", "boolean", "choice")),
    ("campaign_list", "side", ("include", "exclude")),
)
REASONS = ("hard_bounce", "complaint", "unsubscribed", "manual")


def upgrade() -> None:
    op.execute("SET LOCAL statement_timeout = 0")
    op.create_table(
        "global_suppression",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("email_key", sa.Text(), nullable=True),
        sa.Column("email_hash", sa.LargeBinary(), nullable=True),
        sa.Column("domain", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("created_by", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("num_nonnulls(email_key, email_hash, domain) = 1", name=op.f("ck_global_suppression_named")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_global_suppression")),
    )
    op.create_index("uq_global_suppression_domain", "global_suppression", ["domain"], unique=True)
    op.create_index("uq_global_suppression_email_hash", "global_suppression", ["email_hash"], unique=True)
    op.create_index("uq_global_suppression_email_key", "global_suppression", ["email_key"], unique=True)
    op.create_table(
        "consent_text",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_consent_text_project"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_consent_text")),
        sa.UniqueConstraint("project_id", "digest", name=op.f("uq_consent_text_project_id_digest")),
    )
    op.create_table(
        "project_job",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column(
            "parameters", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("done", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("total", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("place", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("file", sa.Text(), server_default="", nullable=False),
        sa.Column("file_name", sa.Text(), server_default="", nullable=False),
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
            "state IN ('pending', 'running', 'done', 'failed', 'cancelled')", name=op.f("ck_project_job_state")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_project_job_project"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_project_job")),
    )
    op.create_index(op.f("ix_project_job_expires_at"), "project_job", ["expires_at"], unique=False)
    op.create_index("ix_project_job_id", "project_job", ["id"], unique=False)
    op.create_index("ix_project_job_listed", "project_job", ["project_id", "kind", "id"], unique=False)
    op.create_index(
        "ix_project_job_open",
        "project_job",
        ["state"],
        unique=False,
        postgresql_where=sa.text("state IN ('pending', 'running')"),
    )
    op.create_table(
        "segment",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("definition", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=True),
        sa.Column("counted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("count_ms", sa.Integer(), nullable=True),
        sa.Column("created_by", sa.BigInteger(), nullable=True),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_segment_project"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_segment")),
    )
    op.create_table(
        "subscriber_activity",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("subscriber_id", sa.BigInteger(), nullable=False),
        sa.Column("sent", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_redirected_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_subscriber_activity_project"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "subscriber_id", name=op.f("pk_subscriber_activity")),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index(
        "ix_subscriber_activity_opened", "subscriber_activity", ["project_id", "last_opened_at"], unique=False
    )
    op.create_index(
        "ix_subscriber_activity_redirected", "subscriber_activity", ["project_id", "last_redirected_at"], unique=False
    )
    op.create_table(
        "tag",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_tag_project"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_tag")),
        sa.UniqueConstraint("project_id", "name_key", name=op.f("uq_tag_project_id_name_key")),
    )
    op.create_table(
        "consent",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("subscriber_id", sa.BigInteger(), nullable=False),
        sa.Column("list_id", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.Column("text_id", sa.BigInteger(), nullable=True),
        sa.Column("ip", postgresql.INET(), nullable=True),
        sa.Column("user_agent", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "kind IN ('imported', 'added', 'asked', 'given', 'confirmed', 'withdrawn')", name=op.f("ck_consent_kind")
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "subscriber_id"],
            ["subscriber.project_id", "subscriber.id"],
            name=op.f("fk_consent_subscriber"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_consent")),
    )
    op.create_index("ix_consent_person", "consent", ["project_id", "subscriber_id", "id"], unique=False)
    op.create_table(
        "subscriber_tag",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tag_id", sa.BigInteger(), nullable=False),
        sa.Column("subscriber_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "subscriber_id"],
            ["subscriber.project_id", "subscriber.id"],
            name=op.f("fk_subscriber_tag_subscriber"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "tag_id"],
            ["tag.project_id", "tag.id"],
            name=op.f("fk_subscriber_tag_tag"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "tag_id", "subscriber_id", name=op.f("pk_subscriber_tag")),
    )
    op.create_index(
        op.f("ix_subscriber_tag_project_id_subscriber_id"),
        "subscriber_tag",
        ["project_id", "subscriber_id"],
        unique=False,
    )
    op.create_table(
        "campaign_segment",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("segment_id", sa.BigInteger(), nullable=False),
        sa.Column("side", sa.Text(), server_default="include", nullable=False),
        sa.CheckConstraint("side IN ('include', 'exclude')", name=op.f("ck_campaign_segment_side")),
        sa.ForeignKeyConstraint(
            ["project_id", "campaign_id"],
            ["campaign.project_id", "campaign.id"],
            name=op.f("fk_campaign_segment_campaign"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "segment_id"], ["segment.project_id", "segment.id"], name=op.f("fk_campaign_segment_segment")
        ),
        sa.PrimaryKeyConstraint("project_id", "campaign_id", "segment_id", name=op.f("pk_campaign_segment")),
    )
    op.create_index(
        op.f("ix_campaign_segment_project_id_segment_id"),
        "campaign_segment",
        ["project_id", "segment_id"],
        unique=False,
    )
    op.add_column("campaign_list", sa.Column("side", sa.Text(), server_default="include", nullable=False))
    op.add_column(
        "campaign_version",
        sa.Column("audience", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    )
    op.add_column("mailing_list", sa.Column("tracking", sa.Text(), server_default="full", nullable=False))
    op.add_column("project", sa.Column("tracking", sa.Text(), server_default="full", nullable=False))
    op.add_column("project", sa.Column("retention_days", sa.Integer(), nullable=True))
    op.add_column("subscriber", sa.Column("tracking", sa.Text(), server_default="full", nullable=False))
    op.add_column("subscriber", sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("subscriber_field", sa.Column("type", sa.Text(), server_default="text", nullable=False))
    op.add_column(
        "subscriber_field",
        sa.Column("choices", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
    )
    op.add_column("subscriber_field", sa.Column("position", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("suppression", sa.Column("email_hash", sa.LargeBinary(), nullable=True))
    op.add_column("suppression", sa.Column("event_id", sa.BigInteger(), nullable=True))
    op.add_column("suppression", sa.Column("campaign_id", sa.BigInteger(), nullable=True))
    op.add_column("suppression", sa.Column("created_by", sa.BigInteger(), nullable=True))
    op.alter_column("suppression", "email_key", existing_type=sa.TEXT(), nullable=True)
    op.create_index("ix_suppression_listed", "suppression", ["project_id", "id"], unique=False)
    op.create_index(
        "uq_suppression_hash",
        "suppression",
        ["project_id", "email_hash"],
        unique=True,
        postgresql_where=sa.text("email_hash IS NOT NULL"),
    )

    for table, column, words in WORDS:
        op.create_check_constraint(op.f(f"ck_{table}_{column}"), table, _one_of(column, words))
    _allow_reasons((*REASONS, "erased"))
    op.create_check_constraint(
        op.f("ck_suppression_named"), "suppression", "email_key IS NOT NULL OR email_hash IS NOT NULL"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_suppression_named"), "suppression")
    op.execute("DELETE FROM suppression WHERE email_key IS NULL OR reason = 'erased'")
    _allow_reasons(REASONS)
    for table, column, _words in WORDS:
        op.drop_constraint(op.f(f"ck_{table}_{column}"), table)
    op.drop_index("uq_suppression_hash", table_name="suppression", postgresql_where=sa.text("email_hash IS NOT NULL"))
    op.drop_index("ix_suppression_listed", table_name="suppression")
    op.alter_column("suppression", "email_key", existing_type=sa.TEXT(), nullable=False)
    op.drop_column("suppression", "created_by")
    op.drop_column("suppression", "campaign_id")
    op.drop_column("suppression", "event_id")
    op.drop_column("suppression", "email_hash")
    op.drop_column("subscriber_field", "position")
    op.drop_column("subscriber_field", "choices")
    op.drop_column("subscriber_field", "type")
    op.drop_column("subscriber", "paused_until")
    op.drop_column("subscriber", "tracking")
    op.drop_column("project", "retention_days")
    op.drop_column("project", "tracking")
    op.drop_column("mailing_list", "tracking")
    op.drop_column("campaign_version", "audience")
    op.drop_column("campaign_list", "side")
    op.drop_index(op.f("ix_campaign_segment_project_id_segment_id"), table_name="campaign_segment")
    op.drop_table("campaign_segment")
    op.drop_index(op.f("ix_subscriber_tag_project_id_subscriber_id"), table_name="subscriber_tag")
    op.drop_table("subscriber_tag")
    op.drop_index("ix_consent_person", table_name="consent")
    op.drop_table("consent")
    op.drop_table("tag")
    op.drop_index("ix_subscriber_activity_redirected", table_name="subscriber_activity")
    op.drop_index("ix_subscriber_activity_opened", table_name="subscriber_activity")
    op.drop_table("subscriber_activity")
    op.drop_table("segment")
    op.drop_index(
        "ix_project_job_open", table_name="project_job", postgresql_where=sa.text("state IN ('pending', 'running')")
    )
    op.drop_index("ix_project_job_listed", table_name="project_job")
    op.drop_index("ix_project_job_id", table_name="project_job")
    op.drop_index(op.f("ix_project_job_expires_at"), table_name="project_job")
    op.drop_table("project_job")
    op.drop_table("consent_text")
    op.drop_index("uq_global_suppression_email_key", table_name="global_suppression")
    op.drop_index("uq_global_suppression_email_hash", table_name="global_suppression")
    op.drop_index("uq_global_suppression_domain", table_name="global_suppression")
    op.drop_table("global_suppression")


def _one_of(column: str, words: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(word) for word in words)})"


def _allow_reasons(words: tuple[str, ...]) -> None:
    op.drop_constraint(op.f("ck_suppression_reason"), "suppression")
    op.create_check_constraint(op.f("ck_suppression_reason"), "suppression", _one_of("reason", words))
