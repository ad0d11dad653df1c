"""Places in what grows: how far a reader of the events has come, how much of a spool of hits is stored."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.dialects.postgresql import UUID as PgUUID
from sqlalchemy.orm import Mapped, mapped_column

from mailhub.models.base import Base, Now, ProjectId


class FeedCursor(Base):
    """A reader's place in the events: everything up to (position, id) is done. Moved in the reader's transaction."""

    __tablename__ = "feed_cursor"

    name: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(server_default="0")
    id: Mapped[int] = mapped_column(server_default="0", autoincrement=False)
    updated_at: Mapped[Now]


class HitSpool(Base):
    """A file of hits that a tracking process writes: its first `stored_bytes` are events, exactly once."""

    __tablename__ = "hit_spool"

    name: Mapped[str] = mapped_column(primary_key=True)
    stored_bytes: Mapped[int] = mapped_column(server_default="0")
    updated_at: Mapped[Now]


class HitTaint(Base):
    """An address with a program that clicked as only a scanner does: what comes from it meanwhile is a scanner's too.

    `reader` is the classifier's place that remembers it, so that classifying the past again changes nothing for today.
    """

    __tablename__ = "hit_taint"
    __table_args__ = (ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),)

    reader: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[ProjectId]
    ip: Mapped[str] = mapped_column(INET, primary_key=True)
    #: A digest of the User-Agent.
    agent: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), primary_key=True)
    since_at: Mapped[datetime]
    until_at: Mapped[datetime]
    #: When a rule of its own caught it last; hits that only this memory speaks against do not move it.
    caught_at: Mapped[datetime]
