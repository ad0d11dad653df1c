"""The worker's side: people are erased, followed until nobody knows them; retention of projects that keep less."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pyramid.request import Request
from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session

from mailhub import logs
from mailhub.background import service as background
from mailhub.background.running import Running
from mailhub.background.service import project_job
from mailhub.models import Erasure, ErasureState, Project, User
from mailhub.privacy import files, service, walk
from mailhub.privacy.places import places
from mailhub.privacy.traces import Traces
from mailhub.reporting import erasure as raw
from mailhub.security import audit
from mailhub.security.sealed import sealer_of
from mailhub.tasks import task

log = logs.get(__name__)

#: People who are taken out in one transaction.
AT_ONCE = 20
#: People for whom one walk through the tables looks.
WALKED_FOR = 25
#: People without confirmation who are forgotten in one transaction.
UNCONFIRMED_SLICE = 200


@project_job(service.KIND)
def erase(request: Request, job: Running) -> dict[str, Any]:
    """Erase everybody of the project who is due, and go on with those whose traces are still looked for."""
    while _take_out_some(request, job):
        continue
    while _clean_for_some(request, job):
        continue
    return {"people": job.done}


def _take_out_some(request: Request, job: Running) -> bool:
    with request.tm:
        ids = service.due(request.dbsession, job.project_id, most=AT_ONCE)
        sealer = sealer_of(request.registry.mailhub)
        for number in ids:
            service.take_out(request.dbsession, sealer, job.project_id, number)
        job.move(request.dbsession, done=len(ids))
    return bool(ids)


def _clean_for_some(request: Request, job: Running) -> bool:
    """Walk the tables and the files once for some of those who were taken out; they are followed from then on."""
    with request.tm:
        some = service.in_state(request.dbsession, job.project_id, ErasureState.ERASING, most=WALKED_FOR)
        ids, traces = [one.id for one in some], _traces(request, some)
    if not ids:
        return False
    found = _walk(request, job.project_id, traces, job.move)
    with request.tm:
        request.dbsession.execute(
            update(Erasure)
            .where(Erasure.project_id == job.project_id, Erasure.id.in_(ids), Erasure.state == ErasureState.ERASING)
            .values(state=ErasureState.FOLLOWING, traces=Erasure.traces + found)
        )
        job.move(request.dbsession)
    return True


def follow(request: Request, project_id: int, *, now: datetime | None = None) -> None:
    """Clean what came late for those who are followed; whose time is over get a last walk, and are done."""
    settings = request.registry.mailhub
    over: list[int] = []
    with request.tm:
        for one in service.in_state(request.dbsession, project_id, ErasureState.FOLLOWING, most=1_000):
            if service.follow(request.dbsession, sealer_of(settings), one, now=now or datetime.now(UTC)):
                over.append(one.id)
    for first in range(0, len(over), WALKED_FOR):
        ids = over[first : first + WALKED_FOR]
        with request.tm:
            traces = _traces(request, [request.dbsession.get_one(Erasure, (project_id, number)) for number in ids])
        found = _walk(request, project_id, traces)
        with request.tm:
            for number in ids:
                _done(request, project_id, number, found)


def _done(request: Request, project_id: int, erasure_id: int, found: int) -> None:
    erasure = request.dbsession.get_one(Erasure, (project_id, erasure_id), with_for_update=True)
    if erasure.state != ErasureState.FOLLOWING:
        return
    erasure.state, erasure.sealed = ErasureState.DONE.value, None
    erasure.finished_at = datetime.now(UTC)
    erasure.traces += found
    user = request.dbsession.get(User, erasure.asked_by) if erasure.asked_by is not None else None
    numbers = {"letters": erasure.letters, "events": erasure.events, "traces": erasure.traces}
    audit.write(
        request.dbsession, "person.erased", erasure, actor=user.email if user is not None else "",
        project_id=project_id, user_id=user.id if user is not None else None,
        detail={"way": erasure.way, "hash": erasure.email_hash.hex(), **numbers},
    )  # fmt: skip
    log.info("person.erased", project_id=project_id, erasure_id=erasure.id, **numbers)


def _traces(request: Request, some: Sequence[Erasure]) -> Traces:
    sealer = sealer_of(request.registry.mailhub)
    return Traces(address for one in some for address in service.addresses_in(sealer, one))


def _walk(request: Request, project_id: int, traces: Traces, move: Callable[[Session], None] | None = None) -> int:
    """Once through all tables and files, a transaction a slice; gives how many places held an address."""
    found = 0
    for place in places():
        after: list[Any] | None = None
        while True:
            with request.tm:
                n, after = walk.slice_of(request.dbsession, place, project_id, traces, after)
                if move is not None:
                    move(request.dbsession)
            found += n
            if after is None:
                break
    with request.tm:
        found += files.clean(request.dbsession, request.registry.mailhub, project_id, traces)
    return found


@task("mailhub.privacy.erase", queue="celery", transaction=False, every=60)
def erase_due(request: Request) -> None:
    """Ask for the job of each project where somebody is due; follow those who have been taken out."""
    with request.tm:
        for project_id in _projects(request, DUE):
            try:
                background.ask(request, project_id, service.KIND, {})
            except background.TooManyJobs:
                continue  # The next run asks again.
        followed = _projects(request, Erasure.state == ErasureState.FOLLOWING)
    for project_id in followed:
        follow(request, project_id)


#: Somebody is to be taken out, or was, and the walk is missing.
DUE = or_(
    and_(Erasure.state == ErasureState.WAITING, Erasure.due_at <= func.now()), Erasure.state == ErasureState.ERASING
)


def _projects(request: Request, condition: ColumnElement[bool]) -> list[int]:
    wanted = select(Erasure.project_id).where(Erasure.sealed.is_not(None), condition).distinct()
    return list(request.dbsession.scalars(wanted.order_by(Erasure.project_id)))


@task("mailhub.privacy.retention", queue="celery", transaction=False, every=3600)
def keep_less(request: Request) -> None:
    """Delete raw events and letters past their project's own time, and sign-ups that were never confirmed.

    A transaction a slice; may be run twice at once and stopped at any time.
    """
    with request.tm:
        projects = request.dbsession.execute(
            select(Project.id, Project.retention_days, Project.unconfirmed_days).where(
                or_(Project.retention_days.is_not(None), Project.unconfirmed_days.is_not(None))
            )
        ).all()
    for project in projects:
        if project.retention_days is not None:
            keep_less_of(request, project.id, project.retention_days)
        while project.unconfirmed_days is not None:
            with request.tm:
                row = request.dbsession.get(Project, project.id)
                n = (
                    service.drop_unconfirmed(request.dbsession, row, now=datetime.now(UTC), most=UNCONFIRMED_SLICE)
                    if row is not None
                    else 0
                )
            if n < UNCONFIRMED_SLICE:
                break


def keep_less_of(request: Request, project_id: int, days: int) -> tuple[int, int]:
    """One project's old letters and events; gives how many were deleted. Whoever recounts is told first."""
    now = datetime.now(UTC)
    # By whole days: recounts group projects by this moment.
    before = (now - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
    with request.tm:
        request.dbsession.execute(
            update(Project)
            .where(Project.id == project_id, or_(Project.raw_since.is_(None), Project.raw_since < before))
            .values(raw_since=before)
        )
    letters, events = raw.delete_old(request.registry.engine, project_id, before=before)
    if letters or events:
        log.info("retention.project", project_id=project_id, letters=letters, events=events)
    return letters, events
