"""How many connections a process may have to a relay and to each of its lanes: caps over all processes, by leases.

What the owners hold together never exceeds the cap. Where they want more than there is, each gets its share; who has
more than that is told so at its next call and closes the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mailhub.db import Lock
from mailhub.delivery.database import Connection

#: The lane that stands for the relay as a whole.
WHOLE_RELAY = ""

# The two-key form has a space of its own: a hash can't hit another of our locks.
_SERIALIZE = "SELECT pg_advisory_xact_lock(%(lock)s, hashtext(%(relay)s || '/' || %(lane)s))"

_OTHERS = """
    SELECT owner, n, wanted FROM connection_slot
    WHERE relay = %(relay)s AND lane = %(lane)s AND owner <> %(owner)s AND until > clock_timestamp()
"""

_HOLD = """
    INSERT INTO connection_slot (relay, lane, owner, n, wanted, until)
    VALUES (%(relay)s, %(lane)s, %(owner)s, %(n)s, %(want)s, clock_timestamp() + make_interval(secs => %(lease)s))
    ON CONFLICT (relay, lane, owner) DO UPDATE
    SET n = EXCLUDED.n, wanted = EXCLUDED.wanted, until = EXCLUDED.until
"""

_RENEW = """
    WITH mine AS MATERIALIZED (
        SELECT relay, lane FROM connection_slot WHERE owner = %(owner)s AND until > clock_timestamp()
        ORDER BY relay, lane
        FOR UPDATE
    )
    UPDATE connection_slot AS s SET until = clock_timestamp() + make_interval(secs => %(lease)s)
    FROM mine AS m WHERE s.relay = m.relay AND s.lane = m.lane AND s.owner = %(owner)s
"""

_RELEASE = """
    WITH mine AS MATERIALIZED (
        SELECT relay, lane FROM connection_slot
        WHERE owner = %(owner)s AND (CAST(%(relay)s AS text) IS NULL OR relay = %(relay)s)
          AND (CAST(%(lane)s AS text) IS NULL OR lane = %(lane)s)
        ORDER BY relay, lane
        FOR UPDATE
    )
    DELETE FROM connection_slot AS s USING mine AS m
    WHERE s.relay = m.relay AND s.lane = m.lane AND s.owner = %(owner)s
"""

_FORGET = "DELETE FROM connection_slot WHERE until < clock_timestamp() - interval '1 min'"


@dataclass(frozen=True, slots=True)
class Claim:
    """What one owner holds and wants."""

    owner: str
    n: int
    wanted: int


def acquire(
    connection: Connection,
    relay: str,
    lane: str,
    owner: str,
    want: int,
    cap: int,
    lease_seconds: float,
    *,
    held: int = 0,
) -> int:
    """How many connections `owner` may have in all; asks for `want`, `held` are open now.

    Call it when more are wanted, and every few seconds as long as some are open: the answer may be less than `held`,
    then close as many soon. What is open counts until it is closed.
    """
    binds = {"relay": relay, "lane": lane, "owner": owner, "want": want, "lease": lease_seconds}
    with connection.transaction():
        connection.execute(_SERIALIZE, binds | {"lock": int(Lock.SLOTS) & 0x7FFFFFFF})
        others = [Claim(*row) for row in connection.execute(_OTHERS, binds)]
        free = max(0, cap - sum(other.n for other in others))
        allowed = min(share(Claim(owner, held, want), others, cap), free)
        connection.execute(_HOLD, binds | {"n": max(allowed, held)})
    return allowed


def share(mine: Claim, others: Sequence[Claim], cap: int) -> int:
    """What of `cap` is mine when everybody gets what they want, or an equal part where that is less.

    What is left over by the division goes to those who hold most already, so that nobody hangs up for nothing.
    """
    left, given = cap, 0
    waiting = sorted((mine, *others), key=lambda claim: (claim.wanted, -claim.n, claim.owner))
    for place, claim in enumerate(waiting):
        # Those who want least are served first; what they leave is shared by the rest.
        sharing = len(waiting) - place
        part = left // sharing
        if claim.wanted > part:
            rest = sorted(waiting[place:], key=lambda each: (-each.n, each.owner))
            extra = left - part * sharing
            return _part(rest, mine, part, extra) if mine in rest else given
        if claim is mine:
            return claim.wanted
        left -= claim.wanted
    return given


def _part(rest: Sequence[Claim], mine: Claim, part: int, extra: int) -> int:
    return min(mine.wanted, part + (1 if rest.index(mine) < extra else 0))


def renew(connection: Connection, owner: str, lease_seconds: float) -> None:
    """Extend the leases of all that the owner holds; from the heartbeat. What has ended is not revived: acquire it."""
    connection.execute(_RENEW, {"owner": owner, "lease": lease_seconds})


def release(connection: Connection, owner: str, relay: str | None = None, lane: str | None = None) -> None:
    """Give back what the owner holds: of one lane, of one relay, or all."""
    connection.execute(_RELEASE, {"owner": owner, "relay": relay, "lane": lane})


def forget_dead(connection: Connection) -> None:
    """Remove the rows of owners that ended without a word."""
    connection.execute(_FORGET)
