"""Segments: a question about people as a JSON tree, and what is known of everybody's latest activity."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index, Integer, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mailhub.models.base import Base, Now, ProjectId, RowId, Updated, one_of


class Segment(Base):
    """A saved segment. `definition` is its tree (mailhub.segments.tree); `count` is of `counted_at`."""

    __tablename__ = "segment"
    __table_args__ = (ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),)

    project_id: Mapped[ProjectId]
    id: Mapped[RowId]
    name: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    definition: Mapped[dict[str, Any]] = mapped_column(JSONB)
    revision: Mapped[int] = mapped_column(server_default="1")
    count: Mapped[int | None]
    counted_at: Mapped[datetime | None]
    count_ms: Mapped[int | None] = mapped_column(Integer)
    created_by: Mapped[int | None]
    archived_at: Mapped[datetime | None]
    created_at: Mapped[Now]
    updated_at: Mapped[Updated]


class AudienceSide(StrEnum):
    """What a list or a segment is to a campaign."""

    INCLUDE = "include"
    EXCLUDE = "exclude"


class CampaignSegment(Base):
    """A segment that a campaign is written to, or whose people are left out."""

    __tablename__ = "campaign_segment"
    __table_args__ = (
        ForeignKeyConstraint(["project_id", "campaign_id"], ["campaign.project_id", "campaign.id"], ondelete="CASCADE"),
        ForeignKeyConstraint(["project_id", "segment_id"], ["segment.project_id", "segment.id"]),
        one_of("side", AudienceSide),
        Index(None, "project_id", "segment_id"),
    )

    project_id: Mapped[ProjectId]
    campaign_id: Mapped[int] = mapped_column(primary_key=True)
    segment_id: Mapped[int] = mapped_column(primary_key=True)
    side: Mapped[str] = mapped_column(server_default=AudienceSide.INCLUDE)


class SubscriberActivity(Base):
    """When a person was last written to, and last opened or clicked (themselves, no machine).

    It follows the events by their positions (mailhub.events.activity) some seconds behind, and stays when raw events
    are dropped. Nobody without an event has a row.
    """

    __tablename__ = "subscriber_activity"
    __table_args__ = (
        ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),
        Index("ix_subscriber_activity_opened", "project_id", "last_opened_at"),
        Index("ix_subscriber_activity_redirected", "project_id", "last_redirected_at"),
        {"postgresql_with": {"fillfactor": "70"}},
    )

    project_id: Mapped[ProjectId]
    subscriber_id: Mapped[int] = mapped_column(primary_key=True)
    sent: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    last_sent_at: Mapped[datetime | None]
    last_opened_at: Mapped[datetime | None]
    last_redirected_at: Mapped[datetime | None]


class ActivityPlace(Base):
    """How far the follower of the sent letters has come in a project's events; moved in its own transaction."""

    __tablename__ = "activity_place"
    __table_args__ = (ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),)

    project_id: Mapped[ProjectId]
    position: Mapped[int] = mapped_column(server_default="0")
    id: Mapped[int] = mapped_column(server_default="0", autoincrement=False)


class EngagementBand(Base):
    """How many people of a list (0: of the project) are in a band of engagement. Counted every few hours."""

    __tablename__ = "engagement_band"
    __table_args__ = (ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),)

    project_id: Mapped[ProjectId]
    list_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    band: Mapped[str] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(server_default="0")
    counted_at: Mapped[Now]
