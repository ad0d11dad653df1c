"""What this room does later: taking in what was sent, finding what had no wake-up, forgetting what nobody confirmed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from pyramid.request import Request
from sqlalchemy.orm import Session

from mailhub import logs
from mailhub.lists import caps
from mailhub.signup import forgetting, intake
from mailhub.tasks import sweep, task

log = logs.get(__name__)

#: A transaction of the hourly forgetting.
SLICE = 1_000


@task("mailhub.signup.take_in", queue="transactional")
def take_in(request: Request, project_id: int, submission_id: int) -> None:
    """Take one submission in: beside the letters that it causes, on the queue where nothing waits behind campaigns."""
    intake.take_in(request, project_id, submission_id)


@sweep
def resume_submissions(request: Request) -> None:
    """Wake submissions whose wake-up was lost, and those that have waited their time."""
    for project_id, submission_id in intake.due_again(request):
        request.enqueue(take_in, project_id, submission_id)


@task("mailhub.signup.forget", queue="celery", transaction=False, every=3600)
def forget(request: Request) -> None:
    """Forget who has not confirmed in time, old submissions, and caps that are past."""
    now = datetime.now(UTC)
    kept = timedelta(days=request.registry.mailhub.retention_days)
    gone = _slices(request, lambda dbsession: forgetting.expire(dbsession, now=now, most=SLICE))
    _slices(request, lambda dbsession: forgetting.remove(dbsession, before=now - kept, most=SLICE))
    _slices(request, lambda dbsession: caps.purge(dbsession, most=SLICE))
    if gone:
        log.info("sign_up.forgotten", submissions=gone)


def _slices(request: Request, work: Callable[[Session], int]) -> int:
    """Do `work(dbsession)` until it finds less than a slice; a transaction each."""
    total = 0
    while True:
        with request.tm:
            done = work(request.dbsession)
        total += done
        if done < SLICE:
            return total
