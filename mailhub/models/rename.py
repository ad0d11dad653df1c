"""A name that has changed, and how far the copies of it in letters and events have followed."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import UUID as PgUUID
from sqlalchemy.orm import Mapped, mapped_column

from mailhub.models.base import Base, Now, ProjectId, RowId, one_of


class RenameKind(StrEnum):
    """Whose name it is: the column of `message` and `message_event` that follows."""

    PROJECT_DOMAIN = "project_domain"
    CAMPAIGN_NAME = "campaign_name"
    LIST_NAME = "list_name"


class RenameState(StrEnum):
    """A pass goes through letters, then events. Following: it waits for those who may still write the old name."""

    PENDING = "pending"
    LETTERS = "letters"
    EVENTS = "events"
    FOLLOWING = "following"
    DONE = "done"


class RenameJob(Base):
    """One a renamed object; a second change of the name begins it anew. Its place is (moment, id) or (position, id)."""

    __tablename__ = "rename_job"
    __table_args__ = (
        ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),
        UniqueConstraint("project_id", "kind", "object_id"),
        one_of("kind", RenameKind),
        one_of("state", RenameState),
        Index("ix_rename_job_open", "touched_at", postgresql_where=text("state <> 'done'")),
    )

    project_id: Mapped[ProjectId]
    id: Mapped[RowId]
    kind: Mapped[str]
    #: The project, the campaign or the list.
    object_id: Mapped[int]
    state: Mapped[str] = mapped_column(server_default=RenameState.PENDING)
    #: The newest transaction when the name was changed: whoever wrote before it may have written the old name.
    changed_position: Mapped[int]
    letter_at: Mapped[datetime | None]
    letter_id: Mapped[UUID | None] = mapped_column(PgUUID(as_uuid=True))
    event_position: Mapped[int] = mapped_column(server_default="0")
    event_id: Mapped[int] = mapped_column(server_default="0")
    #: The pass that goes on began when nobody was left who could write the old name.
    is_last: Mapped[bool] = mapped_column(server_default=text("false"))
    #: The moment of the last row that was looked at, from which the share that is done is told.
    reached_at: Mapped[datetime | None]
    rows_seen: Mapped[int] = mapped_column(server_default="0")
    rows_changed: Mapped[int] = mapped_column(server_default="0")
    requested_at: Mapped[Now]
    touched_at: Mapped[Now]
    finished_at: Mapped[datetime | None]
