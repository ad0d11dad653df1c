"""Rollups: the numbers that pages show. Moved on in the transaction that stores the events; kept for ever."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import Date, ForeignKeyConstraint, Index, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from mailhub.models.base import Base, ProjectId


class _EventCounts:
    """A column an event type: the same in every rollup, in the words of the JSON API."""

    sent: Mapped[int] = mapped_column(server_default="0")
    opened: Mapped[int] = mapped_column(server_default="0")
    redirected: Mapped[int] = mapped_column(server_default="0")
    hardbounced: Mapped[int] = mapped_column(server_default="0")
    softbounced: Mapped[int] = mapped_column(server_default="0")
    unsubscribed: Mapped[int] = mapped_column(server_default="0")
    complained: Mapped[int] = mapped_column(server_default="0")
    deferred: Mapped[int] = mapped_column(server_default="0")
    blocked: Mapped[int] = mapped_column(server_default="0")
    unknown: Mapped[int] = mapped_column(server_default="0")
    #: Opens and clicks by machines (actors `machine_open` and `scanner`): a part of `opened` and `redirected`.
    machine_opened: Mapped[int] = mapped_column(server_default="0")
    machine_redirected: Mapped[int] = mapped_column(server_default="0")


class ProjectDay(_EventCounts, Base):
    """A project's day, cut in the project's time zone."""

    __tablename__ = "project_day"
    __table_args__ = (ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),)

    project_id: Mapped[ProjectId]
    day: Mapped[date] = mapped_column(Date, primary_key=True)


class CampaignStats(_EventCounts, Base):
    """A campaign's totals, and how many different people opened and clicked."""

    __tablename__ = "campaign_stats"
    __table_args__ = (
        ForeignKeyConstraint(["project_id", "campaign_id"], ["campaign.project_id", "campaign.id"], ondelete="CASCADE"),
    )

    project_id: Mapped[ProjectId]
    campaign_id: Mapped[int] = mapped_column(primary_key=True)
    unique_opened: Mapped[int] = mapped_column(server_default="0")
    unique_redirected: Mapped[int] = mapped_column(server_default="0")
    #: People for whom machines alone opened or clicked: a part of the unique numbers, less again when they do it too.
    unique_machine_opened: Mapped[int] = mapped_column(server_default="0")
    unique_machine_redirected: Mapped[int] = mapped_column(server_default="0")
    last_event_at: Mapped[datetime | None]


class CampaignDay(_EventCounts, Base):
    """A campaign's day, cut in the project's time zone."""

    __tablename__ = "campaign_day"
    __table_args__ = (
        ForeignKeyConstraint(["project_id", "campaign_id"], ["campaign.project_id", "campaign.id"], ondelete="CASCADE"),
    )

    project_id: Mapped[ProjectId]
    campaign_id: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)


class CampaignHour(_EventCounts, Base):
    """A campaign's hour since its start, 0 to 71: how the first three days went."""

    __tablename__ = "campaign_hour"
    __table_args__ = (
        ForeignKeyConstraint(["project_id", "campaign_id"], ["campaign.project_id", "campaign.id"], ondelete="CASCADE"),
    )

    project_id: Mapped[ProjectId]
    campaign_id: Mapped[int] = mapped_column(primary_key=True)
    hour: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)


class CampaignDevice(Base):
    """A campaign's opens and clicks by what they were made with (mail.agents)."""

    __tablename__ = "campaign_device"
    __table_args__ = (
        ForeignKeyConstraint(["project_id", "campaign_id"], ["campaign.project_id", "campaign.id"], ondelete="CASCADE"),
    )

    project_id: Mapped[ProjectId]
    campaign_id: Mapped[int] = mapped_column(primary_key=True)
    device: Mapped[str] = mapped_column(primary_key=True)
    client: Mapped[str] = mapped_column(primary_key=True)
    opened: Mapped[int] = mapped_column(server_default="0")
    redirected: Mapped[int] = mapped_column(server_default="0")
    machine_opened: Mapped[int] = mapped_column(server_default="0")
    machine_redirected: Mapped[int] = mapped_column(server_default="0")


