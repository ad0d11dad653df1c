"""What the hits around a hit say: links swept in seconds, one address for many people, the trace of a scanner.

Pure functions over times. Sources of the numbers: the research on opens and clicks in docs/people-and-machines.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

__all__ = ["Click", "Sweep", "Taint", "crowds_of", "is_in", "sweeps_of"]

SweepCause = Literal["many_links", "every_link", "one_address"]

#: Different links of a letter in so short a time: nobody reads so fast (Maestra discards 4 in 1 s, 5 in 10 s).
MANY_LINKS = 3
MANY_LINKS_TIME = timedelta(seconds=2)
#: The letter's every link, if it has as many as this; with two of them both at once.
EVERY_LINK_TIME = timedelta(seconds=10)
BOTH_LINKS_TIME = timedelta(seconds=1)
#: People of one mail domain for whom one address clicks.
CROWD = 5
CROWD_TIME = timedelta(seconds=60)
#: How long an address and its program are taken for a scanner after a hit (Paminga: 15 minutes, extended by each).
TAINT_TIME = timedelta(minutes=15)
#: …and how long hits that only the trace speaks against extend it: an office behind one address must come out of it.
TAINT_LONGEST = timedelta(minutes=60)


@dataclass(frozen=True, slots=True)
class Click:
    """A click on a letter's link, from an address."""

    at: datetime
    link: int | None
    ip: str = ""


@dataclass(frozen=True, slots=True)
class Sweep:
    """A stretch of time, both ends included, in which a machine clicked, and its addresses."""

    since: datetime
    until: datetime
    cause: SweepCause
    ips: frozenset[str] = frozenset()


def sweeps_of(clicks: Iterable[Click], links: int) -> list[Sweep]:
    """The sweeps among the clicks of one letter, which has so many `links` (0: not known). From any addresses: gateways
    change theirs within a letter (mautic#9798)."""
    known = sorted((click for click in clicks if click.link is not None), key=lambda click: click.at)
    if len(known) < 2:
        return []
    found = _stretches(known, [click.link for click in known], MANY_LINKS, MANY_LINKS_TIME, "many_links")
    if links >= MANY_LINKS:
        found += _stretches(known, [click.link for click in known], links, EVERY_LINK_TIME, "every_link")
    elif links == 2:
        found += _stretches(known, [click.link for click in known], links, BOTH_LINKS_TIME, "every_link")
    return found


def crowds_of(clicks: Iterable[tuple[datetime, str]]) -> list[Sweep]:
    """The sweeps among (time, person) of one address and one mail domain."""
    known = sorted(clicks)
    return _stretches([Click(at, None) for at, _who in known], [who for _at, who in known], CROWD, CROWD_TIME,
                      "one_address")  # fmt: skip


def is_in(sweeps: Iterable[Sweep], at: datetime) -> Sweep | None:
    """The first of the sweeps that the moment lies in."""
    return next((sweep for sweep in sweeps if sweep.since <= at <= sweep.until), None)


def _stretches(
    clicks: Sequence[Click], what: Sequence[Hashable], least: int, time: timedelta, cause: SweepCause
) -> list[Sweep]:
    """Stretches made of windows of that `time` with at least so many different things in them. One pass."""
    spans: list[tuple[int, int]] = []
    inside: Counter[Hashable] = Counter()
    first = 0
    for last, click in enumerate(clicks):
        inside[what[last]] += 1
        while click.at - clicks[first].at > time:
            inside[what[first]] -= 1
            if not inside[what[first]]:
                del inside[what[first]]
            first += 1
        if len(inside) < least:
            continue
        if spans and first <= spans[-1][1]:
            spans[-1] = (spans[-1][0], last)
        else:
            spans.append((first, last))
    return [
        Sweep(clicks[first].at, clicks[last].at, cause, frozenset(one.ip for one in clicks[first : last + 1] if one.ip))
        for first, last in spans
    ]


@dataclass(frozen=True, slots=True)
class Taint:
    """An address with its program was a scanner: from when, until when it is remembered, and when a rule of its own
    caught it last."""

    since: datetime
    until: datetime
    caught_at: datetime

    def covers(self, at: datetime) -> bool:
        return self.since <= at <= self.until

    def and_at(self, at: datetime, *, caught: bool) -> Taint:
        """The memory after one more hit at `at`: caught by a rule of its own, or only covered by this memory."""
        if caught and (at > self.until or at < self.since - TAINT_TIME):
            return Taint.begun(at) if at > self.until else self
        caught_at = max(self.caught_at, at) if caught else self.caught_at
        until = max(self.until, min(at + TAINT_TIME, caught_at + TAINT_LONGEST))
        return Taint(min(self.since, at), until, caught_at)

    @classmethod
    def begun(cls, at: datetime) -> Taint:
        return cls(at, at + TAINT_TIME, at)
