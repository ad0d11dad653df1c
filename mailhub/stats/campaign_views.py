"""A campaign's report: its page, the parts that refresh themselves, the click map's frame, CSV."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from mailhub.reporting import campaign_pages, queries
from mailhub.reporting.queries import CampaignTotals
from mailhub.stats import campaign_csv, campaign_map, campaign_report
from mailhub.stats.campaign_page import Address, report_values, version_of
from mailhub.stats.resources import CampaignStatsContext
from mailhub.web import htmx, sheets
from mailhub.web.i18n import translate


@view_config(route_name="stats.campaign", permission="stats:view", request_method="GET",
             renderer="stats/campaign.html")  # fmt: skip
def page(context: CampaignStatsContext, request: Request) -> dict[str, Any] | Response:
    """The whole report; a campaign that was not started has none."""
    values = _report(context, request)
    if values is None:
        return htmx.redirect(request, _at(request, context, "campaigns.show"))
    return values


@view_config(route_name="stats.campaign", permission="stats:view", request_method="GET",
             hx_target="campaign-report", renderer="stats/_campaign_report.html")  # fmt: skip
def report(context: CampaignStatsContext, request: Request) -> dict[str, Any] | Response:
    """The part that polls: one statement while nothing has happened."""
    totals = queries.campaign_totals(request.dbsession, context.project.id, context.campaign.id)
    version = version_of(request, totals, live=totals.is_live(context.campaign.started_at))
    if htmx.unchanged(request, version):
        return htmx.not_modified(version)
    values = _report(context, request, totals)
    return values if values is not None else htmx.redirect(request, _at(request, context, "campaigns.show"))


@view_config(route_name="stats.campaign", permission="stats:view", request_method="GET",
             hx_target="campaign-results", renderer="stats/_campaign_results.html")  # fmt: skip
def results(context: CampaignStatsContext, request: Request) -> dict[str, Any] | Response:
    """The tiles on the campaign's own page, which poll too."""
    campaign = context.campaign
    if campaign.started_at is None:
        return htmx.redirect(request, _at(request, context, "campaigns.show"))
    totals = queries.campaign_totals(request.dbsession, context.project.id, campaign.id)
    live = totals.is_live(campaign.started_at)
    version = version_of(request, totals, live=live)
    if htmx.unchanged(request, version):
        return htmx.not_modified(version)
    usual = campaign_pages.campaign_usual(request.dbsession, context.project.id, campaign.id, campaign.started_at)
    return {
        "campaign": campaign, "totals": totals, "usual": usual, "rates": campaign_pages.rates_of(totals, usual),
    }  # fmt: skip


@view_config(route_name="stats.campaign_map", permission="stats:view", request_method="GET")
def click_map(context: CampaignStatsContext, request: Request) -> Response:
    """The letter with its links' shares, for a sandboxed frame."""
    return campaign_map.frame(request, context.campaign)


@view_config(route_name="stats.campaign_csv", permission="stats:view", request_method="GET")
def csv(context: CampaignStatsContext, request: Request) -> Response:
    """One of the report's tables, or `report.csv` with all its numbers. Servers' words only for who may see people."""
    table = request.matchdict["table"]
    found = campaign_report.read(request.dbsession, context.project, context.campaign)
    if found is None or table not in (campaign_csv.WHOLE, *campaign_csv.TABLES):
        raise HTTPNotFound()
    if not request.has_permission("subscribers:view"):
        found = found.without_words()
    rows = campaign_csv.rows_of(found, table, lambda text: translate(request, text))
    return sheets.answer(f"campaign-{context.campaign.id}-{table}.csv", rows)


def _report(
    context: CampaignStatsContext, request: Request, totals: CampaignTotals | None = None
) -> dict[str, Any] | None:
    found = campaign_report.read(request.dbsession, context.project, context.campaign, totals=totals)
    if found is None:
        return None
    shown = report_values(
        request, found, poll_url=_at(request, context, "stats.campaign"),
        map_url=_at(request, context, "stats.campaign_map"), who=_who(request, context),
        csv=lambda table: _at(request, context, "stats.campaign_csv", table=table),
        named=bool(request.has_permission("subscribers:view")),
    )  # fmt: skip
    return {"campaign": context.campaign, **shown}


def _who(request: Request, context: CampaignStatsContext) -> Address:
    def who(**query: Any) -> str:
        return _at(request, context, "campaigns.people", _query=query)

    return who


def _at(request: Request, context: CampaignStatsContext, route: str, **parts: Any) -> str:
    path: str = request.route_path(route, project=context.project.slug, campaign_id=context.campaign.id, **parts)
    return path
