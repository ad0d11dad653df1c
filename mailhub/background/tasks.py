"""What runs jobs, wakes those whose wake-up was lost, and forgets old ones with their files."""

from __future__ import annotations

import secrets
import time

from pyramid.request import Request
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from mailhub import logs
from mailhub.background import running, service
from mailhub.models import JobState
from mailhub.tasks import sweep, task

log = logs.get(__name__)

# A woken job is left alone for a while: with every worker busy the sweep would wake it every few seconds.
_WAKE = text(
    """
    UPDATE project_job SET state = 'pending', lease_owner = NULL,
        lease_until = clock_timestamp() + interval '20 seconds'
    WHERE (state = 'running' AND lease_until < clock_timestamp())
        OR (state = 'pending' AND coalesce(lease_until, created_at + interval '5 seconds') < clock_timestamp())
    RETURNING project_id, id
    """
)
_EXPIRED = text("DELETE FROM project_job WHERE expires_at < clock_timestamp() RETURNING file")
_FILES = text("SELECT file FROM project_job WHERE file <> ''")


@task("mailhub.background.run_job", queue="celery", transaction=False)
def run_job(request: Request, project_id: int, job_id: int) -> None:
    """Do a job to its end, or go on where a worker was killed."""
    beat = getattr(request.registry, "heartbeat", None)
    owner = f"{beat.name if beat is not None else 'task'}/{secrets.token_hex(4)}"
    with request.tm:
        job = running.claim(request.dbsession, request.registry, project_id, job_id, owner)
    if job is None:
        return
    try:
        with job:
            result = service.HANDLERS[job.kind](request, job)
    except running.Over as over:
        _over(request, job, over.why)
    except running.Failed as failure:
        _finish(request, job, JobState.FAILED, failure.error)
    except OperationalError:
        # The database is away: the lease ends, and the sweep starts the job again.
        raise
    except OSError:
        log.exception("project_job.disk", job_id=job.id)
        _finish(request, job, JobState.FAILED, "disk")
    except Exception:
        _finish(request, job, JobState.FAILED, "internal")
        raise
    else:
        _finish(request, job, JobState.DONE, result=dict(result or {}))


def _over(request: Request, job: running.Running, why: str) -> None:
    if why == "stopped":
        with request.tm:
            job.release(request.dbsession)
    elif why == "cancelled":
        _finish(request, job, JobState.CANCELLED)
    else:
        log.warning("project_job.lease_lost", job_id=job.id)


def _finish(
    request: Request, job: running.Running, state: JobState, error: str = "", result: dict[str, object] | None = None
) -> None:
    with request.tm:
        file = job.finish(request.dbsession, state.value, error, result or {})
    if file is None:
        log.warning("project_job.lease_lost", job_id=job.id)
        return
    if file and state != JobState.DONE:
        service.path_of(request.registry.mailhub, file).unlink(missing_ok=True)
    log.info("project_job.ended", job_id=job.id, kind=job.kind, state=state.value, error=error)


@sweep
def resume_jobs(request: Request) -> None:
    """Wake jobs whose wake-up was lost or whose worker has gone."""
    for row in request.dbsession.execute(_WAKE).all():
        request.enqueue(run_job, row.project_id, row.id)


#: A file that no job names is thrown away after so long: who uploads one writes it before the job is committed.
STRAY_SECONDS = 3600


@task("mailhub.background.forget", queue="celery", every=3600)
def forget(request: Request) -> None:
    """Remove jobs past their time with their files, and files that belong to none."""
    settings = request.registry.mailhub
    gone = [row.file for row in request.dbsession.execute(_EXPIRED)]
    for name in gone:
        if name:
            service.path_of(settings, name).unlink(missing_ok=True)
    known = set(request.dbsession.scalars(_FILES))
    oldest = time.time() - STRAY_SECONDS
    for path in service.folder(settings).iterdir():
        if path.name not in known and path.is_file() and path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)
    if gone:
        log.info("project_job.forgotten", jobs=len(gone))
