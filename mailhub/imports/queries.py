"""What the pages of this room show: imports with the lists that they fill."""

from __future__ import annotations

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from mailhub.models import MailingList, SubscriberImport
from mailhub.web.paging import Page, page_of, read_cursor


def imports(
    dbsession: Session, *, project_id: int, after: str | None = None, limit: int = 50
) -> Page[tuple[SubscriberImport, str]]:
    """(import, name of its list), newest first."""
    wanted = (
        select(SubscriberImport, MailingList.name)
        .join(
            MailingList,
            and_(MailingList.project_id == SubscriberImport.project_id, MailingList.id == SubscriberImport.list_id),
        )
        .where(SubscriberImport.project_id == project_id)
        .order_by(SubscriberImport.id.desc())
        .limit(limit + 1)
    )
    given = read_cursor(after, int)
    if given is not None:
        wanted = wanted.where(SubscriberImport.id < given[0])
    rows = [(row[0], row[1]) for row in dbsession.execute(wanted)]
    return page_of(rows, limit, lambda row: (row[0].id,))
