"""Hits with what lies around them, judged: the pure classifier's view of stored rows, a few statements a batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import md5
from typing import Any, TypeVar
from uuid import UUID

from psycopg import Connection

from mailhub.mail.classify import NOBODY_NEAR, PREFETCH, Hit, Neighbours, Places, Verdict, classify, is_traceable
from mailhub.mail.neighbours import CROWD_TIME, Click, Sweep, Taint, crowds_of, sweeps_of
from mailhub.models import EventType
from mailhub.reporting import hits
from mailhub.reporting.hits import AddressRange, LetterRange, StoredHit, StoredTaint

#: A delivery further away says nothing: so long may a relay think about a letter's last dot (RFC 5321 §4.5.3.2).
AROUND = timedelta(minutes=10)
#: A hit this far in the future has no time that means anything.
FUTURE = timedelta(days=1)

_LetterKey = tuple[int, int | None, int | None, UUID | None]
_AddressKey = tuple[int, str, str]
_TaintKey = tuple[int, str, UUID]
_Key = TypeVar("_Key")


@dataclass(slots=True)
class _Letter:
    """What is known of one letter: deliveries, oldest first, and sweeps of its links."""

    deliveries: list[datetime] = field(default_factory=list)
    sweeps: list[Sweep] = field(default_factory=list)

    def delivered_at(self, at: datetime) -> datetime | None:
        """The last delivery before that moment, else the first after it, if it is near."""
        before = [one for one in self.deliveries if one <= at]
        found = before[-1] if before else next(iter(self.deliveries), None)
        return found if found is not None and abs(at - found) <= AROUND else None


def judge(
    connection: Connection[Any], reader: str, stored: Sequence[StoredHit], places: Places, *, now: datetime
) -> list[Verdict]:
    """A verdict for each hit. Changes only what `reader` remembers of addresses, in the caller's transaction.

    Five statements at most, whatever the number of hits; memory grows with them alone.
    """
    seen = [_seen(one) for one in stored]
    timed = [n for n, one in enumerate(stored) if one.at <= now + FUTURE]
    letters = _letters(connection, [stored[n] for n in timed])
    traceable = {n for n in timed if is_traceable(seen[n])}
    crowds = _crowds(connection, [stored[n] for n in sorted(traceable) if seen[n].click])
    known = {n: _taint_key(stored[n]) for n in traceable}
    taints = {
        key: Taint(one.since, one.until, one.caught_at)
        for key, one in hits.taints_of(connection, reader, sorted(set(known.values()))).items()
    }
    verdicts: list[Verdict | None] = [None] * len(stored)
    changed: set[_TaintKey] = set()
    # In the order of time, so that what a hit leaves behind is there for those after it.
    for n in sorted(range(len(stored)), key=lambda n: stored[n].at):
        near, key = NOBODY_NEAR, known.get(n)
        if stored[n].at <= now + FUTURE:
            letter = letters.get(_letter_key(stored[n]), _NOTHING)
            near = Neighbours(
                letter.delivered_at(stored[n].at), letter.sweeps,
                crowds.get(_address_key(stored[n]), ()) if key else (), taints.get(key) if key else None,
            )  # fmt: skip
        verdict = verdicts[n] = classify(seen[n], near, places)
        if key is not None and (verdict.taints or verdict.cause == "taint"):
            taint = taints.get(key)
            at = stored[n].at
            taints[key] = taint.and_at(at, caught=verdict.taints) if taint is not None else Taint.begun(at)
            changed.add(key)
    hits.remember_taints(
        connection, reader,
        [_stored(key, taints[key]) for key in sorted(changed)],
    )  # fmt: skip
    return [verdict for verdict in verdicts if verdict is not None]


_NOTHING = _Letter()


def _stored(key: _TaintKey, taint: Taint) -> StoredTaint:
    project_id, ip, agent = key
    return StoredTaint(project_id, ip, agent, taint.since, taint.until, taint.caught_at)


def _seen(one: StoredHit) -> Hit:
    click = one.type == EventType.REDIRECTED
    return Hit(click, one.at, one.user_agent, one.ip, one.email_domain, one.detail == PREFETCH)


def _letters(connection: Connection[Any], stored: Sequence[StoredHit]) -> Mapping[_LetterKey, _Letter]:
    ranges = [
        LetterRange(project_id, campaign_id, subscriber_id, message_id, first - AROUND, last + AROUND)
        for (project_id, campaign_id, subscriber_id, message_id), first, last
        in _spans(((_letter_key(one), one.at) for one in stored), 2 * AROUND)
        if subscriber_id is not None or message_id is not None
    ]  # fmt: skip
    campaigns = sorted({(one.project_id, one.campaign_id) for one in ranges if one.campaign_id is not None})
    links = hits.links_of_campaigns(connection, campaigns)
    found: dict[_LetterKey, _Letter] = {}
    for letter, around in zip(ranges, hits.around_letters(connection, ranges), strict=True):
        if not around:
            continue
        known = found.setdefault((letter.project_id, letter.campaign_id, letter.subscriber_id, letter.message_id),
                                 _Letter())  # fmt: skip
        known.deliveries += sorted(one.at for one in around if one.type == EventType.SENT)
        clicks = [Click(one.at, one.link_id, one.ip) for one in around if one.type == EventType.REDIRECTED]
        if len(clicks) > 1:
            known.sweeps += sweeps_of(clicks, links.get((letter.project_id, letter.campaign_id or 0), 0))
    return found


def _crowds(connection: Connection[Any], clicks: Sequence[StoredHit]) -> Mapping[_AddressKey, list[Sweep]]:
    """Where an address clicked more than is looked at, what lies behind is nobody's crowd: rather a person too many."""
    ranges = [
        AddressRange(project_id, ip, first - CROWD_TIME, last + CROWD_TIME)
        for (project_id, ip), first, last
        in _spans((((one.project_id, one.ip), one.at) for one in clicks), 2 * CROWD_TIME)
    ]  # fmt: skip
    made = hits.clicks_of_addresses(connection, ranges)
    return {key: crowds for key, known in made.items() if len(known) > 1 and (crowds := crowds_of(known))}


def _spans(moments: Iterable[tuple[_Key, datetime]], gap: timedelta) -> list[tuple[_Key, datetime, datetime]]:
    """The stretches of each key, first and last moment, with gaps no longer than that inside."""
    by_key: dict[_Key, list[datetime]] = {}
    for key, at in moments:
        by_key.setdefault(key, []).append(at)
    found = []
    for key, times in by_key.items():
        times.sort()
        first = last = times[0]
        for at in times[1:]:
            if at - last > gap:
                found.append((key, first, last))
                first = at
            last = at
        found.append((key, first, last))
    return found


def _letter_key(one: StoredHit) -> _LetterKey:
    """A campaign's letter by its person; a single one by its id. One that nobody can be found for has neither."""
    if one.campaign_id is not None:
        return one.project_id, one.campaign_id, one.subscriber_id, None
    return one.project_id, None, None, one.message_id


def _address_key(one: StoredHit) -> _AddressKey:
    return one.project_id, one.ip, one.email_domain


def _taint_key(one: StoredHit) -> _TaintKey:
    return one.project_id, one.ip, _digest(one.user_agent)


@lru_cache(maxsize=8192)
def _digest(user_agent: str) -> UUID:
    return UUID(bytes=md5(user_agent.encode("utf-8", "replace"), usedforsecurity=False).digest())
