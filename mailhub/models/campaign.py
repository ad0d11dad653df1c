"""What we write and when: campaigns, their lists, the frozen version that is sent, its links."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index, Integer, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mailhub.models.base import Base, Now, ProjectId, RowId, Updated, one_of
from mailhub.models.segment import AudienceSide


class CampaignState(StrEnum):
    DRAFT = "draft"
    SCHEDULED = "scheduled"
    SENDING = "sending"
    PAUSED = "paused"
    SENT = "sent"
    CANCELLED = "cancelled"


class Campaign(Base):
    """A bulk letter. While it is a draft its content is edited here; at start a `campaign_version` is frozen."""

    __tablename__ = "campaign"
    __table_args__ = (
        ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),
        ForeignKeyConstraint(["project_id", "sender_id"], ["sender.project_id", "sender.id"]),
        one_of("state", CampaignState),
        Index("ix_campaign_listed", "project_id", "state", "id"),
        Index("ix_campaign_id", "id"),
        Index(
            "ix_campaign_moving",
            "state",
            "project_id",
            "id",
            postgresql_where=text("state IN ('scheduled', 'sending')"),
        ),
        Index(
            "ix_campaign_again",
            "project_id",
            "id",
            postgresql_where=text("again_unknown_at IS NOT NULL OR again_failed_at IS NOT NULL"),
        ),
    )

    project_id: Mapped[ProjectId]
    id: Mapped[RowId]
    name: Mapped[str]
    state: Mapped[str] = mapped_column(server_default=CampaignState.DRAFT)
    subject: Mapped[str] = mapped_column(server_default="")
    preheader: Mapped[str] = mapped_column(server_default="")
    sender_id: Mapped[int | None]
    #: The name in From; empty: the sender's own.
    from_name: Mapped[str] = mapped_column(server_default="")
    reply_to: Mapped[str] = mapped_column(server_default="")
    html: Mapped[str] = mapped_column(server_default="")
    #: The plain-text part as its author wrote it; empty: it is made from the HTML.
    text: Mapped[str] = mapped_column(server_default="")
    #: Grows with every saved edit: two tabs with one draft notice each other by it.
    revision: Mapped[int] = mapped_column(server_default="1")
    #: Grows with pause, resume and cancel: pumps notice the change by it.
    control_version: Mapped[int] = mapped_column(server_default="0")
    #: The version that is being sent (campaign_version.version); none before the start.
    version: Mapped[int | None]
    fanned_out_at: Mapped[datetime | None]
    send_at: Mapped[datetime | None]
    #: The letters are spread evenly over so many seconds; none: as fast as the limits allow. Frozen with the start.
    spread_seconds: Mapped[int | None] = mapped_column(Integer)
    #: Letters in doubt, and failed ones, that were settled before this moment are to be sent again, and are not yet.
    again_unknown_at: Mapped[datetime | None]
    again_failed_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    archived_at: Mapped[datetime | None]
    created_by: Mapped[int | None]
    created_at: Mapped[Now]
    updated_at: Mapped[Updated]


class CampaignList(Base):
    """A list that a campaign is written to, or whose people are left out."""

    __tablename__ = "campaign_list"
    __table_args__ = (
        ForeignKeyConstraint(["project_id", "campaign_id"], ["campaign.project_id", "campaign.id"], ondelete="CASCADE"),
        ForeignKeyConstraint(["project_id", "list_id"], ["mailing_list.project_id", "mailing_list.id"]),
        one_of("side", AudienceSide),
        Index(None, "project_id", "list_id"),
    )

    project_id: Mapped[ProjectId]
    campaign_id: Mapped[int] = mapped_column(primary_key=True)
    list_id: Mapped[int] = mapped_column(primary_key=True)
    side: Mapped[str] = mapped_column(server_default=AudienceSide.INCLUDE)


class CampaignVersion(Base):
    """What is sent, frozen: nothing that is edited later can change a letter, its preview or its web version."""

    __tablename__ = "campaign_version"
    __table_args__ = (
        ForeignKeyConstraint(["project_id", "campaign_id"], ["campaign.project_id", "campaign.id"], ondelete="CASCADE"),
    )

    project_id: Mapped[ProjectId]
    campaign_id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    subject: Mapped[str]
    preheader: Mapped[str]
    from_email: Mapped[str]
    from_name: Mapped[str]
    reply_to: Mapped[str]
    html: Mapped[str]
    text: Mapped[str]
    language: Mapped[str]
    project_name: Mapped[str]
    project_domain: Mapped[str]
    postal_address: Mapped[str]
    list_id: Mapped[int | None]
    list_name: Mapped[str] = mapped_column(server_default="")
    #: {"lists", "not_lists": ids, "segments", "not_segments": [{"id", "name", "definition"}]}: whom it was for.
    audience: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    created_at: Mapped[Now]


class Link(Base):
    """A URL as it stood in a letter when it was sent: the only thing that a click may lead to.

    `position` is the link's place in the letter, from 0. A single letter's links have no campaign.
    """

    __tablename__ = "link"
    __table_args__ = (
        ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),
        UniqueConstraint("project_id", "campaign_id", "position"),
        Index("ix_link_feed", "feed_position", "id"),
    )

    project_id: Mapped[ProjectId]
    id: Mapped[RowId]
    campaign_id: Mapped[int | None]
    #: The transaction that stored it: tracking processes follow the table by it.
    feed_position: Mapped[int] = mapped_column(server_default=text("feed_position()"))
    position: Mapped[int] = mapped_column(server_default="0")
    url: Mapped[str]
    label: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[Now]


class CampaignCount(Base):
    """The ledger of a campaign. `queued` is what is left, so that the parts always add up to the audience.

    Two marks trail behind (a trigger moves them): how many were done at two moments, the earlier one five to ten
    seconds ago while letters go out. The speed is read from them.
    """

    __tablename__ = "campaign_count"
    __table_args__ = (
        ForeignKeyConstraint(["project_id", "campaign_id"], ["campaign.project_id", "campaign.id"], ondelete="CASCADE"),
    )

    project_id: Mapped[ProjectId]
    campaign_id: Mapped[int] = mapped_column(primary_key=True)
    audience: Mapped[int] = mapped_column(server_default="0")
    deferred: Mapped[int] = mapped_column(server_default="0")
    sent: Mapped[int] = mapped_column(server_default="0")
    failed: Mapped[int] = mapped_column(server_default="0")
    unknown: Mapped[int] = mapped_column(server_default="0")
    skipped: Mapped[int] = mapped_column(server_default="0")
    #: Of those sent: letters whose opens and clicks are counted for nobody, and those whose are not counted at all.
    sent_aggregate: Mapped[int] = mapped_column(server_default="0")
    sent_untracked: Mapped[int] = mapped_column(server_default="0")
    updated_at: Mapped[Now]
    mark_at: Mapped[Now]
    mark_done: Mapped[int] = mapped_column(server_default="0")
    before_at: Mapped[Now]
    before_done: Mapped[int] = mapped_column(server_default="0")

    @property
    def queued(self) -> int:
        """Letters that nothing has been decided about yet."""
        return self.audience - self.deferred - self.sent - self.failed - self.unknown - self.skipped

    def parts(self) -> dict[str, int]:
        """The seven numbers of the JSON API's `counts`."""
        return {
            "audience": self.audience,
            "queued": self.queued,
            "deferred": self.deferred,
            "sent": self.sent,
            "failed": self.failed,
            "unknown": self.unknown,
            "skipped": self.skipped,
        }
