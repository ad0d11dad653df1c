"""From an id in the URL to a campaign, or 404."""

from __future__ import annotations

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from sqlalchemy import select

from mailhub.models import Campaign, StatsShare
from mailhub.security.context import ProjectContext, number_of


class CampaignStatsContext(ProjectContext):
    """A campaign of the project, for its numbers."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        campaign_id = number_of(request, "campaign_id")
        found = request.dbsession.scalars(
            select(Campaign).where(Campaign.project_id == self.project.id, Campaign.id == campaign_id)
        ).one_or_none()
        if found is None:
            raise HTTPNotFound()
        self.campaign: Campaign = found


class ShareContext(CampaignStatsContext):
    """A shared link of the campaign's report, whether it still works or not."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        found = request.dbsession.get(StatsShare, (self.project.id, number_of(request, "share_id")))
        if found is None or found.campaign_id != self.campaign.id:
            raise HTTPNotFound()
        self.share: StatsShare = found
