"""Why people leave, as they say it, and how many said what: rows for people, counters for pages.

The counters move with the rows, in the caller's transaction; the row of the person is locked, so that two answers of
one person count once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from mailhub.models import (
    Campaign,
    CampaignLeaving,
    Leaving,
    LeavingDay,
    LeavingReason,
    Project,
    Subscriber,
    Subscription,
    SubscriptionStatus,
)

MAX_NOTE = 500


@dataclass(frozen=True, slots=True)
class Said:
    """How many gave a reason."""

    reason: LeavingReason
    n: int


def say(
    dbsession: Session,
    project: Project,
    *,
    subscriber_id: int,
    list_ids: Sequence[int],
    campaign_id: int | None,
    reason: LeavingReason,
    note: str = "",
    now: datetime,
) -> bool:
    """Write down why a person has left these lists; a second answer replaces the first. False: they are in them.

    Only lists that they have left count, and a campaign only if it is the project's.
    """
    if not _locked(dbsession, project.id, subscriber_id):
        return False
    left = dbsession.scalars(
        select(Subscription.list_id).where(
            Subscription.project_id == project.id,
            Subscription.subscriber_id == subscriber_id,
            Subscription.list_id.in_(list_ids),
            Subscription.status == SubscriptionStatus.UNSUBSCRIBED,
        )
    ).all()
    if not left:
        return False
    before = _rows(dbsession, project.id, subscriber_id)
    _delete(dbsession, project.id, subscriber_id, left)
    known = None
    if campaign_id is not None and dbsession.get(Campaign, (project.id, campaign_id)) is not None:
        known = campaign_id
    same = {
        "project_id": project.id, "subscriber_id": subscriber_id, "campaign_id": known, "reason": reason.value,
        "note": note.replace("\0", "").strip()[:MAX_NOTE], "day": now.astimezone(ZoneInfo(project.time_zone)).date(),
        # The clock that says when they left.
        "at": func.clock_timestamp(),
    }  # fmt: skip
    dbsession.execute(insert(Leaving).values([{**same, "list_id": list_id} for list_id in sorted(left)]))
    _move(dbsession, project.id, before, _rows(dbsession, project.id, subscriber_id))
    return True


def take_back(dbsession: Session, project_id: int, *, subscriber_id: int, list_ids: Sequence[int]) -> None:
    """The person is in these lists again at once: what they said does not count."""
    if not _locked(dbsession, project_id, subscriber_id):
        return
    before = _rows(dbsession, project_id, subscriber_id)
    if not before:
        return
    _delete(dbsession, project_id, subscriber_id, list_ids)
    _move(dbsession, project_id, before, _rows(dbsession, project_id, subscriber_id))


def of_campaign(dbsession: Session, project_id: int, campaign_id: int) -> list[Said]:
    """How many people who left by a campaign gave each reason that was given, in the order of the reasons."""
    counted = select(CampaignLeaving.reason, CampaignLeaving.n).where(
        CampaignLeaving.project_id == project_id, CampaignLeaving.campaign_id == campaign_id
    )
    return _said(dbsession.execute(counted))


def of_days(dbsession: Session, project_id: int, since: date, until: date) -> list[Said]:
    """How often each reason was given on the project's days of the half-open range, in the order of the reasons."""
    counted = (
        select(LeavingDay.reason, func.sum(LeavingDay.n))
        .where(LeavingDay.project_id == project_id, LeavingDay.day >= since, LeavingDay.day < until)
        .group_by(LeavingDay.reason)
    )
    return _said(dbsession.execute(counted))


def _said(rows: Iterable[tuple[str, int]]) -> list[Said]:
    numbers = {reason: int(n) for reason, n in rows}
    return [Said(reason, numbers[reason]) for reason in LeavingReason if numbers.get(reason)]


@dataclass(frozen=True, slots=True)
class _Row:
    campaign_id: int | None
    reason: str
    day: date


def _locked(dbsession: Session, project_id: int, subscriber_id: int) -> bool:
    person = (
        select(Subscriber.id)
        .where(Subscriber.project_id == project_id, Subscriber.id == subscriber_id)
        .with_for_update(key_share=True)
    )
    return dbsession.scalar(person) is not None


def _rows(dbsession: Session, project_id: int, subscriber_id: int) -> list[_Row]:
    found = select(Leaving.campaign_id, Leaving.reason, Leaving.day).where(
        Leaving.project_id == project_id, Leaving.subscriber_id == subscriber_id
    )
    return [_Row(*row) for row in dbsession.execute(found)]


def _delete(dbsession: Session, project_id: int, subscriber_id: int, list_ids: Sequence[int]) -> None:
    dbsession.execute(
        delete(Leaving)
        .where(Leaving.project_id == project_id, Leaving.subscriber_id == subscriber_id, Leaving.list_id.in_(list_ids))
        .execution_options(synchronize_session=False)
    )


def _move(dbsession: Session, project_id: int, before: list[_Row], after: list[_Row]) -> None:
    """The differences, in the order of the keys, so that two people's answers never wait in a circle."""
    days = Counter((row.day, row.reason) for row in after)
    days.subtract(Counter((row.day, row.reason) for row in before))
    for (day, reason), n in sorted(days.items()):
        if n:
            new = upsert(LeavingDay).values(project_id=project_id, day=day, reason=reason, n=n)
            dbsession.execute(
                new.on_conflict_do_update(
                    index_elements=["project_id", "day", "reason"], set_={"n": LeavingDay.n + new.excluded.n}
                )
            )
    # A person counts once for a campaign, however many of its lists they have left.
    people = Counter({(row.campaign_id, row.reason) for row in after if row.campaign_id is not None})
    people.subtract(Counter({(row.campaign_id, row.reason) for row in before if row.campaign_id is not None}))
    for (campaign_id, reason), n in sorted(people.items()):
        if n:
            counted = upsert(CampaignLeaving).values(project_id=project_id, campaign_id=campaign_id, reason=reason, n=n)
            dbsession.execute(
                counted.on_conflict_do_update(
                    index_elements=["project_id", "campaign_id", "reason"],
                    set_={"n": CampaignLeaving.n + counted.excluded.n},
                )
            )
