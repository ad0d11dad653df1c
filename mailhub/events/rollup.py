"""Events as what they add to the rollups: where each counts, and the differences of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from psycopg import Cursor

from mailhub.events.event import Event, agent
from mailhub.mail.agents import Agent
from mailhub.mail.lane import provider_lane
from mailhub.models import EventType, MessageKind
from mailhub.reporting.rollups import PLACE, Key, LinkReaction, Moves, Reaction, run

#: Letters that count in their project's days; tests and service letters count nowhere.
COUNTED_KINDS = frozenset({MessageKind.CAMPAIGN.value, MessageKind.TRANSACTIONAL.value})
#: A type of event → its place in COUNTS; QUEUED has none.
PLACES = {type_.value: PLACE[type_.value.lower()] for type_ in EventType if type_ is not EventType.QUEUED}
#: A campaign's first hours that are counted one by one.
HOURS = 72
_CAMPAIGN = MessageKind.CAMPAIGN.value
_OPENED, _CLICKED, _LEFT = EventType.OPENED.value, EventType.REDIRECTED.value, EventType.UNSUBSCRIBED.value
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a quarter of an hour counts: its project's day, and its campaign where there is one."""

    day: date
    has_campaign: bool
    started_at: datetime | None

    def hour(self, at: datetime) -> int | None:
        """The hour since the campaign's start, where it is one of those that are counted."""
        if self.started_at is None:
            return None
        hour = (at - self.started_at) // _HOUR
        return hour if 0 <= hour < HOURS else None


def place_key(project_id: int, kind: str, campaign_id: int | None, at: datetime) -> Key:
    """The key of `places`."""
    quarter = at.replace(minute=at.minute - at.minute % 15, second=0, microsecond=0)
    return project_id, campaign_id if kind == _CAMPAIGN else None, quarter


def places(cursor: Cursor[Any], keys: set[Key]) -> Mapping[Key, Place]:
    """Where these keys count; those of projects that are gone are left out."""
    if not keys:
        return {}
    rows = run(cursor, "places_of_events", ("project_id", "campaign_id", "quarter"), keys)
    return {(project, campaign, quarter): Place(*place) for project, campaign, quarter, *place in rows}


def move(cursor: Cursor[Any], events: Sequence[Event]) -> list[Event]:
    """Move every rollup on by these events (each with its `at`); gives those that are to be stored.

    Left out is only that a person leaves by a campaign once more: the first time is the one that counts.
    """
    keyed = [
        (event, place_key(event.project_id, event.kind, event.campaign_id, event.at))  # type: ignore[arg-type]
        for event in events
        if event.kind in COUNTED_KINDS
    ]
    known = places(cursor, {key for _event, key in keyed})
    counted = [(event, place) for event, key in keyed if (place := known.get(key)) is not None]
    moves = Moves()
    leavings = _gather_people(moves, (event for event, place in counted if place.has_campaign))
    moves.meet(cursor)
    repeated = _leave(cursor, leavings)
    if repeated:
        events = [event for event in events if id(event) not in repeated]
        counted = [(event, place) for event, place in counted if id(event) not in repeated]
    _count(moves, counted)
    moves.write(cursor)
    return list(events)


def spread(
    moves: Moves, project_id: int, campaign_id: int | None, day: date, hour: int | None, email_domain: str,
    agent: Agent | None, place: int, n: int,
) -> None:  # fmt: skip
    """Add `n` at one of the COUNTS to the rollups of a project and, where there is one, of a campaign."""
    if campaign_id is not None:
        moves.add("domains", (project_id, campaign_id, email_domain), place, n)
        if agent is not None:
            moves.add_hit_of_device((project_id, campaign_id, agent.device, agent.client), place, n)
        moves.add("campaign_days", (project_id, campaign_id, day), place, n)
        if hour is not None:
            moves.add("campaign_hours", (project_id, campaign_id, hour), place, n)
        moves.add("campaigns", (project_id, campaign_id), place, n)
    moves.add("provider_days", (project_id, day, provider_lane(email_domain)), place, n)
    moves.add("project_days", (project_id, day), place, n)


def _gather_people(moves: Moves, events: Iterable[Event]) -> list[tuple[Key, Event]]:
    """Who opened and clicked, into `moves`; gives who left, whose rows are locked with the others."""
    leavings: list[tuple[Key, Event]] = []
    for event in events:
        if event.subscriber_id is None or event.type not in (_OPENED, _CLICKED, _LEFT):
            continue
        key = (event.project_id, event.campaign_id, event.subscriber_id)
        reaction = moves.people.get(key)
        if reaction is None:
            reaction = moves.people[key] = Reaction()
        if event.type == _OPENED:
            reaction.opened += 1
            reaction.first_opened_at = _earlier(reaction.first_opened_at, event.at)
        elif event.type == _LEFT:
            leavings.append((key, event))
        else:
            reaction.redirected += 1
            reaction.first_redirected_at = _earlier(reaction.first_redirected_at, event.at)
            if event.link_id is not None:
                link = moves.clicks.setdefault((*key[:2], event.link_id, event.subscriber_id), LinkReaction())
                link.redirected += 1
                link.first_redirected_at = _earlier(link.first_redirected_at, event.at)
    return leavings


def _leave(cursor: Cursor[Any], leavings: list[tuple[Key, Event]]) -> set[int]:
    """The identities of the events that repeat a leaving. Of several in a batch the earliest counts."""
    if not leavings:
        return set()
    earliest: dict[Key, Event] = {}
    for key, event in leavings:
        known = earliest.get(key)
        if known is None or event.at < known.at:  # type: ignore[operator]
            earliest[key] = event
    names = ("project_id", "campaign_id", "subscriber_id", "unsubscribed_at")
    rows = run(cursor, "leave", names, [(*key, event.at) for key, event in sorted(earliest.items())])
    first = {id(earliest[tuple(row)]) for row in rows}
    return {id(event) for _key, event in leavings} - first


def _count(moves: Moves, counted: Iterable[tuple[Event, Place]]) -> None:
    """Most events of a batch count in the same rows: they are summed before they are spread."""
    groups: dict[Key, int] = {}
    for event, place in counted:
        column = PLACES.get(event.type)
        if column is None:
            continue
        at, campaign_id, hour = event.at, None, None
        assert at is not None
        if place.has_campaign:
            campaign_id, hour = event.campaign_id, place.hour(at)
            campaign = (event.project_id, campaign_id)
            last = moves.last_event_at.get(campaign)
            if last is None or at > last:
                moves.last_event_at[campaign] = at
            if event.type == _CLICKED and event.link_id is not None:
                moves.add_hit_of_link((*campaign, event.link_id), column, 1)
        made_with = agent(event) if event.type == _OPENED or event.type == _CLICKED else None
        key = (event.project_id, campaign_id, place.day, hour, event.email_domain, made_with, column)
        groups[key] = groups.get(key, 0) + 1
    for (project_id, campaign_id, day, hour, email_domain, made_with, column), n in groups.items():
        spread(moves, project_id, campaign_id, day, hour, email_domain, made_with, column, n)


def _earlier(known: datetime | None, at: datetime | None) -> datetime | None:
    return at if known is None or (at is not None and at < known) else known
