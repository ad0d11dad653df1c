"""Rules about activity: who was sent a letter, opened or clicked, themselves and no machine.

Of any campaign it is read from `subscriber_activity`; of certain campaigns from the people's reactions to them and from
the chunks of those who were sent it, both of which outlive the raw events; only "of certain campaigns, in the last N
days" reads events, by campaign and time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ARRAY, BigInteger, ColumnElement, Integer, Select, and_, column, func, not_, or_, select, true

from mailhub.models import (
    Actor,
    Campaign,
    CampaignChunk,
    CampaignLinkReaction,
    CampaignReaction,
    ChunkLease,
    EventType,
    Link,
    Message,
    MessageEvent,
    MessageState,
    Subscriber,
    SubscriberActivity,
)
from mailhub.segments.tree import Leaf

Condition = ColumnElement[bool]

#: A hit by one of these is a person's. One that is not classified yet is nobody's until it is, a minute later.
PEOPLE = [Actor.HUMAN.value, Actor.PROXY_OPEN.value, Actor.UNKNOWN.value]
_HITS = {
    "opened": [EventType.OPENED.value],
    "clicked": [EventType.REDIRECTED.value],
    "reacted": [EventType.OPENED.value, EventType.REDIRECTED.value],
    "sent": [EventType.SENT.value],
}
_NOT_SENT = [state.value for state in MessageState if state != MessageState.SENT]


def did(project_id: int, leaf: Leaf, now: datetime, *, one: bool = False) -> Condition:
    """Whether the person did what the rule says, or did not.

    `one`: somebody is asked about by id. Then rows are looked up for that person; otherwise everybody who did it is
    found at once, which is the faster way for many people and takes seconds for one.
    """
    found = _did(project_id, leaf, now, one)
    return not_(found) if leaf.op == "did_not" else found


def _did(project_id: int, leaf: Leaf, now: datetime, one: bool) -> Condition:
    since = now - timedelta(days=leaf.days) if leaf.days is not None else None
    if leaf.link is not None:
        return _clicked_link(project_id, leaf.link, since, one)
    if not leaf.campaigns and leaf.last is None:
        return _of_any(project_id, leaf.field, since)
    campaigns: Any = list(leaf.campaigns) if leaf.last is None else _last(project_id, leaf.last, now)
    if since is not None:
        return _event(project_id, leaf.field, campaigns, since, one)
    if leaf.field == "sent":
        sent = _sent(project_id, campaigns)
        if not one:
            return Subscriber.id.in_(sent)
        return sent.where(Subscriber.id == func.any(CampaignChunk.ids), _PLACE.c.id == Subscriber.id).exists()
    return _reaction(project_id, leaf.field, campaigns)


def _of_any(project_id: int, field: str, since: datetime | None) -> Condition:
    columns: dict[str, list[Any]] = {
        "sent": [SubscriberActivity.last_sent_at],
        "opened": [SubscriberActivity.last_opened_at],
        "clicked": [SubscriberActivity.last_redirected_at],
        "reacted": [SubscriberActivity.last_opened_at, SubscriberActivity.last_redirected_at],
    }
    held = or_(*(one.is_not(None) if since is None else one > since for one in columns[field]))
    return (
        select(SubscriberActivity.subscriber_id)
        .where(SubscriberActivity.project_id == project_id, SubscriberActivity.subscriber_id == Subscriber.id, held)
        .exists()
    )


def _last(project_id: int, number: int, now: datetime) -> Select[int]:
    """The campaigns that were started last before `now`: a campaign that asks is not one of them."""
    return (
        select(Campaign.id)
        .where(Campaign.project_id == project_id, Campaign.started_at < now)
        .order_by(Campaign.started_at.desc(), Campaign.id.desc())
        .limit(number)
    )


def _reaction(project_id: int, field: str, campaigns: Sequence[int] | Select[int]) -> Condition:
    row = CampaignReaction
    by_people = {"opened": row.opened > row.machine_opened, "clicked": row.redirected > row.machine_redirected}
    held = or_(*by_people.values()) if field == "reacted" else by_people[field]
    return (
        select(row.campaign_id)
        .where(row.project_id == project_id, row.subscriber_id == Subscriber.id, row.campaign_id.in_(campaigns), held)
        .exists()
    )


def _among(row: Any, held: Sequence[Condition], one: bool) -> Condition:
    """Whether the person has such a row."""
    if one:
        return select(row.subscriber_id).where(row.subscriber_id == Subscriber.id, *held).exists()
    return Subscriber.id.in_(select(row.subscriber_id).where(*held))


#: The people of a chunk, with their places in it.
_PLACE = (
    func.unnest(CampaignChunk.ids, type_=ARRAY(BigInteger))
    .table_valued(column("id", BigInteger), with_ordinality="place", name="place")
    .render_derived()
)


def _sent(project_id: int, campaigns: Sequence[int] | Select[int]) -> Select[Any]:
    """Ids of the people to whom a letter of these campaigns was sent.

    What is written of a chunk is sent, but for the letters whose rows say otherwise.
    """
    place = _PLACE
    other = (
        select(Message.id)
        .where(
            Message.project_id == project_id,
            Message.campaign_id == CampaignChunk.campaign_id,
            Message.state.in_(_NOT_SENT),
            Message.subscriber_id == place.c.id,
        )
        .exists()
    )
    written = func.coalesce(
        and_(
            place.c.place <= ChunkLease.flushed,
            not_((place.c.place - 1).cast(Integer) == func.any(ChunkLease.unwritten)),
        ),
        not_(true()),
    )
    return (
        select(place.c.id)
        .select_from(CampaignChunk)
        .join(
            ChunkLease,
            and_(
                ChunkLease.project_id == CampaignChunk.project_id,
                ChunkLease.campaign_id == CampaignChunk.campaign_id,
                ChunkLease.lane == CampaignChunk.lane,
                ChunkLease.seq == CampaignChunk.seq,
            ),
        )
        .join(place, true())
        .where(CampaignChunk.project_id == project_id, CampaignChunk.campaign_id.in_(campaigns), written, not_(other))
    )


def _event(
    project_id: int, field: str, campaigns: Sequence[int] | Select[int], since: datetime, one: bool
) -> Condition:
    """Raw events, by the index of campaigns, in the partitions since then."""
    row = MessageEvent
    held = [
        row.project_id == project_id,
        row.campaign_id.in_(campaigns),
        row.type.in_(_HITS[field]),
        row.at > since,
        row.subscriber_id.is_not(None),
    ]
    if field != "sent":
        held.append(row.actor.in_(PEOPLE))
    return _among(row, held, one)


def _clicked_link(project_id: int, link: int, since: datetime | None, one: bool) -> Condition:
    campaign = (
        select(Link.campaign_id)
        .where(Link.project_id == project_id, Link.id == link)
        .scalar_subquery()
    )  # fmt: skip
    if since is not None:
        event = MessageEvent
        held = [
            event.project_id == project_id,
            event.campaign_id == campaign,
            event.type == EventType.REDIRECTED.value,
            event.at > since,
            event.link_id == link,
            event.actor.in_(PEOPLE),
            event.subscriber_id.is_not(None),
        ]
        return _among(event, held, one)
    row = CampaignLinkReaction
    return (
        select(row.link_id)
        .where(
            row.project_id == project_id,
            row.campaign_id == campaign,
            row.link_id == link,
            row.subscriber_id == Subscriber.id,
            row.redirected > row.machine_redirected,
        )
        .exists()
    )
