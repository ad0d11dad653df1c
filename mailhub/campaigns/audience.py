"""Whom a campaign is written to: the SELECTs that delivery freezes, exact counts of them, samples for the preview.

The audience is everybody in any of the chosen lists or segments. A segment reaches only people who have agreed to get
letters: who is subscribed to at least one list in use, and has not left a chosen one. The others of it, the excluded
and the paused stand in the ledger, each with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, except_, false, func, not_, or_, select, union, union_all
from sqlalchemy.orm import Session

from mailhub.campaigns import guarded
from mailhub.campaigns.chosen import Chosen
from mailhub.campaigns.guarded import COUNT_SECONDS
from mailhub.delivery import service as delivery
from mailhub.models import (
    ListCount,
    MailingList,
    Segment,
    SkipReason,
    Subscriber,
    SubscriberCount,
    SubscriberStatus,
    Subscription,
    SubscriptionStatus,
)
from mailhub.segments import service as segments

#: Why somebody of the audience gets nothing, in the order in which the page says it.
LEFT_OUT = tuple(
    reason.value
    for reason in (SkipReason.UNSUBSCRIBED, SkipReason.SUPPRESSED, SkipReason.EXCLUDED, SkipReason.PAUSED)
)
#: A page counts at most so many people before it is shown; of more the number comes after it. 100,000 people take
#: 25 ms of processor.
MOST_COUNTED_AT_ONCE = 100_000


class SegmentBroken(Exception):
    """A chosen segment asks for something that the project has no more; nobody can say who is in it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True)
class ListChoice:
    """A list as the picker shows it."""

    id: int
    name: str
    subscribed: int
    unconfirmed: int


@dataclass(frozen=True)
class AudienceCount:
    """How many different people are meant, and by reason how many of them get nothing.

    Where counting took too long `exact` is False and `chosen` is an upper bound from the counters. `broken` is the name
    of a segment that can't be read any more.
    """

    chosen: int
    left: Mapping[str, int] = field(default_factory=dict)
    exact: bool = True
    broken: str = ""

    @property
    def reachable(self) -> int:
        """Who will get the letter."""
        return self.chosen - sum(self.left.values())


@dataclass(frozen=True)
class Resolved:
    """A choice whose segments have been read. `now` is what their relative days count from."""

    project_id: int
    lists: Sequence[int]
    not_lists: Sequence[int]
    trees: Sequence[segments.Tree]
    not_trees: Sequence[segments.Tree]
    now: datetime

    def audience(self) -> delivery.Audience:
        """The SELECTs for the fan-out and for the count."""
        people = self._members(self.lists, self.trees)
        assert people is not None
        return delivery.Audience(
            people, self._members(self.not_lists, self.not_trees), self._reachable() if self.trees else None
        )

    def condition(self) -> ColumnElement[bool]:
        """The same people as a condition over `Subscriber`, for an ordered walk that stops at the first hit."""
        inside = [self._among(self.lists, self.trees), Subscriber.status == SubscriberStatus.ACTIVE]
        if self.not_lists or self.not_trees:
            inside.append(not_(self._among(self.not_lists, self.not_trees)))
        return and_(*inside)

    def _members(self, lists: Sequence[int], trees: Sequence[segments.Tree]) -> Any:
        parts: list[Any] = [subscribed_to(self.project_id, lists)] if lists else []
        parts += [segments.select_ids(self.project_id, tree, self.now) for tree in trees]
        if len(parts) < 2:
            return parts[0] if parts else None
        return union_all(*parts)

    def _reachable(self) -> Any:
        """Who is in a chosen list, or in any list in use without having left a chosen one."""
        live = (
            select(Subscription.subscriber_id)
            .join(
                MailingList,
                and_(MailingList.project_id == Subscription.project_id, MailingList.id == Subscription.list_id),
            )
            .where(
                Subscription.project_id == self.project_id,
                Subscription.status == SubscriptionStatus.SUBSCRIBED,
                MailingList.archived_at.is_(None),
            )
        )
        if not self.lists:
            return live
        gone = select(Subscription.subscriber_id).where(
            Subscription.project_id == self.project_id,
            Subscription.list_id.in_(self.lists),
            Subscription.status == SubscriptionStatus.UNSUBSCRIBED,
        )
        return union(subscribed_to(self.project_id, self.lists), except_(live, gone))

    def _among(self, lists: Sequence[int], trees: Sequence[segments.Tree]) -> ColumnElement[bool]:
        inside: list[ColumnElement[bool]] = [segments.condition(self.project_id, tree, self.now) for tree in trees]
        if lists:
            inside.append(
                select(1)
                .where(
                    Subscription.project_id == self.project_id,
                    Subscription.subscriber_id == Subscriber.id,
                    Subscription.list_id.in_(lists),
                    Subscription.status == SubscriptionStatus.SUBSCRIBED,
                )
                .exists()
            )
        return or_(false(), *inside)


