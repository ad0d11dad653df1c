"""The project's overview and the comparison of campaigns: one typed function and one frozen result a statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from mailhub.reporting.named import SQL
from mailhub.reporting.queries import COUNTS, Counts, share

#: `campaign_hour` has this many hours of each campaign.
HOURS = 72


@dataclass(frozen=True, slots=True)
class Provider:
    """What became of a project's letters at one mailbox provider (mail.lane.LANES)."""

    name: str
    counts: Counts

    @property
    def bounce_rate(self) -> float | None:
        return bounce_rate(self.counts)


@dataclass(frozen=True, slots=True)
class CampaignNumbers:
    """A started campaign and its numbers. Rates are people per letter sent; `all_*` are with machines.

    Those of opens and clicks are of the letters of which it is told who did it, `sent_by_name`: without those whose
    hits are counted for nobody (`sent_aggregate`) or not at all (`sent_untracked`).
    """

    campaign_id: int
    name: str
    subject: str
    state: str
    is_archived: bool
    started_at: datetime
    audience: int
    unique_opened: int
    unique_redirected: int
    unique_machine_opened: int
    unique_machine_redirected: int
    counts: Counts
    sent_aggregate: int = 0
    sent_untracked: int = 0

    @property
    def sent_by_name(self) -> int:
        return max(0, self.sent_tracked - self.sent_aggregate)

    @property
    def sent_tracked(self) -> int:
        """Letters whose hits are counted, for somebody or for nobody."""
        return max(0, self.counts.sent - self.sent_untracked)

    @property
    def human_opened(self) -> int:
        """People of whose opens at least one was no machine's."""
        return self.unique_opened - self.unique_machine_opened

    @property
    def human_redirected(self) -> int:
        return self.unique_redirected - self.unique_machine_redirected

    @property
    def open_rate(self) -> float | None:
        return share(self.human_opened, self.sent_by_name)

    @property
    def all_open_rate(self) -> float | None:
        return share(self.unique_opened, self.sent_by_name)

    @property
    def click_rate(self) -> float | None:
        return share(self.human_redirected, self.sent_by_name)

    @property
    def all_click_rate(self) -> float | None:
        return share(self.unique_redirected, self.sent_by_name)

    @property
    def unsubscribe_rate(self) -> float | None:
        return share(self.counts.unsubscribed, self.counts.sent)

    @property
    def complaint_rate(self) -> float | None:
        return share(self.counts.complained, self.counts.sent)

    @property
    def bounce_rate(self) -> float | None:
        return bounce_rate(self.counts)


@dataclass(frozen=True, slots=True)
class Hours:
    """People's opens and clicks of a campaign in each of the first HOURS hours since its start."""

    opened: tuple[int, ...] = (0,) * HOURS
    redirected: tuple[int, ...] = (0,) * HOURS


@dataclass(frozen=True, slots=True)
class StartedCampaign:
    """A campaign that can be chosen for a comparison."""

    campaign_id: int
    name: str
    started_at: datetime


def bounce_rate(counts: Counts) -> float | None:
    """Of the letters whose outcome is known: a letter that is refused at once was never sent."""
    return share(counts.bounced, counts.sent + counts.bounced)


def providers(dbsession: Session, project_id: int, since: date, until: date) -> list[Provider]:
    """Mailbox providers with events on the days of the half-open range, those with most letters first."""
    rows = _rows(dbsession, "overview_providers", project_id=project_id, since=since, until=until)
    return [Provider(row.provider, _counts(row)) for row in rows]


def campaigns(
    dbsession: Session, project_id: int, since: datetime, until: datetime, *, most: int
) -> list[CampaignNumbers]:
    """The campaigns that were started in the half-open range, archived ones too, the latest first."""
    rows = _rows(dbsession, "overview_campaigns", project_id=project_id, since=since, until=until, most=most)
    return [_campaign(row) for row in rows]


def compared(dbsession: Session, project_id: int, campaign_ids: Sequence[int]) -> dict[int, CampaignNumbers]:
    """Those of these campaigns that belong to the project and were started, by their id."""
    rows = _rows(dbsession, "compared_campaigns", project_id=project_id, campaign_ids=list(campaign_ids))
    return {row.campaign_id: _campaign(row) for row in rows}


def hours(dbsession: Session, project_id: int, campaign_ids: Sequence[int]) -> dict[int, Hours]:
    """The first hours of these campaigns, by their id; one without opens and clicks has zeros."""
    opened = {one: [0] * HOURS for one in campaign_ids}
    clicked = {one: [0] * HOURS for one in campaign_ids}
    for row in _rows(dbsession, "compared_hours", project_id=project_id, campaign_ids=list(campaign_ids)):
        opened[row.campaign_id][row.hour] = row.opened - row.machine_opened
        clicked[row.campaign_id][row.hour] = row.redirected - row.machine_redirected
    return {one: Hours(tuple(opened[one]), tuple(clicked[one])) for one in campaign_ids}


def started_campaigns(dbsession: Session, project_id: int, *, most: int) -> list[StartedCampaign]:
    """The project's campaigns that were started, the latest first."""
    rows = _rows(dbsession, "started_campaigns", project_id=project_id, most=most)
    return [StartedCampaign(*tuple(row)) for row in rows]


def _rows(dbsession: Session, name: str, **binds: Any) -> Sequence[Row[Any]]:
    return dbsession.execute(SQL[name].text, binds).all()


def _campaign(row: Row[Any]) -> CampaignNumbers:
    return CampaignNumbers(
        row.campaign_id, row.name, row.subject, row.state, row.is_archived, row.started_at, row.audience,
        row.unique_opened, row.unique_redirected, row.unique_machine_opened, row.unique_machine_redirected,
        _counts(row), row.sent_aggregate, row.sent_untracked,
    )  # fmt: skip


def _counts(row: Row[Any]) -> Counts:
    # Sums of bigint are numeric.
    return Counts(*(int(getattr(row, name)) for name in COUNTS))
