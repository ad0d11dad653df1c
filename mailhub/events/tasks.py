"""The events' periodic work: the classifier of hits; partitions every hour, the purge once a day; renames.

Partitions and purge are here and not in reporting/, which is SQL only: it must import neither Pyramid nor Celery.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from pyramid.request import Request
from sqlalchemy import text

from mailhub import logs
from mailhub.db import Lock, try_lock
from mailhub.events import activity, classifier, renames
from mailhub.events.places import places_of
from mailhub.events.service import driver_connection
from mailhub.reporting import hits, partitions, retention
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


#: A run of the classifier ends after so long, and another goes on.
RUN_SECONDS = 50.0
#: From this age on a hit should have been classified: somebody has to look after it.
OVERDUE_SECONDS = 72.0


@task(classifier.CLASSIFY, queue="celery", transaction=False, every=10)
def classify_hits(request: Request) -> None:
    """Say of the hits that are a minute old who made them: people or machines."""
    stop = getattr(request.registry, "stop_flag", None)
    until = time.monotonic() + RUN_SECONDS
    while time.monotonic() < until and not (stop is not None and stop[0]):
        with request.tm:
            done = _classify(request)
        if done is None:
            return
        classifier.count(done)
        if not done.is_more:
            return
    request.enqueue(classify_hits)


@sweep
def classify_overdue(request: Request) -> None:
    """One batch right here where hits have waited too long: the queue is long, or beat is away.

    So machines' numbers come in time although long imports keep the `celery` workers busy.
    """
    connection = driver_connection(request.dbsession)
    if hits.seconds_overdue(connection, classifier.READER, classifier.CLASSIFY) > OVERDUE_SECONDS:
        done = _classify(request)
        if done is not None:
            classifier.count(done)
            log.info("hits.overdue", classified=done.hits)


@task("mailhub.events.follow_activity", queue="celery", transaction=False, every=10)
def follow_activity(request: Request) -> None:
    """Take up who was sent letters, who opened and clicked: what segments and bands of engagement read."""
    stop = getattr(request.registry, "stop_flag", None)
    until = time.monotonic() + RUN_SECONDS
    with request.tm:
        waiting = activity.projects(request.dbsession)
    # Hits first, then a slice of each project in turn: a large backlog of one keeps nobody else waiting.
    turns: list[int | None] = [None, *waiting]
    while turns:
        left = []
        for turn in turns:
            if time.monotonic() > until or (stop is not None and stop[0]):
                if stop is None or not stop[0]:
                    request.enqueue(follow_activity)
                return
            with request.tm:
                if not try_lock(request.dbsession, Lock.ACTIVITY):
                    return
                done = (
                    activity.follow_reactions(request.dbsession)
                    if turn is None
                    else activity.follow_letters(request.dbsession, turn)
                )
            if done.is_more:
                left.append(turn)
        turns = left


@task("mailhub.events.forget_taints", queue="celery", every=3600)
def forget_taints(request: Request) -> None:
    """Forget addresses that were scanners long ago."""
    classifier.forget(driver_connection(request.dbsession), datetime.now(UTC))


def _classify(request: Request) -> classifier.Step | None:
    """One step in the request's transaction; None where another process is at it."""
    if not try_lock(request.dbsession, Lock.CLASSIFIER):
        return None
    return classifier.step(driver_connection(request.dbsession), places_of(request.registry))


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
