"""The operator's stop list as JSON, for admins' programs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field
from pyramid.request import Request

from mailhub.admin import deeds, objects, reading, stop_list
from mailhub.security.context import number_of
from mailhub.web import forms
from mailhub.web.api import endpoint, utc
from mailhub.web.forms import Form
from mailhub.web.i18n import _
from mailhub.web.problems import ApiProblem, FieldProblem


class StopQuery(Form):
    """`text` is looked for in addresses and domains; `after` is the id of the last row of the page before."""

    text: Annotated[str, Field(max_length=254)] = ""
    limit: Annotated[int, Field(ge=1, le=500)] = 100
    after: Annotated[int, Field(ge=0, lt=2**62)] | None = None


class StopIn(Form):
    """`what`: an address, or a domain written `@example.org`, with all domains below it."""

    what: Annotated[str, Field(min_length=1, max_length=254)]
    note: Annotated[str, Field(max_length=500)] = ""
    expires_at: datetime | None = None


class StopOut(BaseModel):
    """An entry; `email` and `domain` are both null for somebody who was erased."""

    id: str
    email: str | None
    domain: str | None
    note: str
    added_by: str | None
    created_at: str | None
    expires_at: str | None


class StopMade(BaseModel):
    id: str


@endpoint("api.reports_suppressions", "GET", permission="admin", query=StopQuery, answer=StopOut, many=True,
          summary="The operator's stop list, the newest first")  # fmt: skip
def index(context: Any, request: Request) -> dict[str, Any]:
    asked = forms.read_query(request, StopQuery)
    report = reading.read(
        request, lambda session: stop_list.listed(session, text=asked.text, after=asked.after, limit=asked.limit)
    )
    page, following = report.found.rows[: asked.limit], None
    if len(report.found.rows) > asked.limit:
        query = {name: value for name, value in request.GET.items() if name != "after"} | {"after": str(page[-1].id)}
        following = request.registry.mailhub.reports_url + request.current_route_path(_query=query)
    return {
        "results": [_out(row) for row in page],
        "next": following,
        "count": report.found.count,
        "count_is_exact": report.found.count < objects.MOST_COUNTED,
        "as_of": utc(report.as_of),
    }


@endpoint("api.reports_suppressions", "POST", permission="admin", body=StopIn, answer=StopMade, status=201,
          summary="Stop an address or a domain for all projects")  # fmt: skip
def add(context: Any, request: Request) -> StopMade:
    given = forms.read_json(request, StopIn)
    until = given.expires_at
    if until is not None and (until.tzinfo is None or until <= datetime.now(UTC)):
        raise _wrong("expires_at", _("This must be a time in the future with its zone, like 2026-11-23T10:00:00Z."))
    try:
        return StopMade(id=str(stop_list.add(request, given.what, given.note, until)))
    except deeds.Refused as refusal:
        raise _wrong("what", refusal.message) from None


@endpoint("api.reports_suppression", "DELETE", permission="admin", status=204,
          summary="Take an entry off the operator's stop list")  # fmt: skip
def remove(context: Any, request: Request) -> None:
    stop_list.remove(request, number_of(request, "stop_id"))


def _out(row: Any) -> StopOut:
    return StopOut(
        id=str(row.id),
        email=row.email_key,
        domain=row.domain,
        note=row.note,
        added_by=row.added_by,
        created_at=utc(row.created_at),
        expires_at=utc(row.expires_at),
    )


def _wrong(field: str, message: Any) -> ApiProblem:
    return ApiProblem(422, _("Some fields are wrong."), [FieldProblem(field, message)])
