"""What the pages and the API of this room show: lists with their numbers, and who is in them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, func, join, select, text
from sqlalchemy.orm import Session

from mailhub.lists.forms import id_in
from mailhub.models import (
    AudienceSide,
    Campaign,
    CampaignList,
    ListCount,
    MailingList,
    Subscriber,
    SubscriberImport,
    Subscription,
    SubscriptionStatus,
)


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


#: Sources of people that the page offers.
MOST_SOURCES = 100
# One step of the index a source, however many people have it.
_SOURCES = text(
    """
    WITH RECURSIVE step AS (
        (SELECT source FROM subscriber WHERE project_id = :project ORDER BY source LIMIT 1)
        UNION ALL
        SELECT (
            SELECT s.source FROM subscriber AS s
            WHERE s.project_id = :project AND s.source > step.source ORDER BY s.source LIMIT 1
        )
        FROM step WHERE step.source IS NOT NULL
    )
    SELECT source FROM step WHERE source <> '' LIMIT :most
    """
)


def sources_of(dbsession: Session, project_id: int) -> list[str]:
    """Where people of the project have come from: form, manual, api, import:12."""
    return list(dbsession.scalars(_SOURCES, {"project": project_id, "most": MOST_SOURCES}))


def import_names(dbsession: Session, project_id: int, sources: Collection[str]) -> dict[str, tuple[int, str]]:
    """source (`import:12`) → (id, file name) of these imports."""
    ids = {number for one in sources if one.startswith("import:") and (number := id_in(one[7:])) is not None}
    if not ids:
        return {}
    found = select(SubscriberImport.id, SubscriberImport.file_name).where(
        SubscriberImport.project_id == project_id, SubscriberImport.id.in_(ids)
    )
    return {f"import:{row.id}": (row.id, row.file_name) for row in dbsession.execute(found)}


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


_IN_LISTS = join(
    Subscription,
    MailingList,
    and_(Subscription.project_id == MailingList.project_id, Subscription.list_id == MailingList.id),
)
_BY_NAME = (func.lower(MailingList.name), MailingList.id)


def _of_people(project_id: int, subscriber_ids: Sequence[int]) -> tuple[ColumnElement[bool], ...]:
    """Subscriptions of these people in lists that are in use."""
    return (
        Subscription.project_id == project_id,
        Subscription.subscriber_id.in_(subscriber_ids),
        MailingList.archived_at.is_(None),
    )


def list_statuses_of_people(
    dbsession: Session, *, project_id: int, subscriber_ids: Sequence[int]
) -> dict[int, list[tuple[str, str]]]:
    """(name, status) of the lists in use that these people are or were in, by name. One query for a whole page.

    For tables: without the rows as objects, which would take as long as the query.
    """
    found: dict[int, list[tuple[str, str]]] = {number: [] for number in subscriber_ids}
    if not subscriber_ids:
        return found
    wanted = select(Subscription.subscriber_id, MailingList.name, Subscription.status)
    wanted = wanted.select_from(_IN_LISTS).where(*_of_people(project_id, subscriber_ids)).order_by(*_BY_NAME)
    for subscriber_id, name, status in dbsession.execute(wanted):
        found[subscriber_id].append((name, status))
    return found


def lists_of_people(
    dbsession: Session, *, project_id: int, subscriber_ids: Sequence[int]
) -> dict[int, list[tuple[MailingList, Subscription]]]:
    """The lists in use that these people are or were in. One query for a whole page."""
    found: dict[int, list[tuple[MailingList, Subscription]]] = {number: [] for number in subscriber_ids}
    if not subscriber_ids:
        return found
    wanted = select(MailingList, Subscription)
    wanted = wanted.select_from(_IN_LISTS).where(*_of_people(project_id, subscriber_ids)).order_by(*_BY_NAME)
    for mailing_list, subscription in dbsession.execute(wanted):
        found[subscription.subscriber_id].append((mailing_list, subscription))
    return found
