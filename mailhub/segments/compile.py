"""From a tree to SQL: conditions over `Subscriber`, with every value bound and every table held to the project.

No condition is ever unknown (NULL): a negated rule is exactly the people whom the rule leaves out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, and_, func, not_, or_, select

from mailhub.models import MailingList, Subscriber, SubscriberTag, Subscription, SubscriptionStatus
from mailhub.segments import activity, custom
from mailhub.segments.engagement import in_bands
from mailhub.segments.tree import Group, Leaf, Tree
from mailhub.segments.vocabulary import Kind
from mailhub.suppression.service import suppressed_clause

Condition = ColumnElement[bool]


def condition(project_id: int, tree: Tree, now: datetime, *, one: bool = False) -> Condition:
    """Who is in the segment at `now`, as a condition over `Subscriber`; it holds the project itself.

    Relative days are counted back from `now`, and "the last campaigns" are those that were started before it.
    `one`: it is asked about a single person by id; the answer is the same, the way there another.
    """
    inside = [_rule(project_id, rule, tree.zone, now, one) for rule in tree.rules]
    return and_(Subscriber.project_id == project_id, _joined(tree.match, inside))


def select_ids(project_id: int, tree: Tree, now: datetime) -> Select[int]:
    """The ids of the people in the segment."""
    return select(Subscriber.id).where(condition(project_id, tree, now))


def leaf_condition(project_id: int, leaf: Leaf, zone: str, now: datetime, *, one: bool = False) -> Condition:
    """Whether one rule holds, its own `not` included; `one` as for a condition."""
    if leaf.kind is Kind.ACTIVITY:
        found = activity.did(project_id, leaf, now, one=one)
    else:
        found = _KINDS[leaf.kind](project_id, leaf, zone, now)
    return not_(found) if leaf.negated else found


def _rule(project_id: int, rule: Leaf | Group, zone: str, now: datetime, one: bool) -> Condition:
    if isinstance(rule, Leaf):
        return leaf_condition(project_id, rule, zone, now, one=one)
    inside = _joined(rule.match, [leaf_condition(project_id, leaf, zone, now, one=one) for leaf in rule.rules])
    return not_(inside) if rule.negated else inside


def _joined(match: str, conditions: Sequence[Condition]) -> Condition:
    # The brackets keep a negation about the whole group.
    return (and_(*conditions) if match == "all" else or_(*conditions)).self_group()


_TEXT_COLUMNS: dict[str, Any] = {
    "email": Subscriber.email_key,
    "name": func.lower(Subscriber.name),
    "domain": Subscriber.email_domain,
    "source": func.lower(Subscriber.source),
}


def _text(_project_id: int, leaf: Leaf, _zone: str, _now: datetime) -> Condition:
    column = _TEXT_COLUMNS.get(leaf.field)
    if column is None:
        return custom.text(leaf)
    return custom.text_condition(column, leaf.op, leaf.value)


def _status(_project_id: int, leaf: Leaf, _zone: str, _now: datetime) -> Condition:
    found = Subscriber.status.in_(list(_tuple(leaf)))
    return found if leaf.op == "any" else not_(found)


def _added(_project_id: int, leaf: Leaf, zone: str, now: datetime) -> Condition:
    column = Subscriber.created_at
    match leaf.op:
        case "last":
            return column > now - timedelta(days=_int(leaf))
        case "older":
            return column <= now - timedelta(days=_int(leaf))
        case "before":
            return column < midnight(_date(leaf.value), zone)
        case "after":
            return column >= midnight(_next(_date(leaf.value)), zone)
        case "is":
            first = last = _date(leaf.value)
        case _:
            first, last = (_date(one) for one in _tuple(leaf))
    return and_(column >= midnight(first, zone), column < midnight(_next(last), zone))


def midnight(day: date, zone: str) -> datetime:
    """When a day of the project's time zone begins."""
    return datetime.combine(day, time.min, ZoneInfo(zone))


def _next(day: date) -> date:
    return day + timedelta(days=1) if day < date.max else day


def _list(project_id: int, leaf: Leaf, _zone: str, now: datetime) -> Condition:
    held = [Subscription.project_id == project_id, Subscription.subscriber_id == Subscriber.id]
    ids = list(_tuple(leaf))
    if ids:
        held.append(Subscription.list_id.in_(ids))
    else:
        # An archived list is out of sight, and being in it means nothing.
        in_use = select(MailingList.id).where(MailingList.project_id == project_id, MailingList.archived_at.is_(None))
        held.append(Subscription.list_id.in_(in_use))
    statuses = {
        "subscribed": [SubscriptionStatus.SUBSCRIBED],
        "unconfirmed": [SubscriptionStatus.UNCONFIRMED],
        "unsubscribed": [SubscriptionStatus.UNSUBSCRIBED],
        "not_in": [SubscriptionStatus.SUBSCRIBED, SubscriptionStatus.UNCONFIRMED],
    }[leaf.op]
    held.append(Subscription.status.in_([status.value for status in statuses]))
    if leaf.days is not None:
        held.append(Subscription.created_at > now - timedelta(days=leaf.days))
    found = select(Subscription.list_id).where(*held).exists()
    return not_(found) if leaf.op == "not_in" else found


def _tag(project_id: int, leaf: Leaf, _zone: str, _now: datetime) -> Condition:
    def has(ids: Sequence[int]) -> Condition:
        return (
            select(SubscriberTag.tag_id)
            .where(
                SubscriberTag.project_id == project_id,
                SubscriberTag.subscriber_id == Subscriber.id,
                SubscriberTag.tag_id.in_(list(ids)),
            )
            .exists()
        )

    ids = _tuple(leaf)
    if leaf.op == "all":
        return and_(*(has([one]) for one in ids))
    return has(ids) if leaf.op == "any" else not_(has(ids))


def _engagement(project_id: int, leaf: Leaf, _zone: str, now: datetime) -> Condition:
    found = in_bands(project_id, _tuple(leaf), now)
    return found if leaf.op == "any" else not_(found)


def _suppressed(project_id: int, leaf: Leaf, _zone: str, _now: datetime) -> Condition:
    found = suppressed_clause(project_id)
    return found if leaf.value else not_(found)


def _date_field(_project_id: int, leaf: Leaf, zone: str, now: datetime) -> Condition:
    return custom.day(leaf, now.astimezone(ZoneInfo(zone)).date())


def _of_custom(make: Callable[[Leaf], Condition]) -> Callable[[int, Leaf, str, datetime], Condition]:
    return lambda _project_id, leaf, _zone, _now: make(leaf)


_KINDS: dict[Kind, Callable[[int, Leaf, str, datetime], Condition]] = {
    Kind.TEXT: _text,
    Kind.NUMBER: _of_custom(custom.number),
    Kind.DATE: _date_field,
    Kind.BOOLEAN: _of_custom(custom.yes_no),
    Kind.CHOICE: _of_custom(custom.choice),
    Kind.STATUS: _status,
    Kind.MOMENT: _added,
    Kind.LIST: _list,
    Kind.TAG: _tag,
    Kind.ENGAGEMENT: _engagement,
    Kind.SUPPRESSED: _suppressed,
}


def _tuple(leaf: Leaf) -> tuple[Any, ...]:
    assert isinstance(leaf.value, tuple)
    return leaf.value


def _int(leaf: Leaf) -> int:
    assert isinstance(leaf.value, int)
    return leaf.value


def _date(value: Any) -> date:
    assert isinstance(value, date)
    return value
