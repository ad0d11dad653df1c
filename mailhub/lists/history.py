"""What happened to a person: the events of their letters, newest first, in pages."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from mailhub.reporting.queries import TimelineEvent, subscriber_timeline
from mailhub.web.paging import Page, page_of, read_cursor

PAGE = 30


def history(
    dbsession: Session, *, project_id: int, subscriber_id: int, after: str | None = None, limit: int = PAGE
) -> Page[TimelineEvent]:
    """A page of events after a cursor."""
    rows = subscriber_timeline(dbsession, project_id, subscriber_id, before=_place(after), most=limit + 1)
    return page_of(rows, limit, lambda row: (row.at.isoformat(), row.id))


def _place(after: str | None) -> tuple[datetime, int] | None:
    given = read_cursor(after, str, int)
    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given[0])
    except ValueError:
        return None
    return (moment, given[1]) if moment.tzinfo is not None else None
