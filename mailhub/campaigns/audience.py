"""Whom a campaign is written to: the SELECT that delivery freezes, exact counts of it, and samples for the preview."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from mailhub.models import (
    CampaignList,
    ListCount,
    MailingList,
    Subscriber,
    SubscriberStatus,
    Subscription,
    SubscriptionStatus,
    Suppression,
)

#: An exact count that takes longer than this is given up: the page then says "at most".
COUNT_SECONDS = 2.0
_QUERY_CANCELLED = "57014"


@dataclass(frozen=True)
class ListChoice:
    """A list as the picker shows it."""

    id: int
    name: str
    subscribed: int
    unconfirmed: int


@dataclass(frozen=True)
class AudienceCount:
    """How many different people the chosen lists hold.

    `chosen` = `reachable` + `inactive` + `suppressed`. Where counting took too long `exact` is False and the numbers
    are upper bounds from the lists' counters.
    """

    chosen: int
    inactive: int = 0
    suppressed: int = 0
    exact: bool = True

    @property
    def reachable(self) -> int:
        """Who will get the letter."""
        return self.chosen - self.inactive - self.suppressed


def audience(project_id: int, list_ids: Sequence[int]) -> Select[int]:
    """Ids of the different people who are subscribed to any of the lists, whatever their own status.

    Delivery leaves out the inactive and the suppressed, each with the reason in the ledger.
    """
    return (
        select(Subscription.subscriber_id)
        .where(
            Subscription.project_id == project_id,
            Subscription.list_id.in_(list_ids),
            Subscription.status == SubscriptionStatus.SUBSCRIBED,
        )
        .distinct()
    )


def list_ids_of(dbsession: Session, project_id: int, campaign_id: int) -> list[int]:
    """The lists that a campaign is written to."""
    rows = dbsession.scalars(
        select(CampaignList.list_id)
        .where(CampaignList.project_id == project_id, CampaignList.campaign_id == campaign_id)
        .order_by(CampaignList.list_id)
    )
    return list(rows)


def list_ids_of_several(dbsession: Session, project_id: int, campaign_ids: Sequence[int]) -> dict[int, list[int]]:
    """The same for several campaigns, by campaign."""
    rows = dbsession.execute(
        select(CampaignList.campaign_id, CampaignList.list_id)
        .where(CampaignList.project_id == project_id, CampaignList.campaign_id.in_(campaign_ids))
        .order_by(CampaignList.campaign_id, CampaignList.list_id)
    )
    lists: dict[int, list[int]] = {}
    for campaign_id, list_id in rows:
        lists.setdefault(campaign_id, []).append(list_id)
    return lists


def list_names_of(dbsession: Session, project_id: int, campaign_ids: Sequence[int]) -> dict[int, list[str]]:
    """The names of the lists of several campaigns, by campaign."""
    rows = dbsession.execute(
        select(CampaignList.campaign_id, MailingList.name)
        .join(
            MailingList,
            and_(MailingList.project_id == CampaignList.project_id, MailingList.id == CampaignList.list_id),
        )
        .where(CampaignList.project_id == project_id, CampaignList.campaign_id.in_(campaign_ids))
        .order_by(MailingList.name, MailingList.id)
    )
    names: dict[int, list[str]] = {}
    for campaign_id, name in rows:
        names.setdefault(campaign_id, []).append(name)
    return names


def list_choices(dbsession: Session, project_id: int, *, also: Sequence[int] = ()) -> list[ListChoice]:
    """The project's lists with their counters; archived ones only where they are already chosen (`also`)."""
    counted = (
        select(ListCount.list_id, ListCount.status, ListCount.n).where(ListCount.project_id == project_id).subquery()
    )
    rows = dbsession.execute(
        select(
            MailingList.id,
            MailingList.name,
            func.coalesce(func.sum(counted.c.n).filter(counted.c.status == SubscriptionStatus.SUBSCRIBED), 0),
            func.coalesce(func.sum(counted.c.n).filter(counted.c.status == SubscriptionStatus.UNCONFIRMED), 0),
        )
        .outerjoin(counted, counted.c.list_id == MailingList.id)
        .where(
            MailingList.project_id == project_id,
            or_(MailingList.archived_at.is_(None), MailingList.id.in_(list(also))),
        )
        .group_by(MailingList.id, MailingList.name)
        .order_by(func.lower(MailingList.name), MailingList.id)
    )
    return [ListChoice(id_, name, int(subscribed), int(unconfirmed)) for id_, name, subscribed, unconfirmed in rows]


def known_list_ids(dbsession: Session, project_id: int, list_ids: Sequence[int]) -> list[int]:
    """Those of the ids that are lists of the project, archived ones left out."""
    if not list_ids:
        return []
    rows = dbsession.scalars(
        select(MailingList.id)
        .where(MailingList.project_id == project_id, MailingList.id.in_(list_ids), MailingList.archived_at.is_(None))
        .order_by(MailingList.id)
    )
    return list(rows)


