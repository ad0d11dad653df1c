"""Rate limits on PostgreSQL's clock: a token bucket a key, the same for all processes."""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy import text

from mailhub.db import side_transaction

#: One statement, so that parallel requests cannot share a token. No row comes back where there was none to take.
_TAKE = text(
    """
    INSERT INTO rate_limit AS r (key, tokens, at)
    VALUES (:key, :burst - 1, clock_timestamp())
    ON CONFLICT (key) DO UPDATE SET
        at = clock_timestamp(),
        tokens = least(:burst, r.tokens + extract(epoch FROM clock_timestamp() - r.at) * :rate) - 1
        WHERE least(:burst, r.tokens + extract(epoch FROM clock_timestamp() - r.at) * :rate) >= 1
    RETURNING tokens
    """
)
_PEEK = text(
    "SELECT least(:burst, tokens + extract(epoch FROM clock_timestamp() - at) * :rate) FROM rate_limit WHERE key = :key"
)
_GIVE_BACK = text("UPDATE rate_limit SET tokens = least(:burst, tokens + 1) WHERE key = :key")


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
    with side_transaction(registry) as session:
        taken = session.execute(_TAKE, {"key": key, "burst": burst, "rate": burst / per_seconds}).one_or_none()
    return 0 if taken is not None else max(1, wait_seconds(registry, key, burst=burst, per_seconds=per_seconds))


def give_back(registry: Any, key: str, *, burst: float) -> None:
    """Undo a `take`: what it was taken for has turned out well."""
    with side_transaction(registry) as session:
        session.execute(_GIVE_BACK, {"key": key, "burst": burst})
