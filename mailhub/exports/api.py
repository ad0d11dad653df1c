"""Exports over the JSON API: ask, look, take the file."""

from __future__ import annotations

from typing import Any

from pyramid.request import Request
from pyramid.response import Response

from mailhub.background import service as background
from mailhub.exports import answers, service
from mailhub.exports.resources import ExportContext
from mailhub.exports.schema import ExportIn, ExportOut, PageQuery, export_out
from mailhub.exports.wanted import OF, Wanted, WantedRefused, What, checked
from mailhub.models import ProjectJob
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.web import forms
from mailhub.web.api import endpoint
from mailhub.web.i18n import _
from mailhub.web.problems import ApiProblem, FieldProblem

_WORDS = {
    "missing": _("Fill this in."),
    "unknown": _("This is not one of the choices."),
    "range": _("The days are in the wrong order."),
}


@endpoint("api.exports", "POST", permission="subscribers:view", body=ExportIn, answer=ExportOut, status=202,
          summary="Make a file of a table, list or segment")  # fmt: skip
def create(context: ProjectContext, request: Request) -> ExportOut:
    given = forms.read_json(request, ExportIn)
    try:
        wanted = _wanted(given)
        job, is_new = service.ask(request, context.project, wanted, user_id=None)
    except WantedRefused as refusal:
        problem = FieldProblem(refusal.field, _WORDS[refusal.word])
        raise ApiProblem(422, _("Some fields are wrong."), [problem]) from None
    except background.TooManyJobs:
        raise ApiProblem(429, _("Too many jobs of this project are waiting. Try again when one is done.")) from None
    if is_new:
        note(request, "export.asked", job, name=wanted.what.value, format=wanted.format.value)
    return _out(request, job)


def _wanted(given: ExportIn) -> Wanted:
    named = {name: getattr(given, name) for name in OF.values()}
    of = None
    if given.what in list(What):
        name = OF.get(What(given.what))
        of = named.get(name) if name is not None else None
    return checked(
        given.what, given.format, of=int(of) if of is not None else None, filters=given.filters,
        ids=tuple(int(one) for one in given.ids), since=given.since, until=given.until,
    )  # fmt: skip


@endpoint("api.exports", "GET", permission="subscribers:view", summary="Exports, the newest first", query=PageQuery,
          answer=ExportOut, many=True)  # fmt: skip
def exports(context: ProjectContext, request: Request) -> dict[str, Any]:
    query = forms.read_query(request, PageQuery)
    rows = service.listed(request.dbsession, context.project.id, most=query.limit)
    # They are forgotten after a week: there is no further page.
    return {"results": [_out(request, row.job) for row in rows], "next": None}


@endpoint("api.export", "GET", permission="subscribers:view", summary="An export", answer=ExportOut)
def show(context: ExportContext, request: Request) -> ExportOut:
    return _out(request, context.export)


@endpoint("api.export", "DELETE", permission="subscribers:view", status=204,
          summary="Cancel an export, or remove it with its file")  # fmt: skip
def remove(context: ExportContext, request: Request) -> None:
    job = context.export
    if service.is_open(job):
        background.cancel(request.dbsession, context.project.id, job.id)
        note(request, "export.cancelled", job, name=job.file_name)
        return
    note(request, "export.removed", job, name=job.file_name)
    service.remove(request, job)


@endpoint("api.export_file", "GET", permission="subscribers:view", summary="The file of an export")
def file(context: ExportContext, request: Request) -> Response:
    return answers.file_of(request, context.export)


def _out(request: Request, job: ProjectJob) -> ExportOut:
    url = None
    if service.has_file(request, job):
        path = request.route_path("api.export_file", export_id=job.id)
        url = request.registry.mailhub.public_url.rstrip("/") + path
    return export_out(job, url)
