"""What the rooms above ask of the post office."""

from __future__ import annotations

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from mailhub.delivery.accept import Attachment, SingleLetter, accept
from mailhub.delivery.again import Again, AgainForbidden, is_hard, resend_unknown, retry_failed
from mailhub.delivery.fan_out import fan_out
from mailhub.models import WorkerHeartbeat

__all__ = [
    "Again",
    "AgainForbidden",
    "Attachment",
    "SingleLetter",
    "accept",
    "fan_out",
    "is_hard",
    "relay_trouble",
    "resend_unknown",
    "retry_failed",
]


def relay_trouble(dbsession: Session, relay: str) -> str:
    """Why the relay takes nothing now, in its own words; empty when nobody waits for it. For a campaign's page."""
    found = select(WorkerHeartbeat.doing).where(
        WorkerHeartbeat.doing.startswith(f"relay {relay}: ", autoescape=True),
        WorkerHeartbeat.last_seen_at > text("clock_timestamp() - interval '15 s'"),
    )
    doing = dbsession.scalars(found.limit(1)).first()
    return doing.partition(": ")[2] if doing else ""
