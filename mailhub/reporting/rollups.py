"""The rollups: what each is keyed by and counts, and how differences are added to all of them in one order of locks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg import Cursor

from mailhub.reporting.named import SQL

Key = tuple[Any, ...]

#: A column an event type, then machines' part of the hits: the same in most rollups.
COUNTS = (
    "sent", "opened", "redirected", "hardbounced", "softbounced", "unsubscribed", "complained", "deferred", "blocked",
    "unknown", "machine_opened", "machine_redirected",
)  # fmt: skip
PLACE = {name: place for place, name in enumerate(COUNTS)}
HITS = ("opened", "redirected", "machine_opened", "machine_redirected")
#: How many people did it, and of how many machines alone did it for them.
PEOPLE = ("unique_opened", "unique_redirected", "unique_machine_opened", "unique_machine_redirected")
LINK_HITS = ("redirected", "machine_redirected")
LINK_PEOPLE = ("unique_redirected", "unique_machine_redirected")


@dataclass(frozen=True, slots=True)
class Rollup:
    """A table of counters; the statement `add_<name>` adds differences to rows by their key."""

    table: str
    key: tuple[str, ...]
    counts: tuple[str, ...]


_CAMPAIGN = ("project_id", "campaign_id")
#: Name → rollup, in the order in which they are written.
ROLLUPS: Mapping[str, Rollup] = {
    "links": Rollup("campaign_link_stats", (*_CAMPAIGN, "link_id"), (*LINK_HITS, *LINK_PEOPLE)),
    "domains": Rollup("campaign_domain", (*_CAMPAIGN, "email_domain"), COUNTS),
    "devices": Rollup("campaign_device", (*_CAMPAIGN, "device", "client"), HITS),
    "campaign_days": Rollup("campaign_day", (*_CAMPAIGN, "day"), COUNTS),
    "campaign_hours": Rollup("campaign_hour", (*_CAMPAIGN, "hour"), COUNTS),
    "campaigns": Rollup("campaign_stats", _CAMPAIGN, (*COUNTS, *PEOPLE)),
    "provider_days": Rollup("project_provider_day", ("project_id", "day", "provider"), COUNTS),
    "project_days": Rollup("project_day", ("project_id", "day"), COUNTS),
}
_WIDTH = {name: len(rollup.counts) for name, rollup in ROLLUPS.items()}
_PLACE_OF_HIT = {PLACE[name]: place for place, name in enumerate(HITS)}
_PLACE_OF_CLICK = {PLACE[name]: place for place, name in enumerate(LINK_HITS)}


@dataclass(slots=True)
class Reaction:
    """What is added to a person's opens and clicks of a campaign."""

    opened: int = 0
    redirected: int = 0
    machine_opened: int = 0
    machine_redirected: int = 0
    first_opened_at: datetime | None = None
    first_redirected_at: datetime | None = None


@dataclass(slots=True)
class LinkReaction:
    """What is added to a person's clicks of one link."""

    redirected: int = 0
    machine_redirected: int = 0
    first_redirected_at: datetime | None = None


