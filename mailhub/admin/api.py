"""The reports as JSON, for admins' tokens: `Authorization: Bearer mha_…`."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from pydantic import BaseModel
from pyramid.request import Request

from mailhub.admin import queues, reading
from mailhub.admin.forms import ProjectsQuery, Range
from mailhub.admin.views import counts_of, project_days
from mailhub.reporting import admin as reports
from mailhub.security.context import number_of
from mailhub.web import forms
from mailhub.web.api import endpoint, utc
from mailhub.web.forms import Invalid
from mailhub.web.problems import ApiProblem, FieldProblem


class ProjectOut(BaseModel):
    """A project's events in the days `since`..`until` (half-open) of its own time zone."""

    id: str
    slug: str
    name: str
    domain: str
    time_zone: str
    archived_at: str | None
    since: date
    until: date
    counts: dict[str, int]


class DayOut(BaseModel):
    date: date
    sent: int
    opened: int
    redirected: int
    hardbounced: int
    softbounced: int
    unsubscribed: int
    complained: int
    deferred: int
    blocked: int
    unknown: int
    machine_opened: int
    machine_redirected: int


class WorkerOut(BaseModel):
    name: str
    host: str
    pid: int
    role: str
    alive: bool
    doing: str
    sent: int
    started_at: str | None
    last_seen_at: str | None


class QueueOut(BaseModel):
    """`waiting` by kind of work; `later`: letters for a later time; the age is null where nothing waits."""

    queue: str
    waiting: dict[str, int]
    oldest_age_seconds: float | None
    late: bool
    later: int
    workers_alive: int
    workers: list[WorkerOut]


@endpoint(
    "api.reports_projects",
    "GET",
    permission="admin",
    summary="All projects with their volume",
    query=ProjectsQuery,
    answer=ProjectOut,
    many=True,
)
def projects(context: Any, request: Request) -> dict[str, Any]:
    asked = forms.read_query(request, ProjectsQuery)
    since, until = _bounds(asked)

    def both(session: Any) -> tuple[list[reports.Volume], int]:
        found = reports.project_volumes(
            session, since=since, until=until, project=asked.project, after_id=asked.after, most=asked.limit + 1
        )
        return found, reports.count_projects(session, project=asked.project)

    report = reading.read(request, both)
    found, count = report.found
    page = found[: asked.limit]
    following = None
    if len(found) > asked.limit:
        query = {name: value for name, value in request.GET.items() if name != "after"} | {"after": str(page[-1].id)}
        base = request.registry.mailhub.reports_url
        following = base + request.route_path("api.reports_projects", _query=query)
    return {
        "results": [_project(one) for one in page],
        "next": following,
        "count": count,
        "as_of": utc(report.as_of),
    }


@endpoint(
    "api.reports_project",
    "GET",
    permission="admin",
    summary="A project's days, those without events included",
    query=Range,
    answer=DayOut,
    many=True,
)
def project(context: Any, request: Request) -> dict[str, Any]:
    since, until = _bounds(forms.read_query(request, Range))
    wanted = {"since": since, "until": until, "days": 30}
    volume, days, report = project_days(request, number_of(request, "project_id"), wanted)
    results = [DayOut(date=day.date, **counts_of(day.counts)) for day in days]
    return {
        "project": _project(volume),
        "results": results,
        "next": None,
        "count": len(results),
        "as_of": utc(report.as_of),
    }


@endpoint(
    "api.reports_queues",
    "GET",
    permission="admin",
    summary="The queues: what waits, since when, and who works",
    answer=QueueOut,
    many=True,
)
def queue_states(context: Any, request: Request) -> dict[str, Any]:
    report = reading.read(request, queues.state)
    results = [_queue(one) for one in report.found.queues]
    return {"results": results, "next": None, "count": len(results), "as_of": utc(report.as_of)}


def _bounds(asked: Range) -> tuple[date | None, date | None]:
    try:
        return asked.bounds(datetime.now(UTC).date())
    except Invalid as refusal:
        raise ApiProblem(422, refusal.message, [FieldProblem("since", refusal.message)]) from None


def _project(one: reports.Volume) -> ProjectOut:
    return ProjectOut(
        id=str(one.id),
        slug=one.slug,
        name=one.name,
        domain=one.domain,
        time_zone=one.time_zone,
        archived_at=utc(one.archived_at),
        since=one.since,
        until=one.until,
        counts=counts_of(one.counts),
    )


def _queue(one: queues.QueueState) -> QueueOut:
    return QueueOut(
        queue=one.name,
        waiting={part.what: part.waiting for part in one.parts},
        oldest_age_seconds=None if one.age_seconds is None else round(one.age_seconds, 3),
        late=one.is_late,
        later=one.later.later if one.later is not None else 0,
        workers_alive=one.alive,
        workers=[
            WorkerOut(
                name=worker.name,
                host=worker.host,
                pid=worker.pid,
                role=worker.role,
                alive=queues.is_alive(worker),
                doing=worker.doing,
                sent=worker.sent,
                started_at=utc(worker.started_at),
                last_seen_at=utc(worker.last_seen_at),
            )
            for worker in one.workers
        ],
    )
