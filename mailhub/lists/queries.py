"""What the pages and the API of this room show: lists with their numbers, people found by a filter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, literal_column, select, tuple_
from sqlalchemy.orm import Session

from mailhub.models import (
    AudienceSide,
    Campaign,
    CampaignList,
    ListCount,
    MailingList,
    Subscriber,
    SubscriberCount,
    SubscriberStatus,
    Subscription,
    SubscriptionStatus,
)
from mailhub.web.paging import Page, page_of, read_cursor

#: A search is counted up to here; beyond it the page says "more than".
COUNT_LIMIT = 1_000
PERSON_STATUSES = frozenset(status.value for status in SubscriberStatus)
LIST_STATUSES = frozenset(status.value for status in SubscriptionStatus)
SORTS = ("-added", "added", "email", "-email")


@dataclass(frozen=True)
class ListRow:
    """A list and how many people it has in each status."""

    mailing_list: MailingList
    subscribed: int
    unconfirmed: int
    unsubscribed: int

    @property
    def total(self) -> int:
        return self.subscribed + self.unconfirmed + self.unsubscribed


@dataclass(frozen=True)
class SubscriberFilter:
    """What the table is narrowed to. With a list, `subscribed`, `unconfirmed` and `unsubscribed` are of that list."""

    q: str = ""
    list_id: int | None = None
    status: str = ""

    @property
    def is_set(self) -> bool:
        return bool(self.q or self.list_id or self.status)


@dataclass(frozen=True)
class Total:
    """How many people fit; `more` says that there are more than `n`."""

    n: int
    more: bool = False


def lists_with_counts(dbsession: Session, *, project_id: int, list_id: int | None = None) -> list[ListRow]:
    """The lists in use by name, with their numbers from `list_count`. One query."""
    numbers = {
        status: func.coalesce(func.sum(ListCount.n).filter(ListCount.status == status), 0)
        for status in (
            SubscriptionStatus.SUBSCRIBED,
            SubscriptionStatus.UNCONFIRMED,
            SubscriptionStatus.UNSUBSCRIBED,
        )
    }
    wanted = (
        select(MailingList, *numbers.values())
        .outerjoin(ListCount, and_(ListCount.project_id == MailingList.project_id, ListCount.list_id == MailingList.id))
        .where(MailingList.project_id == project_id, MailingList.archived_at.is_(None))
        .group_by(MailingList.project_id, MailingList.id)
        .order_by(func.lower(MailingList.name), MailingList.id)
    )
    if list_id is not None:
        wanted = wanted.where(MailingList.id == list_id)
    return [ListRow(row[0], int(row[1]), int(row[2]), int(row[3])) for row in dbsession.execute(wanted)]


def list_choices(dbsession: Session, *, project_id: int) -> list[tuple[int, str]]:
    """(id, name) of the lists in use, by name."""
    wanted = (
        select(MailingList.id, MailingList.name)
        .where(MailingList.project_id == project_id, MailingList.archived_at.is_(None))
        .order_by(func.lower(MailingList.name), MailingList.id)
    )
    return [(row.id, row.name) for row in dbsession.execute(wanted)]


def newest_in_list(dbsession: Session, *, project_id: int, list_id: int, limit: int = 8) -> list[Any]:
    """(Subscriber, Subscription) of the people who joined last, by the time of joining.

    Ids of people grow with time: the newest people are looked at, not the whole list.
    """
    wanted = (
        select(Subscriber, Subscription)
        .join(
            Subscription,
            and_(Subscription.project_id == Subscriber.project_id, Subscription.subscriber_id == Subscriber.id),
        )
        .where(
            Subscription.project_id == project_id,
            Subscription.list_id == list_id,
            Subscription.status == SubscriptionStatus.SUBSCRIBED,
        )
        .order_by(Subscription.subscriber_id.desc())
        .limit(limit)
    )
    return list(dbsession.execute(wanted))


def campaigns_of_list(dbsession: Session, *, project_id: int, list_id: int, limit: int = 10) -> list[Campaign]:
    """The newest campaigns that write or wrote to the list."""
    wanted = (
        select(Campaign)
        .join(
            CampaignList,
            and_(CampaignList.project_id == Campaign.project_id, CampaignList.campaign_id == Campaign.id),
        )
        .where(
            CampaignList.project_id == project_id,
            CampaignList.list_id == list_id,
            CampaignList.side == AudienceSide.INCLUDE,
            Campaign.archived_at.is_(None),
        )
        .order_by(Campaign.id.desc())
        .limit(limit)
    )
    return list(dbsession.scalars(wanted))


def find_subscribers(
    dbsession: Session,
    *,
    project_id: int,
    wanted: SubscriberFilter,
    sort: str = "-added",
    after: str | None = None,
    limit: int = 50,
) -> Page[Subscriber]:
    """A page of people. `after` is a cursor of the same sort; a foreign one shows the first page."""
    query = _narrowed(select(Subscriber), project_id, wanted)
    down = sort.startswith("-")
    if sort.lstrip("-") == "email":
        key = Subscriber.email_key
        given = read_cursor(after, str)
        if given is not None:
            query = query.where(key < given[0] if down else key > given[0])
        query = query.order_by(key.desc() if down else key)
        rows = dbsession.scalars(query.limit(limit + 1)).all()
        return page_of(rows, limit, lambda row: (row.email_key,))
    place = tuple_(Subscriber.created_at, Subscriber.id)
    given = read_cursor(after, str, int)
    moment = _moment(given[0]) if given is not None else None
    if given is not None and moment is not None:
        here = tuple_(moment, given[1])
        query = query.where(place < here if down else place > here)
    order = (Subscriber.created_at, Subscriber.id)
    query = query.order_by(*(column.desc() if down else column for column in order))
    rows = dbsession.scalars(query.limit(limit + 1)).all()
    return page_of(rows, limit, lambda row: (row.created_at.isoformat(), row.id))


def count_subscribers(dbsession: Session, *, project_id: int, wanted: SubscriberFilter) -> Total:
    """How many fit: exact from counters where there is one, else counted up to COUNT_LIMIT."""
    if not wanted.q and wanted.list_id is None and (not wanted.status or wanted.status in PERSON_STATUSES):
        counted = select(func.coalesce(func.sum(SubscriberCount.n), 0)).where(SubscriberCount.project_id == project_id)
        if wanted.status:
            counted = counted.where(SubscriberCount.status == wanted.status)
        return Total(int(dbsession.scalar(counted) or 0))
    if not wanted.q and wanted.list_id is not None and (not wanted.status or wanted.status in LIST_STATUSES):
        counted = select(func.coalesce(func.sum(ListCount.n), 0)).where(
            ListCount.project_id == project_id, ListCount.list_id == wanted.list_id
        )
        if wanted.status:
            counted = counted.where(ListCount.status == wanted.status)
        return Total(int(dbsession.scalar(counted) or 0))
    some = _narrowed(select(Subscriber.id), project_id, wanted).limit(COUNT_LIMIT + 1).subquery()
    n = int(dbsession.scalar(select(func.count()).select_from(some)) or 0)
    return Total(min(n, COUNT_LIMIT), n > COUNT_LIMIT)


def _narrowed(query: Select[Any], project_id: int, wanted: SubscriberFilter) -> Select[Any]:
    query = query.where(Subscriber.project_id == project_id)
    if wanted.q:
        query = query.where(_matches(wanted.q))
    status = wanted.status
    if wanted.list_id is not None:
        in_list = [
            Subscription.project_id == Subscriber.project_id,
            Subscription.subscriber_id == Subscriber.id,
            Subscription.list_id == wanted.list_id,
        ]
        if status in LIST_STATUSES:
            in_list.append(Subscription.status == status)
            status = ""
        query = query.join(Subscription, and_(*in_list))
    elif status in (SubscriptionStatus.SUBSCRIBED, SubscriptionStatus.UNCONFIRMED):
        query = query.where(
            select(Subscription.list_id)
            .where(
                Subscription.project_id == Subscriber.project_id,
                Subscription.subscriber_id == Subscriber.id,
                Subscription.status == status,
            )
            .exists()
        )
        status = ""
    if status:
        query = query.where(Subscriber.status == status)
    return query


def _matches(q: str) -> ColumnElement[bool]:
    """Every word of the search is somewhere in the address or the name; one or two letters are a beginning."""
    search: ColumnElement[str] = literal_column("((subscriber.email_key || ' '::text) || lower(subscriber.name))")
    words = q.lower().split()[:5]
    if len(words) == 1 and len(words[0]) < 3:
        # A trigram index knows nothing about so few letters; the address's own index finds a prefix.
        return Subscriber.email_key.like(_escaped(words[0]) + "%", escape="\\")
    return and_(*(search.like(f"%{_escaped(word)}%", escape="\\") for word in words))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def lists_of_people(
    dbsession: Session, *, project_id: int, subscriber_ids: Sequence[int]
) -> dict[int, list[tuple[MailingList, Subscription]]]:
    """The lists in use that these people are or were in. One query for a whole page."""
    found: dict[int, list[tuple[MailingList, Subscription]]] = {number: [] for number in subscriber_ids}
    if not subscriber_ids:
        return found
    wanted = (
        select(MailingList, Subscription)
        .join(
            Subscription,
            and_(Subscription.project_id == MailingList.project_id, Subscription.list_id == MailingList.id),
        )
        .where(
            Subscription.project_id == project_id,
            Subscription.subscriber_id.in_(subscriber_ids),
            MailingList.archived_at.is_(None),
        )
        .order_by(func.lower(MailingList.name), MailingList.id)
    )
    for mailing_list, subscription in dbsession.execute(wanted):
        found[subscription.subscriber_id].append((mailing_list, subscription))
    return found
