"""Engagement bands: how much people take part. The one definition, in SQL and in Python, and the numbers of each.

A band is the first of these that holds:
    new      added in the last 30 days
    active   opened or clicked in the last 30 days
    warm     … in the last 90 days
    cooling  … in the last 180 days
    asleep   … longer ago
    never    written to at least five times, and never opened or clicked
    unknown  not written to often enough to tell
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, String, and_, case, delete, func, insert, literal, not_, or_, select, text
from sqlalchemy.orm import Session

from mailhub.events.service import driver_connection
from mailhub.models import EngagementBand, MailingList, Project, Subscriber, SubscriberActivity
from mailhub.reporting import activity
from mailhub.segments.vocabulary import Band

NEW = timedelta(days=30)
#: Band → how long ago the latest reaction may be.
REACTED: Mapping[Band, timedelta] = {
    Band.ACTIVE: timedelta(days=30),
    Band.WARM: timedelta(days=90),
    Band.COOLING: timedelta(days=180),
}
#: So many letters without a reaction say that there will be none.
LETTERS = 5


@dataclass(frozen=True)
class Bands:
    """How many people are in each band; every band is there. `as_of` is None where nobody has counted yet."""

    as_of: datetime | None
    counts: Mapping[Band, int]

    @property
    def total(self) -> int:
        """The people who were counted."""
        return sum(self.counts.values())


def bands(dbsession: Session, project_id: int, list_id: int | None = None) -> Bands:
    """The people of a list who are subscribed, or the project's active people, by band. Reads a rollup."""
    rows = dbsession.execute(
        select(EngagementBand.band, EngagementBand.n, EngagementBand.counted_at).where(
            EngagementBand.project_id == project_id, EngagementBand.list_id == (list_id or 0)
        )
    ).all()
    counted = {row.band: int(row.n) for row in rows}
    as_of = min((row.counted_at for row in rows), default=None)
    return Bands(as_of, {band: counted.get(band.value, 0) for band in Band})


def band(
    *, added_at: datetime, sent: int, opened_at: datetime | None, clicked_at: datetime | None, now: datetime
) -> Band:
    """The band of one person; the same as `in_bands` in SQL."""
    if added_at > now - NEW:
        return Band.NEW
    reacted = max((one for one in (opened_at, clicked_at) if one is not None), default=None)
    if reacted is not None:
        return next((band for band, ago in REACTED.items() if reacted > now - ago), Band.ASLEEP)
    return Band.NEVER if sent >= LETTERS else Band.UNKNOWN


def in_bands(project_id: int, bands: Collection[str], now: datetime) -> ColumnElement[bool]:
    """Whether a `Subscriber` is in any of these bands; never NULL. A join of one row a person, not a look-up each."""
    row = SubscriberActivity
    wanted = [one for one in Band if one.value in bands and one != Band.NEW]
    mine = select(row.subscriber_id).where(row.project_id == project_id, row.subscriber_id == Subscriber.id)
    if Band.UNKNOWN in wanted:
        # Whoever has no row is unknown, so what is looked for is a row that says something else.
        found = not_(mine.where(not_(_known(now).in_(_words(wanted)))).exists())
    else:
        found = mine.where(_known(now).in_(_words(wanted))).exists()
    is_new = Subscriber.created_at > now - NEW
    return or_(is_new, found) if Band.NEW.value in bands else and_(not_(is_new), found)


def _words(bands: Collection[Band]) -> list[ColumnElement[str]]:
    return [literal(one.value, String) for one in bands]


def _known(now: datetime) -> ColumnElement[str]:
    """The band that a row of activity speaks for, of somebody who is not new."""
    row = SubscriberActivity
    reacted = func.greatest(row.last_opened_at, row.last_redirected_at)
    return case(
        *((reacted > now - ago, literal(band.value, String)) for band, ago in REACTED.items()),
        (reacted.is_not(None), literal(Band.ASLEEP.value, String)),
        (row.sent >= LETTERS, literal(Band.NEVER.value, String)),
        else_=literal(Band.UNKNOWN.value, String),
    )


#: Bands are counted again when they are older than this.
COUNTED = timedelta(hours=3)


def outdated(dbsession: Session, most: int = 100) -> list[int]:
    """Projects with people whose bands were counted too long ago, or never; those never counted first."""
    counted = (
        select(EngagementBand.project_id, func.min(EngagementBand.counted_at).label("at"))
        .group_by(EngagementBand.project_id)
        .subquery()
    )
    rows = dbsession.scalars(
        select(Project.id)
        .outerjoin(counted, counted.c.project_id == Project.id)
        .where(
            Project.archived_at.is_(None),
            or_(counted.c.at.is_(None), counted.c.at < func.clock_timestamp() - COUNTED),
            select(Subscriber.id).where(Subscriber.project_id == Project.id).exists(),
        )
        .order_by(counted.c.at.asc().nulls_first(), Project.id)
        .limit(most)
    )
    return list(rows)


def refresh(dbsession: Session, project_id: int) -> None:
    """Count the bands of a project and its lists anew, in the caller's transaction. The caller has the lock."""
    dbsession.execute(text("SET LOCAL statement_timeout = 0"))
    now = dbsession.execute(text("SELECT clock_timestamp()")).scalar_one()
    found = activity.count_bands(
        driver_connection(dbsession), project_id, new_at=now - NEW, active_at=now - REACTED[Band.ACTIVE],
        warm_at=now - REACTED[Band.WARM], cooling_at=now - REACTED[Band.COOLING], letters=LETTERS,
    )  # fmt: skip
    # A row of a band that is always there carries the moment, for lists and projects that have nobody too.
    lists = dbsession.scalars(
        select(MailingList.id).where(MailingList.project_id == project_id, MailingList.archived_at.is_(None))
    )
    numbers = {(list_id, Band.UNKNOWN.value): 0 for list_id in (0, *lists)}
    numbers |= {(one.list_id, one.band): one.n for one in found}
    dbsession.execute(delete(EngagementBand).where(EngagementBand.project_id == project_id))
    dbsession.execute(
        insert(EngagementBand),
        [
            {"project_id": project_id, "list_id": list_id, "band": band, "n": n, "counted_at": now}
            for (list_id, band), n in numbers.items()
        ],
    )
