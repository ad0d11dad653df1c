"""A person's data and their erasure over the JSON API."""

from __future__ import annotations

from typing import Any

from pyramid.request import Request
from pyramid.response import Response

from mailhub.lists.resources import SubscriberContext
from mailhub.models import ErasureWay
from mailhub.privacy import bundle, service
from mailhub.privacy.resources import ErasureContext
from mailhub.privacy.schema import ErasureOut, ErasuresIn, ErasuresOut, NothingIn, PageQuery, erasure_out
from mailhub.privacy.tasks import erase_due
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.security.sealed import sealer_of
from mailhub.web import forms
from mailhub.web.api import endpoint
from mailhub.web.i18n import _
from mailhub.web.paging import next_url, page_of, read_cursor
from mailhub.web.problems import ApiProblem, FieldProblem


@endpoint("api.subscriber_data", "GET", permission="subscribers:view",
          summary="Everything that the project knows of a person")  # fmt: skip
def data(context: SubscriberContext, request: Request) -> Response:
    note(request, "person.exported", context.subscriber)
    return bundle.as_json(request, context.project, context.subscriber)


@endpoint("api.subscriber_erase", "POST", permission="subscribers:erase", body=NothingIn, answer=ErasureOut, status=202,
          summary="Erase a person for good; the numbers of campaigns stay")  # fmt: skip
def erase(context: SubscriberContext, request: Request) -> ErasureOut:
    forms.read_json(request, NothingIn)
    sealer = sealer_of(request.registry.mailhub)
    erasure, _new = service.ask(
        request.dbsession, sealer, project_id=context.project.id, person=context.subscriber, way=ErasureWay.API
    )
    service.take_out(request.dbsession, sealer, context.project.id, erasure.id)
    note(request, "person.erasure_asked", erasure)
    request.enqueue(erase_due)
    return erasure_out(erasure)


@endpoint("api.erasures", "POST", permission="subscribers:erase", body=ErasuresIn, answer=ErasuresOut, status=202,
          summary="Erase up to 500 people, by address or id")  # fmt: skip
def erase_many(context: ProjectContext, request: Request) -> ErasuresOut:
    given = forms.read_json(request, ErasuresIn)
    if not given.emails and not given.ids:
        raise ApiProblem(422, _("Some fields are wrong."), [FieldProblem("emails", _("Fill this in."))])
    asked = service.ask_many(
        request.dbsession, sealer_of(request.registry.mailhub), project_id=context.project.id, emails=given.emails,
        ids=[int(one) for one in given.ids], way=ErasureWay.API,
    )  # fmt: skip
    if asked.refused:
        # Nothing is erased where something is wrong: the transaction is taken back with the answer.
        wrong = [
            FieldProblem(f"emails.{given.emails.index(one)}", _("This is not an e-mail address."))
            for one in asked.refused
        ]
        raise ApiProblem(422, _("Some fields are wrong."), wrong)
    note(request, "person.erasures_asked", n=len(asked.erasures))
    request.enqueue(erase_due)
    return ErasuresOut(results=[erasure_out(one) for one in asked.erasures], known=asked.known)


@endpoint("api.erasures", "GET", permission="subscribers:view", summary="Erasures, the newest first", query=PageQuery,
          answer=ErasureOut, many=True)  # fmt: skip
def erasures(context: ProjectContext, request: Request) -> dict[str, Any]:
    query = forms.read_query(request, PageQuery)
    after = read_cursor(query.after, int)
    rows = service.recent(
        request.dbsession, context.project.id, most=query.limit + 1, before=after[0] if after is not None else None
    )
    page = page_of(rows, query.limit, lambda row: (row.id,))
    return {"results": [erasure_out(row) for row in page.rows], "next": next_url(request, page)}


@endpoint("api.erasure", "GET", permission="subscribers:view", summary="An erasure", answer=ErasureOut)
def erasure(context: ErasureContext, request: Request) -> ErasureOut:
    return erasure_out(context.erasure)
