"""Who got a campaign's letter and who did not: its message rows, by state, reason and reaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, select, tuple_
from sqlalchemy.orm import Session

from mailhub.mail.smtp_rules import REASONS as SMTP_REASONS
from mailhub.models import Campaign, CampaignReaction, Message, MessageKind, MessageState, SkipReason

STATES = tuple(state.value for state in MessageState if state is not MessageState.QUEUED)
REASONS = tuple(reason.value for reason in SkipReason)
#: Why the relay refused a letter, now or for good (mail.smtp_reply).
REFUSALS = tuple(SMTP_REASONS)
REFUSED = (MessageState.FAILED.value, MessageState.DEFERRED.value)
#: What a person may have done with the letter.
DEEDS = {"opened": CampaignReaction.opened > 0, "clicked": CampaignReaction.redirected > 0,
         "unsubscribed": CampaignReaction.unsubscribed_at.is_not(None)}  # fmt: skip


@dataclass(frozen=True)
class Person:
    """A recipient: the letter's row, and what the person did with it."""

    message: Message
    opened: int
    clicked: int
    first_opened_at: datetime | None
    first_clicked_at: datetime | None
    unsubscribed_at: datetime | None


@dataclass(frozen=True)
class Filter:
    """What is asked for; an empty text means everybody. `code`: the relay's answer, 0 for any."""

    state: str = ""
    reason: str = ""
    deed: str = ""
    code: int = 0


def recipients(
    dbsession: Session, campaign: Campaign, wanted: Filter, *, after: tuple[Any, ...] | None, limit: int
) -> list[Person]:
    """A page of recipients.

    By state, then in the order in which the letters were settled, which is the index's order; by deed, in the order of
    the people's ids. `after` are the keys of `key_of` of the last row.
    """
    if campaign.started_at is None:
        return []
    statement = _base(campaign)
    if wanted.state:
        statement = statement.where(Message.state == wanted.state)
    if wanted.reason:
        statement = statement.where(Message.reason == wanted.reason)
    if wanted.code:
        statement = statement.where(Message.smtp_code == wanted.code)
    if wanted.deed:
        statement = statement.where(DEEDS[wanted.deed])
        if after is not None:
            statement = statement.where(CampaignReaction.subscriber_id > after[0])
        statement = statement.order_by(CampaignReaction.subscriber_id)
    else:
        if after is not None:
            statement = statement.where(tuple_(Message.state, Message.id) > (after[0], UUID(after[1])))
        statement = statement.order_by(Message.state, Message.id)
    return [_person(message, reaction) for message, reaction in dbsession.execute(statement.limit(limit))]


def cursor_kinds(wanted: Filter) -> tuple[type, ...]:
    """The types of `after`."""
    return (int,) if wanted.deed else (str, str)


def key_of(wanted: Filter, person: Person) -> tuple[Any, ...]:
    """The keys of a row, for the cursor of the next page."""
    if wanted.deed:
        return (person.message.subscriber_id,)
    return (person.message.state, str(person.message.id))


def safe_cursor(wanted: Filter, keys: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
    """The keys of a cursor that somebody may have changed; None starts at the first page."""
    if keys is None or wanted.deed:
        return keys
    try:
        UUID(keys[1])
    except ValueError:
        return None
    return keys


def _base(campaign: Campaign) -> Select[Message, CampaignReaction]:
    reaction = and_(
        CampaignReaction.project_id == Message.project_id,
        CampaignReaction.campaign_id == Message.campaign_id,
        CampaignReaction.subscriber_id == Message.subscriber_id,
    )
    since = (campaign.started_at or campaign.created_at) - timedelta(days=1)
    return (
        select(Message, CampaignReaction)
        .outerjoin(CampaignReaction, reaction)
        .where(
            Message.project_id == campaign.project_id,
            Message.campaign_id == campaign.id,
            Message.kind == MessageKind.CAMPAIGN,
            # The partitions before the start need no look.
            Message.created_at >= since,
        )
    )


def _person(message: Message, reaction: CampaignReaction | None) -> Person:
    if reaction is None:
        return Person(message, 0, 0, None, None, None)
    return Person(
        message,
        reaction.opened,
        reaction.redirected,
        reaction.first_opened_at,
        reaction.first_redirected_at,
        reaction.unsubscribed_at,
    )
