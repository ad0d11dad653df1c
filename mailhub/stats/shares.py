"""The page on which links to a campaign's report are made and revoked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from mailhub.security.audit import note
from mailhub.stats import share_links
from mailhub.stats.resources import CampaignStatsContext, ShareContext
from mailhub.web import forms, htmx
from mailhub.web.i18n import _

DEFAULTS = {"name": "", "length": "30"}


class ShareForm(forms.Form):
    """For whom the link is, and how long it works (share_links.LENGTHS)."""

    name: str = Field("", max_length=100)
    length: Literal["7", "30", "90", "never"]


@view_config(route_name="stats.shares", permission="stats:view", request_method="GET", renderer="stats/shares.html")
@view_config(route_name="stats.shares", permission="stats:view", request_method="GET", hx_target="share-links",
             renderer="stats/_share_links.html")  # fmt: skip
def shares(context: CampaignStatsContext, request: Request) -> dict[str, Any] | Response:
    """The links of the campaign; the fragment is what its report shows of them."""
    if context.campaign.started_at is None:
        return _to_campaign(context, request)
    return _page(context, request, DEFAULTS, {})


@view_config(route_name="stats.shares", permission="campaigns:edit", request_method="POST",
             renderer="stats/shares.html")  # fmt: skip
def create(context: CampaignStatsContext, request: Request) -> dict[str, Any] | Response:
    """Answers the page itself, no redirect: the link is in this answer and nowhere else."""
    if context.campaign.started_at is None:
        return _to_campaign(context, request)
    form = forms.read(request, ShareForm)
    issued = None
    if form.value is not None:
        try:
            issued = share_links.create(
                request.dbsession, context.campaign, name=form.value.name, length=form.value.length,
                created_by=request.user.id, now=datetime.now(UTC),
            )  # fmt: skip
        except share_links.TooManyShares:
            form.refuse("", _("The report is shared by ${n} links already. Revoke one first.",
                              mapping={"n": share_links.MOST}))  # fmt: skip
    if issued is None:
        request.response.status_int = 422
        return _page(context, request, form.values, form.errors)
    note(
        request, "share.created", issued.row, name=context.campaign.name, campaign=context.campaign.id,
        shared_with=issued.row.name, until=issued.row.expires_at.isoformat() if issued.row.expires_at else "",
    )  # fmt: skip
    request.response.status_int = 201
    url = request.registry.mailhub.public_url + request.route_path("stats.shared", token=issued.token)
    return {**_page(context, request, DEFAULTS, {}), "url": url}


@view_config(route_name="stats.share_revoke", permission="campaigns:edit", request_method="POST")
def revoke(context: ShareContext, request: Request) -> Response:
    if share_links.revoke(context.share, now=datetime.now(UTC)):
        note(request, "share.revoked", context.share, name=context.campaign.name, campaign=context.campaign.id)
    request.notice(_("The link does not work any more."))
    return htmx.redirect(request, _path(context, request, "stats.shares"))


def _page(
    context: CampaignStatsContext, request: Request, values: dict[str, Any], errors: dict[str, Any]
) -> dict[str, Any]:
    return {
        "campaign": context.campaign,
        "links": share_links.of_campaign(request.dbsession, context.campaign),
        "now": datetime.now(UTC),
        "values": values,
        "errors": errors,
        "url": None,
    }


def _to_campaign(context: CampaignStatsContext, request: Request) -> Response:
    """Before the start there is nothing to share."""
    return htmx.redirect(request, _path(context, request, "campaigns.show"))


def _path(context: CampaignStatsContext, request: Request, route: str) -> str:
    path: str = request.route_path(route, project=context.project.slug, campaign_id=context.campaign.id)
    return path
