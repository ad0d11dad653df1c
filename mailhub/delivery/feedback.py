"""What the providers' answers teach us: a (relay, lane) that pushes back is slowed down, held, and let grow again.

The rate is halved, or cut to a letter a minute where the provider's words ask for that; it is held for 5 to 90 minutes,
then it grows by a tenth a minute, and a lane that reaches what was normal for it is free again. Refusals of this kind
are about us, never about the person written to.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from psycopg.rows import class_row

from mailhub.db import Lock
from mailhub.delivery.buckets import set_rates
from mailhub.delivery.database import Connection
from mailhub.delivery.outcome import Verdict
from mailhub.delivery.throttle import lane_key
from mailhub.mail.pushback import CRAWL_PER_SECOND, Pushback, pushback
from mailhub.mail.smtp_reply import classify
from mailhub.mail.smtp_rules import REASONS
from mailhub.models import MessageState

#: What is collected is written this often at most.
FLUSH_SECONDS = 0.5
#: What was read of the lanes is believed for so long.
KNOWN_SECONDS = 0.5
#: Answers to letters that were on their way when the lane was slowed down do not slow it down again.
SETTLE_SECONDS = 10.0
#: `slow` goes no lower, letters a second; only `crawl` does.
SLOWEST_PER_SECOND = 0.2
GROWTH_PER_MINUTE = 1.1
#: A weak pushback is believed at the so manieth, if these are such a part of the lane's answers since the last one.
WEAK_COUNT, WEAK_SHARE = 5, 0.1
#: The time over which a lane's present rate is an average, in seconds; the same number stands in the statements.
FLOW_SECONDS = 10.0
REPLY_LIMIT = 500

_ADDRESS = re.compile(r"[^\s<>\"'():;,=]+@[^\s<>\"'():;,]+")


@dataclass(frozen=True, slots=True)
class LaneState:
    """A lane as it stands. `rate` letters a second, None: no limit; `flow` is the rate over the last 10 s.

    `slowed`: the limits are those of a provider that pushed back, for `reason`, with `last_reply`.
    """

    relay: str
    lane: str
    rate: float | None
    connections: int | None
    suspended_until: datetime | None
    held_until: datetime | None
    slowed: bool
    reason: str
    last_code: int | None
    last_reply: str
    slowed_at: datetime | None
    flow: float
    sent_total: int
    deferred_total: int
    failed_total: int
    blocked_total: int
    is_suspended: bool = False


@dataclass(slots=True)
class _Noted:
    """What was seen of a lane since the last flush."""

    sent: int = 0
    deferred: int = 0
    failed: int = 0
    blocked: int = 0
    pushback: Pushback | None = None
    code: int = 0
    text: str = ""


@dataclass(slots=True)
class _Doubt:
    """Answers since weak pushbacks were last weighed, and how many of them were weak pushbacks."""

    answers: int = 0
    weak: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a lane while it is slowed down, before or after a pushback. Seconds are from now on."""

    rate: float | None
    connections: int | None
    normal_rate: float | None
    held_seconds: float = 0.0
    suspended_seconds: float = 0.0


def slowed(
    now: Limits, asked: Pushback, *, base_rate: float | None, flow: float, since_slowed: float | None
) -> Limits:
    """The limits after a pushback. `flow`: letters a second lately; `since_slowed`: seconds since the last one."""
    limit = min((rate for rate in (now.rate, base_rate) if rate is not None), default=None)
    held = max(now.held_seconds, asked.hold_seconds)
    normal = now.normal_rate if now.normal_rate is not None else base_rate if base_rate is not None else max(flow, 1.0)
    if asked.kind == "crawl":
        return replace(now, rate=CRAWL_PER_SECOND, connections=1, normal_rate=normal, held_seconds=held)
    halved = max(SLOWEST_PER_SECOND, min(limit or math.inf, max(flow, 1.0)) / 2)
    rate = min(limit, halved) if limit is not None else halved
    if now.rate is not None and since_slowed is not None and since_slowed < SETTLE_SECONDS:
        rate = now.rate
    suspended = now.suspended_seconds
    if asked.kind == "suspend":
        suspended = max(suspended, asked.hold_seconds)
    return replace(now, rate=rate, normal_rate=normal, held_seconds=held, suspended_seconds=suspended)


