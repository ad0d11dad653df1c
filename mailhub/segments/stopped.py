"""Whether a person's address is on a stop list now: the project's, or the operator's."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, or_, select

from mailhub.models import GlobalSuppression, Subscriber, Suppression


def is_stopped(project_id: int, now: datetime) -> ColumnElement[bool]:
    """A condition over `Subscriber`, which is held to the project elsewhere."""
    mine = (
        select(Suppression.id)
        .where(
            Suppression.project_id == project_id,
            Suppression.email_key == Subscriber.email_key,
            or_(Suppression.expires_at.is_(None), Suppression.expires_at > now),
        )
        .exists()
    )
    in_force = or_(GlobalSuppression.expires_at.is_(None), GlobalSuppression.expires_at > now)
    address = select(GlobalSuppression.id).where(GlobalSuppression.email_key == Subscriber.email_key, in_force).exists()
    domain = select(GlobalSuppression.id).where(GlobalSuppression.domain == Subscriber.email_domain, in_force).exists()
    return or_(mine, address, domain)
