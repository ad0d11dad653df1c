"""The period of the overview: the last 7, 30 or 90 days of the project's calendar, and the same length before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from mailhub.models import Project
from mailhub.reporting import queries
from mailhub.reporting.overview import bounce_rate
from mailhub.reporting.queries import Counts, Day, share

PERIODS = (7, 30, 90)
#: Of a list, which grows slowly.
LIST_PERIODS = (30, 90, 365)
DEFAULT = 30


@dataclass(frozen=True)
class Span:
    """Days `since` ≤ day < `until` of a project's calendar; the last one is today."""

    days: int
    since: date
    until: date
    zone: str

    @property
    def last(self) -> date:
        return self.until - timedelta(days=1)

    @property
    def moments(self) -> tuple[datetime, datetime]:
        """When the first day begins, and when the last one is over."""
        zone = ZoneInfo(self.zone)
        first, last = (datetime.combine(day, time(), zone).astimezone(UTC) for day in (self.since, self.until))
        return first, last


@dataclass(frozen=True)
class Period(Span):
    """A span with its days, with the days before it one by one, and with the totals of both. Read at `as_of`."""

    series: tuple[Day, ...]
    series_before: tuple[Day, ...]
    now: Counts
    before: Counts
    as_of: datetime

    @property
    def best_day(self) -> Day | None:
        """The day with most letters, None where none was sent."""
        best = max(self.series, key=lambda day: day.counts.sent, default=None)
        return best if best is not None and best.counts.sent else None

    @property
    def best_open_day(self) -> Day | None:
        """The day on which people opened most, None where nobody has."""
        best = max(self.series, key=lambda day: day.counts.human_opened, default=None)
        return best if best is not None and best.counts.human_opened else None

    @property
    def bounce_rate(self) -> float | None:
        return bounce_rate(self.now)

    @property
    def bounce_rate_before(self) -> float | None:
        return bounce_rate(self.before)

    @property
    def complaint_rate(self) -> float | None:
        return share(self.now.complained, self.now.sent)

    @property
    def complaint_rate_before(self) -> float | None:
        return share(self.before.complained, self.before.sent)


def days_of(text: str | None, periods: Sequence[int] = PERIODS, default: int = DEFAULT) -> int:
    """The length that the URL asks for; what is no choice is the default."""
    return int(text) if text in {str(days) for days in periods} else default


def span_of(project: Project, days: int, *, now: datetime) -> Span:
    """The last `days` days of the project's calendar, today included."""
    until = now.astimezone(ZoneInfo(project.time_zone)).date() + timedelta(days=1)
    return Span(days, until - timedelta(days=days), until, project.time_zone)


def period_of(dbsession: Session, project: Project, days: int, *, now: datetime) -> Period:
    """One statement on the project's rollup for both periods."""
    span = span_of(project, days, now=now)
    both = queries.project_days(dbsession, project.id, span.since - timedelta(days=days), span.until)
    return Period(
        days, span.since, span.until, span.zone, tuple(both[days:]), tuple(both[:days]), _total(both[days:]),
        _total(both[:days]), now,
    )  # fmt: skip


def change(now: int, before: int) -> float | None:
    """The difference as a share of before; None where there is nothing to compare with."""
    return (now - before) / before if before > 0 else None


def _total(days: Sequence[Day]) -> Counts:
    return sum((day.counts for day in days), Counts())
