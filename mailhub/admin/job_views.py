"""Heavy reports as jobs: the list with its progress, asking, cancelling, the file."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from pydantic import Field
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import FileResponse, Response
from pyramid.view import view_config

from mailhub.jobs import files, kinds, service
from mailhub.jobs.tasks import run_report
from mailhub.models import JobKind, JobState, ReportJob
from mailhub.reporting import admin_numbers
from mailhub.security import audit
from mailhub.security.context import number_of
from mailhub.web import forms, htmx
from mailhub.web.forms import Form
from mailhub.web.i18n import _

PAGE = 50
REFUSALS: dict[tuple[str, str], Any] = {
    ("kind", "unknown"): _("There is no such report."),
    ("since", "missing"): _("Say from which day to which."),
    ("since", "range"): _("Ask for 1 to ${n} days.", mapping={"n": kinds.MOST_DAYS}),
    ("project_ids", "missing"): _("Name a project."),
    ("project_ids", "too_many"): _("At most ${n} are possible.", mapping={"n": kinds.MOST_PROJECTS}),
}
TOO_MANY = _("Too many reports are waiting. Cancel some, or wait until they are made.")


class JobForm(Form):
    """What is asked for. `project` are slugs, separated by commas or spaces; days are half-open."""

    kind: str
    since: date | None = None
    until: date | None = None
    project: str = Field(default="", max_length=4000)


@view_config(route_name="admin.jobs", request_method="GET", permission="admin", renderer="admin/jobs.html")
@view_config(
    route_name="admin.jobs",
    request_method="GET",
    permission="admin",
    renderer="admin/_job_rows.html",
    hx_target="job-rows",
)
def jobs(request: Request) -> dict[str, Any] | Response:
    values = _listed(request)
    if htmx.is_fragment(request) and htmx.unchanged(request, values["version"]):
        return htmx.not_modified(values["version"])
    return values | {"values": {}, "errors": {}, "kinds": [one.value for one in JobKind]}


@view_config(route_name="admin.jobs", request_method="POST", permission="admin", renderer="admin/jobs.html")
def ask(request: Request) -> dict[str, Any] | Response:
    form = forms.read(request, JobForm)
    if form.value is not None:
        try:
            given = form.value
            slugs = given.project.replace(",", " ").split()
            job, is_new = asked(request, given.kind, since=given.since, until=given.until, slugs=slugs)
        except Refusal as refusal:
            form.refuse(refusal.field, refusal.message)
        else:
            request.notice(
                _("A worker makes the report; it is on this list when it is done.")
                if is_new
                else _("This report is being made already.")
            )
            return htmx.redirect(request, request.route_path("admin.jobs") + f"#job-{job.id}")
    request.response.status_int = 422
    known = [one.value for one in JobKind]
    return _listed(request) | {"values": form.values, "errors": form.errors, "kinds": known}


class Refusal(Exception):
    """A job is not made; `field` of the form is wrong, the message says why."""

    def __init__(self, field: str, message: Any) -> None:
        super().__init__(str(message))
        self.field, self.message = field, message


def asked(
    request: Request, kind: str, *, since: date | None, until: date | None, slugs: Iterable[str]
) -> tuple[ReportJob, bool]:
    """Ask for a job, note it, wake a worker. Gives the job that there is already and False. Raises Refusal."""
    ids = []
    for slug in slugs:
        found = admin_numbers.project_id_of(request.dbsession, slug)
        if found is None:
            raise Refusal("project", _("There is no project ${slug}.", mapping={"slug": slug}))
        ids.append(found)
    try:
        wanted = kinds.check(kind, since=since, until=until, project_ids=ids)
        job, is_new = service.ask(request.dbsession, wanted, user_id=request.identity.user.id)
    except kinds.JobRefused as refusal:
        field = {"project_ids": "project"}.get(refusal.field, refusal.field)
        raise Refusal(field, REFUSALS[refusal.field, refusal.reason]) from None
    except service.TooManyJobs:
        raise Refusal("", TOO_MANY) from None
    if is_new:
        audit.note(request, "report_job.asked", job, name=job.kind, **wanted.parameters())
        request.enqueue(run_report, job.id)
    return job, is_new


@view_config(route_name="admin.job_cancel", request_method="POST", permission="admin")
def cancel(request: Request) -> Response:
    job = found_job(request)
    if service.cancel(request.dbsession, job.id):
        audit.note(request, "report_job.cancelled", job, name=job.kind)
        request.notice(_("The report is being cancelled."))
    else:
        request.notice(_("The report has ended already."), "bad")
    return htmx.redirect(request, request.route_path("admin.jobs"))


@view_config(route_name="admin.job_forget", request_method="POST", permission="admin")
def forget(request: Request) -> Response:
    job = found_job(request)
    if service.forget(request.dbsession, request.registry.mailhub, job):
        audit.note(request, "report_job.forgotten", job, name=job.kind)
        request.notice(_("The report and its file are gone."))
    else:
        request.notice(_("The report is still being made. Cancel it first."), "bad")
    return htmx.redirect(request, request.route_path("admin.jobs"))


@view_config(route_name="admin.job_file", request_method="GET", permission="admin")
def file(request: Request) -> Response:
    return file_of(request, found_job(request))


def file_of(request: Request, job: ReportJob) -> Response:
    """The job's CSV; 404 where there is none. That it was taken is noted: it can hold addresses."""
    if job.state != JobState.DONE or not job.file:
        raise HTTPNotFound()
    path = files.path_of(request.registry.mailhub, job.file)
    if not path.is_file():
        raise HTTPNotFound()
    audit.note(request, "report_job.downloaded", job, name=job.kind)
    response = FileResponse(str(path), request=request, content_type="text/csv")
    response.charset = "utf-8"
    response.headers["Content-Disposition"] = f'attachment; filename="{job.kind}-{job.id}.csv"'
    response.headers["Cache-Control"] = "no-store"
    return response


def found_job(request: Request) -> ReportJob:
    """The job of the URL; 404 for one that there is not."""
    found = service.find(request.dbsession, number_of(request, "job_id"))
    if found is None:
        raise HTTPNotFound()
    return found[0]


def _listed(request: Request) -> dict[str, Any]:
    state = request.GET.get("state", "")
    before = request.GET.get("before", "")
    found = service.listed(
        request.dbsession,
        state=state if state in list(JobState) else "",
        before=int(before) if before.isascii() and before.isdigit() and len(before) < 19 else 0,
        most=PAGE + 1,
    )
    version = "-".join(
        f"{job.id}.{job.state}.{job.slices_done}.{job.rows}.{int(job.cancel_requested)}" for job, _by in found
    )
    return {
        "jobs": found[:PAGE],
        "following": found[PAGE - 1][0].id if len(found) > PAGE else None,
        "first": bool(before),
        "live": any(job.state in service.OPEN for job, _by in found),
        "version": f"{version}-{request.locale_name}",
        "kept_days": service.KEPT_DAYS,
        "wanted": lambda job: kinds.wanted_of(job.kind, job.parameters),
    }
