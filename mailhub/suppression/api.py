"""The stop list over the JSON API (contract §4)."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request

from mailhub.mail.address import InvalidAddress, parse_address
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.suppression import queries, service
from mailhub.suppression.forms import NEEDS_CONFIRMATION
from mailhub.suppression.schema import (
    AddedOut,
    CheckOut,
    SuppressionDelete,
    SuppressionIn,
    SuppressionOut,
    SuppressionQuery,
    check_out,
    suppression_out,
)
from mailhub.suppression.views import lift
from mailhub.web import forms
from mailhub.web.api import endpoint
from mailhub.web.i18n import _
from mailhub.web.paging import next_url, page_of, read_cursor
from mailhub.web.problems import ApiProblem, FieldProblem


@endpoint("api.suppressions", "GET", permission="subscribers:view", summary="The project's stop list",
          query=SuppressionQuery, answer=SuppressionOut, many=True)  # fmt: skip
def index(context: ProjectContext, request: Request) -> dict[str, Any]:
    query = forms.read_query(request, SuppressionQuery)
    after = read_cursor(query.after, str if query.email else int)
    place: dict[str, Any] = {"after" if query.email else "before": after[0]} if after is not None else {}
    rows = queries.entries(
        request.dbsession, context.project.id, prefix=query.email, reason=query.reason or "", limit=query.limit + 1,
        **place,
    )  # fmt: skip
    page = page_of(rows, query.limit, lambda row: (row.email if query.email else row.entry.id,))
    answer: dict[str, Any] = {
        "results": [suppression_out(row) for row in page.rows],
        "next": next_url(request, page),
    }
    if not query.email:
        counts = queries.counts(request.dbsession, context.project.id)
        answer["count"] = counts.get(query.reason, 0) if query.reason else sum(counts.values())
    return answer


@endpoint("api.suppressions", "POST", permission="subscribers:edit", summary="Put addresses on the stop list",
          body=SuppressionIn, answer=AddedOut, status=201)  # fmt: skip
def add(context: ProjectContext, request: Request) -> AddedOut:
    given = forms.read_json(request, SuppressionIn)
    if (given.email is None) == (given.emails is None):
        raise _wrong("email", _("Send either email or emails."))
    keys = []
    for number, typed in enumerate(given.emails if given.emails is not None else [given.email or ""]):
        name = f"emails.{number}" if given.emails is not None else "email"
        keys.append(_key(typed, name))
    entry = service.Entry(given.reason, given.note, expires_at=given.expires_at)
    changed = service.suppress_many(request.dbsession, context.project.id, keys, entry)
    note(request, "suppression.added", reason=given.reason, addresses=len(changed))
    return AddedOut(given=len(set(keys)), changed=len(changed))


@endpoint("api.suppressions", "DELETE", permission="subscribers:edit", summary="Take an address off the stop list",
          query=SuppressionDelete, status=204)  # fmt: skip
def remove(context: ProjectContext, request: Request) -> None:
    given = forms.read_query(request, SuppressionDelete)
    entry = queries.entry_of(request.dbsession, context.project.id, _key(given.email, "email"))
    if entry is None:
        raise HTTPNotFound()
    if entry.reason in NEEDS_CONFIRMATION and not given.confirm:
        raise ApiProblem(409, _("The address bounced or its owner complained. Send confirm=true if you are sure."))
    lift(request, entry, given.note)


@endpoint("api.suppression_check", "GET", permission="subscribers:view", answer=CheckOut,
          summary="Whether an address is on the project's stop list or the operator's")  # fmt: skip
def check(context: ProjectContext, request: Request) -> CheckOut:
    key = _key(request.matchdict["address"], "address")
    return check_out(key, service.stopped(request.dbsession, context.project.id, key))


def _key(typed: str, name: str) -> str:
    try:
        return parse_address(typed).key
    except InvalidAddress as wrong:
        raise _wrong(name, wrong.message) from None


def _wrong(field: str, message: Any) -> ApiProblem:
    return ApiProblem(422, _("Some fields are wrong."), [FieldProblem(field, message)])
