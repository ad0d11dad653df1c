"""What the stop list's pages and API read: entries, their numbers by reason, one address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session, aliased

from mailhub.models import Campaign, MessageEvent, Subscriber, Suppression, SuppressionCount, SuppressionReason, User

REASONS = tuple(reason.value for reason in SuppressionReason)


@dataclass(frozen=True)
class Row:
    """An entry with what stands beside it; `event_type` is None where the event is kept no more."""

    entry: Suppression
    campaign_name: str | None
    added_by: str | None
    subscriber_id: int | None
    event_type: str | None

    @property
    def email(self) -> str:
        """Empty for somebody who was erased."""
        return self.entry.email_key or ""


def entries(
    dbsession: Session,
    project_id: int,
    *,
    prefix: str = "",
    reason: str = "",
    before: int | None = None,
    after: str | None = None,
    limit: int,
) -> list[Row]:
    """A page of the list, the newest first; with `prefix` by address, and then `after` is the last one seen."""
    conditions: list[ColumnElement[bool]] = [Suppression.project_id == project_id]
    if reason:
        conditions.append(Suppression.reason == reason)
    statement = select(Suppression)
    if prefix:
        conditions.append(Suppression.email_key.startswith(prefix.lower(), autoescape=True))
        if after is not None:
            conditions.append(Suppression.email_key > after)
        statement = statement.where(*conditions).order_by(Suppression.email_key)
    else:
        if before is not None:
            conditions.append(Suppression.id < before)
        statement = statement.where(*conditions).order_by(Suppression.id.desc())
    found = list(dbsession.scalars(statement.limit(limit)))
    return _beside(dbsession, project_id, found)


def entry(dbsession: Session, project_id: int, suppression_id: int) -> Row | None:
    """One entry."""
    found = dbsession.get(Suppression, (project_id, suppression_id))
    return _beside(dbsession, project_id, [found])[0] if found is not None else None


def entry_of(dbsession: Session, project_id: int, email_key: str) -> Suppression | None:
    """The project's entry that names the address, in force or not."""
    wanted = select(Suppression).where(Suppression.project_id == project_id, Suppression.email_key == email_key)
    return dbsession.scalars(wanted).one_or_none()


def counts(dbsession: Session, project_id: int) -> dict[str, int]:
    """How many entries have which reason, from the counter; reasons without entries are left out."""
    rows = dbsession.execute(
        select(SuppressionCount.reason, SuppressionCount.n).where(
            SuppressionCount.project_id == project_id, SuppressionCount.n > 0
        )
    ).all()
    return {row[0]: row[1] for row in rows}


def _beside(dbsession: Session, project_id: int, found: Sequence[Suppression]) -> list[Row]:
    """What stands beside a page's entries, by one statement."""
    if not found:
        return []
    entry = aliased(Suppression)
    event = aliased(MessageEvent)
    rows = dbsession.execute(
        select(entry.id, Campaign.name, User.email, Subscriber.id, event.type)
        .outerjoin(Campaign, and_(Campaign.project_id == entry.project_id, Campaign.id == entry.campaign_id))
        .outerjoin(User, User.id == entry.created_by)
        .outerjoin(Subscriber, and_(Subscriber.project_id == entry.project_id, Subscriber.email_key == entry.email_key))
        .outerjoin(
            event,
            and_(
                # The person's events of this campaign: an index, not a walk of the partitions.
                event.project_id == entry.project_id,
                event.subscriber_id == Subscriber.id,
                event.id == entry.event_id,
                or_(entry.campaign_id.is_(None), event.campaign_id == entry.campaign_id),
            ),
        )
        .where(entry.project_id == project_id, entry.id.in_([one.id for one in found]))
    ).all()
    told = {row[0]: row for row in rows}
    return [Row(one, *told[one.id][1:]) for one in found]
