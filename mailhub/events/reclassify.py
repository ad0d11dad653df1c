"""The rules again over the raw hits that are kept: after they have improved, numbers change by the differences.

In slices, each a transaction of its own with its place in it: a run that is stopped goes on where it was, and one that
finds nothing different changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from mailhub.db import Lock, side_transaction, try_lock
from mailhub.events.activity import judged_again
from mailhub.events.classifier import READER
from mailhub.events.judging import judge
from mailhub.events.marking import Mark, mark
from mailhub.events.places import places_of
from mailhub.events.service import driver_connection
from mailhub.mail.classify import Places
from mailhub.reporting import hits

SLICE = 2_000


class ReclassifierBusy(Exception):
    """Another run is going over the hits."""


@dataclass(frozen=True, slots=True)
class Slice:
    """What one transaction did: how many hits it looked at, and which of them have another actor now, (old, new)."""

    seen: int
    changed: Counter[tuple[str, str]]
    reached: datetime | None


def reclassify(registry: Any, *, since: datetime, project_id: int = 0, size: int = SLICE) -> Iterator[Slice]:
    """Classify the hits since a moment again, of one project or of all (0), a slice each time that it is asked.

    Only hits that the classifier has been at. Called again with the same arguments after it was stopped, it goes on.
    Raises ReclassifierBusy where another run is at it.
    """
    reader, places = f"reclassify {since:%Y-%m-%dT%H:%M:%S} {project_id}", places_of(registry)
    while True:
        with side_transaction(registry) as session:
            if not try_lock(session, Lock.RECLASSIFIER):
                raise ReclassifierBusy
            done = _slice(session, reader, places, since, project_id, size)
        if done.reached is None:
            return
        yield done


def _slice(session: Session, reader: str, places: Places, since: datetime, project_id: int, size: int) -> Slice:
    connection = driver_connection(session)
    hits.begin_place(connection, reader)
    place, last = hits.place_of(connection, reader), hits.place_of(connection, READER)
    assert place is not None
    found = []
    if last is not None:
        found = hits.kept_hits(connection, place, last, since=since, project_id=project_id, most=size)
    if not found or last is None:
        hits.forget_place(connection, reader)
        hits.forget_taints(connection, reader, datetime.max.replace(tzinfo=place.now.tzinfo))
        return Slice(0, Counter(), None)
    verdicts = judge(connection, reader, found, places, now=place.now)
    changed = [
        (one, verdict)
        for one, verdict in zip(found, verdicts, strict=True)
        if (one.actor, one.cause) != (verdict.actor, verdict.cause)
    ]
    mark(connection, [
        Mark(one.project_id, one.position, one.id, one.at, verdict.actor, verdict.cause) for one, verdict in changed
    ])  # fmt: skip
    judged_again(
        connection,
        {(one.project_id, one.subscriber_id) for one, _verdict in changed if one.subscriber_id is not None},
    )
    hits.move_place(connection, reader, found[-1].position, found[-1].id)
    actors: list[tuple[str, str]] = [(one.actor, verdict.actor) for one, verdict in changed]
    turned = Counter((old, new) for old, new in actors if old != new)
    return Slice(len(found), turned, max(one.at for one in found))
