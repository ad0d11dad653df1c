"""The calendar of the events' tables: partitions ahead of time every hour, the purge once a day.

Here and not in reporting/, which is SQL only: it must import neither Pyramid nor Celery.
"""

from __future__ import annotations

from datetime import UTC, datetime

from pyramid.request import Request

from mailhub import logs
from mailhub.reporting import partitions, retention
from mailhub.tasks import task

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
