"""What this room does later: jobs, their resumption, the end of old files."""

from __future__ import annotations

import secrets
from typing import Any

from pyramid.request import Request
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from mailhub import logs
from mailhub.db import reading
from mailhub.jobs import files, heavy, kinds, running, service
from mailhub.models import JobState
from mailhub.tasks import sweep, task

log = logs.get(__name__)

#: A slice of a job may take so many times as long as a report in a page.
TIMES = 30
#: query_canceled: by statement_timeout, or by our own watch.
CANCELED = "57014"

# A woken job is left alone for a while: while another one runs the sweep would wake it every few seconds.
_WAKE = text(
    """
    UPDATE report_job SET state = 'pending', lease_owner = NULL,
        lease_until = clock_timestamp() + interval '20 seconds'
    WHERE (state = 'running' AND lease_until < clock_timestamp())
        OR (state = 'pending' AND coalesce(lease_until, created_at + interval '5 seconds') < clock_timestamp())
    RETURNING id
    """
)
_NEXT = text("SELECT id FROM report_job WHERE state = 'pending' ORDER BY id LIMIT 1")


@task("mailhub.jobs.run_report", queue="celery", transaction=False)
def run_report(request: Request, job_id: int) -> None:
    """Make a heavy report to its end, or go on where a worker was killed."""
    beat = getattr(request.registry, "heartbeat", None)
    owner = f"{beat.name if beat is not None else 'task'}/{secrets.token_hex(4)}"
    with request.tm:
        job = running.claim(request.dbsession, job_id, owner)
    if job is None:
        return
    try:
        with running.Watch(request.registry, job) as watch:
            _slices(request, job, watch)
    except running.Over as over:
        _over(request, job, over.why)
    except files.Taken:
        _over(request, job, "taken")
    except OperationalError as failure:
        if getattr(failure.orig, "sqlstate", None) != CANCELED:
            # The database is away: the lease ends, and the sweep starts the job again.
            raise
        _finish(request, job, JobState.FAILED, "too_slow")
    except OSError:
        log.exception("report_job.disk", job_id=job.id)
        _finish(request, job, JobState.FAILED, "disk")
    except Exception:
        _finish(request, job, JobState.FAILED, "internal")
        raise
    else:
        _finish(request, job, JobState.DONE)


def _slices(request: Request, job: running.Job, watch: running.Watch) -> None:
    path = files.path_of(request.registry.mailhub, job.file)
    done, size = job.done, job.size
    if size and (not path.is_file() or path.stat().st_size < size):
        # The part that was there is gone, perhaps with another machine's disk: begin again.
        with request.tm:
            running.begin_again(request.dbsession, job)
        done = size = 0
    sheet = files.Sheet(path, kinds.columns(job.wanted), size)
    try:
        for piece in job.pieces[done:]:
            watch.check()
            rows = _slice(request.registry, job, piece, sheet, watch)
            size = sheet.keep()
            with request.tm:
                running.move(request.dbsession, job, rows=rows, size=size)
        watch.check()
    finally:
        sheet.close()


def _slice(registry: Any, job: running.Job, piece: Any, sheet: files.Sheet, watch: running.Watch) -> int:
    limit = TIMES * registry.mailhub.reports_statement_timeout_seconds
    while True:
        with reading(registry) as session:
            try:
                heavy.take(session, seconds=limit, places=heavy.JOBS_PLACES)
            except heavy.Busy:
                watch.check()
                continue
            driver: Any = session.connection().connection.driver_connection
            watch.statement(driver.cancel_safe)
            try:
                return sheet.write(kinds.rows(session, job.wanted, piece))
            except OperationalError:
                watch.check()
                raise
            finally:
                watch.statement(None)


def _over(request: Request, job: running.Job, why: str) -> None:
    if why in ("stopped", "taken"):
        with request.tm:
            running.release(request.dbsession, job)
    elif why == "cancelled":
        _finish(request, job, JobState.CANCELLED)
    else:
        log.warning("report_job.lease_lost", job_id=job.id)


def _finish(request: Request, job: running.Job, state: JobState, error: str = "") -> None:
    with request.tm:
        is_ours = running.finish(request.dbsession, job, state.value, error)
        following = request.dbsession.execute(_NEXT).scalar()
        if following is not None:
            request.enqueue(run_report, following)
    if not is_ours:
        # The file belongs to whoever goes on with it.
        log.warning("report_job.lease_lost", job_id=job.id)
        return
    if state != JobState.DONE:
        files.path_of(request.registry.mailhub, job.file).unlink(missing_ok=True)
    log.info("report_job.ended", job_id=job.id, state=state.value, error=error)


@sweep
def resume_reports(request: Request) -> None:
    """Wake jobs whose wake-up was lost or whose worker has gone."""
    for row in request.dbsession.execute(_WAKE).all():
        request.enqueue(run_report, row.id)


@task("mailhub.jobs.forget_reports", queue="celery", every=3600)
def forget_reports(request: Request) -> None:
    """Remove jobs that ended a week ago, with their files."""
    gone = service.forget_expired(request.dbsession, request.registry.mailhub)
    if gone:
        log.info("report_job.forgotten", jobs=gone)
