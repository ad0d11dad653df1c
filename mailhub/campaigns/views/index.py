"""The table of campaigns, and the beginning of a new one."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from mailhub.campaigns import listing, service
from mailhub.campaigns.chosen import names_of
from mailhub.campaigns.forms import NewForm
from mailhub.campaigns.starters import simple_letter
from mailhub.campaigns.views.page import addresses_of
from mailhub.models import CampaignState
from mailhub.reporting import queries
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.web import forms, htmx
from mailhub.web.i18n import _
from mailhub.web.paging import PAGE_SIZE, first_url, next_url, page_of, read_cursor

_TAB_NAMES = {
    "all": _("All"),
    "drafts": _("Drafts"),
    "sending": _("On their way"),
    "sent": _("Sent"),
    "archived": _("Archive"),
}


@view_config(route_name="campaigns.index", permission="campaigns:view", request_method="GET",
             renderer="campaigns/index.html")  # fmt: skip
@view_config(route_name="campaigns.index", permission="campaigns:view", request_method="GET",
             hx_target="campaign-rows", renderer="campaigns/_campaign_rows.html")  # fmt: skip
def index(context: ProjectContext, request: Request) -> dict[str, Any] | Response:
    """A tab of the table; rows of campaigns on their way keep themselves fresh."""
    tab = request.GET.get("tab", "all")
    tab = tab if tab in listing.TABS else "all"
    query = request.GET.get("q", "").strip()[:200]
    after = read_cursor(request.GET.get("after"), int)
    rows = listing.campaigns(
        request.dbsession, context.project.id, tab=tab, query=query, before=after[0] if after else None,
        limit=PAGE_SIZE + 1,
    )  # fmt: skip
    page = page_of(rows, PAGE_SIZE, lambda row: (row.campaign.id,))
    ids = [row.campaign.id for row in page.rows]
    live = any(row.campaign.state in listing.RUNNING for row in page.rows)
    summaries = queries.campaign_summaries(request.dbsession, context.project.id, ids) if ids else {}
    version = _version(request, page.rows, summaries)
    if htmx.unchanged(request, version):
        return htmx.not_modified(version)
    counts = listing.tab_counts(request.dbsession, context.project.id)
    return {
        "tab": tab,
        "tabs": [(name, _TAB_NAMES[name], counts[name]) for name in listing.TABS],
        "total": sum(counts[name] for name in ("all", "archived")),
        "q": query,
        "rows": page.rows,
        "names": names_of(request.dbsession, context.project.id, ids) if ids else {},
        "summaries": summaries,
        "states": CampaignState,
        "live": live,
        "version": version,
        "next": next_url(request, page),
        "first": first_url(request),
        "now": datetime.now(UTC),
    }


def _version(request: Request, rows: Any, summaries: Any) -> str:
    """Changes with anything that the rows show."""
    shown = [request.path_qs, request.locale_name]
    for row in rows:
        parts = row.count.parts() if row.count is not None else ""
        shown.append(f"{row.campaign.id} {row.campaign.updated_at} {row.campaign.state} {parts}")
        shown.append(str(summaries.get(row.campaign.id, "")))
    return sha256("\n".join(shown).encode()).hexdigest()[:16]


@view_config(route_name="campaigns.new", permission="campaigns:edit", request_method="GET",
             renderer="campaigns/new.html")  # fmt: skip
def new(context: ProjectContext, request: Request) -> dict[str, Any]:
    return {"form": forms.FormResult(None, {"start_with": "simple"})}


@view_config(route_name="campaigns.new", permission="campaigns:edit", request_method="POST",
             renderer="campaigns/new.html")  # fmt: skip
def create(context: ProjectContext, request: Request) -> dict[str, Any] | Response:
    form = forms.read(request, NewForm)
    if form.value is None:
        request.response.status_int = 422
        return {"form": form}
    content: service.Content = {}
    if form.value.start_with == "simple":
        content["html"] = simple_letter(context.project.language)
    campaign = service.create(
        request.dbsession, context.project, name=form.value.name, created_by=request.user.id, content=content
    )
    note(request, "campaign.created", campaign, name=campaign.name)
    return htmx.redirect(request, addresses_of(request, campaign)("recipients"))
