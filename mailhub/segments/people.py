"""The people of a segment, page by page."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from mailhub.models import Subscriber
from mailhub.segments.compile import condition
from mailhub.segments.counting import database_now, guarded
from mailhub.segments.tree import Tree
from mailhub.web.paging import Page, page_of, read_cursor

#: A page that has not found its people after so long is shown without them, and asks for them by itself.
FIRST_SECONDS = 0.08
#: A page of people is given up after so long.
MOST_SECONDS = 5.0


def people_of(
    dbsession: Session,
    project_id: int,
    tree: Tree,
    *,
    after: str | None = None,
    limit: int = 50,
    seconds: float = MOST_SECONDS,
) -> Page[Subscriber] | None:
    """The people in the segment now, the newest ids first; None where it takes too long."""
    statement = select(Subscriber).where(condition(project_id, tree, database_now(dbsession)))
    given = read_cursor(after, int)
    if given is not None:
        statement = statement.where(Subscriber.id < given[0])
    rows = guarded(dbsession, statement.order_by(Subscriber.id.desc()).limit(limit + 1), seconds)
    if rows is None:
        return None
    return page_of([row[0] for row in rows], limit, lambda person: (person.id,))
