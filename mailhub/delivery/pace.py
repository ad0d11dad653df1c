"""The relay's `messages_per_second`, shared evenly by the processes that live: each keeps to its part.

An even share is less than exact while some processes have nothing to send, never more than the limit.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from mailhub.delivery.database import Connection, Database
from mailhub.settings import Relay

#: How long the number of living processes is believed.
KNOWN_SECONDS = 5.0

_SENDERS = """
    SELECT count(*) FROM worker_heartbeat
    WHERE role = 'pool' AND last_seen_at > clock_timestamp() - interval '15 s'
      AND string_to_array(queue, ',') && ARRAY['bulk', 'transactional']
"""


class Pace:
    """When this thread may send its next letter through a relay."""

    def __init__(self, relays: Mapping[str, Relay], database: Database) -> None:
        self._relays = relays
        self._database = database
        self._next_at: dict[str, float] = {}
        self._senders = 1
        self._counted_at = float("-inf")

    def left_seconds(self, name: str) -> float:
        """How long to wait; 0 takes the turn."""
        limit = self._relays[name].messages_per_second
        if not limit:
            return 0.0
        now = time.monotonic()
        left = self._next_at.get(name, 0.0) - now
        if left <= 0:
            self._next_at[name] = max(self._next_at.get(name, 0.0), now - 0.1) + self._sender_count(now) / limit
            return 0.0
        return left

    def _sender_count(self, now: float) -> int:
        if now - self._counted_at > KNOWN_SECONDS:
            self._senders = max(1, self._database.statement(_senders))
            self._counted_at = now
        return self._senders


def _senders(connection: Connection) -> int:
    row = connection.execute(_SENDERS).fetchone()
    return int(row[0]) if row is not None else 1