class ProjectProviderDay(_EventCounts, Base):
    """A project's day at one mailbox provider (mail.lane.LANES): what the admins' reports look for trouble in."""

    __tablename__ = "project_provider_day"
    __table_args__ = (ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),)

    project_id: Mapped[ProjectId]
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    provider: Mapped[str] = mapped_column(primary_key=True)


class CampaignDomain(_EventCounts, Base):
    """A campaign's numbers by the recipients' mail domain."""

    __tablename__ = "campaign_domain"
    __table_args__ = (
        ForeignKeyConstraint(["project_id", "campaign_id"], ["campaign.project_id", "campaign.id"], ondelete="CASCADE"),
    )

    project_id: Mapped[ProjectId]
    campaign_id: Mapped[int] = mapped_column(primary_key=True)
    email_domain: Mapped[str] = mapped_column(primary_key=True)


class CampaignLinkStats(Base):
    """Clicks of a campaign's link: every hit, and different people."""

    __tablename__ = "campaign_link_stats"
    __table_args__ = (
        ForeignKeyConstraint(["project_id", "campaign_id"], ["campaign.project_id", "campaign.id"], ondelete="CASCADE"),
    )

    project_id: Mapped[ProjectId]
    campaign_id: Mapped[int] = mapped_column(primary_key=True)
    link_id: Mapped[int] = mapped_column(primary_key=True)
    redirected: Mapped[int] = mapped_column(server_default="0")
    unique_redirected: Mapped[int] = mapped_column(server_default="0")
    machine_redirected: Mapped[int] = mapped_column(server_default="0")
    unique_machine_redirected: Mapped[int] = mapped_column(server_default="0")


class CampaignReaction(Base):
    """What one person did with one campaign: the row that makes unique numbers exact."""

    __tablename__ = "campaign_reaction"
    __table_args__ = (
        ForeignKeyConstraint(["project_id", "campaign_id"], ["campaign.project_id", "campaign.id"], ondelete="CASCADE"),
        # The predicates are moments that are set once: a further hit of the same person is still a HOT update.
        Index(
            "ix_campaign_reaction_left", "project_id", "campaign_id", "subscriber_id",
            postgresql_where=text("unsubscribed_at IS NOT NULL"),
        ),
        Index(
            "ix_campaign_reaction_clicked", "project_id", "campaign_id", "subscriber_id",
            postgresql_where=text("first_redirected_at IS NOT NULL"),
        ),
    )  # fmt: skip

    project_id: Mapped[ProjectId]
    campaign_id: Mapped[int] = mapped_column(primary_key=True)
    subscriber_id: Mapped[int] = mapped_column(primary_key=True)
    opened: Mapped[int] = mapped_column(server_default="0")
    redirected: Mapped[int] = mapped_column(server_default="0")
    machine_opened: Mapped[int] = mapped_column(server_default="0")
    machine_redirected: Mapped[int] = mapped_column(server_default="0")
    first_opened_at: Mapped[datetime | None]
    first_redirected_at: Mapped[datetime | None]
    unsubscribed_at: Mapped[datetime | None]


class CampaignLinkReaction(Base):
    """That one person clicked one link."""

    __tablename__ = "campaign_link_reaction"
    __table_args__ = (
        ForeignKeyConstraint(["project_id", "campaign_id"], ["campaign.project_id", "campaign.id"], ondelete="CASCADE"),
    )

    project_id: Mapped[ProjectId]
    campaign_id: Mapped[int] = mapped_column(primary_key=True)
    link_id: Mapped[int] = mapped_column(primary_key=True)
    subscriber_id: Mapped[int] = mapped_column(primary_key=True)
    redirected: Mapped[int] = mapped_column(server_default="0")
    machine_redirected: Mapped[int] = mapped_column(server_default="0")
    first_redirected_at: Mapped[datetime | None]
