"""Every table of the first schema (models are the reference; this file never imports them)."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "import_staging",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("import_id", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_key", sa.Text(), nullable=False),
        sa.Column("email_domain", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("fields", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "import_id", "line", name=op.f("pk_import_staging")),
        prefixes=["UNLOGGED"],
    )
    op.create_table(
        "message",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("id", sa.UUID(), server_default=sa.text("uuid7()"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("project_domain", sa.Text(), server_default="", nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=True),
        sa.Column("campaign_name", sa.Text(), server_default="", nullable=False),
        sa.Column("list_id", sa.BigInteger(), nullable=True),
        sa.Column("list_name", sa.Text(), server_default="", nullable=False),
        sa.Column("subscriber_id", sa.BigInteger(), nullable=True),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_domain", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), server_default="", nullable=False),
        sa.Column("tag", sa.Text(), server_default="", nullable=False),
        sa.Column("relay", sa.Text(), server_default="", nullable=False),
        sa.Column("header_id", sa.Text(), server_default="", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("in_flight", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("smtp_code", sa.SmallInteger(), nullable=True),
        sa.Column("smtp_status", sa.Text(), server_default="", nullable=False),
        sa.Column("smtp_reply", sa.Text(), server_default="", nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('campaign', 'transactional', 'test', 'service')", name=op.f("ck_message_kind")),
        sa.CheckConstraint(
            "state IN ('queued', 'sent', 'deferred', 'failed', 'unknown', 'skipped')", name=op.f("ck_message_state")
        ),
        sa.PrimaryKeyConstraint("project_id", "created_at", "id", name=op.f("pk_message")),
        postgresql_partition_by="RANGE (created_at)",
    )
    op.create_index("ix_message_campaign", "message", ["project_id", "campaign_id", "state", "id"], unique=False)
    op.create_index(
        "ix_message_due",
        "message",
        ["queue", "due_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('queued', 'deferred')"),
    )
    op.create_index(
        "ix_message_email",
        "message",
        ["project_id", sa.literal_column("lower(email)").label("email_key")],
        unique=False,
        postgresql_ops={"email_key": "text_pattern_ops"},
    )
    op.create_index("ix_message_listed", "message", ["project_id", "kind", "id"], unique=False)
    op.create_index("ix_message_subscriber", "message", ["project_id", "subscriber_id", "id"], unique=False)
    op.create_table(
        "message_content",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("message_id", sa.UUID(), nullable=False),
        sa.Column("from_email", sa.Text(), nullable=False),
        sa.Column("from_name", sa.Text(), server_default="", nullable=False),
        sa.Column("reply_to", sa.Text(), server_default="", nullable=False),
        sa.Column("to_name", sa.Text(), server_default="", nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("html", sa.Text(), server_default="", nullable=False),
        sa.Column("text", sa.Text(), server_default="", nullable=False),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column(
            "attachments", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False
        ),
        sa.Column("link_ids", sa.ARRAY(sa.BigInteger()), nullable=True),
        sa.PrimaryKeyConstraint("project_id", "created_at", "message_id", name=op.f("pk_message_content")),
        postgresql_partition_by="RANGE (created_at)",
    )
    op.create_table(
        "message_event",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("project_domain", sa.Text(), server_default="", nullable=False),
        sa.Column("message_id", sa.UUID(), nullable=True),
        sa.Column("campaign_id", sa.BigInteger(), nullable=True),
        sa.Column("campaign_name", sa.Text(), server_default="", nullable=False),
        sa.Column("list_id", sa.BigInteger(), nullable=True),
        sa.Column("list_name", sa.Text(), server_default="", nullable=False),
        sa.Column("subscriber_id", sa.BigInteger(), nullable=True),
        sa.Column("email", sa.Text(), server_default="", nullable=False),
        sa.Column("email_domain", sa.Text(), server_default="", nullable=False),
        sa.Column("link_id", sa.BigInteger(), nullable=True),
        sa.Column("url", sa.Text(), server_default="", nullable=False),
        sa.Column("code", sa.SmallInteger(), nullable=True),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("ip", postgresql.INET(), nullable=True),
        sa.Column("user_agent", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint(
            "type IN ('SENT', 'OPENED', 'REDIRECTED', 'HARDBOUNCED', 'SOFTBOUNCED', 'UNSUBSCRIBED', 'QUEUED', 'DEFERRED', 'BLOCKED', 'UNKNOWN', 'COMPLAINED')",
            name=op.f("ck_message_event_type"),
        ),
        sa.PrimaryKeyConstraint("project_id", "at", "id", name=op.f("pk_message_event")),
        postgresql_partition_by="RANGE (at)",
    )
    op.create_index(
        "ix_message_event_campaign", "message_event", ["project_id", "campaign_id", "type", "at"], unique=False
    )
    op.create_index("ix_message_event_message", "message_event", ["project_id", "message_id", "at"], unique=False)
    op.create_index("ix_message_event_subscriber", "message_event", ["project_id", "subscriber_id", "at"], unique=False)
    op.create_table(
        "periodic_run",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.Column("paused", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_periodic_run")),
    )
    op.create_table(
        "project",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), server_default="UTC", nullable=False),
        sa.Column("language", sa.Text(), server_default="en", nullable=False),
        sa.Column("postal_address", sa.Text(), server_default="", nullable=False),
        sa.Column("relay", sa.Text(), server_default="default", nullable=False),
        sa.Column("notify_email", sa.Text(), server_default="", nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project")),
        sa.UniqueConstraint("slug", name=op.f("uq_project_slug")),
    )
    op.create_table(
        "rate_limit",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("tokens", sa.Double(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_rate_limit")),
    )
    op.create_index(op.f("ix_rate_limit_at"), "rate_limit", ["at"], unique=False)
    op.create_table(
        "user_account",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("password_changed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("language", sa.Text(), server_default="en", nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=True),
        sa.Column("theme", sa.Text(), server_default="auto", nullable=False),
        sa.Column("is_admin", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("theme IN ('auto', 'light', 'dark')", name=op.f("ck_user_account_theme")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_account")),
        sa.UniqueConstraint("email", name=op.f("uq_user_account_email")),
    )
    op.create_table(
        "worker_heartbeat",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), server_default="main", nullable=False),
        sa.Column("doing", sa.Text(), server_default="", nullable=False),
        sa.Column("sent", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_progress_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_worker_heartbeat")),
    )
    op.create_index(op.f("ix_worker_heartbeat_last_seen_at"), "worker_heartbeat", ["last_seen_at"], unique=False)
    op.create_table(
        "admin_token",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_admin_token_user_account"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_admin_token")),
        sa.UniqueConstraint("key_id", name=op.f("uq_admin_token_key_id")),
    )
    op.create_table(
        "api_key",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_by", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_ip", postgresql.INET(), nullable=True),
        sa.ForeignKeyConstraint(
            ["created_by"], ["user_account.id"], name=op.f("fk_api_key_user_account"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_api_key_project"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_api_key")),
        sa.UniqueConstraint("key_id", name=op.f("uq_api_key_key_id")),
    )
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=True),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("object_type", sa.Text(), server_default="", nullable=False),
        sa.Column("object_id", sa.Text(), server_default="", nullable=False),
        sa.Column("object_name", sa.Text(), server_default="", nullable=False),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("ip", postgresql.INET(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_audit_entry_project"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_audit_entry_user_account"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entry")),
    )
    op.create_index(op.f("ix_audit_entry_project_id_id"), "audit_entry", ["project_id", "id"], unique=False)
    op.create_table(
        "idempotency_key",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("response", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_idempotency_key_project"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "key", name=op.f("pk_idempotency_key")),
    )
    op.create_index(op.f("ix_idempotency_key_created_at"), "idempotency_key", ["created_at"], unique=False)
    op.create_table(
        "link",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=True),
        sa.Column("position", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_link_project"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_link")),
        sa.UniqueConstraint(
            "project_id", "campaign_id", "position", name=op.f("uq_link_project_id_campaign_id_position")
        ),
    )
    op.create_table(
        "mailing_list",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("opt_in", sa.Text(), server_default="single", nullable=False),
        sa.Column("visibility", sa.Text(), server_default="private", nullable=False),
        sa.Column("language", sa.Text(), server_default="", nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("opt_in IN ('single', 'double')", name=op.f("ck_mailing_list_opt_in")),
        sa.CheckConstraint("visibility IN ('public', 'private')", name=op.f("ck_mailing_list_visibility")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_mailing_list_project"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_mailing_list")),
    )
    op.create_table(
        "membership",
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("role IN ('owner', 'marketer', 'analyst', 'developer')", name=op.f("ck_membership_role")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_membership_project"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_membership_user_account"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "user_id", name=op.f("pk_membership")),
    )
    op.create_index(op.f("ix_membership_user_id"), "membership", ["user_id"], unique=False)
    op.create_table(
        "one_time_link",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.Text(), server_default="sign_in", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_one_time_link_user_account"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_one_time_link")),
    )
    op.create_index(op.f("ix_one_time_link_user_id"), "one_time_link", ["user_id"], unique=False)
    op.create_table(
        "project_day",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("sent", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("opened", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("redirected", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("hardbounced", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("softbounced", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unsubscribed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("complained", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("deferred", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("blocked", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unknown", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_project_day_project"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "day", name=op.f("pk_project_day")),
    )
    op.create_table(
        "sender",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("reply_to", sa.Text(), server_default="", nullable=False),
        sa.Column("is_default", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_sender_project"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_sender")),
        sa.UniqueConstraint("project_id", "email", name=op.f("uq_sender_project_id_email")),
    )
    op.create_table(
        "subscriber",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_key", sa.Text(), nullable=False),
        sa.Column("email_domain", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("fields", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("status", sa.Text(), server_default="active", nullable=False),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("status_changed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('active', 'unsubscribed', 'bounced', 'complained')", name=op.f("ck_subscriber_status")
        ),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_subscriber_project"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_subscriber")),
        sa.UniqueConstraint("project_id", "email_key", name=op.f("uq_subscriber_project_id_email_key")),
    )
    op.create_index("ix_subscriber_created", "subscriber", ["project_id", "created_at", "id"], unique=False)
    op.create_index(
        "ix_subscriber_email_prefix",
        "subscriber",
        ["project_id", "email_key"],
        unique=False,
        postgresql_ops={"email_key": "text_pattern_ops"},
    )
    op.create_index(
        "ix_subscriber_search",
        "subscriber",
        [sa.literal_column("((email_key || ' '::text) || lower(name))").label("search")],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search": "gin_trgm_ops"},
    )
    op.create_index("ix_subscriber_status", "subscriber", ["project_id", "status", "id"], unique=False)
    op.create_table(
        "subscriber_count",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_subscriber_count_project"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "status", name=op.f("pk_subscriber_count")),
    )
    op.create_table(
        "subscriber_field",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_subscriber_field_project"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "name", name=op.f("pk_subscriber_field")),
    )
    op.create_table(
        "suppression",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("email_key", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "reason IN ('hard_bounce', 'complaint', 'unsubscribed', 'manual')", name=op.f("ck_suppression_reason")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_suppression_project"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_suppression")),
        sa.UniqueConstraint("project_id", "email_key", name=op.f("uq_suppression_project_id_email_key")),
    )
    op.create_table(
        "web_session",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("app", sa.Text(), server_default="site", nullable=False),
        sa.Column("notices", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("ip", postgresql.INET(), nullable=True),
        sa.Column("user_agent", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_web_session_user_account"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_web_session")),
        sa.UniqueConstraint("id", name=op.f("uq_web_session_id")),
    )
    op.create_index(op.f("ix_web_session_expires_at"), "web_session", ["expires_at"], unique=False)
    op.create_index(op.f("ix_web_session_user_id"), "web_session", ["user_id"], unique=False)
    op.create_table(
        "campaign",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="draft", nullable=False),
        sa.Column("subject", sa.Text(), server_default="", nullable=False),
        sa.Column("preheader", sa.Text(), server_default="", nullable=False),
        sa.Column("sender_id", sa.BigInteger(), nullable=True),
        sa.Column("from_name", sa.Text(), server_default="", nullable=False),
        sa.Column("reply_to", sa.Text(), server_default="", nullable=False),
        sa.Column("html", sa.Text(), server_default="", nullable=False),
        sa.Column("text", sa.Text(), server_default="", nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("control_version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=True),
        sa.Column("fanned_out_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("send_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "state IN ('draft', 'scheduled', 'sending', 'paused', 'sent', 'cancelled')", name=op.f("ck_campaign_state")
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "sender_id"], ["sender.project_id", "sender.id"], name=op.f("fk_campaign_sender")
        ),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_campaign_project"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_campaign")),
    )
    op.create_index("ix_campaign_listed", "campaign", ["project_id", "state", "id"], unique=False)
    op.create_index(
        "ix_campaign_moving",
        "campaign",
        ["state", "project_id", "id"],
        unique=False,
        postgresql_where=sa.text("state IN ('scheduled', 'sending')"),
    )
    op.create_table(
        "list_count",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("list_id", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "list_id"],
            ["mailing_list.project_id", "mailing_list.id"],
            name=op.f("fk_list_count_mailing_list"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "list_id", "status", name=op.f("pk_list_count")),
    )
    op.create_table(
        "subscriber_import",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("list_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("stored_name", sa.Text(), nullable=False),
        sa.Column("encoding", sa.Text(), nullable=False),
        sa.Column("delimiter", sa.Text(), nullable=False),
        sa.Column("mapping", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("update_existing", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("bytes_total", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("bytes_done", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("rows_total", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("rows_created", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("rows_updated", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("rows_skipped", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("rows_rejected", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("line_done", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.Column("created_by", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'running', 'done', 'failed')", name=op.f("ck_subscriber_import_state")
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "list_id"],
            ["mailing_list.project_id", "mailing_list.id"],
            name=op.f("fk_subscriber_import_mailing_list"),
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_subscriber_import_project"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_subscriber_import")),
    )
    op.create_index(
        "ix_subscriber_import_open",
        "subscriber_import",
        ["state"],
        unique=False,
        postgresql_where=sa.text("state IN ('pending', 'running')"),
    )
    op.create_table(
        "subscription",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("list_id", sa.BigInteger(), nullable=False),
        sa.Column("subscriber_id", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), server_default="subscribed", nullable=False),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.Column("ip", postgresql.INET(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unsubscribed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('subscribed', 'unconfirmed', 'unsubscribed')", name=op.f("ck_subscription_status")
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "list_id"],
            ["mailing_list.project_id", "mailing_list.id"],
            name=op.f("fk_subscription_mailing_list"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "subscriber_id"],
            ["subscriber.project_id", "subscriber.id"],
            name=op.f("fk_subscription_subscriber"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "list_id", "subscriber_id", name=op.f("pk_subscription")),
    )
    op.create_index(
        op.f("ix_subscription_project_id_subscriber_id"), "subscription", ["project_id", "subscriber_id"], unique=False
    )
    op.create_index(
        "ix_subscription_status", "subscription", ["project_id", "list_id", "status", "subscriber_id"], unique=False
    )
    op.create_table(
        "campaign_chunk",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("lane", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("ids", sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "campaign_id"],
            ["campaign.project_id", "campaign.id"],
            name=op.f("fk_campaign_chunk_campaign"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "campaign_id", "lane", "seq", name=op.f("pk_campaign_chunk")),
    )
    op.create_table(
        "campaign_count",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("audience", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("deferred", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("sent", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("failed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unknown", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("skipped", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "campaign_id"],
            ["campaign.project_id", "campaign.id"],
            name=op.f("fk_campaign_count_campaign"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "campaign_id", name=op.f("pk_campaign_count")),
    )
    op.create_table(
        "campaign_day",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("sent", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("opened", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("redirected", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("hardbounced", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("softbounced", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unsubscribed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("complained", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("deferred", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("blocked", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unknown", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "campaign_id"],
            ["campaign.project_id", "campaign.id"],
            name=op.f("fk_campaign_day_campaign"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "campaign_id", "day", name=op.f("pk_campaign_day")),
    )
    op.create_table(
        "campaign_domain",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("email_domain", sa.Text(), nullable=False),
        sa.Column("sent", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("opened", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("redirected", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("hardbounced", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("softbounced", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unsubscribed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("complained", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("deferred", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("blocked", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unknown", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "campaign_id"],
            ["campaign.project_id", "campaign.id"],
            name=op.f("fk_campaign_domain_campaign"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "campaign_id", "email_domain", name=op.f("pk_campaign_domain")),
    )
    op.create_table(
        "campaign_lane",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("lane", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("next_seq", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_seq", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "campaign_id"],
            ["campaign.project_id", "campaign.id"],
            name=op.f("fk_campaign_lane_campaign"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "campaign_id", "lane", name=op.f("pk_campaign_lane")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "campaign_link_reaction",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("link_id", sa.BigInteger(), nullable=False),
        sa.Column("subscriber_id", sa.BigInteger(), nullable=False),
        sa.Column("redirected", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("first_redirected_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id", "campaign_id"],
            ["campaign.project_id", "campaign.id"],
            name=op.f("fk_campaign_link_reaction_campaign"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "project_id", "campaign_id", "link_id", "subscriber_id", name=op.f("pk_campaign_link_reaction")
        ),
    )
    op.create_table(
        "campaign_link_stats",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("link_id", sa.BigInteger(), nullable=False),
        sa.Column("redirected", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unique_redirected", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "campaign_id"],
            ["campaign.project_id", "campaign.id"],
            name=op.f("fk_campaign_link_stats_campaign"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "campaign_id", "link_id", name=op.f("pk_campaign_link_stats")),
    )
    op.create_table(
        "campaign_list",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("list_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "campaign_id"],
            ["campaign.project_id", "campaign.id"],
            name=op.f("fk_campaign_list_campaign"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "list_id"],
            ["mailing_list.project_id", "mailing_list.id"],
            name=op.f("fk_campaign_list_mailing_list"),
        ),
        sa.PrimaryKeyConstraint("project_id", "campaign_id", "list_id", name=op.f("pk_campaign_list")),
    )
    op.create_index(
        op.f("ix_campaign_list_project_id_list_id"), "campaign_list", ["project_id", "list_id"], unique=False
    )
    op.create_table(
        "campaign_reaction",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("subscriber_id", sa.BigInteger(), nullable=False),
        sa.Column("opened", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("redirected", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("first_opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("first_redirected_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unsubscribed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id", "campaign_id"],
            ["campaign.project_id", "campaign.id"],
            name=op.f("fk_campaign_reaction_campaign"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "campaign_id", "subscriber_id", name=op.f("pk_campaign_reaction")),
    )
    op.create_table(
        "campaign_stats",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("unique_opened", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unique_redirected", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_event_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("opened", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("redirected", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("hardbounced", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("softbounced", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unsubscribed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("complained", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("deferred", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("blocked", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unknown", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "campaign_id"],
            ["campaign.project_id", "campaign.id"],
            name=op.f("fk_campaign_stats_campaign"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "campaign_id", name=op.f("pk_campaign_stats")),
    )
    op.create_table(
        "campaign_version",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("preheader", sa.Text(), nullable=False),
        sa.Column("from_email", sa.Text(), nullable=False),
        sa.Column("from_name", sa.Text(), nullable=False),
        sa.Column("reply_to", sa.Text(), nullable=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("project_name", sa.Text(), nullable=False),
        sa.Column("project_domain", sa.Text(), nullable=False),
        sa.Column("postal_address", sa.Text(), nullable=False),
        sa.Column("list_id", sa.BigInteger(), nullable=True),
        sa.Column("list_name", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "campaign_id"],
            ["campaign.project_id", "campaign.id"],
            name=op.f("fk_campaign_version_campaign"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "campaign_id", "version", name=op.f("pk_campaign_version")),
    )
    op.create_table(
        "chunk_lease",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("lane", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), server_default="running", nullable=False),
        sa.Column("pos", sa.Integer(), server_default="0", nullable=False),
        sa.Column("flushed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("in_flight", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("state IN ('running', 'done')", name=op.f("ck_chunk_lease_state")),
        sa.ForeignKeyConstraint(
            ["project_id", "campaign_id"],
            ["campaign.project_id", "campaign.id"],
            name=op.f("fk_chunk_lease_campaign"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "campaign_id", "lane", "seq", name=op.f("pk_chunk_lease")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_index(
        "ix_chunk_lease_running",
        "chunk_lease",
        ["lease_until"],
        unique=False,
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_table(
        "import_rejected_row",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("import_id", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("raw", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "import_id"],
            ["subscriber_import.project_id", "subscriber_import.id"],
            name=op.f("fk_import_rejected_row_subscriber_import"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "import_id", "line", name=op.f("pk_import_rejected_row")),
    )


def downgrade() -> None:
    op.drop_table("import_rejected_row")
    op.drop_index("ix_chunk_lease_running", table_name="chunk_lease", postgresql_where=sa.text("state = 'running'"))
    op.drop_table("chunk_lease")
    op.drop_table("campaign_version")
    op.drop_table("campaign_stats")
    op.drop_table("campaign_reaction")
    op.drop_index(op.f("ix_campaign_list_project_id_list_id"), table_name="campaign_list")
    op.drop_table("campaign_list")
    op.drop_table("campaign_link_stats")
    op.drop_table("campaign_link_reaction")
    op.drop_table("campaign_lane")
    op.drop_table("campaign_domain")
    op.drop_table("campaign_day")
    op.drop_table("campaign_count")
    op.drop_table("campaign_chunk")
    op.drop_index("ix_subscription_status", table_name="subscription")
    op.drop_index(op.f("ix_subscription_project_id_subscriber_id"), table_name="subscription")
    op.drop_table("subscription")
    op.drop_index(
        "ix_subscriber_import_open",
        table_name="subscriber_import",
        postgresql_where=sa.text("state IN ('pending', 'running')"),
    )
    op.drop_table("subscriber_import")
    op.drop_table("list_count")
    op.drop_index(
        "ix_campaign_moving", table_name="campaign", postgresql_where=sa.text("state IN ('scheduled', 'sending')")
    )
    op.drop_index("ix_campaign_listed", table_name="campaign")
    op.drop_table("campaign")
    op.drop_index(op.f("ix_web_session_user_id"), table_name="web_session")
    op.drop_index(op.f("ix_web_session_expires_at"), table_name="web_session")
    op.drop_table("web_session")
    op.drop_table("suppression")
    op.drop_table("subscriber_field")
    op.drop_table("subscriber_count")
    op.drop_index("ix_subscriber_status", table_name="subscriber")
    op.drop_index(
        "ix_subscriber_search",
        table_name="subscriber",
        postgresql_using="gin",
        postgresql_ops={"search": "gin_trgm_ops"},
    )
    op.drop_index(
        "ix_subscriber_email_prefix", table_name="subscriber", postgresql_ops={"email_key": "text_pattern_ops"}
    )
    op.drop_index("ix_subscriber_created", table_name="subscriber")
    op.drop_table("subscriber")
    op.drop_table("sender")
    op.drop_table("project_day")
    op.drop_index(op.f("ix_one_time_link_user_id"), table_name="one_time_link")
    op.drop_table("one_time_link")
    op.drop_index(op.f("ix_membership_user_id"), table_name="membership")
    op.drop_table("membership")
    op.drop_table("mailing_list")
    op.drop_table("link")
    op.drop_index(op.f("ix_idempotency_key_created_at"), table_name="idempotency_key")
    op.drop_table("idempotency_key")
    op.drop_index(op.f("ix_audit_entry_project_id_id"), table_name="audit_entry")
    op.drop_table("audit_entry")
    op.drop_table("api_key")
    op.drop_table("admin_token")
    op.drop_index(op.f("ix_worker_heartbeat_last_seen_at"), table_name="worker_heartbeat")
    op.drop_table("worker_heartbeat")
    op.drop_table("user_account")
    op.drop_index(op.f("ix_rate_limit_at"), table_name="rate_limit")
    op.drop_table("rate_limit")
    op.drop_table("project")
    op.drop_table("periodic_run")
    op.drop_index("ix_message_event_subscriber", table_name="message_event")
    op.drop_index("ix_message_event_message", table_name="message_event")
    op.drop_index("ix_message_event_campaign", table_name="message_event")
    op.drop_table("message_event")
    op.drop_table("message_content")
    op.drop_index("ix_message_subscriber", table_name="message")
    op.drop_index("ix_message_listed", table_name="message")
    op.drop_index("ix_message_email", table_name="message", postgresql_ops={"email_key": "text_pattern_ops"})
    op.drop_index("ix_message_due", table_name="message", postgresql_where=sa.text("state IN ('queued', 'deferred')"))
    op.drop_index("ix_message_campaign", table_name="message")
    op.drop_table("message")
    op.drop_table("import_staging")
