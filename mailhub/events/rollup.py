"""A batch of events as what it adds to the rollups: one pass in Python, one statement a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from psycopg import Cursor

from mailhub.models import EventType, MessageKind
from mailhub.reporting.named import SQL

if TYPE_CHECKING:
    from mailhub.events.service import Event

#: A rollup's column for each type of event; QUEUED has none.
COLUMNS = {type_: type_.value.lower() for type_ in EventType if type_ is not EventType.QUEUED}
_PLACE = {type_.value: place for place, type_ in enumerate(COLUMNS)}
_SENT_LETTERS = frozenset({MessageKind.CAMPAIGN.value, MessageKind.TRANSACTIONAL.value})
_OPENED, _CLICKED, _LEFT = EventType.OPENED.value, EventType.REDIRECTED.value, EventType.UNSUBSCRIBED.value

_Key = tuple[Any, ...]


@dataclass(slots=True)
class _Reaction:
    """What one person did in this batch."""

    opened: int = 0
    redirected: int = 0
    first_opened_at: datetime | None = None
    first_redirected_at: datetime | None = None
    left_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an event counts: its project's day, and its campaign where there is one."""

    day: date
    campaign: bool


def move(cursor: Cursor[Any], events: Sequence[Event]) -> list[Event]:
    """Move every rollup on by these events (each with its `at`); gives those that are to be stored.

    Left out is only that a person leaves by a campaign once more: the first time is the one that counts.
    """
    keyed = [(event, _place_key(event)) for event in events]
    places = _places(cursor, {key for _event, key in keyed})
    counted = [(event, place) for event, key in keyed if (place := places.get(key)) is not None]
    of_campaigns = [event for event, place in counted if place.campaign]
    uniques, repeated = _react(cursor, of_campaigns)
    if repeated:
        events = [event for event in events if id(event) not in repeated]
        counted = [(event, place) for event, place in counted if id(event) not in repeated]
        of_campaigns = [event for event in of_campaigns if id(event) not in repeated]
    _count_links(cursor, of_campaigns)
    in_campaigns = [(event, place) for event, place in counted if place.campaign]
    _add(cursor, "count_domains", ("email_domain",), (
        ((event.project_id, event.campaign_id, event.email_domain), event.type) for event, _place in in_campaigns
    ))  # fmt: skip
    _add(cursor, "count_campaign_days", ("day",), (
        ((event.project_id, event.campaign_id, place.day), event.type) for event, place in in_campaigns
    ))  # fmt: skip
    _count_campaigns(cursor, of_campaigns, uniques)
    _add(cursor, "count_project_days", ("day",), (
        ((event.project_id, place.day), event.type) for event, place in counted if event.kind in _SENT_LETTERS
    ))  # fmt: skip
    return list(events)


def _quarter(at: datetime) -> datetime:
    return at.replace(minute=at.minute - at.minute % 15, second=0, microsecond=0)


def _place_key(event: Event) -> _Key:
    assert event.at is not None
    campaign_id = event.campaign_id if event.kind == MessageKind.CAMPAIGN else None
    return event.project_id, campaign_id, _quarter(event.at)


def _places(cursor: Cursor[Any], keys: set[_Key]) -> Mapping[_Key, _Place]:
    rows = _run(cursor, "days_of_events", ("project_id", "campaign_id", "quarter"), list(keys)).fetchall()
    return {(project, campaign, quarter): _Place(day, known) for project, campaign, quarter, day, known in rows}


def _react(cursor: Cursor[Any], events: Iterable[Event]) -> tuple[Mapping[_Key, list[int]], set[int]]:
    """First opens and clicks by campaign, and the identities of the events that repeat a leaving."""
    reactions: dict[_Key, _Reaction] = {}
    leavings: list[tuple[_Key, Event]] = []
    for event in events:
        if event.subscriber_id is None or event.type not in (_OPENED, _CLICKED, _LEFT):
            continue
        key = (event.project_id, event.campaign_id, event.subscriber_id)
        reaction = reactions.setdefault(key, _Reaction())
        if event.type == _OPENED:
            reaction.opened += 1
            reaction.first_opened_at = _earlier(reaction.first_opened_at, event.at)
        elif event.type == _CLICKED:
            reaction.redirected += 1
            reaction.first_redirected_at = _earlier(reaction.first_redirected_at, event.at)
        else:
            reaction.left_at = _earlier(reaction.left_at, event.at)
            leavings.append((key, event))
    if not reactions:
        return {}, set()
    rows = [
        (*key, r.opened, r.redirected, r.first_opened_at, r.first_redirected_at)
        for key, r in sorted(reactions.items())
    ]
    names = ("project_id", "campaign_id", "subscriber_id", "opened", "redirected")
    moments = ("first_opened_at", "first_redirected_at")
    uniques: dict[_Key, list[int]] = {}
    for *person, opened, redirected in _run(cursor, "react", (*names, *moments), rows).fetchall():
        given = reactions[tuple(person)]
        unique = uniques.setdefault(tuple(person[:2]), [0, 0])
        unique[0] += bool(given.opened) and opened == given.opened
        unique[1] += bool(given.redirected) and redirected == given.redirected
    return uniques, _leave(cursor, reactions, leavings)


