"""The numbers of all projects in which admins look for trouble: volume, bounces, complaints, movers, suspects."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from mailhub.reporting.named import SQL
from mailhub.reporting.queries import COUNTS, Counts

__all__ = [
    "Blocked",
    "Mover",
    "Numbers",
    "ProjectName",
    "Rates",
    "Twin",
    "WorstCampaign",
    "blocked",
    "movers",
    "numbers",
    "project_id_of",
    "project_list",
    "project_names",
    "rates",
    "twins",
    "unknown_users",
    "worst_campaigns",
]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Events of a day, project and provider; None for what was not asked for."""

    day: date | None
    project_id: int | None
    provider: str | None
    counts: Counts


@dataclass(frozen=True, slots=True)
class ProjectName:
    """What a project is called."""

    id: int
    slug: str
    name: str
    domain: str
    created_at: datetime
    archived_at: datetime | None


@dataclass(frozen=True, slots=True)
class Mover:
    """A project's events in a period and in the one before; `bounced` are hard, soft and blocked ones."""

    project_id: int
    sent: int
    bounced: int
    complained: int
    unsubscribed: int
    sent_before: int
    bounced_before: int
    complained_before: int
    unsubscribed_before: int


@dataclass(frozen=True, slots=True)
class Rates:
    """A project's events in a period, its best day, and how much it sent on `past_days` days before."""

    id: int
    slug: str
    name: str
    domain: str
    created_at: datetime
    archived_at: datetime | None
    sent: int
    hardbounced: int
    softbounced: int
    blocked: int
    complained: int
    unsubscribed: int
    peak: int
    peak_day: date
    past_days: int
    past_sent: int

    @property
    def tried(self) -> int:
        """Letters whose outcome is known: one that is refused at once was never sent."""
        return self.sent + self.hardbounced + self.softbounced + self.blocked

    @property
    def usual(self) -> float | None:
        """Letters on a day of the past on which it sent; None without a past."""
        return self.past_sent / self.past_days if self.past_days else None


@dataclass(frozen=True, slots=True)
class Blocked:
    """A project's letters at one provider: taken, refused because of the sender, and other bounces."""

    project_id: int
    provider: str
    sent: int
    blocked: int
    bounced: int

    @property
    def tried(self) -> int:
        return self.sent + self.blocked + self.bounced


@dataclass(frozen=True, slots=True)
class WorstCampaign:
    """Of a project's campaigns the one with most letters that came back or were complained about."""

    project_id: int
    campaign_id: int
    name: str
    sent: int
    bounced: int
    complained: int
    unsubscribed: int


@dataclass(frozen=True, slots=True)
class Twin:
    """A young project's campaign whose letter other young projects have sent too. `content` is a hash of it."""

    project_id: int
    campaign_id: int
    name: str
    content: str
    others: tuple[int, ...]


def numbers(
    dbsession: Session,
    *,
    since: date,
    until: date,
    by: Collection[str] = ("day",),
    project_id: int = 0,
    provider: str = "",
) -> list[Numbers]:
    """Events of all projects since..until (half-open, the projects' own days), by any of day, project, provider.

    Days, projects and providers without events have no row. Unordered. 0 and "" are all of them.
    """
    binds = {
        "since": since, "until": until, "project_id": project_id, "provider": provider, "by_day": "day" in by,
        "by_project": "project" in by, "by_provider": "provider" in by,
    }  # fmt: skip
    rows = _rows(dbsession, "numbers", **binds)
    return [Numbers(row.day, row.project_id, row.provider, _counts(row)) for row in rows]


def project_names(dbsession: Session, ids: Collection[int]) -> dict[int, ProjectName]:
    """What these projects are called, by id."""
    return {row.id: ProjectName(*tuple(row)) for row in _rows(dbsession, "numbers_projects", ids=sorted(set(ids)))}


def project_list(dbsession: Session) -> list[ProjectName]:
    """The projects by name, a thousand at most."""
    return [ProjectName(*tuple(row)) for row in _rows(dbsession, "numbers_project_list")]


def project_id_of(dbsession: Session, slug: str) -> int | None:
    """The id of the project of this slug, None where there is none."""
    rows = _rows(dbsession, "numbers_project_id", slug=slug)
    return int(rows[0].id) if rows else None


def movers(dbsession: Session, *, since: date, until: date) -> list[Mover]:
    """Every project with events since..until or in as many days before. Unordered."""
    rows = _rows(dbsession, "movers", before=since - (until - since), since=since, until=until)
    return [Mover(*(value or 0 for value in row)) for row in rows]


def rates(dbsession: Session, *, since: date, until: date, past: int) -> list[Rates]:
    """Every project that has tried to send since..until, with what it usually sent in the `past` days before."""
    return [Rates(*tuple(row)) for row in _rows(dbsession, "suspect_rates", since=since, until=until, past=past)]


def blocked(dbsession: Session, *, since: date, until: date, least: int) -> list[Blocked]:
    """Projects at providers that refuse their letters, where at least `least` were tried."""
    return [Blocked(*tuple(row)) for row in _rows(dbsession, "suspect_blocked", since=since, until=until, least=least)]


def worst_campaigns(
    dbsession: Session, ids: Collection[int], *, since: date, until: date
) -> dict[int, WorstCampaign]:
    """For each of these projects the campaign that looks worst, by project; none where nothing came back."""
    found = _rows(dbsession, "suspect_campaigns", ids=sorted(ids), since=since, until=until)
    return {row.project_id: WorstCampaign(*tuple(row)) for row in found}


def unknown_users(
    dbsession: Session, ids: Collection[int], *, since: date, until: date, since_at: datetime
) -> dict[int, int]:
    """Campaign letters of these projects that failed because there is no such mailbox. Raw rows, by an index."""
    found = _rows(dbsession, "suspect_unknown", ids=sorted(ids), since=since, until=until, since_at=since_at)
    return {row.project_id: row.unknown_users for row in found}


def twins(dbsession: Session, *, young_at: datetime, since_at: datetime) -> list[Twin]:
    """Projects made after `young_at` that have started, since `since_at`, a campaign with another's letter."""
    return [
        Twin(row.project_id, row.campaign_id, row.name, str(row.content), tuple(row.others))
        for row in _rows(dbsession, "suspect_twins", young_at=young_at, since_at=since_at)
    ]


def _counts(row: Row[Any]) -> Counts:
    return Counts(**{name: getattr(row, name) for name in COUNTS})


def _rows(dbsession: Session, name: str, **binds: Any) -> list[Row[Any]]:
    return list(dbsession.execute(SQL[name].text, binds))
