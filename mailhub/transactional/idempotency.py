"""`Idempotency-Key`: a request that is repeated gets the answer of the first, and the letter is sent once."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from mailhub.models import IdempotencyKey

#: For so long a key is remembered.
KEPT = timedelta(hours=24)


class KeyInUse(Exception):
    """The first request with this key is still being answered."""


class KeyUsedForAnother(Exception):
    """The key came with another body before."""


def recall(dbsession: Session, project_id: int, key: str, body: bytes) -> dict[str, Any] | None:
    """The answer that this request got before; None where it is new. Raises KeyInUse, KeyUsedForAnother.

    The key is ours until the transaction ends; `remember` the answer in it.
    """
    named = f"idempotency:{project_id}:{key}"
    if not dbsession.scalar(select(func.pg_try_advisory_xact_lock(func.hashtextextended(named, 0)))):
        raise KeyInUse
    found = dbsession.get(IdempotencyKey, (project_id, key))
    if found is not None and found.created_at < datetime.now(UTC) - KEPT:
        dbsession.delete(found)
        dbsession.flush()
        found = None
    if found is None:
        return None
    if found.request_hash != _digest(body):
        raise KeyUsedForAnother
    return found.response


def remember(dbsession: Session, project_id: int, key: str, body: bytes, answer: dict[str, Any]) -> None:
    """Keep the answer for the next request with this key."""
    dbsession.add(IdempotencyKey(project_id=project_id, key=key, request_hash=_digest(body), response=answer))
    dbsession.flush()


def forget_old(dbsession: Session) -> None:
    """Drop keys that nobody will repeat."""
    dbsession.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < datetime.now(UTC) - KEPT))


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
