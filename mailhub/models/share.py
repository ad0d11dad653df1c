"""Links by which people without an account see one campaign's numbers."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from mailhub.models.base import Base, Now, ProjectId, RowId


class StatsShare(Base):
    """A read-only link to a campaign's report. Its token has 256 bits and is shown once; its SHA-256 is kept."""

    __tablename__ = "stats_share"
    __table_args__ = (
        ForeignKeyConstraint(["project_id", "campaign_id"], ["campaign.project_id", "campaign.id"], ondelete="CASCADE"),
        Index(None, "project_id", "campaign_id"),
    )

    project_id: Mapped[ProjectId]
    id: Mapped[RowId]
    campaign_id: Mapped[int]
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    #: For whom it is; empty where nobody said.
    name: Mapped[str] = mapped_column(server_default="")
    created_by: Mapped[int | None] = mapped_column(ForeignKey("user_account.id", ondelete="SET NULL"))
    created_at: Mapped[Now]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_seen_at: Mapped[datetime | None]

    def works(self, now: datetime) -> bool:
        """Whether the link still leads somewhere."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)
