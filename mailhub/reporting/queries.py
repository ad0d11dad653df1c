"""What pages and the API read: one typed function and one frozen result a named statement.

Everything comes from rollups by their keys, except the two timelines, which read raw events by an index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.orm import Session

from mailhub.reporting.named import SQL

#: A campaign this young is watched by its page.
LIVE = timedelta(days=7)
#: Ever: the largest cursor and the oldest moment that a bind takes.
_LAST = (datetime(9999, 1, 1, tzinfo=UTC), 2**63 - 1)
_FIRST = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Counts:
    """Events by type. `machine_*` are the machines' part of `opened` and `redirected`."""

    sent: int = 0
    opened: int = 0
    redirected: int = 0
    hardbounced: int = 0
    softbounced: int = 0
    unsubscribed: int = 0
    complained: int = 0
    deferred: int = 0
    blocked: int = 0
    unknown: int = 0
    machine_opened: int = 0
    machine_redirected: int = 0

    @property
    def human_opened(self) -> int:
        """Opens that no machine made; until it is known, a hit is taken for a person's."""
        return self.opened - self.machine_opened

    @property
    def human_redirected(self) -> int:
        return self.redirected - self.machine_redirected

    @property
    def bounced(self) -> int:
        return self.hardbounced + self.softbounced

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, name) + getattr(other, name) for name in COUNTS))


