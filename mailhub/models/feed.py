"""Places in what grows: how far a reader of the events has come, how much of a spool of hits is stored."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, mapped_column

from mailhub.models.base import Base, Now


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
