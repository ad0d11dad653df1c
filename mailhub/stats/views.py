"""The project's home page: rollups only, a few statements by key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from mailhub.models import CampaignState
from mailhub.reporting import queries
from mailhub.reporting.queries import RecentCampaign
from mailhub.security.context import ProjectContext
from mailhub.stats import periods
from mailhub.web import htmx

MOVING = (CampaignState.SENDING, CampaignState.PAUSED)


@view_config(route_name="stats.overview", permission="project:view", request_method="GET",
             renderer="stats/overview.html")  # fmt: skip
def overview(context: ProjectContext, request: Request) -> dict[str, Any]:
    """What is done, what is moving, how the last days went."""
    return {
        **_period(context, request),
        **_sending(queries.recent_campaigns(request.dbsession, context.project.id), request),
        "setup": queries.setup_steps(request.dbsession, context.project.id),
    }


@view_config(route_name="stats.overview", permission="project:view", request_method="GET",
             hx_target="overview-numbers", renderer="stats/_overview_numbers.html")  # fmt: skip
def numbers(context: ProjectContext, request: Request) -> dict[str, Any]:
    """The part that changes with the period."""
    return _period(context, request)


@view_config(route_name="stats.overview", permission="project:view", request_method="GET",
             hx_target="overview-campaigns", renderer="stats/_overview_campaigns.html")  # fmt: skip
def campaigns(context: ProjectContext, request: Request) -> dict[str, Any] | Response:
    """The part that polls while something is being sent."""
    values = _sending(queries.recent_campaigns(request.dbsession, context.project.id), request)
    if htmx.unchanged(request, values["version"]):
        return htmx.not_modified(values["version"])
    return values


def _period(context: ProjectContext, request: Request) -> dict[str, Any]:
    days = periods.days_of(request.GET.get("days"))
    zone = context.project.time_zone
    return {
        "period": periods.period_of(
            request.dbsession, context.project.id, zone, days, now=datetime.now(UTC)
        ),
        "periods": periods.PERIODS,
        "change": periods.change,
        "zone": zone,
    }


def _sending(recent: list[RecentCampaign], request: Request) -> dict[str, Any]:
    moving = [one for one in recent if one.state in MOVING]
    version = "-".join(
        f"{one.campaign_id}.{one.state}.{one.audience}.{one.settled}.{one.unique_opened}.{one.unique_redirected}"
        for one in recent
    )
    return {
        "moving": moving,
        "recent": [one for one in recent if one.state not in MOVING],
        "live": any(one.state == CampaignState.SENDING for one in moving),
        "version": f"{version}-{request.locale_name}",
    }
