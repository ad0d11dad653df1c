"""What this room does later: imports, checks and roll-backs, their resumption, and the end of what is not needed."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from pyramid.request import Request
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError

from mailhub import logs
from mailhub.background.running import Running
from mailhub.background.service import project_job
from mailhub.imports import asking, checking, running, undo
from mailhub.imports.batches import FIRST_BATCH, Batch, FileGone, batches
from mailhub.imports.grading import Grader
from mailhub.imports.merge import refresh_statistics
from mailhub.imports.reading_ahead import ahead
from mailhub.imports.rejected import keep_left_out
from mailhub.imports.service import INTERNAL, RESUMABLE, folder, path_of
from mailhub.models import SubscriberImport
from mailhub.tasks import RETRIED_SQLSTATES, sweep, task

log = logs.get(__name__)

BATCH_RETRIES = 5
#: Another import of the project held its turn for longer than `lock_timeout`.
LOCK_NOT_AVAILABLE = "55P03"
#: A draft that nobody has started, and a file that belongs to no import, are kept for so long.
ABANDONED_SECONDS = 2 * 24 * 3600

# A woken import is left alone for a while: with every worker busy the sweep would wake it every few seconds.
_WAKE = text(
    """
    UPDATE subscriber_import SET state = 'pending', lease_owner = NULL,
        lease_until = clock_timestamp() + interval '30 seconds'
    WHERE (state = 'running' AND lease_until < clock_timestamp())
        OR (state = 'pending' AND coalesce(lease_until, created_at + interval '5 seconds') < clock_timestamp())
    RETURNING project_id, id
    """
)
_ABANDONED = text(
    """
    DELETE FROM subscriber_import
    WHERE state = 'draft' AND created_at < now() - make_interval(secs => :seconds)
    """
)
_STORED_NAMES = text(
    """
    SELECT stored_name FROM subscriber_import
    WHERE state IN ('draft', 'pending', 'running')
        OR (state IN ('failed', 'cancelled') AND finished_at > now() - make_interval(days => :days))
    """
)
# What is needed to take an import back, and the rows that it rejected, hold what people were like and their addresses.
_PAST = (
    text(
        """
        DELETE FROM import_change AS c USING subscriber_import AS i
        WHERE i.project_id = c.project_id AND i.id = c.import_id
            AND i.finished_at < now() - make_interval(days => :days)
        """
    ),
    text(
        """
        DELETE FROM import_rejected_row AS r USING subscriber_import AS i
        WHERE i.project_id = r.project_id AND i.id = r.import_id
            AND i.finished_at < now() - make_interval(days => :days)
        """
    ),
)


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
        # Cancelled, or taken over by another worker: what is merged stays.
        log.warning("import.lease_lost", import_id=import_id)
        return
    except FileGone:
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
    grader = Grader(request.registry.mailhub) if not job.source.line_done else None
    counts: Counter[str] = Counter()
    read = batches(job.source, size, after=job.source.line_done)
    with ahead(grader.each_of(read) if grader is not None else read) as found:
        for batch in found:
            if rows >= 4 * told and rows >= FIRST_BATCH:
                told = rows
                with request.tm:
                    refresh_statistics(request.dbsession)
            counts["created"] += _store(request, job, batch)
            rows += batch.rows
            if stop is not None and stop[0]:
                with request.tm:
                    running.release(request.dbsession, job)
                return
    _finish(request, job, grade=grader.result(counts) if grader is not None else None)


def _store(request: Request, job: running.Job, batch: Batch) -> int:
    """Merge a batch; gives how many people are new."""
    for attempt in range(BATCH_RETRIES):
        try:
            with request.tm:
                return running.store(request.dbsession, job, batch).created
        except DBAPIError as failure:
            again = getattr(failure.orig, "sqlstate", None) in (*RETRIED_SQLSTATES, LOCK_NOT_AVAILABLE)
            if not again or attempt == BATCH_RETRIES - 1:
                raise
            time.sleep(0.05 * 2**attempt)
    raise AssertionError("the loop returns or raises")


def _finish(request: Request, job: running.Job, error: str = "", grade: Mapping[str, Any] | None = None) -> None:
    with request.tm:
        running.finish(request.dbsession, job, error=error)
        row = request.dbsession.get(SubscriberImport, (job.source.project_id, job.source.import_id))
        if row is not None:
            if grade is not None:
                row.grade = dict(grade)
            keep_left_out(request.dbsession, row)
    if error not in RESUMABLE:
        job.source.path.unlink(missing_ok=True)
    log.info("import.done" if not error else "import.failed", import_id=job.source.import_id, error=error)


@project_job(checking.KIND)
def check_import(request: Request, job: Running) -> Mapping[str, Any]:
    """What an import would do, without doing it."""
    return checking.check(request, job)


@project_job(undo.KIND)
def undo_import(request: Request, job: Running) -> Mapping[str, Any]:
    """Take an import back."""
    return undo.run(request, job)


@task("mailhub.imports.ask_to_confirm", queue="celery", transaction=False, every=60)
def ask_to_confirm(request: Request) -> None:
    """The next confirmation letters of imports with double opt-in, at most `mailhub.import.letters_per_minute`."""
    asking.send_some(request, request.registry.mailhub.import_letters_per_minute)


@sweep
def resume_imports(request: Request) -> None:
    """Wake imports whose wake-up was lost or whose worker has gone."""
    for row in request.dbsession.execute(_WAKE).all():
        request.enqueue(run_import, row.project_id, row.id)


@task("mailhub.imports.clean", queue="celery", every=3600)
def clean_imports(request: Request) -> None:
    """Forget uploads that were never started, files that belong to nothing, and what old imports have changed."""
    settings = request.registry.mailhub
    days = {"days": settings.import_keep_days}
    request.dbsession.execute(_ABANDONED, {"seconds": ABANDONED_SECONDS})
    for statement in _PAST:
        request.dbsession.execute(statement, days)
    needed = set(request.dbsession.scalars(_STORED_NAMES, days))
    oldest = time.time() - ABANDONED_SECONDS
    for path in folder(settings).iterdir():
        if path.is_file() and path.name not in needed and path.stat().st_mtime < oldest:
            path_of(settings, path.name).unlink(missing_ok=True)
