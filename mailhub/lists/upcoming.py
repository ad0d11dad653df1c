"""Which campaigns will write to a person next: scheduled ones, and those being sent that have not reached them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from mailhub.models import (
    AudienceSide,
    Campaign,
    CampaignList,
    CampaignSegment,
    CampaignState,
    Message,
    Segment,
    Subscriber,
    SubscriberStatus,
    Subscription,
    SubscriptionStatus,
)
from mailhub.segments import service as segments

#: Campaigns that are looked at, the next ones first.
MOST = 20


def next_letters(dbsession: Session, person: Subscriber) -> list[Campaign]:
    """Scheduled and running campaigns whose audience the person is in now, the next one first.

    Four queries, and one for each segment that these campaigns ask for. Whether the person may be written to at all
    (status, stop list) is for the caller to say beside it.
    """
    if person.status != SubscriberStatus.ACTIVE:
        return []
    project_id = person.project_id
    open_ = list(
        dbsession.scalars(
            select(Campaign)
            .where(
                Campaign.project_id == project_id,
                Campaign.state.in_((CampaignState.SCHEDULED, CampaignState.SENDING, CampaignState.PAUSED)),
                Campaign.archived_at.is_(None),
            )
            .order_by(func.coalesce(Campaign.send_at, Campaign.started_at), Campaign.id)
            .limit(MOST)
        )
    )
    if not open_:
        return []
    ids = [campaign.id for campaign in open_]
    mine = set(
        dbsession.scalars(
            select(Subscription.list_id).where(
                Subscription.project_id == project_id,
                Subscription.subscriber_id == person.id,
                Subscription.status == SubscriptionStatus.SUBSCRIBED,
            )
        )
    )
    sides = _sides(dbsession, project_id, ids)
    wanted = {one for _campaign, _side, one, is_list in sides if not is_list}
    inside = _segments_with(dbsession, person, wanted)
    had = set(
        dbsession.scalars(
            select(Message.campaign_id).where(
                Message.project_id == project_id, Message.subscriber_id == person.id, Message.campaign_id.in_(ids)
            )
        )
    )
    found = []
    for campaign in open_:
        fits = dict.fromkeys(AudienceSide, False)
        for owner, side, one, is_list in sides:
            if owner == campaign.id and one in (mine if is_list else inside):
                # A segment reaches those only who are in some list.
                fits[AudienceSide(side)] = fits[AudienceSide(side)] or is_list or bool(mine) or side == "exclude"
        if fits[AudienceSide.INCLUDE] and not fits[AudienceSide.EXCLUDE] and campaign.id not in had:
            found.append(campaign)
    return found


def _sides(dbsession: Session, project_id: int, ids: Sequence[int]) -> list[tuple[int, str, int, bool]]:
    """(campaign, side, list or segment, whether it is a list)."""
    lists = select(CampaignList.campaign_id, CampaignList.side, CampaignList.list_id).where(
        CampaignList.project_id == project_id, CampaignList.campaign_id.in_(ids)
    )
    parts = select(CampaignSegment.campaign_id, CampaignSegment.side, CampaignSegment.segment_id).where(
        CampaignSegment.project_id == project_id, CampaignSegment.campaign_id.in_(ids)
    )
    return [(row[0], row[1], row[2], True) for row in dbsession.execute(lists)] + [
        (row[0], row[1], row[2], False) for row in dbsession.execute(parts)
    ]


def _segments_with(dbsession: Session, person: Subscriber, ids: set[int]) -> set[int]:
    """Those of these segments that the person is in now."""
    found: set[int] = set()
    now = datetime.now(UTC)
    if not ids:
        return found
    rows = dbsession.scalars(select(Segment).where(Segment.project_id == person.project_id, Segment.id.in_(ids)))
    for segment in rows.all():
        try:
            fits = segments.condition(person.project_id, segments.tree_of(dbsession, segment), now)
        except segments.SegmentRefused:
            continue
        here = and_(Subscriber.project_id == person.project_id, Subscriber.id == person.id)
        if dbsession.scalar(select(Subscriber.id).where(here, fits)) is not None:
            found.add(segment.id)
    return found
