"""Relays that take nothing are set aside for everybody, and tried again by one process at a time.

A relay is `down` after three failures in a row, over all processes: a letter that any of them has handed over since the
first one breaks the row. While it is up for others, a process that cannot reach it pauses by itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from mailhub.delivery.database import Connection

#: So many failures to connect in a row set a relay aside, if they come within a minute of each other.
FAILURES = 3
#: So many temporary refusals in a row, and nothing taken: the relay is in trouble, not the recipients.
REFUSALS = 25
#: Seconds until a relay that is down is tried again; the last one repeats. The same numbers stand in the statement.
PROBES = (1, 2, 5, 10, 20, 30)
#: Who probes has so long, in seconds, until somebody else may.
PROBE_SECONDS = 60
#: Pauses of a process that cannot reach a relay which is up for others.
PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
#: What was read is believed for so long.
KNOWN_SECONDS = 0.5
REASON_LIMIT = 300

# While up, `since` is the first failure of the row. Only the process that probes moves a relay that is down to its next
# probe: connections that were under way when it went down say nothing new.
_FAILED = """
    INSERT INTO relay_health AS h (relay, state, reason, failures, since, probe_at, updated_at)
    VALUES (
        %(relay)s, CASE WHEN %(threshold)s <= 1 THEN 'down' ELSE 'up' END, %(reason)s,
        CASE WHEN %(threshold)s <= 1 THEN 0 ELSE 1 END, clock_timestamp(),
        CASE WHEN %(threshold)s <= 1 THEN clock_timestamp() + interval '1 s' END, clock_timestamp()
    )
    ON CONFLICT (relay) DO UPDATE
    SET (state, failures, since, probe_at, probing_owner, probing_until, reason, updated_at) = (
        SELECT
            CASE WHEN n.goes_down THEN 'down' ELSE h.state END,
            CASE WHEN n.goes_down THEN 0 WHEN h.state = 'up' THEN n.failures
                 WHEN n.is_probe THEN h.failures + 1 ELSE h.failures END,
            CASE WHEN n.goes_down OR (h.state = 'up' AND n.failures = 1) THEN n.at ELSE h.since END,
            CASE WHEN n.goes_down THEN n.at + interval '1 s'
                 WHEN n.is_probe THEN n.at + make_interval(
                     secs => (ARRAY[1, 2, 5, 10, 20, 30])[least(h.failures + 2, 6)]
                 )
                 ELSE h.probe_at END,
            CASE WHEN n.is_probe THEN '' ELSE h.probing_owner END,
            CASE WHEN n.is_probe THEN NULL ELSE h.probing_until END,
            CASE WHEN h.state = 'up' OR n.is_probe THEN EXCLUDED.reason ELSE h.reason END,
            n.at
        FROM (
            SELECT m.failures, m.at,
                   h.state = 'up' AND m.failures >= %(threshold)s AS goes_down,
                   h.state = 'down' AND h.probing_owner = %(owner)s AND %(owner)s <> '' AS is_probe
            FROM (
                SELECT clock_timestamp() AS at, CASE
                    WHEN h.failures > 0 AND h.updated_at > clock_timestamp() - interval '60 s' AND NOT EXISTS (
                        SELECT FROM relay_lane AS l WHERE l.relay = h.relay AND l.sent_at > h.since
                    ) THEN h.failures + 1 ELSE 1 END AS failures
            ) AS m
        ) AS n
    )
    RETURNING state = 'down'
"""

# Whether any process has handed over a letter lately: then a row of refusals is about the recipients.
_TAKEN_LATELY = """
    SELECT EXISTS (
        SELECT FROM relay_lane
        WHERE relay = %(relay)s AND sent_at > clock_timestamp() - make_interval(secs => %(seconds)s)
    )
"""

_WORKED = """
    UPDATE relay_health
    SET state = 'up', reason = '', failures = 0, since = clock_timestamp(), probe_at = NULL, probing_owner = '',
        probing_until = NULL, updated_at = clock_timestamp()
    WHERE relay = %(relay)s AND (state <> 'up' OR failures > 0)
"""

_PROBE = """
    UPDATE relay_health
    SET probing_owner = %(owner)s, probing_until = clock_timestamp() + make_interval(secs => %(seconds)s)
    WHERE relay = %(relay)s AND state = 'down' AND probe_at <= clock_timestamp()
      AND (probing_until IS NULL OR probing_until < clock_timestamp() OR probing_owner = %(owner)s)
    RETURNING true
"""

_LEAVE = """
    UPDATE relay_health SET probing_owner = '', probing_until = NULL
    WHERE relay = %(relay)s AND probing_owner = %(owner)s
"""

_CLOSED = """
    SELECT relay, reason, greatest(0, CAST(extract(
        epoch FROM greatest(probe_at, probing_until) - clock_timestamp()
    ) AS double precision))
    FROM relay_health WHERE state = 'down'
