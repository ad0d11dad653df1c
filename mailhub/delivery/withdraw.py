"""A letter taken back before it is sent, single or waiting for another attempt; what a letter said, erased."""

from __future__ import annotations

from sqlalchemy import delete, func, or_, update
from sqlalchemy.orm import Session

from mailhub.models import CampaignCount, Message, MessageContent, MessageKind, MessageState, SkipReason


def withdraw(dbsession: Session, message: Message) -> bool:
    """Send the letter no more: it becomes `skipped` with the reason `cancelled`, and a campaign's ledger follows.

    False where it is on the wire just now, settled, or a campaign's that somebody asked to send again. A worker that
    holds it finds it gone when it declares it, and sends nothing.
    """
    taken = dbsession.execute(
        update(Message)
        .where(
            Message.project_id == message.project_id,
            Message.created_at == message.created_at,
            Message.id == message.id,
            Message.in_flight.is_(False),
            Message.state.in_((MessageState.QUEUED, MessageState.DEFERRED)),
            or_(Message.kind != MessageKind.CAMPAIGN, Message.state == MessageState.DEFERRED),
        )
        .values(
            state=MessageState.SKIPPED,
            reason=SkipReason.CANCELLED,
            due_at=None,
            settled_at=func.clock_timestamp(),
            lease_owner=None,
            lease_until=None,
        )
        .returning(Message.kind)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if taken is None:
        return False
    if taken.kind == MessageKind.CAMPAIGN:
        dbsession.execute(
            update(CampaignCount)
            .where(CampaignCount.project_id == message.project_id, CampaignCount.campaign_id == message.campaign_id)
            .values(
                deferred=CampaignCount.deferred - 1,
                skipped=CampaignCount.skipped + 1,
                updated_at=func.clock_timestamp(),
            )
            .execution_options(synchronize_session=False)
        )
    return True


def erase_content(dbsession: Session, message: Message) -> bool:
    """Forget what a single letter said; its row and its events stay. False where nothing of it is kept."""
    erased = dbsession.execute(
        delete(MessageContent)
        .where(
            MessageContent.project_id == message.project_id,
            MessageContent.created_at == message.created_at,
            MessageContent.message_id == message.id,
        )
        .returning(MessageContent.message_id)
        .execution_options(synchronize_session=False)
    )
    return erased.one_or_none() is not None
