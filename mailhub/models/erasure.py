"""That a person was erased: when, by whom, and nothing by which anybody could tell who it was."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKeyConstraint, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from mailhub.models.base import Base, Now, ProjectId, RowId, one_of


class ErasureState(StrEnum):
    """Waiting: it is due later. Erasing: the person is gone, traces are looked for. Following: so are late writers."""

    WAITING = "waiting"
    ERASING = "erasing"
    FOLLOWING = "following"
    DONE = "done"
    WITHDRAWN = "withdrawn"


class ErasureWay(StrEnum):
    """Who asked for it: somebody on the person's page, with a list of addresses, by the API; the person themselves."""

    PAGE = "page"
    MANY = "many"
    API = "api"
    OWN = "own"


class Erasure(Base):
    """A wish to be erased and what became of it. `sealed` has the addresses to look for, encrypted, until it is done.

    `email_hash` is the keyed hash that the stop list has too: whoever comes with the address can be told that, and
    when, it was erased.
    """

    __tablename__ = "erasure"
    __table_args__ = (
        ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),
        one_of("state", ErasureState),
        one_of("way", ErasureWay),
        Index("ix_erasure_open", "project_id", "id", postgresql_where=text("sealed IS NOT NULL")),
        Index("ix_erasure_hash", "project_id", "email_hash"),
    )

    project_id: Mapped[ProjectId]
    id: Mapped[RowId]
    state: Mapped[str] = mapped_column(server_default=ErasureState.WAITING)
    way: Mapped[str]
    #: The person's number; none: the address was known from letters only.
    subscriber_id: Mapped[int | None]
    email_hash: Mapped[bytes] = mapped_column(LargeBinary)
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    asked_by: Mapped[int | None]
    created_at: Mapped[Now]
    due_at: Mapped[Now]
    #: When the person was taken out; what came later by those who still knew them is looked for until `finished_at`.
    erased_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    letters: Mapped[int] = mapped_column(server_default="0")
    events: Mapped[int] = mapped_column(server_default="0")
    #: Places elsewhere that held an address.
    traces: Mapped[int] = mapped_column(server_default="0")
