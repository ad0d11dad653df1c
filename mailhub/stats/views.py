"""The project's home page: rollups only, a few statements by key."""

from __future__ import annotations

from dataclasses import astuple
from datetime import UTC, datetime
from typing import Any

from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from mailhub.models import CampaignState
from mailhub.reporting import overview as overview_rows
from mailhub.reporting import queries
from mailhub.reporting.growth import lists_growth
from mailhub.reporting.queries import COUNTS, RecentCampaign
from mailhub.security.context import ProjectContext
from mailhub.stats import listing, periods
from mailhub.web import htmx, sheets

#: From these shares on the page warns. Complaints: Gmail asks senders to stay under 0.1% and never to reach 0.3%
#: (Google's sender guidelines). Bounces: the large sending services ask questions at 2%.
COMPLAINTS_WARN = 0.001
BOUNCES_WARN = 0.02
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


@view_config(route_name="stats.overview_csv", permission="stats:view", request_method="GET")
def overview_csv(context: ProjectContext, request: Request) -> Response:
    """The days of the period as a file."""
    days = periods.days_of(request.GET.get("days"))
    period = periods.period_of(request.dbsession, context.project, days, now=datetime.now(UTC))
    name = f"{context.project.slug}-{period.since}-{period.last}.csv"
    rows = ((day.date.isoformat(), *astuple(day.counts)) for day in period.series)
    return sheets.answer(name, (("day", *COUNTS), *rows))


def _period(context: ProjectContext, request: Request) -> dict[str, Any]:
    project, dbsession = context.project, request.dbsession
    period = periods.period_of(dbsession, project, periods.days_of(request.GET.get("days")), now=datetime.now(UTC))
    started = overview_rows.campaigns(dbsession, project.id, *period.moments, most=listing.MOST)
    return {
        "period": period,
        "periods": periods.PERIODS,
        "change": periods.change,
        "zone": period.zone,
        "providers": overview_rows.providers(dbsession, project.id, period.since, period.until),
        "best": listing.best(started),
        "lists": lists_growth(dbsession, project.id, period.since, period.until),
        "bounces_warn": BOUNCES_WARN,
        "complaints_warn": COMPLAINTS_WARN,
    }


def _sending(recent: list[RecentCampaign], request: Request) -> dict[str, Any]:
    moving = [one for one in recent if one.state in MOVING]
    version = "-".join(
        f"{one.campaign_id}.{one.state}.{one.audience}.{one.settled}.{one.unique_opened}.{one.unique_redirected}"
        f".{one.unique_machine_opened}.{one.unique_machine_redirected}.{one.unsubscribed}"
        for one in recent
    )
    return {
        "moving": moving,
        "recent": [one for one in recent if one.state not in MOVING],
        "live": any(one.state == CampaignState.SENDING for one in moving),
        "version": f"{version}-{request.locale_name}",
    }
