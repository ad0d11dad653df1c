"""What the pages of this room show: imports with the lists that they fill and who has begun them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from mailhub.models import ImportChange, ImportList, MailingList, Subscriber, SubscriberImport, User
from mailhub.web.paging import Page, page_of, read_cursor


@dataclass(frozen=True)
class Listed:
    """An import, the names of its lists, and who has begun it ("" for a program or somebody who is gone)."""

    row: SubscriberImport
    lists: str
    who: str


def imports(dbsession: Session, *, project_id: int, after: str | None = None, limit: int = 50) -> Page[Listed]:
    """The imports of a project, newest first. One query."""
    same = and_(MailingList.project_id == ImportList.project_id, MailingList.id == ImportList.list_id)
    names = (
        select(func.string_agg(MailingList.name, ", "))
        .select_from(ImportList)
        .join(MailingList, same)
        .where(ImportList.project_id == SubscriberImport.project_id, ImportList.import_id == SubscriberImport.id)
        .scalar_subquery()
    )
    wanted = (
        select(SubscriberImport, func.coalesce(names, ""), func.coalesce(func.nullif(User.name, ""), User.email, ""))
        .outerjoin(User, User.id == SubscriberImport.created_by)
        .where(SubscriberImport.project_id == project_id)
        .order_by(SubscriberImport.id.desc())
        .limit(limit + 1)
    )
    given = read_cursor(after, int)
    if given is not None:
        wanted = wanted.where(SubscriberImport.id < given[0])
    rows = [Listed(*row) for row in dbsession.execute(wanted)]
    return page_of(rows, limit, lambda one: (one.row.id,))


def list_in_use(dbsession: Session, project_id: int, given: str) -> MailingList | None:
    """The list with this id, if it is one of the project's that are in use."""
    if not given.isascii() or not given.isdigit() or len(given) > 18:
        return None
    found: MailingList | None = dbsession.get(MailingList, (project_id, int(given)))
    return found if found is not None and found.archived_at is None else None


def kept_people(
    dbsession: Session, *, project_id: int, import_id: int, after: str | None = None, limit: int = 50
) -> Page[tuple[Subscriber, str]]:
    """(person, reason) of those whom a roll-back has left as they are. One query."""
    wanted = (
        select(Subscriber, ImportChange.kept)
        .join(
            ImportChange,
            and_(ImportChange.project_id == Subscriber.project_id, ImportChange.subscriber_id == Subscriber.id),
        )
        .where(
            ImportChange.project_id == project_id,
            ImportChange.import_id == import_id,
            ImportChange.kept != "",
        )
        .order_by(ImportChange.subscriber_id)
        .limit(limit + 1)
    )
    given = read_cursor(after, int)
    if given is not None:
        wanted = wanted.where(ImportChange.subscriber_id > given[0])
    rows = [(row[0], row[1]) for row in dbsession.execute(wanted)]
    return page_of(rows, limit, lambda row: (row[0].id,))
