"""The number reports and their jobs as JSON, for admins' tokens. The filters are those of the pages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from pydantic import BaseModel, Field
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request

from mailhub.admin import filters, heavy, job_views, movers, numbers, reading, suspects
from mailhub.admin.sheet import Sheet
from mailhub.admin.signals import Evidence
from mailhub.jobs import service
from mailhub.models import JobState, ReportJob
from mailhub.reporting import admin_numbers
from mailhub.security.context import number_of
from mailhub.web import forms
from mailhub.web.api import endpoint, utc
from mailhub.web.forms import Form, Invalid
from mailhub.web.problems import ApiProblem, FieldProblem


class NumbersOut(BaseModel):
    """A day, a project and a provider, null for what was not asked for with `by`. Rates: 0.02 is 2 %."""

    day: date | None
    project: str | None
    provider: str | None


class VolumeOut(NumbersOut):
    sent: int
    human_opened: int
    machine_opened: int
    human_redirected: int
    machine_redirected: int
    bounced: int
    unsubscribed: int
    complained: int


class BouncesOut(NumbersOut):
    sent: int
    hardbounced: int
    hard_rate: float | None
    softbounced: int
    blocked: int
    blocked_rate: float | None
    bounce_rate: float | None
    deferred: int


class ComplaintsOut(NumbersOut):
    sent: int
    complained: int
    complaint_rate: float | None
    unsubscribed: int
    unsubscribe_rate: float | None


class MoverOut(BaseModel):
    """A project (its slug) now and in as many days before; of a rate `change` is a difference of shares."""

    project: str
    name: str
    before: float
    now: float
    change: float
    ratio: float | None
    sent_before: int
    sent: int


class EvidenceOut(BaseModel):
    """`value` = `part` / `whole`; `threshold` is the highest that it reaches."""

    signal: str
    level: str
    points: int
    value: float
    threshold: float
    part: float
    whole: float
    detail: str


class SuspectOut(BaseModel):
    """A project, its score and the evidence that adds up to it, and until when somebody has looked at it."""

    project_id: str
    project: str
    name: str
    domain: str
    created_at: str
    score: int
    evidence: list[EvidenceOut]
    campaign_id: str | None
    campaign: str | None
    looked_until: str | None
    note: str


class JobOut(BaseModel):
    """`progress` is 0 to 1; `file` is where the CSV is, null until it is made."""

    id: str
    kind: str
    parameters: dict[str, Any]
    state: str
    progress: float
    rows: int
    bytes: int
    error: str
    requested_by: str
    created_at: str
    started_at: str | None
    finished_at: str | None
    expires_at: str | None
    file: str | None


class JobsQuery(Form):
    state: str = Field(default="", max_length=20)
    kind: str = Field(default="", max_length=20)
    limit: int = Field(default=50, ge=1, le=500)
    before: int = Field(default=0, ge=0, lt=2**62)


class JobIn(Form):
    """`projects` are slugs; days are half-open. A recount takes neither."""

    kind: str
    since: date | None = None
    until: date | None = None
    projects: list[str] = Field(default_factory=list, max_length=100)


def _numbers(name: str, measure: numbers.Measure, answer: type[BaseModel], summary: str) -> Callable[..., Any]:
    @endpoint(
        f"api.reports_{name}", "GET", permission="admin", summary=summary, query=filters.NumbersQuery, answer=answer,
        many=True,
    )  # fmt: skip
    def view(context: Any, request: Request) -> dict[str, Any]:
        asked = forms.read_query(request, filters.NumbersQuery)
        report = reading.read(request, lambda session: numbers.read(session, asked, *_of(session, asked)))
        sheet = numbers.sheet(request, measure, asked, report.found)
        rows = [{"day": None, "project": None, "provider": None} | row for row in sheet.as_dicts()]
        results = [answer.model_validate(row) for row in rows[: asked.limit]]
        return _answer(report, results, len(rows), sheet)

    return view


volume = _numbers("volume", numbers.VOLUME, VolumeOut, "Volume of all projects by day, project or provider")
bounces = _numbers("bounces", numbers.BOUNCES, BouncesOut, "Bounces by day, project or provider")
complaints = _numbers("complaints", numbers.COMPLAINTS, ComplaintsOut, "Complaints by day, project or provider")


@endpoint(
    "api.reports_movers",
    "GET",
    permission="admin",
    summary="Projects whose numbers changed most against the period before",
    query=filters.MoversQuery,
    answer=MoverOut,
    many=True,
)
def moved(context: Any, request: Request) -> dict[str, Any]:
    asked = forms.read_query(request, filters.MoversQuery)
    report = reading.read(request, lambda session: movers.read(session, asked, *_of(session, asked)))
    sheet = movers.sheet(request, asked, report.found)
    rows = zip(sheet.lines, sheet.as_dicts(), strict=True)
    results = [
        MoverOut.model_validate(row | {"project": line.values["slug"], "name": row["project"]}) for line, row in rows
    ][: asked.limit]
    return _answer(report, results, len(sheet.lines))


@endpoint(
    "api.reports_suspects",
    "GET",
    permission="admin",
    summary="Projects that send like spammers, each with its evidence",
    query=filters.SuspectsQuery,
    answer=SuspectOut,
    many=True,
)
def suspected(context: Any, request: Request) -> dict[str, Any]:
    asked = forms.read_query(request, filters.SuspectsQuery)
    now = datetime.now(UTC)
    report = heavy.read(
        request, lambda session: suspects.read(session, asked, now, _of(session, asked)[1])
    )  # fmt: skip
    results = [_suspect(one) for one in report.found.suspects[: asked.limit]]
    return _answer(report, results, len(report.found.suspects))


@endpoint(
    "api.reports_jobs",
    "GET",
    permission="admin",
    summary="Heavy reports as jobs, newest first",
    query=JobsQuery,
    answer=JobOut,
    many=True,
)
def jobs(context: Any, request: Request) -> dict[str, Any]:
    asked = forms.read_query(request, JobsQuery)
    of = {"state": asked.state, "kind": asked.kind}
    found = service.listed(request.dbsession, **of, before=asked.before, most=asked.limit + 1)
    following = None
    if len(found) > asked.limit:
        query = {**request.GET, "before": str(found[asked.limit - 1][0].id)}
        base = request.registry.mailhub.reports_url
        following = base + request.route_path("api.reports_jobs", _query=query)
    results = [_job(request, job, by) for job, by in found[: asked.limit]]
    return {"results": results, "next": following, "count": service.count(request.dbsession, **of)}


@endpoint(
    "api.reports_jobs", "POST", permission="admin", summary="Make a heavy report", body=JobIn, answer=JobOut, status=202
)
def make_job(context: Any, request: Request) -> JobOut:
    given = forms.read_json(request, JobIn)
    try:
        job, _is_new = job_views.asked(
            request, given.kind, since=given.since, until=given.until, slugs=given.projects
        )  # fmt: skip
    except job_views.Refusal as refusal:
        field = {"project": "projects"}.get(refusal.field, refusal.field)
        raise ApiProblem(422, refusal.message, [FieldProblem(field, refusal.message)]) from None
    return _job(request, job, request.identity.user.email)


@endpoint("api.reports_job", "GET", permission="admin", summary="A heavy report's job", answer=JobOut)
def one_job(context: Any, request: Request) -> JobOut:
    found = service.find(request.dbsession, number_of(request, "job_id"))
    if found is None:
        raise HTTPNotFound()
    return _job(request, *found)


@endpoint(
    "api.reports_job", "DELETE", permission="admin", status=204,
    summary="Cancel a job, or forget one that has ended, with its file",
)  # fmt: skip
def end_job(context: Any, request: Request) -> None:
    job = job_views.found_job(request)
    if not service.cancel(request.dbsession, job.id):
        service.forget(request.dbsession, request.registry.mailhub, job)


@endpoint("api.reports_job_file", "GET", permission="admin", summary="The CSV of a job that is done")
def job_file(context: Any, request: Request) -> Any:
    return job_views.file_of(request, job_views.found_job(request))


def _of(session: Any, asked: filters.NumbersQuery) -> tuple[date, int]:
    """Today and the project's id, 0 for all; 422 for a range or a project that there is not."""
    today = datetime.now(UTC).date()
    try:
        asked.period(today)
    except Invalid as refusal:
        raise ApiProblem(422, refusal.message, [FieldProblem("since", refusal.message)]) from None
    if not asked.project:
        return today, 0
    found = admin_numbers.project_id_of(session, asked.project)
    if found is None:
        message = "There is no such project."
        raise ApiProblem(422, message, [FieldProblem("project", message)])
    return today, found


