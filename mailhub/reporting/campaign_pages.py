"""A campaign's report: what is usual for the project, the first hours, devices, what the mail servers refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from sqlalchemy import Row
from sqlalchemy.orm import Session

from mailhub.reporting.named import SQL
from mailhub.reporting.queries import COUNTS, CampaignTotals, Counts, share

#: A median is taken over so many finished campaigns at most, and over no fewer than USUAL_LEAST.
USUAL_MOST, USUAL_LEAST = 10, 3
#: The hours that a report draws; `campaign_hour` has 72.
HOURS = 48
MOST_DEVICES = 200
#: Of each state the latest so many letters are grouped: the answer is there in time, however many there are.
MOST_LETTERS = 2_000
MOST_KINDS = 40


Measure = Literal["opened", "clicked", "bounced", "unsubscribed", "complained"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
#: Of which a larger share is good news.
WELCOME = frozenset({"opened", "clicked"})


@dataclass(frozen=True, slots=True)
class Usual:
    """The medians of the project's last `n` finished campaigns, as shares; opens and clicks are people's.

    They are None where no letter said whose it was.
    """

    n: int
    opened: float | None
    clicked: float | None
    bounced: float
    unsubscribed: float
    complained: float


@dataclass(frozen=True, slots=True)
class Rate:
    """A share, and what is usual for the project; None where there is nothing to divide by or to compare with."""

    measure: Measure
    now: float | None
    usual: float | None

    @property
    def points(self) -> float | None:
        """The difference to the usual share in percentage points, with as many decimals as it takes to see it."""
        if self.now is None or self.usual is None:
            return None
        exact = (self.now - self.usual) * 100
        return round(exact, 1 if abs(exact) >= 0.95 else 2)

    @property
    def good(self) -> bool | None:
        """Whether the difference is good news; None where there is none."""
        return (self.points > 0) == (self.measure in WELCOME) if self.points else None


@dataclass(frozen=True, slots=True)
class Hour:
    """An hour since the campaign's start, from 0."""

    hour: int
    counts: Counts


@dataclass(frozen=True, slots=True)
class DeviceHits:
    """Hits made with a device (mail.agents) and a mail program or browser; empty names are those it did not tell."""

    device: str
    client: str
    opened: int
    redirected: int
    machine_opened: int
    machine_redirected: int

    @property
    def human_opened(self) -> int:
        return self.opened - self.machine_opened

    @property
    def human_redirected(self) -> int:
        return self.redirected - self.machine_redirected


@dataclass(frozen=True, slots=True)
class Refusal:
    """Letters that ended alike. `reply` is what the server said about the latest of them: hostile, may name a person.

    `code` is None where there was no answer; `reason` is one of mail.smtp_rules.REASONS, or empty.
    """

    state: str
    code: int | None
    reason: str
    n: int
    reply: str


def rates_of(totals: CampaignTotals, usual: Usual | None) -> dict[Measure, Rate]:
    """Shares of the letters sent; opens and clicks are people's, of the letters that say whose they are, and bounces
    are of the letters whose end is known."""
    sent = totals.counts.sent
    now: dict[Measure, float | None] = {
        "opened": share(totals.human_opened, totals.sent_by_name),
        "clicked": share(totals.human_redirected, totals.sent_by_name),
        "bounced": totals.bounce_rate,
        "unsubscribed": totals.unsubscribe_rate,
        "complained": share(totals.counts.complained, sent),
    }
    return {name: Rate(name, now[name], getattr(usual, name) if usual is not None else None) for name in MEASURES}


def campaign_usual(dbsession: Session, project_id: int, campaign_id: int, started_at: datetime) -> Usual | None:
    """What was usual when the campaign was started; None where fewer than USUAL_LEAST campaigns tell it."""
    found = _rows(
        dbsession, "campaign_usual", project_id=project_id, campaign_id=campaign_id, started_at=started_at,
        most=USUAL_MOST,
    )[0]  # fmt: skip
    return Usual(*tuple(found)) if found.n >= USUAL_LEAST else None


def campaign_hours(dbsession: Session, project_id: int, campaign_id: int, *, hours: int = HOURS) -> list[Hour]:
    """A campaign's first hours, those without events included; empty where none of them has any."""
    rows = _rows(dbsession, "campaign_hours", project_id=project_id, campaign_id=campaign_id, hours=hours)
    known = {row.hour: Counts(*(getattr(row, name) for name in COUNTS)) for row in rows}
    return [Hour(hour, known.get(hour, Counts())) for hour in range(hours)] if known else []


def campaign_devices(dbsession: Session, project_id: int, campaign_id: int) -> list[DeviceHits]:
    """What the hits of a campaign were made with, the most frequent first."""
    rows = _rows(dbsession, "campaign_devices", project_id=project_id, campaign_id=campaign_id, most=MOST_DEVICES)
    return [DeviceHits(*tuple(row)) for row in rows]


def campaign_refusals(
    dbsession: Session,
    project_id: int,
    campaign_id: int,
    started_at: datetime,
    *,
    most: int = MOST_LETTERS,
    kinds: int = MOST_KINDS,
) -> list[Refusal]:
    """How letters failed or were put off, the most frequent first, counted over the latest `most` of each state.

    Reads at most 2 × `most` rows of `message` by their index, in the partitions since the start.
    """
    rows = _rows(
        dbsession, "campaign_refusals", project_id=project_id, campaign_id=campaign_id,
        since=started_at - timedelta(days=1), most=most, kinds=kinds,
    )  # fmt: skip
    return [Refusal(*tuple(row)) for row in rows]


def _rows(dbsession: Session, name: str, **binds: Any) -> list[Row[Any]]:
    return list(dbsession.execute(SQL[name].text, binds).all())
