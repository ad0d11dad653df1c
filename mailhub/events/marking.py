"""Who made a hit, written down: the events get their actor, and machines' numbers move in every rollup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg
from psycopg import Cursor
from psycopg.rows import tuple_row
from sqlalchemy.orm import Session

from mailhub.events import rollup
from mailhub.events.event import HITS
from mailhub.events.service import driver_connection
from mailhub.mail.agents import Agent
from mailhub.models import Actor, EventType, MessageKind
from mailhub.reporting import rollups
from mailhub.reporting.rollups import PLACE, Key, LinkReaction, Moves, Reaction

#: Actors that are no person. A proxy's open is a person's; so is a hit that nothing is known about.
MACHINES = frozenset({Actor.MACHINE_OPEN.value, Actor.SCANNER.value})
_KEY = ("project_id", "position", "id", "at")
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Mark:
    """Who made a hit (an Actor), and the short name of the rule that says so. The first four are the event's key."""

    project_id: int
    position: int
    id: int
    at: datetime
    actor: str
    cause: str


class _Hit(NamedTuple):
    """A row of `marked_events`."""

    project_id: int
    position: int
    id: int
    at: datetime
    type: str
    kind: str
    campaign_id: int | None
    subscriber_id: int | None
    link_id: int | None
    email_domain: str
    device: str
    client: str
    actor: str
    cause: str


def mark(connection: psycopg.Connection[Any], marks: Sequence[Mark]) -> int:
    """Set actor and cause of these hits and move machines' numbers by the difference; gives how many were changed.

    In the caller's transaction; never commits. A mark that is there already changes nothing, one can be taken back
    (from scanner to human), of several for one hit the last one counts, and hits that retention has dropped are left
    out. Exact beside appends and other marks: hits are locked in the order of their keys, then the rollups in the
    order in which `append` takes them. Raises ValueError for an actor that is none.
    """
    wanted = {(one.project_id, one.position, one.id): one for one in marks}
    strange = {one.actor for one in wanted.values()} - set(Actor)
    if strange:
        raise ValueError(f"no actor: {', '.join(sorted(strange))}")
    if not wanted:
        return 0
    with connection.cursor(row_factory=tuple_row) as cursor:
        rollups.hold(cursor, {key[0] for key in wanted})
        changed: list[tuple[_Hit, Mark]] = []
        for hit in _locked(cursor, wanted.values()):
            one = wanted[hit.project_id, hit.position, hit.id]
            if (hit.actor, hit.cause) != (one.actor, one.cause):
                changed.append((hit, one))
        if not changed:
            return 0
        _move(cursor, changed)
        # The rows come last, as in `append`, so that whoever locks tables meets both in one order.
        rows = [(hit.project_id, hit.position, hit.id, hit.at, one.actor, one.cause) for hit, one in changed]
        _run(cursor, "mark_events", (*_KEY, "actor", "actor_cause"), rows)
    return len(changed)


def mark_in(dbsession: Session, marks: Sequence[Mark]) -> int:
    """`mark` in the transaction of a Session, after its pending changes."""
    return mark(driver_connection(dbsession), marks)


def _locked(cursor: Cursor[Any], marks: Iterable[Mark]) -> list[_Hit]:
    rows = [(one.project_id, one.position, one.id, one.at) for one in marks]
    found = (_Hit(*row) for row in _run(cursor, "marked_events", _KEY, rows))
    return [hit for hit in found if hit.type in HITS]


def _run(cursor: Cursor[Any], statement: str, names: Sequence[str], rows: Sequence[Key]) -> Cursor[Any]:
    moments = [row[3] for row in rows]
    return rollups.run(cursor, statement, names, rows, since=min(moments), until=max(moments) + _TICK)


def _move(cursor: Cursor[Any], changed: Iterable[tuple[_Hit, Mark]]) -> None:
    """Move the rollups by the hits that a machine is now known to have made, or known not to have made."""
    turned = [
        (hit, n, rollup.place_key(hit.project_id, hit.kind, hit.campaign_id, hit.at))
        for hit, one in changed
        if (n := (one.actor in MACHINES) - (hit.actor in MACHINES)) and hit.kind in rollup.COUNTED_KINDS
    ]
    known = rollup.places(cursor, {key for _hit, _n, key in turned})
    moves = Moves()
    for hit, n, key in turned:
        place = known.get(key)
        if place is None:
            continue
        is_open = hit.type == EventType.OPENED
        column = PLACE["machine_opened" if is_open else "machine_redirected"]
        campaign_id, hour = None, None
        if hit.kind == MessageKind.CAMPAIGN and place.has_campaign:
            campaign_id, hour = hit.campaign_id, place.hour(hit.at)
            _move_person(moves, hit, n, is_open)
            if not is_open and hit.link_id is not None:
                moves.add_hit_of_link((hit.project_id, campaign_id, hit.link_id), column, n)
        made_with = Agent(hit.device, hit.client)
        rollup.spread(moves, hit.project_id, campaign_id, place.day, hour, hit.email_domain, made_with, column, n)
    moves.meet(cursor)
    moves.write(cursor)


def _move_person(moves: Moves, hit: _Hit, n: int, is_open: bool) -> None:
    if hit.subscriber_id is None:
        return
    reaction = moves.people.setdefault((hit.project_id, hit.campaign_id, hit.subscriber_id), Reaction())
    if is_open:
        reaction.machine_opened += n
        return
    reaction.machine_redirected += n
    if hit.link_id is not None:
        link = (hit.project_id, hit.campaign_id, hit.link_id, hit.subscriber_id)
        moves.clicks.setdefault(link, LinkReaction()).machine_redirected += n