def _answer(report: reading.Report[Any], results: list[Any], count: int, sheet: Sheet | None = None) -> dict[str, Any]:
    document = {
        "results": results,
        "next": None,
        "count": count,
        "since": report.found.since,
        "until": report.found.until,
        "as_of": utc(report.as_of),
        "seconds": round(report.seconds, 3),
    }
    if sheet is not None and sheet.total is not None:
        document["total"] = dict(sheet.total)
    return document


def _suspect(one: suspects.Suspect) -> SuspectOut:
    campaign, decision = one.campaign, one.decision
    return SuspectOut(
        project_id=str(one.project.id),
        project=one.project.slug,
        name=one.project.name,
        domain=one.project.domain,
        created_at=utc(one.project.created_at) or "",
        score=one.score,
        evidence=[_evidence(piece) for piece in one.evidence],
        campaign_id=str(campaign.campaign_id) if campaign is not None else None,
        campaign=campaign.name if campaign is not None else None,
        looked_until=utc(decision.looked_until) if decision is not None else None,
        note=decision.note if decision is not None else "",
    )


def _evidence(one: Evidence) -> EvidenceOut:
    return EvidenceOut(
        signal=one.signal.value, level=one.level, points=one.points, value=round(one.value, 6),
        threshold=one.threshold, part=one.part, whole=one.whole, detail=one.detail,
    )  # fmt: skip


def _job(request: Request, job: ReportJob, by: str) -> JobOut:
    has_file = job.state == JobState.DONE and bool(job.file)
    base = request.registry.mailhub.reports_url
    return JobOut(
        id=str(job.id), kind=job.kind, parameters=job.parameters, state=job.state,
        progress=round(job.slices_done / job.slices_total, 4) if job.slices_total else 0.0,
        rows=job.rows, bytes=job.file_bytes, error=job.error, requested_by=by, created_at=utc(job.created_at) or "",
        started_at=utc(job.started_at), finished_at=utc(job.finished_at), expires_at=utc(job.expires_at),
        file=base + request.route_path("api.reports_job_file", job_id=job.id) if has_file else None,
    )  # fmt: skip