class Feedback:
    """Collects verdicts in the process; `flush` writes them, twice a second at most. One a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noted: dict[tuple[str, str], _Noted] = {}
        self._doubts: dict[tuple[str, str], _Doubt] = {}
        self._flushed_at = float("-inf")
        self._lanes: dict[tuple[str, str], LaneState] = {}
        self._lanes_at = float("-inf")

    def note(self, relay: str, lane: str, verdict: Verdict) -> None:
        """A letter's end, with the relay's answer."""
        answer = verdict.answer
        with self._lock:
            noted = self._noted.setdefault((relay, lane), _Noted())
            if verdict.state == MessageState.SENT:
                noted.sent += 1
            elif answer is None:
                return
            elif verdict.state == MessageState.DEFERRED:
                noted.deferred += 1
            else:
                noted.failed += 1
            if answer is not None and answer.code >= 400:
                noted.blocked += REASONS.get(verdict.reason) == "BLOCK"
                asked = pushback(answer.code, answer.text, verdict.reason)
                self._weigh((relay, lane), noted, answer.code, answer.text, asked)
            else:
                self._doubts.setdefault((relay, lane), _Doubt()).answers += 1

    def note_reply(self, relay: str, lane: str, code: int, text: str) -> None:
        """A refusal that is about no letter: at the greeting, at MAIL FROM, a 421 between letters."""
        found = classify(code, None, text, "connect")
        asked = pushback(code, text, found.reason, retry_after=found.retry_after)
        if asked is not None:
            with self._lock:
                self._weigh((relay, lane), self._noted.setdefault((relay, lane), _Noted()), code, text, asked)

    def _weigh(self, key: tuple[str, str], noted: _Noted, code: int, text: str, asked: Pushback | None) -> None:
        doubt = self._doubts.setdefault(key, _Doubt())
        doubt.answers += 1
        if asked is not None and asked.weak:
            doubt.weak += 1
            if doubt.weak < WEAK_COUNT:
                return
            believed = doubt.weak >= doubt.answers * WEAK_SHARE
            self._doubts[key] = _Doubt()
            if not believed:
                return
        if asked is not None and (noted.pushback is None or _force(asked) >= _force(noted.pushback)):
            noted.pushback, noted.code, noted.text = asked, code, text

    def flush(self, connection: Connection, now: float, *, force: bool = False) -> bool:
        """Write what was collected, if half a second has passed; True when something was written."""
        if not force and now - self._flushed_at < FLUSH_SECONDS:
            return False
        with self._lock:
            noted, self._noted = self._noted, {}
        self._flushed_at = now
        if not noted:
            return False
        try:
            _write(connection, noted)
        except BaseException:
            self._take_back(noted)
            raise
        if any(one.pushback is not None for one in noted.values()):
            self._lanes_at = float("-inf")
        return True

    def _take_back(self, noted: dict[tuple[str, str], _Noted]) -> None:
        with self._lock:
            for key, old in noted.items():
                new = self._noted.setdefault(key, _Noted())
                new.sent, new.deferred = new.sent + old.sent, new.deferred + old.deferred
                new.failed, new.blocked = new.failed + old.failed, new.blocked + old.blocked
                if new.pushback is None:
                    new.pushback, new.code, new.text = old.pushback, old.code, old.text

    def lanes(self, connection: Connection, now: float) -> Mapping[tuple[str, str], LaneState]:
        """Lanes that are slowed down or suspended, by (relay, lane), as of half a second ago at most."""
        if now - self._lanes_at > KNOWN_SECONDS:
            found = states(connection)
            self._lanes = {(one.relay, one.lane): one for one in found if one.slowed or one.is_suspended}
            self._lanes_at = now
        return self._lanes


def _force(asked: Pushback) -> int:
    return ("slow", "crawl", "suspend").index(asked.kind)


_SERIALIZE = "SELECT pg_advisory_xact_lock(%(lock)s)"

_COUNT = """
    INSERT INTO relay_lane AS l (
        relay, lane, flow, flow_at, sent_at, sent_total, deferred_total, failed_total, blocked_total, updated_at
    )
    SELECT n.relay, n.lane, n.sent, c.at, CASE WHEN n.sent > 0 THEN c.at END, n.sent, n.deferred, n.failed, n.blocked,
           c.at
    FROM unnest(
        CAST(%(relays)s AS text[]), CAST(%(lanes)s AS text[]), CAST(%(sent)s AS bigint[]),
        CAST(%(deferred)s AS bigint[]), CAST(%(failed)s AS bigint[]), CAST(%(blocked)s AS bigint[])
    ) AS n (relay, lane, sent, deferred, failed, blocked), (SELECT clock_timestamp() AS at) AS c
    ORDER BY n.relay, n.lane
    ON CONFLICT (relay, lane) DO UPDATE SET
        flow = EXCLUDED.flow + l.flow * exp(-least(600, greatest(
            0, CAST(extract(epoch FROM EXCLUDED.flow_at - l.flow_at) AS double precision)
        )) / 10),
        flow_at = greatest(l.flow_at, EXCLUDED.flow_at),
        sent_at = coalesce(EXCLUDED.sent_at, l.sent_at),
        sent_total = l.sent_total + EXCLUDED.sent_total,
        deferred_total = l.deferred_total + EXCLUDED.deferred_total,
        failed_total = l.failed_total + EXCLUDED.failed_total,
        blocked_total = l.blocked_total + EXCLUDED.blocked_total,
        updated_at = EXCLUDED.updated_at
