"""What people say on the pages of their own: why they leave, and to which address they want to be written."""

from __future__ import annotations

from datetime import date
from enum import StrEnum

from sqlalchemy import Date, ForeignKeyConstraint, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from mailhub.models.base import Base, Now, ProjectId, RowId, one_of


class LeavingReason(StrEnum):
    """Why somebody leaves a list, in the order in which it is offered."""

    TOO_MANY = "too_many"
    NOT_INTERESTED = "not_interested"
    NEVER_SIGNED_UP = "never_signed_up"
    OTHER = "other"


class Leaving(Base):
    """Why a person has left a list, in their own choice of words; said once for all lists that were left together.

    `campaign_id` is the letter by which they left. The row stays when they come back, until they leave again.
    """

    __tablename__ = "leaving"
    __table_args__ = (
        ForeignKeyConstraint(
            ["project_id", "list_id", "subscriber_id"],
            ["subscription.project_id", "subscription.list_id", "subscription.subscriber_id"],
            ondelete="CASCADE",
        ),
        one_of("reason", LeavingReason),
        Index(None, "project_id", "subscriber_id"),
    )

    project_id: Mapped[ProjectId]
    list_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    subscriber_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    campaign_id: Mapped[int | None]
    reason: Mapped[str]
    #: At most 500 characters of the person's own.
    note: Mapped[str] = mapped_column(server_default="")
    #: The project's day that it counts in.
    day: Mapped[date] = mapped_column(Date)
    at: Mapped[Now]


class LeavingDay(Base):
    """How many subscriptions were left for a reason in a day of the project; moved with the rows of `leaving`."""

    __tablename__ = "leaving_day"
    __table_args__ = (ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),)

    project_id: Mapped[ProjectId]
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    reason: Mapped[str] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(server_default="0")


class CampaignLeaving(Base):
    """How many people left by a campaign for a reason; moved with the rows of `leaving`."""

    __tablename__ = "campaign_leaving"
    __table_args__ = (
        ForeignKeyConstraint(["project_id", "campaign_id"], ["campaign.project_id", "campaign.id"], ondelete="CASCADE"),
    )

    project_id: Mapped[ProjectId]
    campaign_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    reason: Mapped[str] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(server_default="0")


class AddressChange(Base):
    """An address that a person wants to be written to from now on, and that has not said yes yet.

    `digest` is the SHA-256 of the secret in the letter to it. The row goes with its confirmation or after two days.
    """

    __tablename__ = "address_change"
    __table_args__ = (
        ForeignKeyConstraint(
            ["project_id", "subscriber_id"], ["subscriber.project_id", "subscriber.id"], ondelete="CASCADE"
        ),
        Index(None, "project_id", "subscriber_id"),
        Index(None, "created_at"),
    )

    project_id: Mapped[ProjectId]
    id: Mapped[RowId]
    subscriber_id: Mapped[int]
    email: Mapped[str]
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    #: Language of the page that it was asked for on; empty: the project's.
    language: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[Now]
