"""The check before an import: the whole file is read and compared, and nothing is written to people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyramid.request import Request

from mailhub.background import service as background
from mailhub.background.running import Failed, Running
from mailhub.imports import service
from mailhub.imports.batches import FileGone, batches, source_of
from mailhub.imports.grading import Grader
from mailhub.imports.merge import COUNT_KEYS, foretell, refresh_statistics
from mailhub.imports.reading_ahead import ahead
from mailhub.imports.rejected import keep_left_out
from mailhub.models import ImportState, JobState, ProjectJob, SubscriberImport

KIND = "import_check"


def begin(request: Request, row: SubscriberImport) -> ProjectJob:
    """Ask for a check of a draft as it stands now; the one that runs for just this is given again. Raises TooManyJobs
    and service.NotReady.
    """
    service.ready(request.dbsession, row)
    asked = {"import": row.id, "of": service.settings_digest(request.dbsession, row)}
    user_id = request.user.id if getattr(request, "user", None) is not None else None
    job, is_new = background.ask(request, row.project_id, KIND, asked, total=row.bytes_total, user_id=user_id)
    if is_new:
        _end_other(request, row, job)
        row.check_job_id = job.id
        row.checked = {}
        service.forget_rejected(request.dbsession, row)
        request.dbsession.flush()
    return job


def _end_other(request: Request, row: SubscriberImport, job: ProjectJob) -> None:
    """A check of what is not wanted any more need not go on."""
    if row.check_job_id is not None and row.check_job_id != job.id:
        background.cancel(request.dbsession, row.project_id, row.check_job_id)


def job_of(request: Request, row: SubscriberImport) -> ProjectJob | None:
    """The job of the last check; None where there is none, or it is forgotten."""
    if row.check_job_id is None:
        return None
    found: ProjectJob | None = request.dbsession.get(ProjectJob, (row.project_id, row.check_job_id))
    return found


def is_running(job: ProjectJob | None) -> bool:
    return job is not None and job.state in (JobState.PENDING, JobState.RUNNING)


def check(request: Request, job: Running) -> Mapping[str, Any]:
    """The job: a transaction a batch. What is counted stands in the job's place, so that a killed check goes on."""
    settings = request.registry.mailhub
    with request.tm:
        row = request.dbsession.get(SubscriberImport, (job.project_id, job.parameters["import"]))
        if row is None or row.state != ImportState.DRAFT:
            raise Failed("gone")
        source = source_of(request.dbsession, row, service.folder(settings))
        if not job.place:
            service.forget_rejected(request.dbsession, row)
        refresh_statistics(request.dbsession)
    counts = dict.fromkeys(("total", *COUNT_KEYS), 0) | job.place.get("counts", {})
    bytes_done = job.place.get("bytes", 0)
    grader = Grader(settings)
    try:
        with ahead(grader.each_of(batches(source, settings.import_batch_rows, after=0))) as found:
            for batch in found:
                if batch.line <= job.place.get("line", 0):
                    continue
                with request.tm:
                    merged = foretell(request.dbsession, source, batch)
                    for key in COUNT_KEYS:
                        counts[key] += getattr(merged, key)
                    counts["total"] += batch.rows
                    moved = max(0, min(batch.bytes_done, source.bytes_total) - bytes_done)
                    bytes_done += moved
                    job.move(
                        request.dbsession,
                        done=moved,
                        place={"line": batch.line, "counts": counts, "bytes": bytes_done},
                    )
    except FileGone:
        raise Failed("file_gone") from None
    with request.tm:
        row = request.dbsession.get(SubscriberImport, (job.project_id, job.parameters["import"]), with_for_update=True)
        if row is not None and row.state == ImportState.DRAFT and row.check_job_id == job.id:
            row.checked = counts | {"of": job.parameters["of"]}
            row.grade = grader.result(counts)
            keep_left_out(request.dbsession, row)
    return counts
