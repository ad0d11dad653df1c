"""Who of an audience gets the letter, and why each of the others gets none: for the fan-out, and for its count before.

The reasons in their order: the person has left or can't be written to, the stop list, a person whom only a segment
names and who has subscribed to nothing, excluded by the campaign, a pause that the person has asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Case, Select, String, case, cast, func, literal, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.selectable import SelectBase

from mailhub.models import SkipReason, Subscriber, SubscriberStatus
from mailhub.suppression.clauses import StopList


@dataclass(frozen=True)
class Audience:
    """Whom a campaign is for, as SELECTs of ids of the project's subscribers; an id may come more than once.

    `excluded` are left out. `reachable`, where it is given, are those who have agreed to get letters at all: the others
    count as unsubscribed.
    """

    people: SelectBase
    excluded: SelectBase | None = None
    reachable: SelectBase | None = None


def candidates(dbsession: Session, project_id: int, audience: Audience) -> Select[*tuple[Any, ...]]:
    """One row a person (id, email, email_domain, reason), over `Subscriber`; no reason for who gets the letter."""
    people = _different(audience.people, "people")
    stops = StopList(dbsession, project_id)
    reasons: list[tuple[Any, str]] = [
        (Subscriber.status == SubscriberStatus.UNSUBSCRIBED, SkipReason.UNSUBSCRIBED),
        (Subscriber.status != SubscriberStatus.ACTIVE, SkipReason.SUPPRESSED),
        (stops.unsubscribed, SkipReason.UNSUBSCRIBED),
        (stops.stopped, SkipReason.SUPPRESSED),
    ]
    reachable = _different(audience.reachable, "reachable") if audience.reachable is not None else None
    excluded = _different(audience.excluded, "excluded") if audience.excluded is not None else None
    if reachable is not None:
        reasons.append((reachable.c.id.is_(None), SkipReason.UNSUBSCRIBED))
    if excluded is not None:
        reasons.append((excluded.c.id.is_not(None), SkipReason.EXCLUDED))
    reasons.append((Subscriber.paused_until > func.now(), SkipReason.PAUSED))
    statement: Select[*tuple[Any, ...]] = (
        select(Subscriber.id, Subscriber.email, Subscriber.email_domain, _first(reasons).label("reason"))
        .join(people, people.c.id == Subscriber.id)
        .where(Subscriber.project_id == project_id)
    )
    for beside in (reachable, excluded):
        if beside is not None:
            statement = statement.outerjoin(beside, beside.c.id == Subscriber.id)
    return stops.join(statement)


def _different(ids: SelectBase, name: str) -> Any:
    given = ids.subquery()
    return select(given.c[0].label("id")).distinct().subquery(name)


def _first(reasons: list[tuple[Any, str]]) -> Case[str]:
    return case(
        *((condition, literal(str(reason), String)) for condition, reason in reasons), else_=cast(literal(""), String)
    )
