"""The table of a project's campaigns: tabs with counts, search, keyset paging."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import Session

from mailhub.models import Campaign, CampaignCount, CampaignState

RUNNING = (CampaignState.SCHEDULED, CampaignState.SENDING, CampaignState.PAUSED)
FINISHED = (CampaignState.SENT, CampaignState.CANCELLED)
#: tab → states; `all` and `archived` are every state.
TABS: dict[str, Sequence[CampaignState]] = {
    "all": (),
    "drafts": (CampaignState.DRAFT,),
    "sending": RUNNING,
    "sent": FINISHED,
    "archived": (),
}


@dataclass(frozen=True)
class Row:
    """A campaign with its ledger; `count` is None before the start."""

    campaign: Campaign
    count: CampaignCount | None


def tab_counts(dbsession: Session, project_id: int) -> dict[str, int]:
    """How many campaigns each tab has. One statement over the project's campaigns."""
    rows = dbsession.execute(
        select(Campaign.state, Campaign.archived_at.is_not(None), func.count())
        .where(Campaign.project_id == project_id)
        .group_by(Campaign.state, Campaign.archived_at.is_not(None))
    )
    counts = dict.fromkeys(TABS, 0)
    for state, archived, n in rows:
        if archived:
            counts["archived"] += n
            continue
        counts["all"] += n
        for tab, states in TABS.items():
            counts[tab] += n if state in states else 0
    return counts


def campaigns(
    dbsession: Session, project_id: int, *, tab: str = "all", query: str = "", before: int | None = None, limit: int
) -> list[Row]:
    """A page of a tab, the newest first; `query` is looked for in names and subjects."""
    statement = _with_count(project_id).order_by(Campaign.id.desc()).limit(limit)
    archived = Campaign.archived_at.is_not(None) if tab == "archived" else Campaign.archived_at.is_(None)
    statement = statement.where(archived)
    if states := TABS.get(tab):
        statement = statement.where(Campaign.state.in_(states))
    if query:
        statement = statement.where(
            or_(Campaign.name.icontains(query, autoescape=True), Campaign.subject.icontains(query, autoescape=True))
        )
    if before is not None:
        statement = statement.where(Campaign.id < before)
    return [Row(campaign, count) for campaign, count in dbsession.execute(statement)]


def campaigns_in_state(
    dbsession: Session, project_id: int, *, state: str | None, before: int | None, limit: int
) -> list[Row]:
    """A page for the JSON API: archived ones too, the newest first."""
    statement = _with_count(project_id).order_by(Campaign.id.desc()).limit(limit)
    if state is not None:
        statement = statement.where(Campaign.state == state)
    if before is not None:
        statement = statement.where(Campaign.id < before)
    return [Row(campaign, count) for campaign, count in dbsession.execute(statement)]


def count_of(dbsession: Session, campaign: Campaign) -> CampaignCount | None:
    """The ledger's numbers, read again; None before the start."""
    return dbsession.scalars(
        select(CampaignCount)
        .where(CampaignCount.project_id == campaign.project_id, CampaignCount.campaign_id == campaign.id)
        .execution_options(populate_existing=True)
    ).one_or_none()


def parts_of(count: CampaignCount | None) -> dict[str, int]:
    """The seven numbers; all zero before the start."""
    if count is not None:
        return count.parts()
    names = ("audience", "queued", "deferred", "sent", "failed", "unknown", "skipped")
    return dict.fromkeys(names, 0)


def _with_count(project_id: int) -> Select[Campaign, CampaignCount]:
    return (
        select(Campaign, CampaignCount)
        .outerjoin(
            CampaignCount,
            and_(CampaignCount.project_id == Campaign.project_id, CampaignCount.campaign_id == Campaign.id),
        )
        .where(Campaign.project_id == project_id)
    )
