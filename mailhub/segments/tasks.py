"""What segments do later: counts that take long, counts that have grown old, the bands of engagement."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pyramid.request import Request

from mailhub import logs
from mailhub.background.running import Failed, Running
from mailhub.background.service import project_job
from mailhub.db import Lock, try_lock
from mailhub.segments import engagement, keeping, service
from mailhub.segments.counting import database_now
from mailhub.tasks import task

log = logs.get(__name__)

#: A count by a job may take so long, in seconds.
JOB_SECONDS = 600.0
#: A saved count is counted again when it is older than this.
REFRESHED = timedelta(hours=1)
#: One of those may take so long; what takes longer is counted when somebody asks for it.
REFRESH_SECONDS = 20.0
#: A run of a periodic task ends after so long.
RUN_SECONDS = 60.0


@project_job(keeping.COUNT_JOB)
def count_segment(request: Request, job: Running) -> Mapping[str, Any]:
    """Count a segment, however long it takes, and write the number down."""
    with request.tm:
        segment = service.get(request.dbsession, job.project_id, int(job.parameters["segment_id"]))
        if segment is None:
            raise Failed("gone")
        try:
            tree = service.tree_of(request.dbsession, segment)
        except service.SegmentRefused:
            raise Failed("refused") from None
        counted = service.count(request.dbsession, job.project_id, tree, JOB_SECONDS)
        if counted is None:
            raise Failed("too_slow")
        service.note_count(request.dbsession, segment, counted)
        job.move(request.dbsession, done=1, total=1)
    return {"people": counted.people}


@task("mailhub.segments.refresh_counts", queue="celery", transaction=False, every=300)
def refresh_counts(request: Request) -> None:
    """Count saved segments again whose numbers have grown old, one after the other."""
    until = time.monotonic() + RUN_SECONDS
    with request.tm:
        limit = database_now(request.dbsession) - REFRESHED
        waiting = keeping.counted_before(request.dbsession, limit, 100)
    for project_id, segment_id in waiting:
        if time.monotonic() > until or _stopped(request):
            return
        with request.tm:
            _refresh(request, project_id, segment_id, limit)


def _refresh(request: Request, project_id: int, segment_id: int, limit: datetime) -> None:
    dbsession = request.dbsession
    segment = service.get(dbsession, project_id, segment_id)
    if segment is None or (segment.counted_at is not None and segment.counted_at >= limit):
        return
    try:
        tree = service.tree_of(dbsession, segment)
    except service.SegmentRefused:
        return
    counted = service.count(dbsession, project_id, tree, REFRESH_SECONDS)
    if counted is not None:
        service.note_count(dbsession, segment, counted)


@task("mailhub.segments.count_bands", queue="celery", transaction=False, every=900)
def count_bands(request: Request) -> None:
    """Count how many people are in which band of engagement, of projects whose numbers have grown old."""
    until = time.monotonic() + RUN_SECONDS
    with request.tm:
        waiting = engagement.outdated(request.dbsession)
    for project_id in waiting:
        if time.monotonic() > until or _stopped(request):
            return
        with request.tm:
            if not try_lock(request.dbsession, Lock.ENGAGEMENT):
                return
            engagement.refresh(request.dbsession, project_id)


def _stopped(request: Request) -> bool:
    stop = getattr(request.registry, "stop_flag", None)
    return stop is not None and bool(stop[0])
