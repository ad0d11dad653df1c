"""Ids of messages made in Python: UUID version 7, as the database's own `uuid7()` makes them (RFC 9562 §5.7)."""

from __future__ import annotations

import secrets
from datetime import datetime
from uuid import UUID


def new_message_id(at: datetime) -> UUID:
    """A UUID whose first 48 bits are the milliseconds of `at`: it names the partition of the message's row."""
    milliseconds = int(at.timestamp() * 1000)
    number = milliseconds << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)
    return UUID(int=number)
