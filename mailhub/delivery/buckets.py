"""Token buckets in PostgreSQL, on its clock: the one place where "how many may be sent now" is decided.

A bucket fills at `rate` a second up to `burst`. Whoever takes from several takes the same number from each, or nothing
from any. Rows are locked in the order of their keys, and rates change one caller at a time, so that nothing deadlocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from psycopg.pq import TransactionStatus

from mailhub.db import Lock
from mailhub.delivery.database import Connection

#: A bucket holds what flows in during so many seconds, and one letter at least.
BURST_SECONDS = 0.25
#: Who goes ahead of the others may borrow what flows in during so many seconds: they wait for it instead.
AHEAD_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Grant:
    """So many letters may be sent. With none, `key`'s bucket has what was wanted after `wait_seconds`."""

    n: int
    wait_seconds: float = 0.0
    key: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """A bucket's size: letters a second, letters at once."""

    rate: float
    burst: float


# The clock is read after a row's lock is held, and a row that somebody has changed meanwhile is read again: what flows
# in is counted once. Nothing is written where nothing is granted. The margin keeps a sum of doubles that stands a hair
# below a whole letter from costing another round. Tokens need no disk: a statement that is alone in its transaction
# does not wait for it.
_TAKE = """
    WITH held AS MATERIALIZED (
        SELECT key, rate, burst, tokens, updated_at FROM rate_bucket
        WHERE key = ANY(%(keys)s)
        ORDER BY key
        FOR UPDATE
    ), timed AS MATERIALIZED (
        SELECT key, rate, burst, tokens, updated_at, greatest(clock_timestamp(), updated_at) AS at FROM held
    ), filled AS MATERIALIZED (
        SELECT key, rate, at,
               least(burst, tokens + rate * CAST(extract(epoch FROM at - updated_at) AS double precision)) AS tokens,
               CASE WHEN %(ahead)s THEN greatest(1, rate * %(ahead_seconds)s) ELSE 0 END AS credit,
               least(burst, %(at_least)s) AS quantum, least(burst, %(want)s) AS wish
        FROM timed
    ), granted AS MATERIALIZED (
        SELECT CASE WHEN bool_and(tokens + credit + 1e-6 >= quantum)
                    THEN least(%(want)s, CAST(min(floor(tokens + credit + 1e-6)) AS bigint))
                    ELSE 0 END AS n
        FROM filled
    ), paid AS (
        UPDATE rate_bucket AS b SET tokens = f.tokens - g.n, updated_at = f.at
        FROM filled AS f, granted AS g
        WHERE b.key = f.key AND g.n > 0
    )
    SELECT g.n, f.key, (f.wish - f.tokens - f.credit) / f.rate AS wait,
           CASE WHEN %(alone)s THEN set_config('synchronous_commit', 'off', true) END
    FROM granted AS g, filled AS f
    ORDER BY wait DESC
    LIMIT 1
"""

_PUT_BACK = """
    WITH held AS MATERIALIZED (
        SELECT key FROM rate_bucket WHERE key = ANY(%(keys)s) ORDER BY key FOR UPDATE
    )
    UPDATE rate_bucket AS b SET tokens = least(b.burst, b.tokens + %(n)s) FROM held AS h WHERE b.key = h.key
"""

_LIMITS = "SELECT key, rate, burst FROM rate_bucket WHERE key = ANY(%(keys)s)"

_SERIALIZE = "SELECT pg_advisory_xact_lock(%(lock)s)"

_HOLD = "SELECT FROM rate_bucket WHERE key = ANY(%(keys)s) ORDER BY key FOR UPDATE"

_REMOVE = "DELETE FROM rate_bucket WHERE key = ANY(%(keys)s)"

# What has flowed in so far did so at the old rate.
_SET = """
    INSERT INTO rate_bucket AS b (key, rate, burst, tokens, updated_at)
    SELECT n.key, n.rate, greatest(1, n.rate * %(burst_seconds)s), greatest(1, n.rate * %(burst_seconds)s),
           clock_timestamp()
    FROM unnest(CAST(%(keys)s AS text[]), CAST(%(rates)s AS double precision[])) AS n (key, rate)
    ORDER BY n.key
    ON CONFLICT (key) DO UPDATE
    SET rate = EXCLUDED.rate, burst = EXCLUDED.burst, updated_at = EXCLUDED.updated_at,
        tokens = greatest(-greatest(1, EXCLUDED.rate * %(ahead_seconds)s), least(
            EXCLUDED.burst,
            b.tokens + b.rate * CAST(
                extract(epoch FROM greatest(EXCLUDED.updated_at, b.updated_at) - b.updated_at) AS double precision
            )
        ))
    WHERE b.rate <> EXCLUDED.rate OR b.burst <> EXCLUDED.burst
"""


def take(
    connection: Connection, keys: Iterable[str], want: int, *, at_least: int = 1, ahead: bool = False
) -> Grant:
    """Take up to `want` letters from every bucket of `keys`; keys without a bucket limit nothing.

    Fewer than `at_least` (or a bucket's burst, where that is less) are not granted: it saves calls where many share a
    bucket. `ahead`: borrow from what flows in within the next second, so that bulk waits and this does not.
    """
    binds = {
        "keys": list(keys),
        "want": want,
        "at_least": max(1, min(at_least, want)),
        "ahead": ahead,
        "ahead_seconds": AHEAD_SECONDS,
        "alone": connection.autocommit and connection.info.transaction_status == TransactionStatus.IDLE,
    }
    row = connection.execute(_TAKE, binds).fetchone()
    if row is None:
        return Grant(want)
    n, key, wait = int(row[0]), str(row[1]), float(row[2])
    return Grant(n) if n > 0 else Grant(0, max(0.001, wait), key)


def put_back(connection: Connection, keys: Iterable[str], n: int) -> None:
    """Give back letters that were taken and not sent."""
    if n > 0:
        connection.execute(_PUT_BACK, {"keys": list(keys), "n": n})


def limits(connection: Connection, keys: Iterable[str]) -> dict[str, Limit]:
    """The buckets among `keys`."""
    return {str(key): Limit(rate, burst) for key, rate, burst in connection.execute(_LIMITS, {"keys": list(keys)})}


def set_rates(connection: Connection, rates: Mapping[str, float | None]) -> None:
    """Set limits in letters a second, in one short transaction; None or 0 takes a limit away.

    A new bucket is full; one that is changed keeps what is in it, as far as it fits.
    """
    wanted = {key: float(rate) for key, rate in rates.items() if rate}
    gone = [key for key in rates if key not in wanted]
    with connection.transaction():
        connection.execute(_SERIALIZE, {"lock": int(Lock.RATES)})
        connection.execute(_HOLD, {"keys": list(rates)})
        if gone:
            connection.execute(_REMOVE, {"keys": gone})
        if wanted:
            binds = {"burst_seconds": BURST_SECONDS, "ahead_seconds": AHEAD_SECONDS}
            connection.execute(_SET, {"keys": list(wanted), "rates": list(wanted.values()), **binds})
