"""The period of the overview: the last 7, 30 or 90 days of the project's calendar, and the same length before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from mailhub.reporting import queries
from mailhub.reporting.queries import Counts, Day

PERIODS = (7, 30, 90)
DEFAULT = 30


@dataclass(frozen=True)
class Period:
    """Days `since` ≤ day < `until`, with the totals of it and of the period before."""

    days: int
    since: date
    until: date
    series: tuple[Day, ...]
    now: Counts
    before: Counts

    @property
    def last(self) -> date:
        return self.until - timedelta(days=1)

    @property
    def best_day(self) -> Day | None:
        """The day with most letters, None where none was sent."""
        best = max(self.series, key=lambda day: day.counts.sent, default=None)
        return best if best is not None and best.counts.sent else None


def days_of(text: str | None) -> int:
    """The length that the URL asks for; what is no choice is the default."""
    return int(text) if text in {str(days) for days in PERIODS} else DEFAULT


def period_of(dbsession: Session, project_id: int, time_zone: str, days: int, *, now: datetime) -> Period:
    """One statement on the project's rollup for both periods."""
    until = now.astimezone(ZoneInfo(time_zone)).date() + timedelta(days=1)
    since = until - timedelta(days=days)
    both = queries.project_days(dbsession, project_id, since - timedelta(days=days), until)
    return Period(days, since, until, tuple(both[days:]), _total(both[days:]), _total(both[:days]))


def change(now: int, before: int) -> float | None:
    """The difference as a share of before; None where there is nothing to compare with."""
    return (now - before) / before if before > 0 else None


def _total(days: list[Day]) -> Counts:
    return sum((day.counts for day in days), Counts())