"""

_STANDS = """
    SELECT base_rate, rate, connections, normal_rate, flow / 10,
           greatest(0, CAST(extract(epoch FROM held_until - clock_timestamp()) AS double precision)),
           greatest(0, CAST(extract(epoch FROM suspended_until - clock_timestamp()) AS double precision)),
           CAST(extract(epoch FROM clock_timestamp() - slowed_at) AS double precision)
    FROM relay_lane WHERE relay = %(relay)s AND lane = %(lane)s
"""

_SLOW = """
    UPDATE relay_lane
    SET rate = %(rate)s, connections = %(connections)s, normal_rate = %(normal_rate)s,
        held_until = clock_timestamp() + make_interval(secs => %(held)s), grown_at = NULL,
        suspended_until = CASE WHEN %(suspended)s > 0 THEN clock_timestamp() + make_interval(secs => %(suspended)s) END,
        reason = %(reason)s, last_code = %(code)s, last_reply = %(reply)s,
        slowed_at = CASE WHEN %(anew)s THEN clock_timestamp() ELSE slowed_at END
    WHERE relay = %(relay)s AND lane = %(lane)s
"""


def _write(connection: Connection, noted: dict[tuple[str, str], _Noted]) -> None:
    keys = sorted(noted)
    with connection.transaction():
        if any(noted[key].pushback is not None for key in keys):
            # Rates change one caller at a time, before any row is locked: see buckets.set_rates.
            connection.execute(_SERIALIZE, {"lock": int(Lock.RATES)})
        connection.execute(
            _COUNT,
            {
                "relays": [relay for relay, _lane in keys],
                "lanes": [lane for _relay, lane in keys],
                "sent": [noted[key].sent for key in keys],
                "deferred": [noted[key].deferred for key in keys],
                "failed": [noted[key].failed for key in keys],
                "blocked": [noted[key].blocked for key in keys],
            },
        )
        rates: dict[str, float | None] = {}
        for key in keys:
            asked = noted[key].pushback
            if asked is not None:
                rates[lane_key(*key)] = _slow(connection, key, asked, noted[key])
        if rates:
            set_rates(connection, rates)


def _slow(connection: Connection, key: tuple[str, str], asked: Pushback, noted: _Noted) -> float | None:
    """Slow the lane down; gives the rate that is in force then."""
    relay, lane = key
    row = connection.execute(_STANDS, {"relay": relay, "lane": lane}).fetchone()
    assert row is not None
    base_rate, rate, connections, normal_rate, flow, held, suspended, since = row
    before = Limits(rate, connections, normal_rate, held or 0.0, suspended or 0.0)
    after = slowed(before, asked, base_rate=base_rate, flow=flow, since_slowed=since)
    connection.execute(
        _SLOW,
        {
            "relay": relay,
            "lane": lane,
            "rate": after.rate,
            "connections": after.connections,
            "normal_rate": after.normal_rate,
            "held": after.held_seconds,
            "suspended": after.suspended_seconds,
            "reason": asked.reason,
            "code": noted.code,
            "reply": _ADDRESS.sub("…", noted.text)[:REPLY_LIMIT],
            "anew": after.rate != before.rate or after.suspended_seconds != before.suspended_seconds,
        },
    )
    return after.rate


_STATES = """
    SELECT relay, lane, least(rate, base_rate) AS rate, least(connections, base_connections) AS connections,
           suspended_until, held_until, rate IS NOT NULL AS slowed, reason, last_code, last_reply, slowed_at,
           flow / 10 * exp(
               -least(600, greatest(0, CAST(extract(epoch FROM clock_timestamp() - flow_at) AS double precision))) / 10
           ) AS flow,
           sent_total, deferred_total, failed_total, blocked_total,
           coalesce(suspended_until > clock_timestamp(), false) AS is_suspended
    FROM relay_lane
    ORDER BY relay, lane
