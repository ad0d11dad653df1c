"""The page of the operator's stop list."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import Field
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from mailhub.admin import deeds, objects, reading, stop_list
from mailhub.security.context import number_of
from mailhub.web import forms, htmx
from mailhub.web.forms import Form
from mailhub.web.i18n import _
from mailhub.web.paging import PAGE_SIZE, first_url

EXPIRIES = (0, 30, 90, 365)


class EntryForm(Form):
    """An address, or a domain written `@example.org`; for how many days, 0 for good."""

    what: Annotated[str, Field(min_length=1, max_length=254)]
    note: Annotated[str, Field(max_length=500)] = ""
    days: Annotated[int, Field(ge=0, le=36_500)] = 0


@view_config(route_name="admin.stop_list", request_method="GET", permission="admin", renderer="admin/stop_list.html")
@view_config(route_name="admin.stop_list", request_method="GET", permission="admin",
             renderer="admin/_stop_list_rows.html", hx_target="stop-rows")  # fmt: skip
def index(request: Request) -> dict[str, Any]:
    return _page(request, {}, {})


@view_config(route_name="admin.stop_list", request_method="POST", permission="admin", renderer="admin/stop_list.html")
def add(request: Request) -> Response | dict[str, Any]:
    form = forms.read(request, EntryForm)
    if form.value is not None:
        given = form.value
        until = datetime.now(UTC) + timedelta(days=given.days) if given.days else None
        try:
            stop_list.add(request, given.what, given.note, until)
        except deeds.Refused as refusal:
            form.refuse("what", refusal.message)
        else:
            request.notice(_("No project writes there any more."))
            return htmx.redirect(request, request.route_path("admin.stop_list"))
    request.response.status_int = 422
    return _page(request, form.values, form.errors)


@view_config(route_name="admin.stop_list_remove", request_method="POST", permission="admin")
def remove(request: Request) -> Response:
    stop_list.remove(request, number_of(request, "stop_id"))
    request.notice(_("The entry was taken off the stop list."))
    return htmx.redirect(request, request.route_path("admin.stop_list"))


@view_config(route_name="admin.stop_list_note", request_method="POST", permission="admin")
def change(request: Request) -> Response:
    note = str(request.POST.get("note", "")).replace("\0", "").strip()[:500]
    stop_list.change(request, number_of(request, "stop_id"), note)
    request.notice(_("Saved."))
    return htmx.redirect(request, request.route_path("admin.stop_list"))


def _page(request: Request, values: dict[str, Any], errors: dict[str, Any]) -> dict[str, Any]:
    text = request.GET.get("q", "").strip()[:254]
    after = request.GET.get("after", "")
    place = int(after) if after.isascii() and after.isdigit() and len(after) <= 18 else None
    report = reading.read(request, lambda session: stop_list.listed(session, text=text, after=place, limit=PAGE_SIZE))
    rows, following = report.found.rows[:PAGE_SIZE], None
    if len(report.found.rows) > PAGE_SIZE:
        query = {name: value for name, value in request.GET.items() if name != "after"} | {"after": str(rows[-1].id)}
        following = request.current_route_path(_query=query)
    return {
        "report": report,
        "rows": rows,
        "count": report.found.count,
        "is_counted": report.found.count < objects.MOST_COUNTED,
        "text": text,
        "next": following,
        "first": first_url(request),
        "values": values,
        "errors": errors,
        "expiries": EXPIRIES,
        "now": datetime.now(UTC),
    }