"""


@dataclass(slots=True)
class _Closed:
    """A relay that is down for everybody; `probe_at` on this process's monotonic clock."""

    reason: str
    probe_at: float


@dataclass(slots=True)
class _Local:
    """What this process alone has seen of a relay since it last worked here."""

    failures: int = 0
    pause_until: float = 0.0
    reason: str = ""
    refusals: int = 0
    refused_since: float = 0.0
    lanes: set[str] = field(default_factory=set)


class Health:
    """What this process knows of the relays; the truth is in `relay_health`. `now` is `time.monotonic()`."""

    def __init__(self) -> None:
        self._closed: dict[str, _Closed] = {}
        self._read_at = float("-inf")
        self._local: dict[str, _Local] = {}

    def failed(self, connection: Connection, relay: str, reason: str, now: float, *, owner: str = "") -> bool:
        """The relay could not be reached, or hung up. True: it is set aside for everybody now."""
        local = self._local.setdefault(relay, _Local())
        local.pause_until = now + PAUSES[min(local.failures, len(PAUSES) - 1)]
        local.failures += 1
        local.reason = reason[:REASON_LIMIT]
        return self._note(connection, relay, reason, FAILURES, owner)

    def refused(
        self, connection: Connection, relay: str, reason: str, now: float, *, owner: str = "", lane: str = ""
    ) -> bool:
        """A temporary refusal; too many in a row, with nothing taken by anybody, set the relay aside. True: it is.

        Give `lane` for a relay that hands on to the providers: refusals of a single one are the provider's.
        """
        local = self._local.setdefault(relay, _Local())
        probed = self._closed.get(relay) is not None
        if local.refusals == 0:
            local.refused_since = now
            local.lanes = set()
        local.refusals += 1
        local.lanes.add(lane)
        if probed:
            return self._note(connection, relay, reason, 1, owner)
        if local.refusals < REFUSALS or (len(local.lanes) == 1 and lane not in ("", "other")):
            return False
        row = connection.execute(_TAKEN_LATELY, {"relay": relay, "seconds": now - local.refused_since}).fetchone()
        local.refusals = 0
        if row is not None and row[0]:
            return False
        return self._note(connection, relay, reason, 1, owner)

    def _note(self, connection: Connection, relay: str, reason: str, threshold: int, owner: str) -> bool:
        binds = {"relay": relay, "reason": reason[:REASON_LIMIT], "threshold": threshold, "owner": owner}
        row = connection.execute(_FAILED, binds).fetchone()
        is_down = row is not None and bool(row[0])
        if is_down:
            self._read_at = float("-inf")
        return is_down

    def worked(self, connection: Connection, relay: str) -> None:
        """The relay has taken a letter, or refused one for good. Costs a statement only where it was in doubt."""
        local = self._local.get(relay)
        if local is None and relay not in self._closed:
            return
        if relay in self._closed or (local is not None and local.failures):
            connection.execute(_WORKED, {"relay": relay})
        self._local.pop(relay, None)
        self._closed.pop(relay, None)

    def may_try(self, connection: Connection, relay: str, owner: str, now: float) -> bool:
        """Whether `owner` may connect: the relay is up, or it is time for a probe and nobody else is at it.

        After a True for a relay that is closed, one letter decides: call `worked`, `failed`, `refused` or `leave`.
        """
        self._refresh(connection, now)
        closed = self._closed.get(relay)
        if closed is None:
            local = self._local.get(relay)
            return local is None or now >= local.pause_until
        if now < closed.probe_at:
            return False
        row = connection.execute(_PROBE, {"relay": relay, "owner": owner, "seconds": PROBE_SECONDS}).fetchone()
        self._read_at = float("-inf")
        return row is not None

    def leave(self, connection: Connection, relay: str, owner: str) -> None:
        """Give up a probe without a result: there was no letter to try it with."""
        connection.execute(_LEAVE, {"relay": relay, "owner": owner})
        self._read_at = float("-inf")

    def closed(self, connection: Connection, now: float) -> Mapping[str, str]:
        """Relays that are not to be tried, with the reason; as of half a second ago at most."""
        self._refresh(connection, now)
        found = {name: one.reason for name, one in self._closed.items()}
        for name, local in self._local.items():
            if local.pause_until > now:
                found.setdefault(name, local.reason)
        return found

    def next_try_seconds(self, now: float) -> float:
        """How long until one of the closed ones may be tried; infinity when none is closed."""
        times = [one.probe_at for one in self._closed.values()]
        times += [local.pause_until for local in self._local.values() if local.pause_until > now]
        return max(0.0, min(times, default=math.inf) - now)

    def _refresh(self, connection: Connection, now: float) -> None:
        if now - self._read_at > KNOWN_SECONDS:
            rows = connection.execute(_CLOSED).fetchall()
            self._closed = {name: _Closed(reason, now + seconds) for name, reason, seconds in rows}
            self._read_at = now
