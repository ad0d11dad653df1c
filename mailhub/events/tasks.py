"""The calendar of the events' tables: partitions ahead of time every hour, the purge once a day; renames.

Here and not in reporting/, which is SQL only: it must import neither Pyramid nor Celery.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from pyramid.request import Request
from sqlalchemy import text

from mailhub import logs
from mailhub.events import renames
from mailhub.reporting import partitions, retention
from mailhub.tasks import sweep, task

log = logs.get(__name__)


@task("mailhub.reporting.partitions", queue="celery", transaction=False, every=3600)
def ensure_partitions(request: Request) -> None:
    """Make the weekly partitions of the next eight weeks."""
    made = partitions.ensure(request.registry.engine, now=datetime.now(UTC))
    if made:
        log.info("partitions.made", made=made)


@task("mailhub.reporting.retention", queue="celery", transaction=False, every=86400)
def purge(request: Request) -> None:
    """Drop raw events and message rows past `mailhub.retention_days`, and what else has ended."""
    days = request.registry.mailhub.retention_days
    purged = retention.purge(request.registry.engine, now=datetime.now(UTC), retention_days=days)
    log.info("retention.purged", partitions=len(purged.partitions), rows=sum(purged.rows.values()))


#: A worker renames for so long, in seconds, then lets others have their turn.
RENAME_SECONDS = 20.0
_OPEN_RENAMES = text(
    "SELECT project_id, id FROM rename_job"
    " WHERE state <> 'done' AND touched_at < clock_timestamp() - interval '30 seconds' ORDER BY touched_at LIMIT 100"
)


@task("mailhub.events.rename", queue="celery", transaction=False)
def rename(request: Request, project_id: int, job_id: int) -> None:
    """Let the copies of a name follow, a transaction a slice; goes on where another worker was killed."""
    until = time.monotonic() + RENAME_SECONDS
    stop = getattr(request.registry, "stop_flag", None)
    more = True
    while more:
        if time.monotonic() > until:
            request.enqueue(rename, project_id, job_id)
            return
        if stop is not None and stop[0]:
            return
        with request.tm:
            more = renames.step(request.dbsession, project_id, job_id)


@sweep
def go_on_renaming(request: Request) -> None:
    """Wake renames whose wake-up was lost, whose worker has gone, or that look again at what came in late."""
    for row in request.dbsession.execute(_OPEN_RENAMES).all():
        request.enqueue(rename, row.project_id, row.id)
