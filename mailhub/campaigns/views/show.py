"""The started campaign: how far it is, its results, what went wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from mailhub.campaigns import audience, roads, troubles
from mailhub.campaigns.chosen import names_of
from mailhub.campaigns.progress import Progress, progress_of
from mailhub.campaigns.resources import CampaignContext
from mailhub.campaigns.views.page import addresses_of, is_draft, may_send_again
from mailhub.models import Campaign, CampaignState, CampaignVersion, Sender
from mailhub.reporting import campaign_pages, queries
from mailhub.web import htmx
from mailhub.web.i18n import _

#: What is announced when the state changes; numbers are not.
_SAID = {
    CampaignState.SCHEDULED: _("The campaign is scheduled."),
    CampaignState.SENDING: _("The campaign is being sent."),
    CampaignState.PAUSED: _("The campaign is paused."),
    CampaignState.SENT: _("The campaign was sent."),
    CampaignState.CANCELLED: _("The campaign was cancelled."),
}


@view_config(route_name="campaigns.show", permission="campaigns:view", request_method="GET",
             renderer="campaigns/show.html")  # fmt: skip
def show(context: CampaignContext, request: Request) -> dict[str, Any] | Response:
    campaign = context.campaign
    at = addresses_of(request, campaign)
    if is_draft(campaign):
        return htmx.redirect(request, at("content" if request.has_permission("campaigns:edit") else "preview"))
    progress = progress_of(request.dbsession, campaign, now=datetime.now(UTC))
    return {
        **frame(context, request),
        **_progress(context, request, progress),
        **_troubles(context, request, progress),
        **_results(context, request),
        "segments": _segments(context, request),
    }


def _segments(context: CampaignContext, request: Request) -> list[tuple[str, str, bool]]:
    """The segments in words, as they were frozen with the campaign."""
    campaign = context.campaign
    if campaign.version is None:
        return []
    version = request.dbsession.get(CampaignVersion, (context.project.id, campaign.id, campaign.version))
    if version is None:
        return []
    return audience.sentences(request.dbsession, context.project.id, version.audience, request.localizer)


@view_config(route_name="campaigns.show", permission="campaigns:view", request_method="GET",
             hx_target="campaign-progress", renderer="campaigns/_campaign_progress.html")  # fmt: skip
def progress(context: CampaignContext, request: Request) -> dict[str, Any] | Response:
    """The part that polls; 304 while nothing has moved."""
    if is_draft(context.campaign):
        return htmx.redirect(request, addresses_of(request, context.campaign)("content"))
    current = progress_of(request.dbsession, context.campaign, now=datetime.now(UTC))
    shown = _progress(context, request, current)
    if htmx.unchanged(request, shown["version"]):
        return htmx.not_modified(shown["version"])
    return shown


@view_config(route_name="campaigns.show", permission="campaigns:view", request_method="GET",
             hx_target="campaign-troubles", renderer="campaigns/_campaign_troubles.html")  # fmt: skip
def troubles_part(context: CampaignContext, request: Request) -> dict[str, Any] | Response:
    """Polls the ledger; the letters themselves are looked at only when a number of it has changed."""
    if is_draft(context.campaign):
        return htmx.redirect(request, addresses_of(request, context.campaign)("content"))
    current = progress_of(request.dbsession, context.campaign, now=datetime.now(UTC))
    version = f"{troubles.version_of(current)}-{request.locale_name}"
    if htmx.unchanged(request, version):
        return htmx.not_modified(version)
    return _troubles(context, request, current)


def _troubles(context: CampaignContext, request: Request, current: Progress) -> dict[str, Any]:
    return {
        "campaign": context.campaign,
        "at": addresses_of(request, context.campaign),
        "progress": current,
        "troubles": troubles.troubles_of(request.dbsession, context.campaign, current),
        "troubles_version": f"{troubles.version_of(current)}-{request.locale_name}",
        "named": bool(request.has_permission("subscribers:view")),
        "again": may_send_again(request, context.campaign),
    }


def _results(context: CampaignContext, request: Request) -> dict[str, Any]:
    """The tiles; the report (the room `stats`) has everything else, and refreshes them."""
    campaign = context.campaign
    if campaign.started_at is None:
        return {"totals": None}
    totals = queries.campaign_totals(request.dbsession, context.project.id, campaign.id)
    usual = campaign_pages.campaign_usual(request.dbsession, context.project.id, campaign.id, campaign.started_at)
    return {"totals": totals, "usual": usual, "rates": campaign_pages.rates_of(totals, usual)}


def _progress(context: CampaignContext, request: Request, current: Progress) -> dict[str, Any]:
    ways = roads.roads_of(request.dbsession, request.registry.mailhub, context.project, context.campaign)
    return {
        "campaign": context.campaign,
        "at": addresses_of(request, context.campaign),
        "progress": current,
        "roads": ways,
        "named": bool(request.has_permission("subscribers:view")),
        "version": f"{current.version}-{ways.version}-{request.locale_name}",
        "said": _SAID[CampaignState(context.campaign.state)],
        "zone": context.project.time_zone,
    }


def frame(context: CampaignContext, request: Request) -> dict[str, Any]:
    """The head and the tabs that the pages of a started campaign share."""
    campaign = context.campaign
    version = None
    if campaign.version is not None:
        version = request.dbsession.get(CampaignVersion, (context.project.id, campaign.id, campaign.version))
    names = names_of(request.dbsession, context.project.id, [campaign.id])[campaign.id]
    return {
        "campaign": campaign,
        "at": addresses_of(request, campaign),
        "frozen": version,
        "names": names,
        "sent_from": _sent_from(request, campaign, version),
    }


def _sent_from(request: Request, campaign: Campaign, version: CampaignVersion | None) -> tuple[str, str]:
    """Name and address of the sender: as frozen, or as they would be now."""
    if version is not None:
        return version.from_name, version.from_email
    sender = None
    if campaign.sender_id is not None:
        sender = request.dbsession.get(Sender, (campaign.project_id, campaign.sender_id))
    return (campaign.from_name or sender.name, sender.email) if sender is not None else ("", "")
