"""Who wrote to whom, and when: 60 projects over 90 days, some large, most small; the same for the same seed and size.

A plan row is one campaign, or one project's single letters. Everything that happened to its letters follows from its
numbers by hashes, in SQL (sql/events.sql).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

DAYS, PROJECTS, SEED = 90, 60, 20_260
#: Events that a letter comes to in the end: measured on the plan, and a little less, so that none is missing.
EVENTS_PER_LETTER = 1.67
SINGLE_LETTERS = 0.08
#: In order of size; a day is cut in the project's zone, so zones with odd offsets are among them.
ZONES = (
    "Europe/Moscow", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "America/Los_Angeles", "UTC", "Asia/Tokyo",
    "America/Sao_Paulo", "Asia/Kathmandu", "Australia/Adelaide", "Europe/London", "America/St_Johns",
    "Asia/Yekaterinburg", "Pacific/Auckland", "Africa/Cairo",
)  # fmt: skip
TRADES = ("books", "shoes", "garden", "travel", "coffee", "music", "school", "bikes", "tools", "fashion", "games")
OCCASIONS = ("Weekly news", "New arrivals", "Sale ends soon", "Digest", "Just for you", "Back in stock", "Tips")
#: Places in the order of size of two projects whose figures look like a spammer's.
BAD = (16, 40)
#: A place whose project is three weeks old.
YOUNG = (40, 51)
LINKS = 8


@dataclass(frozen=True, slots=True)
class PlannedProject:
    id: int
    slug: str
    name: str
    domain: str
    time_zone: str
    created_at: datetime
    #: Its people have the ids from `first_subscriber` on, `population` of them.
    first_subscriber: int
    population: int


@dataclass(frozen=True, slots=True)
class PlannedLetters:
    """A campaign, or (without `campaign_id`) a project's single letters."""

    id: int
    project_id: int
    campaign_id: int | None
    campaign_name: str
    list_id: int | None
    list_name: str
    started_at: datetime
    microseconds_per_letter: int
    audience: int
    first_member: int
    seed: int
    #: Of 65,536 letters: bounced for good, bounced this time, complained about.
    hard: int
    soft: int
    complained: int
    #: Whether its letter is the same, word for word, as another young project's.
    is_copied: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    since: datetime
    until: datetime
    projects: tuple[PlannedProject, ...]
    letters: tuple[PlannedLetters, ...]

    @property
    def letter_count(self) -> int:
        return sum(one.audience for one in self.letters)

    @property
    def people(self) -> int:
        return sum(project.population for project in self.projects)


def make(events: int, until: datetime) -> Plan:
    """A plan that comes to about so many events, none of them after `until`."""
    chance = random.Random(SEED)
    since = until - timedelta(days=DAYS)
    weights = [1 / (place + 1) ** 0.9 for place in range(PROJECTS)]
    total = events / EVENTS_PER_LETTER / sum(weights)
    projects: list[PlannedProject] = []
    letters: list[PlannedLetters] = []
    subscriber = 1
    for place, weight in enumerate(weights):
        begins = max(since, until - timedelta(days=20)) if place in YOUNG else since
        share = total * weight
        sizes = list(_sizes(chance, round(share * (1 - SINGLE_LETTERS)), _campaigns(place)))
        project = _project(place, begins, subscriber, round(max(sizes) * 1.05) + 1)
        subscriber += project.population
        projects.append(project)
        span = (until - begins) / len(sizes)
        for number, size in enumerate(sizes):
            # The last campaigns go out until an hour or two ago.
            started = begins + span * number + (span - timedelta(hours=2)) * chance.uniform(0.05, 0.95)
            letters.append(_campaign(chance, place, project, len(letters) + 1, number, started, size))
        letters.append(_singles(project, begins, until, max(1, round(share * SINGLE_LETTERS))))
    campaigns = [one for one in letters if one.campaign_id is not None]
    singles = [one for one in letters if one.campaign_id is None]
    return Plan(since, until, tuple(projects), tuple(campaigns + singles))


def _campaigns(place: int) -> int:
    """How many a project sends: four a week, three, or two."""
    return 52 if place < 3 else 39 if place < 20 else 26


def _sizes(chance: random.Random, letters: int, campaigns: int) -> Iterator[int]:
    """Most campaigns go to a part of the people, some to all."""
    shares = [1.3 if number % 6 == 5 else chance.uniform(0.75, 1.15) for number in range(campaigns)]
    for share in shares:
        yield max(1, round(letters * share / sum(shares)))


def _project(place: int, begins: datetime, subscriber: int, population: int) -> PlannedProject:
    trade = TRADES[place % len(TRADES)]
    slug = f"{trade}{place + 1}"
    created = begins - timedelta(days=1 if place in YOUNG else 300 + place)
    return PlannedProject(
        id=place + 1, slug=slug, name=f"{trade.title()} {place + 1}", domain=f"{slug}.test",
        time_zone=ZONES[place % len(ZONES)], created_at=created, first_subscriber=subscriber, population=population,
    )  # fmt: skip


def _campaign(
    chance: random.Random, place: int, project: PlannedProject, id_: int, number: int, started: datetime, size: int
) -> PlannedLetters:
    bad = place in BAD
    return PlannedLetters(
        id=id_,
        project_id=project.id,
        campaign_id=id_,
        campaign_name=f"{OCCASIONS[number % len(OCCASIONS)]} {number + 1}",
        list_id=project.id * 2 - number % 2,
        list_name="Customers" if number % 2 else "Newsletter",
        started_at=started,
        microseconds_per_letter=max(1, min(chance.randrange(8_000, 30_000), int(5_400_000_000 / size))),
        audience=size,
        first_member=chance.randrange(project.population),
        seed=chance.randrange(1 << 40),
        hard=chance.randrange(5_000, 7_000) if bad else chance.randrange(300, 900),
        soft=chance.randrange(300, 600),
        complained=chance.randrange(300, 500) if bad else chance.randrange(5, 30),
        is_copied=place in YOUNG and number == 3,
    )


def _singles(project: PlannedProject, begins: datetime, until: datetime, size: int) -> PlannedLetters:
    step = int((until - begins) / timedelta(microseconds=1) / size)
    return PlannedLetters(
        id=1_000_000 + project.id, project_id=project.id, campaign_id=None, campaign_name="", list_id=None,
        list_name="", started_at=begins, microseconds_per_letter=step,
        audience=size, first_member=0, seed=project.id, hard=500, soft=300, complained=0,
    )  # fmt: skip
