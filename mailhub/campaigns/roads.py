"""What a campaign's page says about its way out: lanes, the narrowest limit, a relay that is down."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256

from sqlalchemy.orm import Session

from mailhub.delivery import service as delivery
from mailhub.models import Campaign, CampaignState, CampaignVersion, Project
from mailhub.settings import Settings

_ON_ITS_WAY = (CampaignState.SENDING, CampaignState.PAUSED)


@dataclass(frozen=True)
class Roads:
    """`down`: nothing goes out at all."""

    lanes: list[delivery.LaneProgress]
    limit: delivery.Limit | None = None
    down: delivery.Down | None = None

    @property
    def version(self) -> str:
        """Changes with everything that is shown."""
        return sha256(repr((self.lanes, self.limit, self.down)).encode()).hexdigest()[:12]


NONE = Roads([])


def roads_of(dbsession: Session, settings: Settings, project: Project, campaign: Campaign) -> Roads:
    """At most six statements, none of which looks at letters; nothing once the campaign has come to its end."""
    if campaign.state not in _ON_ITS_WAY or campaign.fanned_out_at is None:
        return NONE
    version = dbsession.get(CampaignVersion, (campaign.project_id, campaign.id, campaign.version))
    relays = delivery.relays_for(settings, project, version.from_email if version is not None else "")
    lanes = [_rounded(lane, campaign) for lane in delivery.lanes_of(dbsession, campaign, relays)]
    down = delivery.down_of(dbsession, relays) if campaign.state == CampaignState.SENDING else None
    return Roads(lanes, delivery.limit_of(dbsession, campaign, relays), down)


def _rounded(lane: delivery.LaneProgress, campaign: Campaign) -> delivery.LaneProgress:
    """With a rate as it is shown, so that a page that shows the same is not sent again."""
    if campaign.state != CampaignState.SENDING or not lane.rate:
        return replace(lane, rate=None)
    return replace(lane, rate=float(f"{lane.rate:.2g}"))
