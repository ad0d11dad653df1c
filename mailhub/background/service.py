"""Jobs as the rooms see them: ask for one, look at it, cancel it, take its file."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyramid.request import Request
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from mailhub.models import JobState, ProjectJob
from mailhub.settings import Settings

if TYPE_CHECKING:
    from mailhub.background.running import Running

#: `handler(request, job)` does the job and gives its result: counts and words that the page shows.
Handler = Callable[[Request, "Running"], Mapping[str, Any] | None]

#: A job is remembered for so many days after its end, and its file with it.
KEPT_DAYS = 7
#: Jobs of one project that wait or run at once.
MOST_OPEN = 20
OPEN = (JobState.PENDING, JobState.RUNNING)

_CANCEL_RUNNING = text(
    "UPDATE project_job SET cancel_requested = true"
    " WHERE project_id = :project AND id = :id AND state = 'running' RETURNING id"
)
_CANCEL_PENDING = text(
    "UPDATE project_job SET state = 'cancelled', finished_at = clock_timestamp(),"
    " expires_at = clock_timestamp() + make_interval(days => :days)"
    " WHERE project_id = :project AND id = :id AND state = 'pending' RETURNING id"
)


class TooManyJobs(Exception):
    """MOST_OPEN jobs of the project wait or run already."""


#: Who does the jobs of a kind, filled as the rooms' `tasks.py` are imported.
HANDLERS: dict[str, Handler] = {}


def project_job(kind: str) -> Callable[[Handler], Handler]:
    """Declare `handler(request, job)` the one who does the jobs of a kind."""

    def declare(handler: Handler) -> Handler:
        if kind in HANDLERS and HANDLERS[kind].__module__ != handler.__module__:
            raise ValueError(f"two handlers for the jobs of the kind {kind}")
        HANDLERS[kind] = handler
        return handler

    return declare


def ask(
    request: Request,
    project_id: int,
    kind: str,
    parameters: Mapping[str, Any],
    *,
    total: int = 0,
    user_id: int | None = None,
    file_name: str = "",
) -> tuple[ProjectJob, bool]:
    """A new job, woken after the commit, and True; or the one that waits or runs for just the same, and False.

    `file_name` is what its file will be called at the reader's. Raises TooManyJobs.
    """
    from mailhub.background.tasks import run_job

    assert kind in HANDLERS, kind
    dbsession: Session = request.dbsession
    open_ = select(ProjectJob).where(ProjectJob.project_id == project_id, ProjectJob.state.in_(OPEN))
    same = dbsession.scalars(
        open_.where(
            ProjectJob.kind == kind, ProjectJob.parameters == dict(parameters), ~ProjectJob.cancel_requested
        ).limit(1)
    ).first()
    if same is not None:
        return same, False
    if (dbsession.scalar(select(func.count()).select_from(open_.subquery())) or 0) >= MOST_OPEN:
        raise TooManyJobs
    job = ProjectJob(
        project_id=project_id, kind=kind, parameters=dict(parameters), total=total, requested_by=user_id,
        file_name=file_name,
    )  # fmt: skip
    dbsession.add(job)
    dbsession.flush()
    dbsession.refresh(job)
    request.enqueue(run_job, project_id, job.id)
    return job, True


def latest(dbsession: Session, project_id: int, kind: str, *, most: int = 20) -> list[ProjectJob]:
    """The newest jobs of a kind."""
    wanted = select(ProjectJob).where(ProjectJob.project_id == project_id, ProjectJob.kind == kind)
    return list(dbsession.scalars(wanted.order_by(ProjectJob.id.desc()).limit(most)))


def cancel(dbsession: Session, project_id: int, job_id: int) -> bool:
    """End a job that has not ended: a waiting one at once, a running one with its next slice. False: it has ended."""
    values = {"project": project_id, "id": job_id}
    return (
        dbsession.execute(_CANCEL_PENDING, values | {"days": KEPT_DAYS}).first() is not None
        or dbsession.execute(_CANCEL_RUNNING, values).first() is not None
    )


def folder(settings: Settings) -> Path:
    """Where the files are. Nobody else may look into it: they hold addresses."""
    path = settings.home / "exports"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def new_name(suffix: str) -> str:
    """A name for a job's file that nobody can guess; `suffix` is "csv", "xlsx", "zip", "json"."""
    return f"{secrets.token_hex(16)}.{suffix}"


def path_of(settings: Settings, name: str) -> Path:
    """The file of a job. Names are made by `new_name` only; anything else is a fault of ours. Raises ValueError."""
    stem, dot, suffix = name.partition(".")
    if len(stem) != 32 or not stem.isalnum() or not dot or not suffix.isalnum():
        raise ValueError("not a name of ours")
    return folder(settings) / name
