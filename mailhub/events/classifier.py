"""The classifier follows the hits: a minute later it writes down who made each, and the rollups follow.

Exactly once: marks, rollups, what is remembered of addresses and the place in the events move in one transaction. A
process that is killed has done nothing of its batch, and the next one does it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection

from mailhub import metrics
from mailhub.events.judging import judge
from mailhub.events.marking import Mark, mark
from mailhub.mail.classify import Places
from mailhub.reporting import hits
from mailhub.reporting.hits import StoredHit

#: The name of the place in the events, and of the task that moves it.
READER = "classifier"
CLASSIFY = "mailhub.events.classify"
#: Hits in one transaction: its locks on the rollups are held for a fraction of a second.
BATCH = 2_000
#: What tells machines from people may come after the hit: the other links of a sweep, other people's clicks.
WAIT = timedelta(seconds=60)
#: A clock may be so much ahead of the database's. A hit that is further in the future is not waited for.
AHEAD = timedelta(seconds=10)
#: What is remembered of an address is of use for so long after it ended: hits may be stored late.
REMEMBERED = timedelta(days=2)

CLASSIFIED = metrics.counter("mailhub_hits_classified_total", "Opens and clicks by who made them.", "actor")


@dataclass(frozen=True, slots=True)
class Step:
    """What one transaction did: hits by actor, and whether there may be more that are ready."""

    actors: Counter[str]
    is_more: bool

    @property
    def hits(self) -> int:
        return self.actors.total()


def step(connection: Connection[Any], places: Places, *, most: int = BATCH, now: datetime | None = None) -> Step:
    """Classify the next hits that are a minute old, in the caller's transaction. `now` is the database's clock if not
    given. The caller has the lock: two at once would do the same work."""
    place = hits.place_of(connection, READER)
    if place is None:
        hits.begin_place(connection, READER)
        place = hits.place_of(connection, READER)
        assert place is not None
    now = now or place.now
    found = hits.next_hits(connection, place, most)
    ready = _ready(found, now)
    if not ready:
        return Step(Counter(), False)
    verdicts = judge(connection, READER, ready, places, now=now)
    marks = [
        Mark(one.project_id, one.position, one.id, one.at, verdict.actor, verdict.cause)
        for one, verdict in zip(ready, verdicts, strict=True)
    ]
    mark(connection, marks)
    hits.move_place(connection, READER, ready[-1].position, ready[-1].id)
    return Step(Counter(verdict.actor for verdict in verdicts), len(ready) == most)


def _ready(found: list[StoredHit], now: datetime) -> list[StoredHit]:
    """The first hits up to one that is too young.

    Those behind it wait with it, for a minute at most: what was stored late is old and holds up nobody, and what lies
    in the future is not waited for.
    """
    for n, one in enumerate(found):
        if now - WAIT < one.at <= now + AHEAD:
            return found[:n]
    return found


def count(done: Step) -> None:
    """Tell the metrics, after the commit."""
    for actor, number in done.actors.items():
        CLASSIFIED.add(number, actor=actor)


def forget(connection: Connection[Any], now: datetime) -> None:
    """Take away what is remembered of addresses and is of no use any more."""
    hits.forget_taints(connection, READER, now - REMEMBERED)