def subscribed_to(project_id: int, list_ids: Sequence[int]) -> Select[int]:
    """Ids of the different people who are subscribed to any of the lists, whatever their own status."""
    return (
        select(Subscription.subscriber_id)
        .where(
            Subscription.project_id == project_id,
            Subscription.list_id.in_(list_ids),
            Subscription.status == SubscriptionStatus.SUBSCRIBED,
        )
        .distinct()
    )


def resolve(dbsession: Session, project_id: int, chosen: Chosen) -> Resolved:
    """The choice with its segments as they are now; raises SegmentBroken."""
    return _resolved(dbsession, project_id, frozen(dbsession, project_id, chosen))


def frozen(dbsession: Session, project_id: int, chosen: Chosen) -> dict[str, Any]:
    """The choice as `campaign_version.audience` keeps it: ids, and segments as they are written now."""
    ids = {*chosen.segments, *chosen.not_segments}
    rows = {}
    if ids:
        found = select(Segment).where(Segment.project_id == project_id, Segment.id.in_(ids))
        rows = {segment.id: segment for segment in dbsession.scalars(found)}

    def kept(numbers: Sequence[int]) -> list[dict[str, Any]]:
        return [
            {"id": number, "name": rows[number].name, "definition": rows[number].definition}
            for number in numbers
            if number in rows
        ]

    return {
        "lists": list(chosen.lists),
        "not_lists": list(chosen.not_lists),
        "segments": kept(chosen.segments),
        "not_segments": kept(chosen.not_segments),
    }


def resolve_frozen(dbsession: Session, project_id: int, kept: Mapping[str, Any]) -> Resolved:
    """Whom a started campaign is for, by what was frozen at its start; raises SegmentBroken."""
    return _resolved(dbsession, project_id, kept)


def sentences(
    dbsession: Session, project_id: int, kept: Mapping[str, Any], localizer: Any
) -> list[tuple[str, str, bool]]:
    """(name, sentence, whether it is left out) of each frozen segment; an empty sentence where it can't be read."""
    told = [(one, False) for one in kept.get("segments", ())] + [(one, True) for one in kept.get("not_segments", ())]
    if not told:
        return []
    catalog = segments.load(dbsession, project_id, [one["definition"] for one, _out in told])
    found = []
    for one, left_out in told:
        try:
            words = segments.in_words(segments.parse(one["definition"], catalog), catalog, localizer)
        except segments.SegmentRefused:
            words = ""
        found.append((one["name"], words, left_out))
    return found


def _resolved(dbsession: Session, project_id: int, kept: Mapping[str, Any]) -> Resolved:
    inside, outside = kept.get("segments", ()), kept.get("not_segments", ())
    trees: list[list[segments.Tree]] = [[], []]
    if inside or outside:
        catalog = segments.load(dbsession, project_id, [one["definition"] for one in (*inside, *outside)])
        for side, told in enumerate((inside, outside)):
            for one in told:
                try:
                    trees[side].append(segments.parse(one["definition"], catalog))
                except segments.SegmentRefused:
                    raise SegmentBroken(one["name"]) from None
    return Resolved(
        project_id, kept.get("lists", ()), kept.get("not_lists", ()), trees[0], trees[1], datetime.now(UTC)
    )


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