"""


def states(connection: Connection) -> list[LaneState]:
    """Every lane that has been written to, or has limits. A few dozen rows."""
    with connection.cursor(row_factory=class_row(LaneState)) as cursor:
        return cursor.execute(_STATES).fetchall()


_GROWING = """
    SELECT relay, lane, rate, coalesce(base_rate, normal_rate), CAST(extract(
        epoch FROM clock_timestamp() - greatest(coalesce(grown_at, held_until), held_until, suspended_until)
    ) AS double precision)
    FROM relay_lane
    WHERE rate IS NOT NULL AND held_until < clock_timestamp()
      AND (suspended_until IS NULL OR suspended_until < clock_timestamp())
      AND greatest(coalesce(grown_at, held_until), held_until, suspended_until) < clock_timestamp() - interval '10 s'
    ORDER BY relay, lane
    FOR UPDATE
"""

_GROWN = """
    UPDATE relay_lane
    SET rate = %(rate)s, connections = NULL, grown_at = clock_timestamp(), suspended_until = NULL,
        normal_rate = CASE WHEN %(free)s THEN NULL ELSE normal_rate END,
        reason = CASE WHEN %(free)s THEN '' ELSE reason END
    WHERE relay = %(relay)s AND lane = %(lane)s
"""

_BASE = "SELECT base_rate FROM relay_lane WHERE relay = %(relay)s AND lane = %(lane)s"


def grow(connection: Connection) -> int:
    """Let the rates of lanes grow whose time of hold is over; for the sweep. Gives how many have changed."""
    with connection.transaction():
        connection.execute(_SERIALIZE, {"lock": int(Lock.RATES)})
        rates: dict[str, float | None] = {}
        for relay, lane, rate, normal_rate, seconds in connection.execute(_GROWING).fetchall():
            grown: float | None = rate * GROWTH_PER_MINUTE ** (seconds / 60)
            free = normal_rate is None or grown is None or grown >= normal_rate
            binds = {"relay": relay, "lane": lane, "rate": None if free else grown, "free": free}
            connection.execute(_GROWN, binds)
            if free:
                row = connection.execute(_BASE, binds).fetchone()
                grown = row[0] if row is not None else None
            rates[lane_key(relay, lane)] = grown
        if rates:
            set_rates(connection, rates)
    return len(rates)
