"""Pages of imports that have begun: all of them, one with its progress and result, stop and roll back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from mailhub.background.service import TooManyJobs
from mailhub.imports import queries, service, undo
from mailhub.imports.made_fields import MADE
from mailhub.imports.rejected import (
    SKIP_REASONS,
    left_out,
    reason_name,
    rejected_csv,
    rejected_rows,
    sentence,
)
from mailhub.imports.resources import ImportContext
from mailhub.imports.rules import Rules
from mailhub.models import ImportState, SubscriberImport
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.web import htmx
from mailhub.web.i18n import _
from mailhub.web.paging import first_url, next_url

#: While an import is in one of these its page follows it.
GOING = (ImportState.PENDING, ImportState.RUNNING, ImportState.ROLLING_BACK)


@view_config(route_name="imports.index", request_method="GET", renderer="imports/index.html",
             permission="imports:view")  # fmt: skip
def index(context: ProjectContext, request: Request) -> dict[str, Any]:
    page = queries.imports(request.dbsession, project_id=context.project.id, after=request.GET.get("after"))
    return {"page": page, "next": next_url(request, page), "first": first_url(request), "erased": service.ERASED}


@view_config(route_name="imports.show", request_method="GET", renderer="imports/show.html", permission="imports:view")
def show(context: ImportContext, request: Request) -> Any:
    row = context.subscriber_import
    if service.is_waiting(row) and request.has_permission("imports:edit"):
        return htmx.redirect(request, import_url(request, row, "imports.reading"))
    return _import_page(context, request)


@view_config(route_name="imports.show", request_method="GET", hx_target="import-progress",
             renderer="imports/_progress.html", permission="imports:view")  # fmt: skip
def progress(context: ImportContext, request: Request) -> Any:
    row = context.subscriber_import
    if row.state not in GOING:
        # The result has more than the progress had: the page is loaded once more as a whole.
        return Response(status=204, headers={"HX-Redirect": import_url(request, row)})
    version = _version(request, row)
    if htmx.unchanged(request, version):
        return htmx.not_modified(version)
    return _import_page(context, request)


def _version(request: Request, row: SubscriberImport) -> str:
    job = undo.job_of(request, row) if row.state == ImportState.ROLLING_BACK else None
    return f"{row.state}-{row.rows_total}" + (f"-{job.state}-{job.done}" if job is not None else "")


def _import_page(context: ImportContext, request: Request) -> dict[str, Any]:
    row = context.subscriber_import
    dbsession = request.dbsession
    over = row.state not in GOING
    key: dict[str, Any] = {"project_id": row.project_id, "import_id": row.id}
    page = rejected_rows(dbsession, **key, after=request.GET.get("after"))
    kept = queries.kept_people(dbsession, **key, limit=20) if over and row.undone_at is not None else None
    ended = row.finished_at or datetime.now(UTC)
    seconds = (ended - row.started_at).total_seconds() if row.started_at else 0.0
    job = undo.job_of(request, row) if row.undo_job_id is not None else None
    is_past = undo.is_past(request, row)
    return {
        "subscriber_import": row,
        "lists": service.lists_of(dbsession, row),
        "rules": Rules.from_json(row.rules or {"update": row.update_existing}),
        "version": _version(request, row),
        "seconds": seconds,
        "rate": row.rows_total / seconds if seconds > 0.5 else None,
        "page": page,
        "sentence": sentence,
        "reason_name": reason_name,
        "skip_reasons": SKIP_REASONS,
        "grade": row.grade if "letter" in row.grade else {},
        "left_out": left_out(dbsession, row) if over and row.rows_rejected + row.rows_skipped else None,
        "rows_kept": not is_past,
        "kept": kept,
        "kept_reasons": undo.KEPT,
        "job": job,
        "file_gone": service.FILE_GONE,
        "fields_stay": row.reading.get(MADE, []) if row.state == ImportState.ROLLED_BACK else [],
        "can_undo": row.state in undo.ENDED and (row.rows_created or row.rows_updated)
        and (row.state != ImportState.ROLLING_BACK or undo.is_stuck(job)) and not is_past,
        "next": next_url(request, page),
        "first": first_url(request),
    }  # fmt: skip


@view_config(route_name="imports.rejected", request_method="GET", permission="imports:view")
def rejected(context: ImportContext, request: Request) -> Response:
    return rejected_csv(request, context.subscriber_import)


@view_config(route_name="imports.cancel", request_method="POST", permission="imports:edit")
def cancel(context: ImportContext, request: Request) -> Response:
    """Stop it; what was imported stays."""
    row = context.subscriber_import
    try:
        service.cancel(request.dbsession, row)
    except service.ImportRefused as refusal:
        request.notice(refusal.message, "bad")
    else:
        note(request, "import.cancelled", row, name=row.file_name)
        request.notice(_("The import is stopped. What was imported by then has stayed."))
    return htmx.redirect(request, import_url(request, row))


@view_config(route_name="imports.retry", request_method="POST", permission="imports:edit")
def retry(context: ImportContext, request: Request) -> Response:
    """Let a stopped import go on with the next row."""
    row = context.subscriber_import
    try:
        service.retry(request.dbsession, row)
    except service.ImportRefused as refusal:
        request.notice(refusal.message, "bad")
    else:
        note(request, "import.retried", row, name=row.file_name)
        request.notice(_("The import goes on where it stopped."))
    return htmx.redirect(request, import_url(request, row))


@view_config(route_name="imports.rollback", request_method="POST", permission="imports:edit")
def rollback(context: ImportContext, request: Request) -> Response:
    """Take it back, as a job whose progress the page shows."""
    row = context.subscriber_import
    try:
        undo.begin(request, row)
    except service.ImportRefused as refusal:
        request.notice(refusal.message, "bad")
    except TooManyJobs:
        request.notice(_("Too many jobs of this project wait already. Try again in some minutes."), "bad")
    else:
        note(request, "import.rolled_back", row, name=row.file_name)
    return htmx.redirect(request, import_url(request, row))


def import_url(request: Request, row: SubscriberImport, route: str = "imports.show") -> str:
    return str(request.route_path(route, project=request.project.slug, import_id=row.id))