def count_audience(
    dbsession: Session, project_id: int, chosen: Chosen, *, seconds: float = COUNT_SECONDS
) -> AudienceCount:
    """Count the different people, and who of them gets nothing and why, by one statement, for at most `seconds`."""
    if not chosen.anybody:
        return AudienceCount(0)
    try:
        people = resolve(dbsession, project_id, chosen).audience()
    except SegmentBroken as broken:
        return AudienceCount(0, broken=broken.name)
    told = delivery.candidates(dbsession, project_id, people).subquery()
    statement = select(told.c.reason, func.count()).group_by(told.c.reason)
    rows = guarded.rows_of(dbsession, statement, seconds=seconds)
    if rows is None:
        return AudienceCount(_upper_bound(dbsession, project_id, chosen), exact=False)
    by_reason = {reason: int(n) for reason, n in rows}
    left = {reason: by_reason[reason] for reason in LEFT_OUT if by_reason.get(reason)}
    return AudienceCount(sum(by_reason.values()), left)


def is_large(dbsession: Session, project_id: int, chosen: Chosen) -> bool:
    """Whether counting may take longer than a page should: by the counters, without looking at anybody."""
    if not chosen.anybody:
        return False
    if chosen.not_segments and not chosen.segments:
        # Who is in a segment may have to be asked of everybody, however small the lists are.
        chosen = Chosen(chosen.lists, chosen.not_segments)
    return _upper_bound(dbsession, project_id, chosen) > MOST_COUNTED_AT_ONCE


def estimate(dbsession: Session, project_id: int, chosen: Chosen) -> AudienceCount:
    """At most so many, by the counters."""
    return AudienceCount(_upper_bound(dbsession, project_id, chosen), exact=False)


def _upper_bound(dbsession: Session, project_id: int, chosen: Chosen) -> int:
    """All that the lists hold; with a segment, at most everybody."""
    if chosen.segments:
        everybody = select(func.sum(SubscriberCount.n)).where(
            SubscriberCount.project_id == project_id, SubscriberCount.status == SubscriberStatus.ACTIVE
        )
        return int(dbsession.scalar(everybody) or 0)
    total = dbsession.scalar(
        select(func.sum(ListCount.n)).where(
            ListCount.project_id == project_id,
            ListCount.list_id.in_(chosen.lists),
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


def sample(dbsession: Session, project_id: int, chosen: Chosen, subscriber_id: int | None) -> Sample:
    """The wanted person, or else the first of the audience; with an empty audience, the project's first person."""
    wanted = dbsession.get(Subscriber, (project_id, subscriber_id)) if subscriber_id is not None else None
    try:
        meant = resolve(dbsession, project_id, chosen).condition() if chosen.anybody else None
    except SegmentBroken:
        meant = None
    guard = bool(chosen.segments or chosen.not_segments)
    if wanted is None:
        wanted = _person(dbsession, project_id, meant, forward=True, beside=None, guard=guard)
    if wanted is None:
        return Sample(None)
    before = _person(dbsession, project_id, meant, forward=False, beside=wanted.id, guard=guard)
    after = _person(dbsession, project_id, meant, forward=True, beside=wanted.id, guard=guard)
    return Sample(wanted, before.id if before else None, after.id if after else None)


def _person(
    dbsession: Session,
    project_id: int,
    meant: ColumnElement[bool] | None,
    *,
    forward: bool,
    beside: int | None,
    guard: bool,
) -> Subscriber | None:
    statement = select(Subscriber).where(Subscriber.project_id == project_id)
    if meant is not None:
        statement = statement.where(meant)
    if beside is not None:
        statement = statement.where(Subscriber.id > beside if forward else Subscriber.id < beside)
    statement = statement.order_by(Subscriber.id if forward else Subscriber.id.desc()).limit(1)
    if not guard:
        return dbsession.scalars(statement).one_or_none()
    # A segment with nobody in it would be looked for among all people.
    rows = guarded.rows_of(dbsession, statement)
    return rows[0][0] if rows else None


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
