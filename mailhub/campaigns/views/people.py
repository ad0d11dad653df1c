"""The people behind a campaign's numbers: a page, and all of them as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config
from sqlalchemy import Row, select

from mailhub.campaigns import listing, people
from mailhub.campaigns.people import Filter
from mailhub.campaigns.resources import CampaignContext
from mailhub.campaigns.views.page import addresses_of, is_draft, may_send_again
from mailhub.campaigns.views.show import frame
from mailhub.delivery.service import is_hard
from mailhub.models import Link
from mailhub.web import htmx, sheets
from mailhub.web.i18n import _, translate
from mailhub.web.paging import PAGE_SIZE, first_url, next_url, page_of, read_cursor
from mailhub.web.sheets import Cell

_COLUMNS = (
    _("Address"), _("State"), _("Reason"), _("Code"), _("What the server said"), _("Attempts"), _("Opens by people"),
    _("Opens, machines included"), _("First open"), _("Clicks by people"), _("Clicks, machines included"),
    _("First click"), _("Unsubscribed"), _("Settled"),
)  # fmt: skip


@view_config(route_name="campaigns.people", permission="campaigns:view", request_method="GET",
             renderer="campaigns/people.html")  # fmt: skip
@view_config(route_name="campaigns.people", permission="campaigns:view", request_method="GET",
             hx_target="people-rows", renderer="campaigns/_people_rows.html")  # fmt: skip
def recipients(context: CampaignContext, request: Request) -> dict[str, Any] | Response:
    """Who got it and who did not, with the reason; addresses only for who may see people."""
    campaign = context.campaign
    at = addresses_of(request, campaign)
    if is_draft(campaign):
        return htmx.redirect(request, at("show"))
    named = bool(request.has_permission("subscribers:view"))
    wanted = _filter(request, named=named)
    after = people.safe_cursor(wanted, read_cursor(request.GET.get("after"), *people.cursor_kinds(wanted)))
    rows = people.recipients(request.dbsession, campaign, wanted, after=after, limit=PAGE_SIZE + 1)
    page = page_of(rows, PAGE_SIZE, lambda person: people.key_of(wanted, person))
    return {
        **frame(context, request),
        "wanted": wanted,
        "people": page.rows,
        "states": people.STATES,
        "reasons": people.REFUSALS if wanted.state in people.REFUSED else people.REASONS,
        "again": may_send_again(request, campaign),
        "is_hard": is_hard,
        "link": _link(context, request, wanted),
        "parts": listing.parts_of(listing.count_of(request.dbsession, campaign)),
        "named": named,
        "csv_url": _csv_url(request, context) if named and page.rows else None,
        "next": next_url(request, page),
        "first": first_url(request),
    }


@view_config(route_name="campaigns.people_csv", permission="subscribers:view", request_method="GET")
def recipients_csv(context: CampaignContext, request: Request) -> Response:
    """All people of the list that the same query shows as a page."""
    if not request.has_permission("campaigns:view") or is_draft(context.campaign):
        raise HTTPNotFound()
    wanted = _filter(request, named=True)
    zone = ZoneInfo(context.project.time_zone)

    def lines() -> Iterator[tuple[Cell, ...]]:
        yield tuple(translate(request, column) for column in _COLUMNS)
        for person in people.everybody(request.dbsession, context.campaign, wanted):
            yield _cells(person, zone)

    return sheets.answer(f"campaign-{context.campaign.id}-people.csv", lines())


def _cells(person: Row[Any], zone: ZoneInfo) -> tuple[Cell, ...]:
    opened, clicked = person.opened or 0, person.redirected or 0
    return (
        person.email, person.state, person.reason, person.smtp_code, person.smtp_reply, person.attempts,
        opened - (person.machine_opened or 0), opened, _moment(person.first_opened_at, zone),
        clicked - (person.machine_redirected or 0), clicked, _moment(person.first_redirected_at, zone),
        _moment(person.unsubscribed_at, zone), _moment(person.settled_at, zone),
    )  # fmt: skip


def _moment(moment: datetime | None, zone: ZoneInfo) -> str:
    return "" if moment is None else moment.astimezone(zone).isoformat(timespec="seconds")


def _csv_url(request: Request, context: CampaignContext) -> str:
    query = [(name, value) for name, value in request.GET.items() if name != "after" and value]
    path: str = request.route_path(
        "campaigns.people_csv", project=context.project.slug, campaign_id=context.campaign.id, _query=query or None
    )
    return path


def _link(context: CampaignContext, request: Request, wanted: Filter) -> Link | None:
    if not wanted.link:
        return None
    return request.dbsession.scalars(
        select(Link).where(
            Link.project_id == context.project.id, Link.campaign_id == context.campaign.id, Link.id == wanted.link
        )
    ).one_or_none()


def _filter(request: Request, *, named: bool) -> Filter:
    """The filters in the URL; what is none of the choices is left out. Only who may see addresses may search them."""

    def chosen(name: str, allowed: tuple[str, ...]) -> str:
        value = request.GET.get(name, "")
        return value if value in allowed else ""

    state = chosen("state", people.STATES)
    reason = chosen("reason", people.REASONS)
    if reason:
        state = "skipped"
    elif state in people.REFUSED:
        reason = chosen("reason", people.REFUSALS)
    code = _number(request, "code") if state in people.REFUSED else 0
    deed = chosen("did", people.ALL_DEEDS)
    link = _number(request, "link") if deed.startswith("clicked") else 0
    search = request.GET.get("q", "").strip()[: people.SEARCH_MOST] if named else ""
    return Filter(state, reason, deed, code if 100 <= code <= 999 else 0, link, search.replace("\0", ""))


def _number(request: Request, name: str) -> int:
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0