COUNTS = tuple(Counts.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Day:
    """A day in the project's time zone."""

    date: date
    counts: Counts


@dataclass(frozen=True, slots=True)
class CampaignTotals:
    """A campaign's numbers. Uniques are people; `as_of` is the database's clock when they were read.

    Of the letters sent, the opens and clicks of `sent_aggregate` are counted for nobody, those of `sent_untracked` not
    at all: shares of people are of the other letters, `sent_by_name`.
    """

    counts: Counts
    audience: int
    unique_opened: int
    unique_redirected: int
    unique_machine_opened: int
    unique_machine_redirected: int
    last_event_at: datetime | None
    as_of: datetime
    sent_aggregate: int = 0
    sent_untracked: int = 0

    @property
    def sent_by_name(self) -> int:
        """Letters of which it is told who opened them and clicked in them."""
        return max(0, self.counts.sent - self.sent_aggregate - self.sent_untracked)

    @property
    def human_opened(self) -> int:
        """People of whose opens at least one was no machine's."""
        return self.unique_opened - self.unique_machine_opened

    @property
    def human_redirected(self) -> int:
        return self.unique_redirected - self.unique_machine_redirected

    @property
    def version(self) -> str:
        """Changes when a number does: for polling."""
        numbers = (
            self.audience, self.unique_opened, self.unique_redirected, self.unique_machine_opened,
            self.unique_machine_redirected, self.sent_aggregate, self.sent_untracked, *astuple(self.counts),
        )  # fmt: skip
        return "-".join(f"{number:x}" for number in numbers)

    @property
    def open_rate(self) -> float | None:
        return share(self.unique_opened, self.sent_by_name)

    @property
    def click_rate(self) -> float | None:
        return share(self.unique_redirected, self.sent_by_name)

    @property
    def unsubscribe_rate(self) -> float | None:
        return share(self.counts.unsubscribed, self.counts.sent)

    @property
    def bounce_rate(self) -> float | None:
        """Of the letters whose outcome is known: a letter that is refused at once was never sent."""
        return share(self.counts.bounced, self.counts.sent + self.counts.bounced)

    def is_live(self, started_at: datetime | None) -> bool:
        """Whether numbers still move so often that a page asks for them by itself."""
        return started_at is not None and self.as_of - started_at < LIVE


@dataclass(frozen=True, slots=True)
class LinkClicks:
    """A link of a letter: every hit, and different people."""

    link_id: int
    position: int
    url: str
    label: str
    redirected: int
    unique_redirected: int
    machine_redirected: int
    unique_machine_redirected: int

    @property
    def human_redirected(self) -> int:
        return self.redirected - self.machine_redirected

    @property
    def human_unique(self) -> int:
        """People of whose clicks on it at least one was no machine's."""
        return self.unique_redirected - self.unique_machine_redirected


@dataclass(frozen=True, slots=True)
class DomainCounts:
    """A campaign's numbers at one domain of recipients; the empty domain is that of people who are gone."""

    domain: str
    counts: Counts


@dataclass(frozen=True, slots=True)
class CampaignReport:
    """All that a campaign's page shows, read in one transaction."""

    totals: CampaignTotals
    links: tuple[LinkClicks, ...]
    days: tuple[Day, ...]
    domains: tuple[DomainCounts, ...]

    @property
    def best_day(self) -> Day | None:
        """The day with most opens, None where nobody has opened anything."""
        best = max(self.days, key=lambda day: day.counts.opened, default=None)
        return best if best is not None and best.counts.opened else None

    @property
    def link_clicks(self) -> int:
        """Every click on every link: what the links' shares are of."""
        return sum(link.redirected for link in self.links)


@dataclass(frozen=True, slots=True)
class CampaignSummary:
    """A campaign's row in the table of campaigns. Rates are people per letter sent; those of opens and clicks are of
    the letters of which it is told who did it, without `sent_nameless`."""

    campaign_id: int
    audience: int
    sent: int
    failed: int
    unknown: int
    skipped: int
    deferred: int
    opened: int
    redirected: int
    unique_opened: int
    unique_redirected: int
    unique_machine_opened: int
    unique_machine_redirected: int
    bounced: int
    unsubscribed: int
    sent_nameless: int = 0

    @property
    def open_rate(self) -> float | None:
        return share(self.unique_opened - self.unique_machine_opened, self.sent - self.sent_nameless)

    @property
    def click_rate(self) -> float | None:
        return share(self.unique_redirected - self.unique_machine_redirected, self.sent - self.sent_nameless)

    @property
    def unsubscribe_rate(self) -> float | None:
        return share(self.unsubscribed, self.sent)


@dataclass(frozen=True, slots=True)
class RecentCampaign:
    """A started campaign on the project's home page. Rates are as those of `CampaignSummary`."""

    campaign_id: int
    name: str
    subject: str
    state: str
    started_at: datetime
    finished_at: datetime | None
    audience: int
    sent: int
    failed: int
    unknown: int
    skipped: int
    deferred: int
    unique_opened: int
    unique_redirected: int
    unique_machine_opened: int
    unique_machine_redirected: int
    unsubscribed: int
    sent_nameless: int = 0

    @property
    def settled(self) -> int:
        """Letters about which everything is decided."""
        return self.sent + self.failed + self.unknown + self.skipped

    @property
    def open_rate(self) -> float | None:
        return share(self.unique_opened - self.unique_machine_opened, self.sent - self.sent_nameless)

    @property
    def click_rate(self) -> float | None:
        return share(self.unique_redirected - self.unique_machine_redirected, self.sent - self.sent_nameless)

    @property
    def unsubscribe_rate(self) -> float | None:
        return share(self.unsubscribed, self.sent)


@dataclass(frozen=True, slots=True)
class SetupSteps:
    """What a new project has already."""

    has_sender: bool
    has_list: bool
    has_subscriber: bool
    has_campaign: bool
    has_sent: bool


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """Something that happened to a person or a letter."""

    at: datetime
    id: int
    type: str
    kind: str
    message_id: UUID | None
    campaign_id: int | None
    campaign_name: str
    list_name: str
    link_id: int | None
    url: str
    code: int | None
    detail: str
    #: Who made a hit: human, proxy, machine_open, scanner; empty: not said yet, or no hit.
    actor: str = ""

    @property
    def by_machine(self) -> bool:
        return self.actor in ("machine_open", "scanner")


def share(part: int, whole: int) -> float | None:
    """A rate, None where there is nothing to divide by."""
    return part / whole if whole > 0 else None


def project_days(dbsession: Session, project_id: int, since: date, until: date) -> list[Day]:
    """A project's days of the half-open range, days without events included, oldest first."""
    rows = _rows(dbsession, "project_days", project_id=project_id, since=since, until=until)
    return [Day(row.day, _counts(row)) for row in rows]


def campaign_totals(dbsession: Session, project_id: int, campaign_id: int) -> CampaignTotals:
    """A campaign's numbers, zeros where nothing has happened."""
    row = _rows(dbsession, "campaign_totals", project_id=project_id, campaign_id=campaign_id)[0]
    return CampaignTotals(
        _counts(row), row.audience, row.unique_opened, row.unique_redirected, row.unique_machine_opened,
        row.unique_machine_redirected, row.last_event_at, row.as_of, row.sent_aggregate, row.sent_untracked,
    )  # fmt: skip


def campaign_links(dbsession: Session, project_id: int, campaign_id: int) -> list[LinkClicks]:
    """A campaign's links in the order of the letter, clicked or not."""
    rows = _rows(dbsession, "campaign_links", project_id=project_id, campaign_id=campaign_id)
    return [LinkClicks(*tuple(row)) for row in rows]


def campaign_days(dbsession: Session, project_id: int, campaign_id: int, *, most: int = 90) -> list[Day]:
    """A campaign's first `most` days, days without events included, oldest first."""
    rows = _rows(dbsession, "campaign_days", project_id=project_id, campaign_id=campaign_id, most=most)
    return [Day(row.day, _counts(row)) for row in rows]


def campaign_domains(dbsession: Session, project_id: int, campaign_id: int, *, most: int = 50) -> list[DomainCounts]:
    """A campaign's numbers by the recipients' domain, the largest first."""
    rows = _rows(dbsession, "campaign_domains", project_id=project_id, campaign_id=campaign_id, most=most)
    return [DomainCounts(row.email_domain, _counts(row)) for row in rows]


def campaign_report(
    dbsession: Session, project_id: int, campaign_id: int, *, totals: CampaignTotals | None = None
) -> CampaignReport:
    """All that a campaign's page shows; `totals` that were read already are used. Four statements on rollups."""
    return CampaignReport(
        totals=totals or campaign_totals(dbsession, project_id, campaign_id),
        links=tuple(campaign_links(dbsession, project_id, campaign_id)),
        days=tuple(campaign_days(dbsession, project_id, campaign_id)),
        domains=tuple(campaign_domains(dbsession, project_id, campaign_id)),
    )


def campaign_summaries(
    dbsession: Session, project_id: int, campaign_ids: Sequence[int]
) -> dict[int, CampaignSummary]:
    """The numbers of these campaigns by their id; those that were never started have none."""
    rows = _rows(dbsession, "campaign_summaries", project_id=project_id, campaign_ids=list(campaign_ids))
    return {row.campaign_id: CampaignSummary(*tuple(row)) for row in rows}


def recent_campaigns(dbsession: Session, project_id: int, *, most: int = 5) -> list[RecentCampaign]:
    """The campaigns that are being sent, then those that were started last."""
    rows = _rows(dbsession, "recent_campaigns", project_id=project_id, most=most)
    return [RecentCampaign(*tuple(row)) for row in rows]


def setup_steps(dbsession: Session, project_id: int) -> SetupSteps:
    """What a new project has already."""
    return SetupSteps(*tuple(_rows(dbsession, "setup_steps", project_id=project_id)[0]))


def subscriber_timeline(
    dbsession: Session,
    project_id: int,
    subscriber_id: int,
    *,
    since: datetime | None = None,
    before: tuple[datetime, int] | None = None,
    most: int = 50,
) -> list[TimelineEvent]:
    """A person's events, newest first; `before` is the (at, id) of the last one seen."""
    before_at, before_id = before or _LAST
    rows = _rows(
        dbsession,
        "subscriber_timeline",
        project_id=project_id,
        subscriber_id=subscriber_id,
        since=since or _FIRST,
        before_at=before_at,
        before_id=before_id,
        most=most,
    )
    return [TimelineEvent(*tuple(row)) for row in rows]


def message_timeline(dbsession: Session, project_id: int, message_id: UUID) -> list[TimelineEvent]:
    """A letter's events, oldest first. Its id is a UUID version 7: older partitions are not touched."""
    made = datetime.fromtimestamp((message_id.int >> 80) / 1000, UTC) - timedelta(days=1)
    rows = _rows(dbsession, "message_timeline", project_id=project_id, message_id=message_id, since=made)
    return [TimelineEvent(*tuple(row)) for row in rows]


def _rows(dbsession: Session, name: str, **binds: Any) -> Sequence[Row[Any]]:
    return dbsession.execute(SQL[name].text, binds).all()


def _counts(row: Row[Any]) -> Counts:
    return Counts(*(getattr(row, name) for name in COUNTS))
