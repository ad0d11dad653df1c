"""What a team keeps beside its people: saved views and columns of the table, notes, changes that can be undone,
pairs that may be one person."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mailhub.models.base import Base, Now, ProjectId, RowId

_PERSON = ["subscriber.project_id", "subscriber.id"]


class SubscriberView(Base):
    """A saved view of the table of people: the query of its URL, and its columns. Its owner's, or the whole team's."""

    __tablename__ = "subscriber_view"
    __table_args__ = (
        ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),
        ForeignKeyConstraint(["user_id"], ["user_account.id"], ondelete="CASCADE"),
        Index(None, "user_id"),
    )

    project_id: Mapped[ProjectId]
    id: Mapped[RowId]
    user_id: Mapped[int]
    name: Mapped[str]
    shared: Mapped[bool] = mapped_column(server_default=text("false"))
    query: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    columns: Mapped[list[str]] = mapped_column(JSONB, server_default=text("'[]'"))
    created_at: Mapped[Now]


class SubscriberColumns(Base):
    """The columns that somebody has chosen for the table of people of a project."""

    __tablename__ = "subscriber_columns"
    __table_args__ = (
        ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),
        ForeignKeyConstraint(["user_id"], ["user_account.id"], ondelete="CASCADE"),
        Index(None, "user_id"),
    )

    project_id: Mapped[ProjectId]
    user_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    columns: Mapped[list[str]] = mapped_column(JSONB)


class SubscriberNote(Base):
    """What somebody of the team has written about a person. `author` stays when the user is no more."""

    __tablename__ = "subscriber_note"
    __table_args__ = (
        ForeignKeyConstraint(["project_id", "subscriber_id"], _PERSON, ondelete="CASCADE"),
        ForeignKeyConstraint(["user_id"], ["user_account.id"], ondelete="SET NULL"),
        Index("ix_subscriber_note_person", "project_id", "subscriber_id", "id"),
        Index(None, "user_id"),
    )

    project_id: Mapped[ProjectId]
    id: Mapped[RowId]
    subscriber_id: Mapped[int]
    user_id: Mapped[int | None]
    author: Mapped[str] = mapped_column(server_default="")
    body: Mapped[str]
    created_at: Mapped[Now]


class SubscriberChange(Base):
    """What a bulk job has changed of a person, so that it can be taken back; goes with the job, or with the person."""

    __tablename__ = "subscriber_change"
    __table_args__ = (
        ForeignKeyConstraint(
            ["project_id", "job_id"], ["project_job.project_id", "project_job.id"], ondelete="CASCADE"
        ),
        ForeignKeyConstraint(["project_id", "subscriber_id"], _PERSON, ondelete="CASCADE"),
        Index(None, "project_id", "subscriber_id"),
    )

    project_id: Mapped[ProjectId]
    job_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    subscriber_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    #: What was there, and what was put there instead, as the job's action understands it.
    before: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    after: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))


class SubscriberDuplicate(Base):
    """Two rows that may be one person, as the last search for duplicates found them. `first_id` < `second_id`."""

    __tablename__ = "subscriber_duplicate"
    __table_args__ = (
        ForeignKeyConstraint(
            ["project_id", "first_id"], _PERSON, name="fk_subscriber_duplicate_first", ondelete="CASCADE"
        ),
        ForeignKeyConstraint(
            ["project_id", "second_id"], _PERSON, name="fk_subscriber_duplicate_second", ondelete="CASCADE"
        ),
        UniqueConstraint("project_id", "first_id", "second_id"),
        Index(None, "project_id", "second_id"),
    )

    project_id: Mapped[ProjectId]
    id: Mapped[RowId]
    first_id: Mapped[int]
    second_id: Mapped[int]
    #: alias (the same mailbox), typo (the domain is mistyped).
    reason: Mapped[str]
    #: Somebody has said that they are two people.
    dismissed_at: Mapped[datetime | None]
    created_at: Mapped[Now]


class SubscriberMerge(Base):
    """A person who has been made one with another. What comes late for `gone_id` is the other one's: an open of an old
    letter, an unsubscription by its link. Goes with the person who is left.
    """

    __tablename__ = "subscriber_merge"
    __table_args__ = (
        ForeignKeyConstraint(["project_id", "subscriber_id"], _PERSON, ondelete="CASCADE"),
        Index(None, "project_id", "subscriber_id"),
        Index("ix_subscriber_merge_open", "merged_at", postgresql_where=text("settled_at IS NULL")),
    )

    project_id: Mapped[ProjectId]
    gone_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    subscriber_id: Mapped[int]
    merged_at: Mapped[Now]
    #: When what had happened shortly before the merge was moved too.
    settled_at: Mapped[datetime | None]
