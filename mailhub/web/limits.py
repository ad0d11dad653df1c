"""Rate limits on PostgreSQL's clock: a token bucket a key, the same for all processes."""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy import text

from mailhub.db import side_transaction

_TAKE = text(
    """
    INSERT INTO rate_limit AS r (key, tokens, at)
    VALUES (:key, :burst - :cost, clock_timestamp())
    ON CONFLICT (key) DO UPDATE SET
        at = clock_timestamp(),
        tokens = least(:burst, r.tokens + extract(epoch FROM clock_timestamp() - r.at) * :rate)
            - CASE
                WHEN least(:burst, r.tokens + extract(epoch FROM clock_timestamp() - r.at) * :rate) >= :cost
                THEN :cost ELSE 0
              END
    RETURNING tokens
    """
)
_PEEK = text(
    "SELECT least(:burst, tokens + extract(epoch FROM clock_timestamp() - at) * :rate) FROM rate_limit WHERE key = :key"
)


def wait_seconds(registry: Any, key: str, *, burst: float, per_seconds: float) -> int:
    """How long `key` has to wait before it may go on; 0 if it may now. Takes nothing."""
    rate = burst / per_seconds
    with side_transaction(registry) as session:
        left = session.execute(_PEEK, {"key": key, "burst": burst, "rate": rate}).scalar_one_or_none()
    return 0 if left is None or left >= 1 else math.ceil((1 - float(left)) / rate)


def take(registry: Any, key: str, *, burst: float, per_seconds: float) -> int:
    """Take one of `burst` tokens that refill in `per_seconds`; 0 if there was one, else the seconds to wait.

    It has a transaction of its own, so that a refused request is counted too.
    """
    waiting = wait_seconds(registry, key, burst=burst, per_seconds=per_seconds)
    if waiting:
        return waiting
    with side_transaction(registry) as session:
        session.execute(_TAKE, {"key": key, "burst": burst, "rate": burst / per_seconds, "cost": 1})
    return 0
