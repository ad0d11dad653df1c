"""The JSON of this room."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mailhub.models import Erasure
from mailhub.web.api import utc
from mailhub.web.forms import Form


class ErasuresIn(Form):
    """People by their addresses, by their ids, or both; an address need not be a subscriber's."""

    emails: list[Annotated[str, Field(min_length=1, max_length=320)]] = Field(default=[], max_length=500)
    ids: list[Annotated[str, Field(pattern=r"^[0-9]{1,18}$")]] = Field(default=[], max_length=500)


class NothingIn(Form):
    """A deed that needs no words."""


class ErasureOut(Form):
    """`state` waiting, erasing, following, done, withdrawn. There is no address in it."""

    id: str
    state: str
    way: str
    subscriber_id: str | None
    asked_at: str
    due_at: str
    erased_at: str | None
    finished_at: str | None
    letters: int
    events: int
    traces: int


class ErasuresOut(Form):
    """`results` are the new ones; `known` were being erased already."""

    results: list[ErasureOut]
    known: int


class PageQuery(Form):
    limit: int = Field(default=100, ge=1, le=500)
    after: str = Field(default="", max_length=2000)


def erasure_out(row: Erasure) -> ErasureOut:
    return ErasureOut(
        id=str(row.id),
        state=row.state,
        way=row.way,
        subscriber_id=None if row.subscriber_id is None else str(row.subscriber_id),
        asked_at=utc(row.created_at) or "",
        due_at=utc(row.due_at) or "",
        erased_at=utc(row.erased_at),
        finished_at=utc(row.finished_at),
        letters=row.letters,
        events=row.events,
        traces=row.traces,
    )
