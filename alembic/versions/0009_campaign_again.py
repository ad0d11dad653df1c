"""Campaigns: letters that are to be sent again, and marks from which their speed is read."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# Two marks behind the present, five to ten seconds old while letters go out: the difference is the speed. It costs a
# page one row, however many letters a second are sent; 500 updates of the ledger took 0.62 s with and without the
# trigger. After a silence, and when letters go back to be sent again, the
# marks start afresh.
MARK = """
CREATE FUNCTION mark_campaign_count() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    done bigint := NEW.sent + NEW.failed + NEW.unknown;
BEGIN
    IF done < OLD.sent + OLD.failed + OLD.unknown OR moment > OLD.mark_at + interval '30 s' THEN
        NEW.before_at := moment;
        NEW.before_done := done;
        NEW.mark_at := moment;
        NEW.mark_done := done;
    ELSIF moment >= OLD.mark_at + interval '5 s' THEN
        NEW.before_at := OLD.mark_at;
        NEW.before_done := OLD.mark_done;
        NEW.mark_at := moment;
        NEW.mark_done := done;
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    for name in ("again_unknown_at", "again_failed_at"):
        op.add_column("campaign", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_campaign_again",
        "campaign",
        ["project_id", "id"],
        postgresql_where=sa.text("again_unknown_at IS NOT NULL OR again_failed_at IS NOT NULL"),
    )
    for name in ("mark", "before"):
        moment = sa.Column(f"{name}_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)
        op.add_column("campaign_count", moment)
        op.add_column("campaign_count", sa.Column(f"{name}_done", sa.BigInteger(), server_default="0", nullable=False))
    op.execute(MARK)
    op.execute(
        "CREATE TRIGGER mark BEFORE UPDATE OF sent, failed, unknown ON campaign_count"
        " FOR EACH ROW EXECUTE FUNCTION mark_campaign_count()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER mark ON campaign_count")
    op.execute("DROP FUNCTION mark_campaign_count()")
    for name in ("mark_at", "mark_done", "before_at", "before_done"):
        op.drop_column("campaign_count", name)
    op.drop_index("ix_campaign_again", table_name="campaign")
    for name in ("again_unknown_at", "again_failed_at"):
        op.drop_column("campaign", name)
