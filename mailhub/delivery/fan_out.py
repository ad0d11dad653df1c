"""The frozen audience: everybody whom a campaign is for, in chunks, or left out with a reason."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Case,
    Select,
    String,
    case,
    cast,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from mailhub.models import (
    Campaign,
    CampaignChunk,
    CampaignCount,
    CampaignLane,
    CampaignState,
    CampaignVersion,
    Message,
    MessageKind,
    MessageState,
    Queue,
    SkipReason,
    Subscriber,
    SubscriberStatus,
    Suppression,
    SuppressionReason,
)

#: Ten million people take about a minute; the statement is alone in its task.
TIMEOUT = "20min"
#: There is one lane so far; the schema has room for one a mailbox provider.
LANE = 0


def fan_out(
    dbsession: Session,
    campaign: Campaign,
    audience: Select[Any],
    version: CampaignVersion,
    *,
    chunk_size: int = 500,
) -> int:
    """Write down who gets the campaign; gives the audience's size. A second call changes nothing.

    `audience` gives ids of the project's subscribers. Everything happens in one statement on one snapshot, in the
    caller's transaction: message rows of those left out, chunks of the rest, the lane, the ledger. Measured: see
    docs/benchmarks.md.
    """
    dbsession.execute(text(f"SET LOCAL statement_timeout = '{TIMEOUT}'"))
    mine = dbsession.execute(
        update(Campaign)
        .where(
            Campaign.project_id == campaign.project_id,
            Campaign.id == campaign.id,
            Campaign.fanned_out_at.is_(None),
            Campaign.state.in_([CampaignState.SENDING, CampaignState.PAUSED]),
        )
        .values(fanned_out_at=func.clock_timestamp(), version=version.version)
        .returning(Campaign.id)
        .execution_options(synchronize_session=False)
    ).first()
    if mine is None:
        return _audience_of(dbsession, campaign)
    written = dbsession.execute(_written(campaign, audience, version, chunk_size)).one()
    chunks, queued, skipped = int(written[0]), int(written[1]), int(written[2])
    if chunks:
        dbsession.execute(
            insert(CampaignLane).values(
                project_id=campaign.project_id, campaign_id=campaign.id, lane=LANE, next_seq=0, last_seq=chunks - 1
            )
        )
    count = upsert(CampaignCount).values(
        project_id=campaign.project_id, campaign_id=campaign.id, audience=queued + skipped, skipped=skipped
    )
    dbsession.execute(
        count.on_conflict_do_update(
            index_elements=["project_id", "campaign_id"],
            set_={"audience": count.excluded.audience, "skipped": count.excluded.skipped},
        )
    )
    dbsession.expire(campaign)
    return queued + skipped


def _audience_of(dbsession: Session, campaign: Campaign) -> int:
    found = select(CampaignCount.audience).where(
        CampaignCount.project_id == campaign.project_id, CampaignCount.campaign_id == campaign.id
    )
    return dbsession.scalar(found) or 0


def _written(campaign: Campaign, audience: Select[Any], version: CampaignVersion, chunk_size: int = 500) -> Select[Any]:
    """The statement that writes chunks and skipped rows. Its one row: chunks, people in them, people left out."""
    wanted = audience.subquery("wanted")
    people = select(func.distinct(wanted.c[0]).label("id")).subquery("people")
    candidate = (
        select(
            Subscriber.id,
            Subscriber.email,
            Subscriber.email_domain,
            _reason().label("reason"),
        )
        .join(people, people.c.id == Subscriber.id)
        .outerjoin(
            Suppression,
            (Suppression.project_id == Subscriber.project_id)
            & (Suppression.email_key == Subscriber.email_key)
            & or_(Suppression.expires_at.is_(None), Suppression.expires_at > func.now()),
        )
        .where(Subscriber.project_id == campaign.project_id)
        .cte("candidate")
        .prefix_with("MATERIALIZED")
    )
    numbered = (
        select(candidate.c.id, ((func.row_number().over(order_by=candidate.c.id) - 1) // chunk_size).label("seq"))
        .where(candidate.c.reason == "")
        .subquery("numbered")
    )
    chunks = (
        insert(CampaignChunk)
        .from_select(
            ["project_id", "campaign_id", "lane", "seq", "n", "ids"],
            select(
                literal(campaign.project_id),
                literal(campaign.id),
                literal(LANE),
                numbered.c.seq,
                func.count(),
                cast(func.array_agg(aggregate_order_by(numbered.c.id, numbered.c.id)), ARRAY(BigInteger)),
            ).group_by(numbered.c.seq),
        )
        .returning(CampaignChunk.n)
        .cte("written_chunks")
    )
    skipped = (
        insert(Message)
        .from_select(
            [
                "project_id", "created_at", "id", "kind", "queue", "state", "reason", "project_domain", "campaign_id",
                "campaign_name", "list_id", "list_name", "subscriber_id", "email", "email_domain", "settled_at",
            ],
            select(
                literal(campaign.project_id),
                func.now(),
                func.uuid7(),
                literal(MessageKind.CAMPAIGN.value),
                literal(Queue.BULK.value),
                literal(MessageState.SKIPPED.value),
                candidate.c.reason,
                literal(version.project_domain),
                literal(campaign.id),
                literal(version.name),
                cast(literal(version.list_id), BigInteger),
                literal(version.list_name),
                candidate.c.id,
                candidate.c.email,
                candidate.c.email_domain,
                func.now(),
            ).where(candidate.c.reason != ""),
        )
        .returning(Message.state)
        .cte("written_skipped")
    )  # fmt: skip
    return select(
        select(func.count()).select_from(chunks).scalar_subquery(),
        select(func.coalesce(func.sum(chunks.c.n), 0)).scalar_subquery(),
        select(func.count()).select_from(skipped).scalar_subquery(),
    )


def _reason() -> Case[str]:
    """Why a person gets nothing; empty for whom gets the letter."""
    return case(
        (Subscriber.status == SubscriberStatus.UNSUBSCRIBED, SkipReason.UNSUBSCRIBED.value),
        (Subscriber.status != SubscriberStatus.ACTIVE, SkipReason.SUPPRESSED.value),
        (Suppression.reason == SuppressionReason.UNSUBSCRIBED, SkipReason.UNSUBSCRIBED.value),
        (Suppression.reason.is_not(None), SkipReason.SUPPRESSED.value),
        else_=cast(literal(""), String),
    )
