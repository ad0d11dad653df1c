"""A campaign's report: everything that its page, its CSV and its shared form show, read from rollups in one go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mailhub.models import Campaign, MessageState, Project
from mailhub.preferences import leaving
from mailhub.reporting import campaign_pages, queries
from mailhub.reporting.campaign_pages import (
    HOURS,
    MOST_LETTERS,
    DeviceHits,
    Hour,
    Measure,
    Rate,
    Refusal,
    Usual,
    rates_of,
)
from mailhub.reporting.queries import COUNTS, CampaignTotals, Counts, Day, DomainCounts, LinkClicks

#: In a shared report a mail domain with fewer recipients could name a person: it is counted with the others.
LEAST_RECIPIENTS = 5
OTHER_DOMAINS = "*"
MOST_DOMAINS, MOST_CLIENTS = 50, 15


@dataclass(frozen=True)
class Hits:
    """Opens and clicks made with a device, or with a mail program or browser; an empty name was not told."""

    name: str
    opened: int = 0
    redirected: int = 0
    machine_opened: int = 0
    machine_redirected: int = 0

    @property
    def human_opened(self) -> int:
        return self.opened - self.machine_opened

    @property
    def human_redirected(self) -> int:
        return self.redirected - self.machine_redirected


@dataclass(frozen=True)
class Code:
    """Letters that ended with one code of the mail servers (None: without an answer), by state and reason."""

    code: int | None
    kinds: tuple[Refusal, ...]

    @property
    def n(self) -> int:
        return sum(kind.n for kind in self.kinds)


@dataclass(frozen=True)
class Report:
    """A campaign's numbers at `totals.as_of`. Days are those of `zone`; hours count from `started_at`.

    `hours` is empty where the first days were not counted by the hour. `refused_all` says that every letter that failed
    was looked at for `refused`, not only the latest ones.
    """

    campaign_id: int
    name: str
    subject: str
    zone: str
    started_at: datetime
    finished_at: datetime | None
    totals: CampaignTotals
    usual: Usual | None
    hours: tuple[Hour, ...]
    days: tuple[Day, ...]
    links: tuple[LinkClicks, ...]
    domains: tuple[DomainCounts, ...]
    devices: tuple[Hits, ...]
    clients: tuple[Hits, ...]
    refused: tuple[Code, ...]
    refused_all: bool
    shared: bool = False
    #: Why people left by it, as they said.
    reasons: tuple[leaving.Said, ...] = ()

    @property
    def counts(self) -> Counts:
        return self.totals.counts

    @property
    def nameless(self) -> bool:
        """Whether hits were counted without saying whose they are, so that nothing can be said about people.

        Where it is known of how many letters, that is said instead.
        """
        totals = self.totals
        if totals.sent_aggregate:
            return False
        return totals.unique_opened + totals.unique_redirected == 0 < totals.counts.opened + totals.counts.redirected

    @property
    def young(self) -> bool:
        """Whether most of what will happen is still to come: people open letters for about two days."""
        return self.totals.as_of - self.started_at < timedelta(hours=HOURS)

    @property
    def hours_so_far(self) -> tuple[Hour, ...]:
        """The hours that have begun."""
        begun = int((self.totals.as_of - self.started_at) / timedelta(hours=1)) + 1
        return self.hours[: max(begun, 1)]

    @property
    def busiest_hour(self) -> Hour | None:
        """The hour in which people opened most, None where nobody has."""
        best = max(self.hours, key=lambda one: one.counts.human_opened, default=None)
        return best if best is not None and best.counts.human_opened else None

    @property
    def best_day(self) -> Day | None:
        """The day on which people opened most, None where nobody has."""
        best = max(self.days, key=lambda day: day.counts.human_opened, default=None)
        return best if best is not None and best.counts.human_opened else None

    @property
    def link_clicks(self) -> int:
        """People's clicks on all links: what the links' shares are of."""
        return sum(link.human_redirected for link in self.links)

    @property
    def machine_link_clicks(self) -> int:
        return sum(link.machine_redirected for link in self.links)

    @property
    def refused_letters(self) -> int:
        return sum(code.n for code in self.refused)

    def hour_begins(self, hour: int) -> datetime:
        return self.started_at + timedelta(hours=hour)

    @property
    def rates(self) -> dict[Measure, Rate]:
        return rates_of(self.totals, self.usual)

    def without_words(self) -> Report:
        """The report without the words of mail servers, which may name people."""
        refused = (replace(code, kinds=tuple(replace(kind, reply="") for kind in code.kinds)) for code in self.refused)
        return replace(self, refused=tuple(refused))

    def without_people(self) -> Report:
        """The report for a stranger: without servers' words, and mail domains of a few people are counted together."""
        large = [one for one in self.domains if _is_large(one)]
        return replace(self.without_words(), domains=_with_rest(large, self.counts), shared=True)


