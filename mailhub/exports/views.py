"""The page of exports: ask for one, take a finished one, cancel, remove. A small one comes at once."""

from __future__ import annotations

from typing import Any

from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from mailhub.background import service as background
from mailhub.exports import answers, people, service
from mailhub.exports.forms import ExportForm
from mailhub.exports.resources import ExportContext
from mailhub.exports.wanted import OF, Wanted, WantedRefused, checked
from mailhub.lists import queries
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.segments import service as segments
from mailhub.web import forms, htmx
from mailhub.web.i18n import _

_WORDS = {
    "missing": _("Choose one."),
    "unknown": _("This is not one of the choices."),
    "range": _("The days are in the wrong order."),
    "broken": _("The segment asks for something that is not there any more. Open it and mend it."),
}


@view_config(
    route_name="exports.index", request_method="GET", permission="subscribers:view", renderer="exports/index.html"
)
@view_config(
    route_name="exports.index", request_method="GET", permission="subscribers:view", hx_target="export-rows",
    renderer="exports/_export_rows.html",
)  # fmt: skip
def index(context: ProjectContext, request: Request) -> Any:
    listed = _listed(context, request)
    if htmx.is_fragment(request):
        if htmx.unchanged(request, listed["version"]):
            return htmx.not_modified(listed["version"])
        return listed
    return {**listed, **_choices(context, request), "values": {"what": "subscribers", "format": "csv"}, "errors": {}}


def _listed(context: ProjectContext, request: Request) -> dict[str, Any]:
    rows = service.listed(request.dbsession, context.project.id)
    version = "-".join(f"{one.job.id}.{one.job.state}.{one.job.done}.{int(one.job.cancel_requested)}" for one in rows)
    return {
        "exports": rows,
        "live": any(service.is_open(one.job) for one in rows),
        "version": f"{version}-{request.locale_name}",
        "kept_days": background.KEPT_DAYS,
    }


def _choices(context: ProjectContext, request: Request) -> dict[str, Any]:
    project_id = context.project.id
    return {
        "lists": queries.list_choices(request.dbsession, project_id=project_id),
        "segments": [(one.id, one.name) for one in segments.choices(request.dbsession, project_id)],
        "campaigns": people.campaign_choices(request.dbsession, project_id),
    }


@view_config(
    route_name="exports.index", request_method="POST", permission="subscribers:view", renderer="exports/index.html"
)
def export(context: ProjectContext, request: Request) -> Any:
    """The file itself where it is small, else a job and the page where it will be."""
    form = forms.read(request, ExportForm)
    wanted = _wanted(form)
    if wanted is not None:
        try:
            small = service.at_once(request.dbsession, context.project, wanted)
            if small is not None:
                note(request, "export.made", name=wanted.what.value, rows=small.rows, format=wanted.format.value)
                return answers.saved(small)
            job, _new = service.ask(request, context.project, wanted, user_id=request.user.id)
            note(request, "export.asked", job, name=wanted.what.value, format=wanted.format.value)
            request.notice(_("The file is being made. You find it on this page."))
            return htmx.redirect(request, request.route_path("exports.index", project=context.project.slug))
        except WantedRefused as refusal:
            form.refuse("what", _WORDS[refusal.word])
        except background.TooManyJobs:
            form.refuse("", _("Too many jobs of this project are waiting. Try again when one is done."))
    request.response.status_int = 422
    return {**_listed(context, request), **_choices(context, request), "values": form.values, "errors": form.errors}


def _wanted(form: forms.FormResult[ExportForm]) -> Wanted | None:
    given = form.value
    if given is None:
        return None
    # The page's own select names the object too: list-12.
    what, _dash, number = given.what.partition("-")
    try:
        return checked(
            what,
            given.format,
            of=int(number) if number.isascii() and number.isdigit() else given.of,
            filters=given.filters(),
            since=given.since,
            until=given.until,
        )
    except WantedRefused as refusal:
        form.refuse("what" if refusal.field in OF.values() else refusal.field, _WORDS[refusal.word])
        return None


@view_config(route_name="exports.file", request_method="GET", permission="subscribers:view")
def file(context: ExportContext, request: Request) -> Response:
    return answers.file_of(request, context.export)


@view_config(route_name="exports.cancel", request_method="POST", permission="subscribers:view")
def cancel(context: ExportContext, request: Request) -> Response:
    if background.cancel(request.dbsession, context.project.id, context.export.id):
        note(request, "export.cancelled", context.export, name=context.export.file_name)
        request.notice(_("The export is being cancelled."))
    else:
        request.notice(_("The export has ended already."), "bad")
    return _back(request)


@view_config(route_name="exports.remove", request_method="POST", permission="subscribers:view")
def remove(context: ExportContext, request: Request) -> Response:
    name = context.export.file_name
    if service.is_open(context.export):
        request.notice(_("The export is still being made. Cancel it first."), "bad")
    else:
        note(request, "export.removed", context.export, name=name)
        service.remove(request, context.export)
        request.notice(_("The export and its file are gone."))
    return _back(request)


def _back(request: Request) -> Response:
    return htmx.redirect(request, request.route_path("exports.index", project=request.project.slug))
