"""The numbers of the JSON API (contract §4)."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, timedelta
from typing import Any

from pydantic import BaseModel, Field, model_validator

from mailhub.reporting.queries import CampaignReport, Counts, Day
from mailhub.web.api import utc
from mailhub.web.forms import Form, Invalid
from mailhub.web.i18n import _

MAX_DAYS = 1_100


_BY_MACHINES = "by scanners and by mail programs that fetch ahead; known a minute after the hit."


class CountsOut(BaseModel):
    """Events by type. Opens and clicks are every hit; people's are the difference to the machines'."""

    sent: int
    opened: int
    redirected: int
    hardbounced: int
    softbounced: int
    unsubscribed: int
    complained: int
    machine_opened: int = Field(description=f"The part of `opened` {_BY_MACHINES}")
    machine_redirected: int = Field(description=f"The part of `redirected` {_BY_MACHINES}")


class CampaignCountsOut(CountsOut):
    """`unique_*` are people to whom the letter went."""

    unique_opened: int
    unique_redirected: int
    unique_machine_opened: int = Field(description="The part of `unique_opened` for whom only machines opened.")
    unique_machine_redirected: int = Field(
        description="The part of `unique_redirected` for whom only machines clicked."
    )


class LinkOut(BaseModel):
    """A link of the letter: every click, and different people; the machines' part of both."""

    id: str
    position: int
    url: str
    label: str
    redirected: int
    unique_redirected: int
    machine_redirected: int
    unique_machine_redirected: int


class DayOut(CountsOut):
    """A day in the project's time zone."""

    date: str


class DomainOut(CountsOut):
    """The recipients at one mail domain; empty: of people who have been deleted."""

    domain: str


class CampaignStatsOut(BaseModel):
    """A campaign's numbers, at most five seconds old."""

    counts: CampaignCountsOut
    links: list[LinkOut]
    days: list[DayOut]
    domains: list[DomainOut]
    as_of: str


class DailyQuery(Form):
    """Half-open: `until` is the first day that is not told. Without them: the last 30 days."""

    since: date | None = None
    until: date | None = None

    @model_validator(mode="after")
    def _in_order(self) -> DailyQuery:
        if self.since is not None and self.until is not None:
            if self.until <= self.since:
                raise Invalid(_("`until` must be after `since`."))
            if self.until - self.since > timedelta(days=MAX_DAYS):
                raise Invalid(_("Ask for at most ${n} days.", mapping={"n": MAX_DAYS}))
        return self


def day_out(day: Day) -> DayOut:
    return DayOut(date=day.date.isoformat(), **_counts(day.counts))


def campaign_stats_out(report: CampaignReport) -> CampaignStatsOut:
    totals = report.totals
    return CampaignStatsOut(
        counts=CampaignCountsOut(
            **_counts(totals.counts),
            unique_opened=totals.unique_opened,
            unique_redirected=totals.unique_redirected,
            unique_machine_opened=totals.unique_machine_opened,
            unique_machine_redirected=totals.unique_machine_redirected,
        ),
        links=[
            LinkOut(
                id=str(link.link_id),
                position=link.position,
                url=link.url,
                label=link.label,
                redirected=link.redirected,
                unique_redirected=link.unique_redirected,
                machine_redirected=link.machine_redirected,
                unique_machine_redirected=link.unique_machine_redirected,
            )
            for link in report.links
        ],
        days=[day_out(day) for day in report.days],
        domains=[DomainOut(domain=one.domain, **_counts(one.counts)) for one in report.domains],
        as_of=utc(totals.as_of) or "",
    )


def _counts(counts: Counts) -> dict[str, Any]:
    return {name: value for name, value in asdict(counts).items() if name in CountsOut.model_fields}
