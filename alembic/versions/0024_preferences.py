"""Preference centre, why people leave, a change of address by the person, modes of tracking."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

REASONS = ("too_many", "not_interested", "never_signed_up", "other")


def upgrade() -> None:
    op.execute("SET LOCAL statement_timeout = 0")
    for column in ("sent_aggregate", "sent_untracked"):
        op.add_column("campaign_count", sa.Column(column, sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("message_content", sa.Column("tracking", sa.Text(), server_default="full", nullable=False))
    op.add_column(
        "subscriber_field", sa.Column("editable", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.create_table(
        "leaving",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("subscriber_id", sa.BigInteger(), nullable=False),
        sa.Column("list_id", sa.BigInteger(), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(_one_of("reason", REASONS), name=op.f("ck_leaving_reason")),
        sa.ForeignKeyConstraint(
            ["project_id", "list_id", "subscriber_id"],
            ["subscription.project_id", "subscription.list_id", "subscription.subscriber_id"],
            name=op.f("fk_leaving_subscription"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "list_id", "subscriber_id", name=op.f("pk_leaving")),
    )
    op.create_index(op.f("ix_leaving_project_id_subscriber_id"), "leaving", ["project_id", "subscriber_id"])
    op.create_table(
        "leaving_day",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_leaving_day_project"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "day", "reason", name=op.f("pk_leaving_day")),
    )
    op.create_table(
        "campaign_leaving",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "campaign_id"],
            ["campaign.project_id", "campaign.id"],
            name=op.f("fk_campaign_leaving_campaign"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "campaign_id", "reason", name=op.f("pk_campaign_leaving")),
    )
    op.create_table(
        "address_change",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("subscriber_id", sa.BigInteger(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("language", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "subscriber_id"],
            ["subscriber.project_id", "subscriber.id"],
            name=op.f("fk_address_change_subscriber"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_address_change")),
        sa.UniqueConstraint("digest", name=op.f("uq_address_change_digest")),
    )
    op.create_index(
        op.f("ix_address_change_project_id_subscriber_id"), "address_change", ["project_id", "subscriber_id"]
    )
    op.create_index(op.f("ix_address_change_created_at"), "address_change", ["created_at"])


def downgrade() -> None:
    for table in ("address_change", "campaign_leaving", "leaving_day", "leaving"):
        op.drop_table(table)
    op.drop_column("subscriber_field", "editable")
    op.drop_column("message_content", "tracking")
    for column in ("sent_untracked", "sent_aggregate"):
        op.drop_column("campaign_count", column)


def _one_of(column: str, words: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(word) for word in words)})"
