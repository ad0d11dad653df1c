"""Jobs as admins handle them: ask for one, look at them, cancel, forget."""

from __future__ import annotations

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.orm import Session

from mailhub.jobs import files
from mailhub.jobs.kinds import Wanted
from mailhub.models import JobState, ReportJob, User
from mailhub.settings import Settings

#: A file is there for so long after its job has ended.
KEPT_DAYS = 7
#: Jobs that wait or run at once; more are a mistake, or somebody who clicks again and again.
MOST_OPEN = 20
OPEN = (JobState.PENDING, JobState.RUNNING)

_CANCEL_RUNNING = text(
    "UPDATE report_job SET cancel_requested = true WHERE id = :id AND state = 'running' RETURNING id"
)
_CANCEL_PENDING = text(
    "UPDATE report_job SET state = 'cancelled', finished_at = clock_timestamp(),"
    " expires_at = clock_timestamp() + make_interval(days => :days) WHERE id = :id AND state = 'pending' RETURNING id"
)


class TooManyJobs(Exception):
    """MOST_OPEN jobs wait or run already."""


class NotThere(Exception):
    """The job has no file: it has not ended, found nothing to write, or the file is gone."""


def ask(dbsession: Session, wanted: Wanted, *, user_id: int | None) -> tuple[ReportJob, bool]:
    """A new job, for the caller to wake, and True; or the one that waits or runs for the same, and False.

    Raises TooManyJobs.
    """
    parameters = wanted.parameters()
    mine = select(ReportJob).where(
        ReportJob.kind == wanted.kind, ReportJob.parameters == parameters, ReportJob.state.in_(OPEN),
        ~ReportJob.cancel_requested,
    )  # fmt: skip
    same = dbsession.scalars(mine.order_by(ReportJob.id).limit(1)).first()
    if same is not None:
        return same, False
    waiting = select(func.count()).select_from(ReportJob).where(ReportJob.state.in_(OPEN))
    if dbsession.execute(waiting).scalar_one() >= MOST_OPEN:
        raise TooManyJobs
    job = ReportJob(kind=wanted.kind.value, parameters=parameters, requested_by=user_id)
    dbsession.add(job)
    dbsession.flush()
    dbsession.refresh(job)
    return job, True


def listed(
    dbsession: Session, *, state: str = "", kind: str = "", before: int = 0, most: int = 50
) -> list[tuple[ReportJob, str]]:
    """Jobs and who asked for them ("" for nobody any more), newest first, from the one before id `before` on."""
    query = select(ReportJob, func.coalesce(User.email, "")).outerjoin(User, User.id == ReportJob.requested_by)
    if state:
        query = query.where(ReportJob.state == state)
    if kind:
        query = query.where(ReportJob.kind == kind)
    if before:
        query = query.where(ReportJob.id < before)
    return [(job, email) for job, email in dbsession.execute(query.order_by(ReportJob.id.desc()).limit(most))]


def count(dbsession: Session, *, state: str = "", kind: str = "") -> int:
    """How many jobs fit the same filters."""
    query = select(func.count()).select_from(ReportJob)
    if state:
        query = query.where(ReportJob.state == state)
    if kind:
        query = query.where(ReportJob.kind == kind)
    return int(dbsession.execute(query).scalar_one())


def find(dbsession: Session, job_id: int) -> tuple[ReportJob, str] | None:
    """A job and who asked for it."""
    query = select(ReportJob, func.coalesce(User.email, "")).outerjoin(User, User.id == ReportJob.requested_by)
    row = dbsession.execute(query.where(ReportJob.id == job_id)).first()
    return (row[0], row[1]) if row is not None else None


def cancel(dbsession: Session, job_id: int) -> bool:
    """End a job that has not ended: a waiting one at once, a running one in a second or two. False: it has ended."""
    values = {"id": job_id}
    return (
        dbsession.execute(_CANCEL_PENDING, values | {"days": KEPT_DAYS}).first() is not None
        or dbsession.execute(_CANCEL_RUNNING, values).first() is not None
    )


def forget(dbsession: Session, settings: Settings, job: ReportJob) -> bool:
    """Remove a job that has ended, with its file. False: it has not ended."""
    if job.state in OPEN:
        return False
    if job.file:
        files.path_of(settings, job.file).unlink(missing_ok=True)
    dbsession.execute(delete(ReportJob).where(ReportJob.id == job.id))
    return True


def forget_expired(dbsession: Session, settings: Settings) -> int:
    """Remove jobs past their time with their files, and files that belong to none; gives how many jobs."""
    gone = 0
    for job in dbsession.scalars(select(ReportJob).where(ReportJob.expires_at < func.clock_timestamp())).all():
        gone += forget(dbsession, settings, job)
    # The files first: a job's name is committed before its file is made, so that one made meanwhile is no stray.
    found = list(files.folder(settings).glob("*.csv"))
    known = set(dbsession.scalars(select(ReportJob.file).where(ReportJob.file != "")))
    for path in found:
        if path.name not in known:
            path.unlink(missing_ok=True)
    return gone


def lose_file(dbsession: Session, job_id: int) -> None:
    """Write down that the file is gone, so that nobody is offered it again."""
    dbsession.execute(update(ReportJob).where(ReportJob.id == job_id).values(file="", file_bytes=0))
