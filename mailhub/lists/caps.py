"""How often something may happen in a stretch of time, exactly: no more than `most` moments in any window.

A row a key holds the moments that were allowed, so that a sliding window needs no count over a large table; the rows
are purged once their last moment is past (`purge`). Unlike a token bucket (mailhub.web.limits), which lets twice as
many through in its first window, this keeps a cap to the letter.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv6Address, ip_address
from typing import Any

from sqlalchemy import CursorResult, text
from sqlalchemy.orm import Session

from mailhub.db import side_transaction
from mailhub.mail.address import Address
from mailhub.mail.lane import provider_lane

MINUTE, HOUR, DAY = 60, 3600, 24 * 3600

#: One statement a key: parallel requests wait for the row and see each other's moment. No row: the cap is reached.
_TAKE = text(
    """
    WITH clock AS (SELECT coalesce(CAST(:now AS timestamptz), clock_timestamp()) AS at)
    INSERT INTO sign_up_cap AS c (key, times, until)
    SELECT :key, ARRAY[at], at + make_interval(secs => :seconds) FROM clock
    ON CONFLICT (key) DO UPDATE SET
        times = (
            SELECT array_agg(t ORDER BY t) FROM unnest(c.times) AS t
            WHERE t > excluded.times[1] - make_interval(secs => :seconds)
        ) || excluded.times,
        until = greatest(c.until, excluded.until)
        WHERE (
            SELECT count(*) FROM unnest(c.times) AS t
            WHERE t > excluded.times[1] - make_interval(secs => :seconds)
        ) < :most
    RETURNING 1
    """
)
_WAIT = text(
    """
    SELECT extract(epoch FROM times[greatest(cardinality(times) - :most + 1, 1)] + make_interval(secs => :seconds)
        - coalesce(CAST(:now AS timestamptz), clock_timestamp()))
    FROM sign_up_cap WHERE key = :key
    """
)
_COUNT = text(
    """
    SELECT count(*) FROM sign_up_cap AS c, unnest(c.times) AS t
    WHERE c.key = :key AND t > coalesce(CAST(:now AS timestamptz), clock_timestamp()) - make_interval(secs => :seconds)
    """
)
_GIVE_BACK = text("UPDATE sign_up_cap SET times = times[1:cardinality(times) - 1] WHERE key = :key")
_PURGE = text(
    """
    DELETE FROM sign_up_cap WHERE key IN (
        SELECT key FROM sign_up_cap WHERE until < clock_timestamp() ORDER BY until LIMIT :most
    )
    """
)


@dataclass(frozen=True)
class Cap:
    """`most` times in `seconds` for `key`, which holds no address in clear."""

    key: str
    most: int
    seconds: int


def take(registry: Any, caps: Sequence[Cap], *, now: datetime | None = None) -> Cap | None:
    """Use each of the caps once, or none of them: then the cap that is reached is given.

    In a transaction of its own, so that what a refused request has used stays used. `now` is for simulations.
    """
    # In one order everywhere, so that two requests never wait for each other.
    with side_transaction(registry) as session:
        for cap in sorted(caps, key=lambda one: one.key):
            values = {"key": cap.key, "most": cap.most, "seconds": cap.seconds, "now": now}
            if session.execute(_TAKE, values).one_or_none() is None:
                session.rollback()
                return cap
    return None


def wait_seconds(registry: Any, cap: Cap, *, now: datetime | None = None) -> int:
    """How long somebody who was refused has to wait; at least 1."""
    values = {"key": cap.key, "most": cap.most, "seconds": cap.seconds, "now": now}
    with side_transaction(registry) as session:
        left = session.execute(_WAIT, values).scalar_one_or_none()
    return max(1, math.ceil(left or 0))


def is_reached(registry: Any, cap: Cap, *, now: datetime | None = None) -> bool:
    """Whether the cap would refuse; takes nothing."""
    with side_transaction(registry) as session:
        used = session.execute(_COUNT, {"key": cap.key, "seconds": cap.seconds, "now": now}).scalar_one()
    return int(used) >= cap.most


def give_back(registry: Any, key: str) -> None:
    """Undo the last use of a key: what it stood for has turned out well."""
    with side_transaction(registry) as session:
        session.execute(_GIVE_BACK, {"key": key})


def purge(dbsession: Session, *, most: int = 5_000) -> int:
    """Take away rows that say nothing any more; gives how many (fewer than `most`: these were all)."""
    done = dbsession.execute(_PURGE, {"most": most})
    assert isinstance(done, CursorResult)
    return done.rowcount


# Who is counted


def network_of(ip: str | None) -> str:
    """What counts as one sender of forms: an IPv4 address, an IPv6 /64, of which a household has all addresses.

    A server that listens on IPv6 names IPv4 clients `::ffff:192.0.2.7` (RFC 4291, 2.5.5.2): as a /64 they would all be
    one network.
    """
    try:
        address = ip_address(ip or "")
    except ValueError:
        return "unknown"
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(address.ipv4_mapped or address.exploded[:19])


def canonical(address: Address) -> str:
    """One mailbox has many spellings: a plus and what follows it, and Gmail's dots, do not make another victim."""
    local, _, domain = address.key.partition("@")
    local = local.partition("+")[0] or local
    if provider_lane(domain) == "gmail":
        local, domain = local.replace(".", ""), "gmail.com"
    return f"{local}@{domain}"


def network_cap(room: str, ip: str | None) -> Cap:
    """Five forms of a room a minute from one network (walls.md, T9)."""
    return Cap(f"{room}.ip:{network_of(ip)}", 5, MINUTE)


def letter_caps(address: Address, list_ids: Sequence[int], *, with_domain: bool) -> list[Cap]:
    """What bounds letters that an address gets because somebody typed it (walls.md, T9), over all projects."""
    who = hashlib.sha256(canonical(address).encode()).hexdigest()[:24]
    pairs = [Cap(f"sign_up.pair:{who}:{list_id}", 1, DAY) for list_id in dict.fromkeys(list_ids)]
    caps = [*pairs, Cap(f"sign_up.address:{who}", 3, DAY)]
    # The big providers bear more, and half of all people are there.
    if with_domain and provider_lane(address.domain) == "other":
        caps.append(Cap(f"sign_up.domain:{address.domain}", 10, MINUTE))
    return caps
