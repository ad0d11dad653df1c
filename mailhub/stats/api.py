"""Numbers over the JSON API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pyramid.request import Request

from mailhub.reporting import queries
from mailhub.security.context import ProjectContext
from mailhub.stats.resources import CampaignStatsContext
from mailhub.stats.schema import (
    MAX_DAYS,
    CampaignStatsOut,
    DailyQuery,
    DayOut,
    campaign_stats_out,
    day_out,
)
from mailhub.web import forms
from mailhub.web.api import endpoint
from mailhub.web.i18n import _
from mailhub.web.problems import ApiProblem, FieldProblem

DEFAULT_DAYS = 30


@endpoint("api.campaign_stats", "GET", permission="stats:view", summary="A campaign's numbers", answer=CampaignStatsOut)
def campaign_stats(context: CampaignStatsContext, request: Request) -> CampaignStatsOut:
    report = queries.campaign_report(request.dbsession, context.project.id, context.campaign.id)
    return campaign_stats_out(report)


@endpoint("api.stats_daily", "GET", permission="stats:view", summary="The project's days, in its time zone",
          query=DailyQuery, answer=DayOut, many=True)  # fmt: skip
def daily(context: ProjectContext, request: Request) -> dict[str, Any]:
    query = forms.read_query(request, DailyQuery)
    tomorrow = datetime.now(UTC).astimezone(ZoneInfo(context.project.time_zone)).date() + timedelta(days=1)
    until = query.until or max(tomorrow, (query.since or tomorrow) + timedelta(days=1))
    since = query.since or until - timedelta(days=DEFAULT_DAYS)
    if until - since > timedelta(days=MAX_DAYS):
        message = _("Ask for at most ${n} days.", mapping={"n": MAX_DAYS})
        raise ApiProblem(422, message, [FieldProblem("since", message)])
    days = queries.project_days(request.dbsession, context.project.id, since, until)
    return {"results": [day_out(day) for day in days], "next": None}
