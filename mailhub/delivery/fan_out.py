"""The frozen audience: everybody whom a campaign is for, in chunks, or left out with a reason."""

from __future__ import annotations

from typing import Any

import psycopg
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Integer,
    Select,
    String,
    TableValuedAlias,
    cast,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from mailhub.delivery.candidates import Audience, candidates
from mailhub.delivery.throttle import campaign_key, set_rate
from mailhub.mail.lane import LANES, lanes_of_domains
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
    Subscriber,
)

#: Ten million people take about a minute; the statement is alone in its task.
TIMEOUT = "20min"


def fan_out(
    dbsession: Session,
    campaign: Campaign,
    audience: Audience,
    version: CampaignVersion,
    *,
    route: str = "default",
    chunk_size: int = 500,
) -> int:
    """Write down who gets the campaign; gives the audience's size. A second call changes nothing.

    Everything happens in one statement on one snapshot, in the caller's transaction: message rows of those left out,
    the rest in chunks by provider, the ledger. `route` names the relays that take it. Measured: see docs/benchmarks.md.
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
    written = dbsession.execute(_written(dbsession, campaign, audience, version, route, chunk_size)).one()
    queued, skipped = int(written[0]), int(written[1])
    count = upsert(CampaignCount).values(
        project_id=campaign.project_id, campaign_id=campaign.id, audience=queued + skipped, skipped=skipped
    )
    dbsession.execute(
        count.on_conflict_do_update(
            index_elements=["project_id", "campaign_id"],
            set_={"audience": count.excluded.audience, "skipped": count.excluded.skipped},
        )
    )
    if campaign.spread_seconds and queued:
        # Before the first letter: the sweep that keeps the rates comes only every few seconds.
        connection = dbsession.connection().connection.driver_connection
        assert isinstance(connection, psycopg.Connection)
        set_rate(connection, campaign_key(campaign.project_id, campaign.id), queued / campaign.spread_seconds)
    dbsession.expire(campaign)
    return queued + skipped


def _audience_of(dbsession: Session, campaign: Campaign) -> int:
    found = select(CampaignCount.audience).where(
        CampaignCount.project_id == campaign.project_id, CampaignCount.campaign_id == campaign.id
    )
    return dbsession.scalar(found) or 0


def _written(
    dbsession: Session, campaign: Campaign, audience: Audience, version: CampaignVersion, route: str, chunk_size: int
) -> Select[Any]:
    """The statement that writes lanes, chunks and skipped rows. Its one row: people in chunks, people left out."""
    lanes = _lanes()
    candidate = (
        candidates(dbsession, campaign.project_id, audience)
        .add_columns(func.coalesce(lanes.c.lane, len(LANES) - 1).label("lane"))
        .outerjoin(lanes, lanes.c.domain == Subscriber.email_domain)
        .cte("candidate")
        .prefix_with("MATERIALIZED")
    )
    place = func.row_number().over(partition_by=candidate.c.lane, order_by=candidate.c.id) - 1
    numbered = (
        select(candidate.c.id, candidate.c.lane, (place // chunk_size).label("seq"))
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
                numbered.c.lane,
                numbered.c.seq,
                func.count(),
                cast(func.array_agg(aggregate_order_by(numbered.c.id, numbered.c.id)), ARRAY(BigInteger)),
            ).group_by(numbered.c.lane, numbered.c.seq),
        )
        .returning(CampaignChunk.lane, CampaignChunk.seq, CampaignChunk.n)
        .cte("written_chunks")
    )
    written_lanes = (
        insert(CampaignLane)
        .from_select(
            ["project_id", "campaign_id", "lane", "route", "next_seq", "last_seq", "total"],
            select(
                literal(campaign.project_id),
                literal(campaign.id),
                chunks.c.lane,
                literal(route),
                literal(0),
                func.max(chunks.c.seq),
                func.sum(chunks.c.n),
            ).group_by(chunks.c.lane),
        )
        .returning(CampaignLane.total)
        .cte("written_lanes")
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
        select(func.coalesce(func.sum(written_lanes.c.total), 0)).scalar_subquery(),
        select(func.count()).select_from(skipped).scalar_subquery(),
    )


def _lanes() -> TableValuedAlias:
    """A row (domain, lane) for every domain of a big mailbox provider."""
    lanes = lanes_of_domains()
    domains = cast(list(lanes), ARRAY(String))
    numbers = cast(list(lanes.values()), ARRAY(Integer))
    return func.unnest(domains, numbers).table_valued("domain", "lane", name="lanes").render_derived()
