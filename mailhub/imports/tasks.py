"""What this room does later: imports, their resumption, and the end of abandoned uploads."""

from __future__ import annotations

import secrets
import time

from pyramid.request import Request
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError

from mailhub import logs
from mailhub.imports import running
from mailhub.imports.merge import refresh_statistics
from mailhub.imports.service import INTERNAL, RESUMABLE, folder, path_of
from mailhub.tasks import RETRIED_SQLSTATES, sweep, task

log = logs.get(__name__)

BATCH_RETRIES = 5
#: Another import of the project held its turn for longer than `lock_timeout`.
LOCK_NOT_AVAILABLE = "55P03"
#: An upload whose columns nobody has decided, and a file that belongs to no import, are kept for so long.
ABANDONED_SECONDS = 2 * 24 * 3600

# A woken import is left alone for a while: with every worker busy the sweep would wake it every few seconds.
_WAKE = text(
    """
    UPDATE subscriber_import SET state = 'pending', lease_owner = NULL,
        lease_until = clock_timestamp() + interval '30 seconds'
    WHERE mapping <> '{}' AND (
        (state = 'running' AND lease_until < clock_timestamp())
        OR (state = 'pending' AND coalesce(lease_until, created_at + interval '5 seconds') < clock_timestamp())
    )
    RETURNING project_id, id
    """
)
_ABANDONED = text(
    """
    DELETE FROM subscriber_import
    WHERE state = 'pending' AND mapping = '{}' AND created_at < now() - make_interval(secs => :seconds)
    """
)
_STORED_NAMES = text("SELECT stored_name FROM subscriber_import WHERE state IN ('pending', 'running')")


@task("mailhub.imports.run_import", queue="celery", transaction=False)
def run_import(request: Request, project_id: int, import_id: int) -> None:
    """Run an import to its end, a transaction a batch; or go on where a worker was killed."""
    settings = request.registry.mailhub
    beat = getattr(request.registry, "heartbeat", None)
    owner = f"{beat.name if beat is not None else 'task'}/{secrets.token_hex(4)}"
    with request.tm:
        job = running.claim(
            request.dbsession, project_id=project_id, import_id=import_id, owner=owner, uploads=folder(settings)
        )
    if job is None:
        return
    try:
        _run(request, job, settings.import_batch_rows)
    except running.LeaseLost:
        log.warning("import.lease_lost", import_id=import_id)
        return
    except running.FileGone:
        _finish(request, job, error="file_gone")
        return
    except OperationalError:
        # The database is away: the lease ends, and the sweep starts the import again.
        raise
    except Exception:
        _finish(request, job, error=INTERNAL)
        raise


def _run(request: Request, job: running.Job, size: int) -> None:
    stop = getattr(request.registry, "stop_flag", None)
    rows, told = 0, 0
    for batch in running.batches(job, size):
        if rows >= 4 * told and rows >= running.FIRST_BATCH:
            told = rows
            with request.tm:
                refresh_statistics(request.dbsession)
        _store(request, job, batch)
        rows += batch.rows
        if stop is not None and stop[0]:
            with request.tm:
                running.release(request.dbsession, job)
            return
    _finish(request, job)


def _store(request: Request, job: running.Job, batch: running.Batch) -> None:
    for attempt in range(BATCH_RETRIES):
        try:
            with request.tm:
                running.store(request.dbsession, job, batch)
            return
        except DBAPIError as failure:
            again = getattr(failure.orig, "sqlstate", None) in (*RETRIED_SQLSTATES, LOCK_NOT_AVAILABLE)
            if not again or attempt == BATCH_RETRIES - 1:
                raise
            time.sleep(0.05 * 2**attempt)


def _finish(request: Request, job: running.Job, error: str = "") -> None:
    with request.tm:
        running.finish(request.dbsession, job, error=error)
    if error not in RESUMABLE:
        job.path.unlink(missing_ok=True)
    log.info("import.done" if not error else "import.failed", import_id=job.import_id, error=error)


@sweep
def resume_imports(request: Request) -> None:
    """Wake imports whose wake-up was lost or whose worker has gone."""
    for row in request.dbsession.execute(_WAKE).all():
        request.enqueue(run_import, row.project_id, row.id)


@task("mailhub.imports.clean", queue="celery", every=3600)
def clean_imports(request: Request) -> None:
    """Forget uploads that were never started, and files that belong to nothing."""
    request.dbsession.execute(_ABANDONED, {"seconds": ABANDONED_SECONDS})
    needed = set(request.dbsession.scalars(_STORED_NAMES))
    settings = request.registry.mailhub
    oldest = time.time() - ABANDONED_SECONDS
    for path in folder(settings).glob("*.csv"):
        if path.name not in needed and path.stat().st_mtime < oldest:
            path_of(settings, path.name).unlink(missing_ok=True)
