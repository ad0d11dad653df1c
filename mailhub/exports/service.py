"""Exports as pages and the API see them: a few rows at once, more as a job; what there is, who may take it."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pyramid.request import Request
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from mailhub.background import service as background
from mailhub.exports import people, rows, writing
from mailhub.exports.tasks import KIND
from mailhub.exports.wanted import Wanted, wanted_of
from mailhub.models import JobState, Project, ProjectJob, User

#: An export with more rows is a job.
AT_ONCE = 5_000
CONTENT_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_NOT_NAME = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, slots=True)
class Small:
    """A whole file: its name and its bytes, and how many rows it has."""

    file_name: str
    content: bytes
    rows: int


def file_name(project: Project, wanted: Wanted, about: str) -> str:
    """What the file is called at the reader's, like demo-list-Readers-2026-11-27.csv."""
    pieces = (
        project.slug,
        wanted.what.value,
        _NOT_NAME.sub("-", about).strip("-.")[:60],
        f"{datetime.now(UTC):%Y-%m-%d}",
    )
    return "-".join(piece for piece in pieces if piece) + f".{wanted.format.value}"


def at_once(dbsession: Session, project: Project, wanted: Wanted) -> Small | None:
    """The file where it has AT_ONCE rows at most, else None. Raises WantedRefused."""
    about = people.name_of(dbsession, project, wanted)
    numbers: io.BytesIO | None = None
    if rows.has_numbers(wanted):
        numbers = io.BytesIO()
        if rows.write_numbers(dbsession, project, wanted, numbers, most=AT_ONCE + 1) > AT_ONCE:
            return None
    place: dict[str, Any] | None = rows.start(dbsession, wanted)
    found: list[list[Any]] = []
    while place is not None:
        some, place = rows.step(dbsession, project, wanted, place, numbers)
        found += some
        if len(found) > AT_ONCE:
            return None
    columns = rows.columns(dbsession, project, wanted)
    content = writing.small(wanted.format, columns, found, wanted.what.value)
    return Small(file_name(project, wanted, about), content, len(found))


def ask(request: Request, project: Project, wanted: Wanted, *, user_id: int | None) -> tuple[ProjectJob, bool]:
    """A job that makes the file; the one that is at it already, and False. Raises WantedRefused, TooManyJobs."""
    about = people.name_of(request.dbsession, project, wanted)
    name = file_name(project, wanted, about)
    return background.ask(request, project.id, KIND, wanted.parameters(), user_id=user_id, file_name=name)


@dataclass(frozen=True, slots=True)
class Listed:
    """A job of the page, and who asked for it ("" for a program)."""

    job: ProjectJob
    wanted: Wanted
    by: str


def listed(dbsession: Session, project_id: int, *, most: int = 50) -> list[Listed]:
    """The project's exports, the newest first."""
    found = (
        select(ProjectJob, func.coalesce(func.nullif(User.name, ""), User.email, ""))
        .outerjoin(User, User.id == ProjectJob.requested_by)
        .where(ProjectJob.project_id == project_id, ProjectJob.kind == KIND)
        .order_by(ProjectJob.id.desc())
        .limit(most)
    )
    return [Listed(job, wanted_of(job.parameters), by) for job, by in dbsession.execute(found)]


def is_open(job: ProjectJob) -> bool:
    """Whether it waits or runs."""
    return job.state in background.OPEN


def remove(request: Request, job: ProjectJob) -> bool:
    """Forget an export and its file. False where it is still being made."""
    if is_open(job):
        return False
    if job.file:
        background.path_of(request.registry.mailhub, job.file).unlink(missing_ok=True)
    request.dbsession.delete(job)
    request.dbsession.flush()
    return True


def has_file(request: Request, job: ProjectJob) -> bool:
    """Whether there is something to download."""
    if job.state != JobState.DONE or not job.file:
        return False
    return background.path_of(request.registry.mailhub, job.file).is_file()
