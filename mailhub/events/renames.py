"""When a project's domain, a campaign's name or a list's name changes, the copies in letters and events follow.

The numbers do not move: no rollup has a name in its key. Writers that began before the change may still write the old
name: a letter that is under way, a campaign that is being sent. So a job goes through letters, then through events, and
then follows the end of both until nobody is left who could.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from mailhub.models import RenameJob, RenameKind, RenameState
from mailhub.reporting import renames as sql

SLICE = 5_000
#: A single letter may be under way for so long; whatever was claimed before the change is written down by then.
UNDER_WAY = timedelta(minutes=2)
#: Letters get their row when they are settled, in transactions that may overlap: each look behind begins so far back.
OVERLAP = timedelta(minutes=10)
_FIRST_LETTER = (datetime(2000, 1, 1, tzinfo=UTC), UUID(int=0))


def request_rename(dbsession: Session, kind: RenameKind, *, project_id: int, object_id: int) -> RenameJob:
    """Begin to rename the copies, or begin anew; call it in the transaction that changes the name.

    Enqueue `mailhub.events.rename` with the job's project and id, or leave it to the sweep.
    """
    dbsession.flush()
    fresh = {
        "state": RenameState.PENDING, "changed_position": sql.place(dbsession).position, "letter_at": None,
        "letter_id": None, "event_position": 0, "event_id": 0, "is_last": False, "reached_at": None, "rows_seen": 0,
        "rows_changed": 0, "requested_at": func.now(), "touched_at": func.now(), "finished_at": None,
    }  # fmt: skip
    row = insert(RenameJob).values(project_id=project_id, kind=kind, object_id=object_id, **fresh)
    row = row.on_conflict_do_update(
        index_elements=[RenameJob.project_id, RenameJob.kind, RenameJob.object_id], set_=fresh
    )
    found = select(RenameJob).from_statement(row.returning(RenameJob)).execution_options(populate_existing=True)
    return dbsession.scalars(found).one()


def step(dbsession: Session, project_id: int, job_id: int, *, most: int = SLICE) -> bool:
    """One slice in the caller's transaction; says whether there is more to do now.

    Two at once: the second one finds the job taken and leaves it alone.
    """
    wanted = select(RenameJob).where(RenameJob.project_id == project_id, RenameJob.id == job_id)
    job = dbsession.scalars(wanted.with_for_update(skip_locked=True)).one_or_none()
    if job is None or job.state == RenameState.DONE:
        return False
    name = sql.name_of(dbsession, job.kind, job.project_id, job.object_id)
    if name is None:
        # The campaign or the list is gone; its letters and events keep the name that it had.
        _end(job)
        return False
    now = dbsession.execute(select(func.clock_timestamp())).scalar_one()
    job.touched_at = now
    if job.state in (RenameState.PENDING, RenameState.FOLLOWING):
        # Nobody is left who could write the old name: this time is the last.
        over = now - job.requested_at > UNDER_WAY and not name.is_sending
        job.is_last = over and sql.place(dbsession).horizon > job.changed_position
        job.state = RenameState.LETTERS
    if job.state == RenameState.LETTERS:
        if not _letters(dbsession, job, name.value, most):
            job.state = RenameState.EVENTS
            if job.event_position == 0:
                job.reached_at = None
        return True
    if _events(dbsession, job, name.value, most):
        return True
    if job.is_last:
        _end(job)
    else:
        job.state = RenameState.FOLLOWING
    return False


def following(dbsession: Session, project_id: int, kind: str, object_id: int) -> sql.Following | None:
    """How far the copies of this name have followed; None where nothing is to follow."""
    found = sql.following(dbsession, project_id)
    return next((one for one in found if (one.kind, one.object_id) == (kind, object_id)), None)


def _letters(dbsession: Session, job: RenameJob, value: str, most: int) -> bool:
    """A slice of letters. At the end the place goes back by OVERLAP, for the next time."""
    after = (job.letter_at, job.letter_id) if job.letter_at and job.letter_id else _FIRST_LETTER
    found = sql.letters(dbsession, job.kind, job.project_id, job.object_id, value, after=after, most=most)
    _count(job, found.seen, found.changed)
    if found.end_at is None or found.end_id is None:
        if job.letter_at is not None:
            job.letter_at, job.letter_id = job.letter_at - OVERLAP, UUID(int=0)
        return False
    job.letter_at, job.letter_id = found.end_at, found.end_id
    job.reached_at = found.end_at
    return True


def _events(dbsession: Session, job: RenameJob, value: str, most: int) -> bool:
    after = (job.event_position, job.event_id)
    found = sql.events(dbsession, job.kind, job.project_id, job.object_id, value, after=after, most=most)
    _count(job, found.seen, found.changed)
    if found.end_position is None or found.end_id is None:
        return False
    job.event_position, job.event_id = found.end_position, found.end_id
    job.reached_at = found.end_at
    return True


def _count(job: RenameJob, seen: int, changed: int) -> None:
    job.rows_seen += seen
    job.rows_changed += changed


def _end(job: RenameJob) -> None:
    job.state = RenameState.DONE
    job.finished_at = datetime.now(UTC)