@dataclass(slots=True)
class Moves:
    """Differences by rollup and key. `meet` first, then `write`: that is the order of the locks.

    `people` are keyed by project, campaign and subscriber, `clicks` by project, campaign, link and subscriber.
    """

    people: dict[Key, Reaction] = field(default_factory=dict)
    clicks: dict[Key, LinkReaction] = field(default_factory=dict)
    last_event_at: dict[Key, datetime] = field(default_factory=dict)
    counts: dict[str, dict[Key, list[int]]] = field(default_factory=lambda: {name: {} for name in ROLLUPS})

    def add(self, rollup: str, key: Key, place: int, n: int) -> None:
        """Add to the column at `place` of the rollup's counts."""
        rows = self.counts[rollup]
        row = rows.get(key)
        if row is None:
            row = rows[key] = [0] * _WIDTH[rollup]
        row[place] += n

    def add_hit_of_link(self, key: Key, place: int, n: int) -> None:
        """`place` as in COUNTS."""
        self.add("links", key, _PLACE_OF_CLICK[place], n)

    def add_hit_of_device(self, key: Key, place: int, n: int) -> None:
        """`place` as in COUNTS."""
        self.add("devices", key, _PLACE_OF_HIT[place], n)

    def meet(self, cursor: Cursor[Any]) -> None:
        """Move what single people did, which tells how many people are new to the campaigns' and links' numbers.

        Exact under concurrency: a row says under its lock what it was before and what it is now.
        """
        if self.people:
            names: tuple[str, ...] = (*_CAMPAIGN, "subscriber_id", *HITS, "first_opened_at", "first_redirected_at")
            rows: list[Key] = [
                (*key, r.opened, r.redirected, r.machine_opened, r.machine_redirected, r.first_opened_at,
                 r.first_redirected_at)
                for key, r in sorted(self.people.items())
            ]  # fmt: skip
            for project, campaign, person, opened, clicked, *by_machine in run(cursor, "react", names, rows):
                given = self.people[project, campaign, person]
                opens = _turned(opened, by_machine[0], given.opened, given.machine_opened)
                clicks = _turned(clicked, by_machine[1], given.redirected, given.machine_redirected)
                self._add_people("campaigns", (project, campaign), (opens[0], clicks[0], opens[1], clicks[1]))
        if self.clicks:
            names = (*_CAMPAIGN, "link_id", "subscriber_id", *LINK_HITS, "first_redirected_at")
            rows = [
                (*key, click.redirected, click.machine_redirected, click.first_redirected_at)
                for key, click in sorted(self.clicks.items())
            ]
            for *key, clicked, clicked_by_machine in run(cursor, "react_to_link", names, rows):
                click = self.clicks[tuple(key)]
                new = _turned(clicked, clicked_by_machine, click.redirected, click.machine_redirected)
                self._add_people("links", tuple(key[:3]), new)

    def _add_people(self, rollup: str, key: Key, new: Sequence[int]) -> None:
        """Add to a rollup's last columns."""
        for place, n in enumerate(new, _WIDTH[rollup] - len(new)):
            if n:
                self.add(rollup, key, place, n)

    def write(self, cursor: Cursor[Any]) -> None:
        """Add all counts: one statement a rollup that has any."""
        for name, rollup in ROLLUPS.items():
            rows = [(*key, *counts) for key, counts in sorted(self.counts[name].items()) if any(counts)]
            if not rows:
                continue
            names = (*rollup.key, *rollup.counts)
            if name == "campaigns":
                names = (*names, "last_event_at")
                rows = [(*row, self.last_event_at.get(row[:2])) for row in rows]
            run(cursor, f"add_{name}", names, rows)


def _turned(now: int, by_machine: int, given: int, given_by_machine: int) -> tuple[int, int]:
    """How many people more there are by one person's change: who did it at all, and for whom machines alone did."""
    before, before_by_machine = now - given, by_machine - given_by_machine
    return (now > 0) - (before > 0), (0 < now == by_machine) - (0 < before == before_by_machine)


def hold(cursor: Cursor[Any], project_ids: Collection[int]) -> datetime:
    """Hold these projects' days until the transaction ends; gives the database's clock. Holders don't wait."""
    row = cursor.execute(SQL["hold_projects"].psycopg, {"project_id": list(project_ids)}).fetchone()
    assert row is not None
    now: datetime = row[0]
    return now


def run(cursor: Cursor[Any], statement: str, names: Sequence[str], rows: Iterable[Key], **more: Any) -> Cursor[Any]:
    """Run a named statement whose binds are arrays, a column of `rows` (one at least) each, and `more` as they are."""
    columns = map(list, zip(*rows, strict=True))
    return cursor.execute(SQL[statement].psycopg, dict(zip(names, columns, strict=True)) | more)
