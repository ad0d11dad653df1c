"""The tenant: a project, its sender addresses."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from mailhub.models.audience import Tracking
from mailhub.models.base import Base, Now, ProjectId, RowId, one_of


class Project(Base):
    """A tenant. Days of its statistics are cut in `time_zone`; public pages speak `language`, or their list's."""

    __tablename__ = "project"
    __table_args__ = (one_of("tracking", Tracking),)

    id: Mapped[RowId]
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    domain: Mapped[str]
    time_zone: Mapped[str] = mapped_column(server_default="UTC")
    language: Mapped[str] = mapped_column(server_default="en")
    postal_address: Mapped[str] = mapped_column(server_default="")
    relay: Mapped[str] = mapped_column(server_default="default")
    #: Letters a second at most, over all relays and workers; none: no limit.
    messages_per_second: Mapped[float | None]
    #: The owner's service message: who gets a notice of each new subscriber (empty: nobody).
    notify_email: Mapped[str] = mapped_column(server_default="")
    tracking: Mapped[str] = mapped_column(server_default=Tracking.FULL)
    #: Raw events and letters of this project are kept for so many days; none: `mailhub.retention_days`, the most.
    retention_days: Mapped[int | None] = mapped_column(Integer)
    #: Raw events of the project before this moment have been deleted, or are being deleted; none: by nobody.
    raw_since: Mapped[datetime | None]
    #: People who have not confirmed for so many days are forgotten; none: they stay.
    unconfirmed_days: Mapped[int | None] = mapped_column(Integer)
    #: The time zone was changed then, and the days of the statistics are still cut by the one before; none: they are
    #: right.
    days_stale_at: Mapped[datetime | None]
    #: The zone by which the days of lists are cut until then; none: by `time_zone`.
    days_zone: Mapped[str | None]
    archived_at: Mapped[datetime | None]
    created_at: Mapped[Now]


class Sender(Base):
    """An address that a project may write from."""

    __tablename__ = "sender"
    __table_args__ = (
        ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),
        UniqueConstraint("project_id", "email"),
    )

    project_id: Mapped[ProjectId]
    id: Mapped[RowId]
    email: Mapped[str]
    name: Mapped[str] = mapped_column(server_default="")
    reply_to: Mapped[str] = mapped_column(server_default="")
    is_default: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[Now]