def count_audience(
    dbsession: Session, project_id: int, list_ids: Sequence[int], *, seconds: float = COUNT_SECONDS
) -> AudienceCount:
    """Count the different people of the lists by one statement, for at most `seconds`.

    Reads subscription, subscriber and suppression.
    """
    if not list_ids:
        return AudienceCount(0)
    people = audience(project_id, list_ids).subquery()
    active = Subscriber.status == SubscriberStatus.ACTIVE
    statement = (
        select(
            func.count(),
            func.count().filter(~active),
            func.count().filter(and_(active, Suppression.id.is_not(None))),
        )
        .select_from(people)
        .join(Subscriber, and_(Subscriber.project_id == project_id, Subscriber.id == people.c.subscriber_id))
        .outerjoin(Suppression, suppression_of(project_id))
    )
    try:
        # A savepoint: after a cancelled statement the rest of the request goes on.
        with dbsession.begin_nested():
            limit = {"ms": str(int(seconds * 1000))}
            dbsession.execute(text("SELECT set_config('statement_timeout', :ms, true)"), limit)
            chosen, inactive, suppressed = dbsession.execute(statement).one()
            dbsession.execute(text("SET LOCAL statement_timeout TO DEFAULT"))
    except OperationalError as failure:
        if getattr(failure.orig, "sqlstate", None) != _QUERY_CANCELLED:
            raise
        return AudienceCount(_upper_bound(dbsession, project_id, list_ids), exact=False)
    return AudienceCount(chosen, inactive, suppressed)


def suppression_of(project_id: int) -> ColumnElement[bool]:
    """The join condition from a subscriber to the suppression that is in force for the address."""
    return and_(
        Suppression.project_id == project_id,
        Suppression.email_key == Subscriber.email_key,
        or_(Suppression.expires_at.is_(None), Suppression.expires_at > func.now()),
    )


def _upper_bound(dbsession: Session, project_id: int, list_ids: Sequence[int]) -> int:
    total = dbsession.scalar(
        select(func.sum(ListCount.n)).where(
            ListCount.project_id == project_id,
            ListCount.list_id.in_(list_ids),
            ListCount.status == SubscriptionStatus.SUBSCRIBED,
        )
    )
    return int(total or 0)


@dataclass(frozen=True)
class Sample:
    """A real person to show the letter to, and the neighbours in the order of the audience."""

    subscriber: Subscriber | None
    previous_id: int | None = None
    next_id: int | None = None


def sample(dbsession: Session, project_id: int, list_ids: Sequence[int], subscriber_id: int | None) -> Sample:
    """The wanted person, or else the first of the audience; with an empty audience, the project's first person."""
    wanted = dbsession.get(Subscriber, (project_id, subscriber_id)) if subscriber_id is not None else None
    if wanted is None:
        wanted = _person(dbsession, project_id, list_ids, forward=True, beside=None)
    if wanted is None:
        return Sample(None)
    before = _person(dbsession, project_id, list_ids, forward=False, beside=wanted.id)
    after = _person(dbsession, project_id, list_ids, forward=True, beside=wanted.id)
    return Sample(wanted, before.id if before else None, after.id if after else None)


def _person(
    dbsession: Session, project_id: int, list_ids: Sequence[int], *, forward: bool, beside: int | None
) -> Subscriber | None:
    statement = select(Subscriber).where(Subscriber.project_id == project_id)
    if list_ids:
        # A semi-join by the subscription's own index: an ordered walk that stops at the first hit.
        statement = statement.where(
            select(1)
            .where(
                Subscription.project_id == project_id,
                Subscription.subscriber_id == Subscriber.id,
                Subscription.list_id.in_(list_ids),
                Subscription.status == SubscriptionStatus.SUBSCRIBED,
            )
            .exists()
        )
    if beside is not None:
        statement = statement.where(Subscriber.id > beside if forward else Subscriber.id < beside)
    statement = statement.order_by(Subscriber.id if forward else Subscriber.id.desc()).limit(1)
    return dbsession.scalars(statement).one_or_none()


def find_people(dbsession: Session, project_id: int, query: str, *, limit: int = 8) -> list[Subscriber]:
    """People whose address begins with the query, for choosing whom the preview is shown as."""
    prefix = query.strip().lower()
    if not prefix:
        return []
    rows = dbsession.scalars(
        select(Subscriber)
        .where(Subscriber.project_id == project_id, Subscriber.email_key.startswith(prefix, autoescape=True))
        .order_by(Subscriber.email_key)
        .limit(limit)
    )
    return list(rows)
