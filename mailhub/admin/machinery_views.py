"""Pages of the machinery: queues and their workers, periodic tasks, tables, what the database is doing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config
from sqlalchemy.orm import Session

from mailhub.admin import periodic, queues, reading
from mailhub.admin.statements import mask
from mailhub.reporting import admin_machinery as machinery
from mailhub.reporting.partitions import AHEAD, WEEK, Partition
from mailhub.security import audit
from mailhub.tasks.inspection import Inspector
from mailhub.web import htmx
from mailhub.web.i18n import _
from mailhub.web.local_path import local_path

#: The tasks that a page other than that of the periodic ones offers to run.
PARTITIONS, RETENTION = "mailhub.reporting.partitions", "mailhub.reporting.retention"
#: Fewer weeks ahead than this is a fault: the task that makes them does not run.
FEWEST_AHEAD = AHEAD - timedelta(weeks=2)
SLOW_SECONDS = 5
#: The largest tables; the others are behind a click.
TABLES_SHOWN = 15


@view_config(route_name="admin.queues", request_method="GET", permission="admin", renderer="admin/queues.html")
@view_config(
    route_name="admin.queues",
    request_method="GET",
    permission="admin",
    renderer="admin/_queue_state.html",
    hx_target="queue-state",
)
def queues_page(request: Request) -> dict[str, Any]:
    report = reading.read(request, queues.state)
    inspector: Inspector = request.registry.inspector
    answer = inspector.look()
    # Ages change with every look, so each poll is answered with the whole part.
    return {
        "report": report,
        "state": report.found,
        "version": report.as_of.isoformat(),
        "is_alive": queues.is_alive,
        "answer": answer,
        "is_asking": inspector.is_possible and answer is None,
    }


@view_config(route_name="admin.periodic", request_method="GET", permission="admin", renderer="admin/periodic.html")
@view_config(
    route_name="admin.periodic",
    request_method="GET",
    permission="admin",
    renderer="admin/_periodic_rows.html",
    hx_target="periodic-rows",
)
def periodic_page(request: Request) -> dict[str, Any]:
    report = reading.read(request, periodic.listed)
    return {"report": report, "tasks": report.found, "version": report.as_of.isoformat(), "now": report.as_of}


@view_config(route_name="admin.tables", request_method="GET", permission="admin", renderer="admin/tables.html")
def tables(request: Request) -> dict[str, Any]:
    def found(session: Session) -> dict[str, Any]:
        return {
            "tables": machinery.tables(session),
            "partitions": machinery.partitions(session),
            "default_rows": machinery.default_rows(session),
            "server": machinery.server(session),
        }

    report = reading.read(request, found)
    days = request.registry.mailhub.retention_days
    by_parent: dict[str, list[Partition]] = {}
    for one in report.found["partitions"]:
        by_parent.setdefault(one.parent, []).append(one)
    weeks: dict[datetime, dict[str, Partition]] = {}
    for one in report.found["partitions"]:
        if one.since is not None:
            weeks.setdefault(one.since, {})[one.parent] = one
    until = {parent: max(filter(None, (one.until for one in own)), default=None) for parent, own in by_parent.items()}
    return report.found | {
        "report": report,
        "parents": list(by_parent),
        "weeks": sorted(weeks.items(), reverse=True),
        "defaults": {one.parent: one for one in report.found["partitions"] if one.since is None},
        "shown": TABLES_SHOWN,
        "until": until,
        "is_short": {name: end is None or end < report.as_of + FEWEST_AHEAD for name, end in until.items()},
        "week": WEEK,
        "retention_days": days,
        "retention_at": report.as_of - timedelta(days=days),
        "counted": machinery.DEFAULT_ROWS_COUNTED,
        "run": {"partitions": PARTITIONS, "retention": RETENTION},
    }


@view_config(route_name="admin.database", request_method="GET", permission="admin", renderer="admin/database.html")
@view_config(
    route_name="admin.database",
    request_method="GET",
    permission="admin",
    renderer="admin/_activity.html",
    hx_target="activity",
)
def database(request: Request) -> dict[str, Any]:
    """Statements that run, and those that cost most. No value of a statement is shown: it may be an address."""

    def found(session: Session) -> dict[str, Any]:
        server = machinery.server(session)
        return {
            "server": server,
            "activity": machinery.activity(session),
            "statements": machinery.statements(session) if server.has_statements else None,
        }

    report = reading.read(request, found)
    return report.found | {
        "report": report,
        "version": report.as_of.isoformat(),
        "mask": mask,
        "slow": SLOW_SECONDS,
    }


# What an operator decides


@view_config(route_name="admin.query_cancel", request_method="POST", permission="admin")
def cancel_query(request: Request) -> Response:
    """Stop a statement of one of our own programs, unless it has ended: `began` says which one is meant."""
    pid, began = request.matchdict["pid"], request.POST.get("began", "")
    if not pid.isascii() or not pid.isdigit() or len(pid) > 9:
        raise HTTPNotFound()
    application = machinery.cancel(request.dbsession, pid=int(pid), began=began[:40].replace("\0", ""))
    if application is None:
        request.notice(_("This statement is not running any more."), "bad")
    else:
        audit.note(request, "query.cancelled", name=application, pid=int(pid))
        request.notice(_("${name} was told to stop the statement.", mapping={"name": application}))
    return htmx.redirect(request, request.route_path("admin.database"))


@view_config(route_name="admin.periodic_pause", request_method="POST", permission="admin")
def pause(request: Request) -> Response:
    name = _periodic_name(request)
    periodic.set_paused(request.dbsession, name, True)
    audit.note(request, "periodic.paused", name=name)
    request.notice(_("${name} is paused.", mapping={"name": name}))
    return _back(request)


@view_config(route_name="admin.periodic_resume", request_method="POST", permission="admin")
def resume(request: Request) -> Response:
    name = _periodic_name(request)
    periodic.set_paused(request.dbsession, name, False)
    audit.note(request, "periodic.resumed", name=name)
    request.notice(_("${name} runs again by the clock.", mapping={"name": name}))
    return _back(request)


@view_config(route_name="admin.periodic_run", request_method="POST", permission="admin")
def run_now(request: Request) -> Response:
    name = _periodic_name(request)
    if periodic.is_paused(request.dbsession, name):
        request.notice(_("${name} is paused. Resume it first.", mapping={"name": name}), "bad")
        return _back(request)
    audit.note(request, "periodic.run", name=name)
    request.enqueue(periodic.specs()[name].function)
    request.notice(_("A worker is told to run ${name}.", mapping={"name": name}))
    return _back(request)


def _periodic_name(request: Request) -> str:
    name: str = request.matchdict["name"]
    if name not in periodic.specs():
        raise HTTPNotFound()
    return name


def _back(request: Request) -> Response:
    """To the page from which it was asked for: that of the periodic tasks, or the one that the form names."""
    given = request.POST.get("next", "")
    return htmx.redirect(request, local_path(given) if given else request.route_path("admin.periodic"))