def _leave(cursor: Cursor[Any], reactions: Mapping[_Key, _Reaction], leavings: list[tuple[_Key, Event]]) -> set[int]:
    if not leavings:
        return set()
    rows = [(*key, reactions[key].left_at) for key in sorted({key for key, _event in leavings})]
    names = ("project_id", "campaign_id", "subscriber_id", "unsubscribed_at")
    first = {tuple(row) for row in _run(cursor, "leave", names, rows).fetchall()}
    repeated = set()
    for key, event in leavings:
        if key in first and event.at == reactions[key].left_at:
            first.discard(key)
        else:
            repeated.add(id(event))
    return repeated


def _count_links(cursor: Cursor[Any], events: Iterable[Event]) -> None:
    hits: dict[_Key, list[int]] = {}
    people: dict[_Key, tuple[int, datetime]] = {}
    for event in events:
        if event.type != _CLICKED or event.link_id is None:
            continue
        link = (event.project_id, event.campaign_id, event.link_id)
        hits.setdefault(link, [0, 0])[0] += 1
        if event.subscriber_id is not None:
            assert event.at is not None
            count, first = people.get((*link, event.subscriber_id), (0, event.at))
            people[(*link, event.subscriber_id)] = (count + 1, min(first, event.at))
    names = ("project_id", "campaign_id", "link_id")
    if people:
        rows = [(*key, *value) for key, value in sorted(people.items())]
        columns = (*names, "subscriber_id", "redirected", "first_redirected_at")
        for *key, redirected in _run(cursor, "react_to_link", columns, rows).fetchall():
            hits[tuple(key[:3])][1] += redirected == people[tuple(key)][0]
    if hits:
        rows = [(*key, *value) for key, value in sorted(hits.items())]
        _run(cursor, "count_links", (*names, "redirected", "unique_redirected"), rows)


def _count_campaigns(cursor: Cursor[Any], events: Sequence[Event], uniques: Mapping[_Key, list[int]]) -> None:
    last: dict[_Key, datetime] = {}
    for event in events:
        assert event.at is not None
        key = (event.project_id, event.campaign_id)
        last[key] = max(last.get(key, event.at), event.at)
    rows = [
        (*row, *uniques.get(row[:2], (0, 0)), last[row[:2]])
        for row in _summed(((event.project_id, event.campaign_id), event.type) for event in events)
    ]
    if rows:
        names = ("project_id", "campaign_id", *COLUMNS.values())
        _run(cursor, "count_campaigns", (*names, "unique_opened", "unique_redirected", "last_event_at"), rows)


def _add(cursor: Cursor[Any], statement: str, last_key: tuple[str], hits: Iterable[tuple[_Key, str]]) -> None:
    """Add counts to a rollup whose key is the project, the campaign where the statement has one, and `last_key`."""
    rows = _summed(hits)
    if rows:
        campaign = ("campaign_id",) if "campaign_id" in SQL[statement].binds else ()
        _run(cursor, statement, ("project_id", *campaign, *last_key, *COLUMNS.values()), rows)


def _summed(hits: Iterable[tuple[_Key, str]]) -> list[_Key]:
    """One row per key, in their order: the key, then a count a column of COLUMNS."""
    counts: dict[_Key, list[int]] = {}
    for key, type_ in hits:
        place = _PLACE.get(type_)
        if place is None:
            continue
        row = counts.get(key)
        if row is None:
            row = counts[key] = [0] * len(COLUMNS)
        row[place] += 1
    return [(*key, *values) for key, values in sorted(counts.items())]


def _run(cursor: Cursor[Any], statement: str, names: Sequence[str], rows: Sequence[_Key]) -> Cursor[Any]:
    """Run a named statement whose binds are arrays, a column of `rows` each."""
    columns = zip(*rows, strict=True)
    return cursor.execute(SQL[statement].psycopg, dict(zip(names, map(list, columns), strict=True)))


def _earlier(known: datetime | None, at: datetime | None) -> datetime | None:
    return at if known is None or (at is not None and at < known) else known