def read(
    dbsession: Session, project: Project, campaign: Campaign, *, totals: CampaignTotals | None = None
) -> Report | None:
    """A started campaign's report, None before the start; `totals` that were read already are used.

    Nine statements by keys; all but the one about refused letters read rollups, and that one reads at most 2 × 2,000
    letters by their index and only where some were refused.
    """
    if campaign.started_at is None:
        return None
    key = (project.id, campaign.id)
    totals = totals or queries.campaign_totals(dbsession, *key)
    devices = campaign_pages.campaign_devices(dbsession, *key)
    counts = totals.counts
    domains = tuple(queries.campaign_domains(dbsession, *key, most=MOST_DOMAINS))
    refusals: list[Refusal] = []
    if counts.bounced + counts.deferred + counts.blocked:
        refusals = campaign_pages.campaign_refusals(dbsession, *key, campaign.started_at)
    return Report(
        campaign_id=campaign.id,
        name=campaign.name,
        subject=campaign.subject,
        zone=project.time_zone,
        started_at=campaign.started_at,
        finished_at=campaign.finished_at,
        totals=totals,
        usual=campaign_pages.campaign_usual(dbsession, *key, campaign.started_at),
        hours=tuple(campaign_pages.campaign_hours(dbsession, *key)),
        days=tuple(queries.campaign_days(dbsession, *key)),
        links=tuple(queries.campaign_links(dbsession, *key)),
        domains=domains if len(domains) < MOST_DOMAINS else _with_rest(domains, counts),
        devices=_hits(devices, lambda one: one.device),
        clients=_hits(devices, lambda one: one.client),
        refused=_by_code(refusals),
        reasons=tuple(leaving.of_campaign(dbsession, *key)) if counts.unsubscribed else (),
        refused_all=all(_n(refusals, state) < MOST_LETTERS for state in (MessageState.FAILED, MessageState.DEFERRED)),
    )


def _hits(devices: Iterable[DeviceHits], name: Callable[[DeviceHits], str]) -> tuple[Hits, ...]:
    """Grouped by a name, those that people used most first."""
    groups: dict[str, Hits] = {}
    for one in devices:
        was = groups.get(name(one), Hits(name(one)))
        groups[was.name] = Hits(
            was.name,
            was.opened + one.opened,
            was.redirected + one.redirected,
            was.machine_opened + one.machine_opened,
            was.machine_redirected + one.machine_redirected,
        )
    used = sorted(groups.values(), key=lambda hits: (-hits.human_opened - hits.human_redirected, hits.name))
    return tuple(used)


def _by_code(refusals: Iterable[Refusal]) -> tuple[Code, ...]:
    codes: dict[int | None, list[Refusal]] = {}
    for one in refusals:
        codes.setdefault(one.code, []).append(one)
    found = [Code(code, tuple(kinds)) for code, kinds in codes.items()]
    return tuple(sorted(found, key=lambda code: (-code.n, code.code or 0)))


def _n(refusals: Iterable[Refusal], state: str) -> int:
    return sum(one.n for one in refusals if one.state == state)


def _is_large(one: DomainCounts) -> bool:
    return bool(one.domain) and one.counts.sent + one.counts.bounced >= LEAST_RECIPIENTS


def _with_rest(domains: Sequence[DomainCounts], whole: Counts) -> tuple[DomainCounts, ...]:
    """These domains, and all others as one, so that the table adds up to the campaign."""
    listed = sum((one.counts for one in domains if one.domain != OTHER_DOMAINS), Counts())
    rest = Counts(*(max(0, getattr(whole, name) - getattr(listed, name)) for name in COUNTS))
    named = tuple(one for one in domains if one.domain != OTHER_DOMAINS)
    return (*named, DomainCounts(OTHER_DOMAINS, rest)) if rest != Counts() else named
