"""The worker's side of a large export: slice by slice, each in the file and on the disk before it counts."""

from __future__ import annotations

import time
from typing import Any

from pyramid.request import Request
from sqlalchemy import select, text

from mailhub import logs
from mailhub.background import service as background
from mailhub.background.running import Failed, Over, Running
from mailhub.background.service import project_job
from mailhub.exports import people, rows, writing
from mailhub.exports.wanted import Wanted, WantedRefused, wanted_of
from mailhub.models import Project, ProjectJob
from mailhub.tasks import task

log = logs.get(__name__)

KIND = "exports.table"
#: Slices that go to the disk together: waiting for the disk costs more than a slice.
TOGETHER = 5
#: A half-made file that belongs to no open job is thrown away after so long.
STRAY_SECONDS = 3600
_PATIENCE = text("SELECT set_config('statement_timeout', '600s', true)")


@project_job(KIND)
def export(request: Request, job: Running) -> dict[str, Any]:
    """Make the file, or go on where a worker was killed: at the bytes and the place of the last committed slice."""
    settings, wanted = request.registry.mailhub, wanted_of(job.parameters)
    if not job.file:
        job.file = background.new_name(wanted.format.value)
        with request.tm:
            job.move(request.dbsession, file=job.file)
    parts = writing.Parts(settings, job.file)
    try:
        _make(request, job, wanted, parts)
    except WantedRefused as refusal:
        parts.forget()
        raise Failed(f"{refusal.field}_{refusal.word}") from None
    except Over as over:
        if over.why == "cancelled":
            parts.forget()
        raise
    return {"rows": job.done}


def _make(request: Request, job: Running, wanted: Wanted, parts: writing.Parts) -> None:
    with request.tm:
        project = request.dbsession.get_one(Project, job.project_id)
        people.name_of(request.dbsession, project, wanted)
        columns = rows.columns(request.dbsession, project, wanted)
    if not job.place:
        _begin(request, job, wanted, parts, columns)
    numbers = parts.numbers.open("rb") if rows.has_numbers(wanted) and not job.place.get("over") else None
    try:
        if not job.place.get("over"):
            with parts.open_rows(job.place["bytes"]) as file:
                while not job.place.get("over"):
                    _write_some(request, job, wanted, file, numbers)
    finally:
        if numbers is not None:
            numbers.close()
    size = parts.finish(wanted.format, columns, wanted.what.value)
    with request.tm:
        job.move(request.dbsession, file_bytes=size)


def _begin(request: Request, job: Running, wanted: Wanted, parts: writing.Parts, columns: list[str]) -> None:
    """Write down whose rows it will have, and the head."""
    total = None
    with request.tm:
        project = request.dbsession.get_one(Project, job.project_id)
        place = rows.start(request.dbsession, wanted)
        if rows.has_numbers(wanted):
            request.dbsession.execute(_PATIENCE)
            with parts.numbers.open("wb") as file:
                total = rows.write_numbers(request.dbsession, project, wanted, file)
                writing.keep(file)
        with parts.open_rows(0) as file:
            file.write(writing.head(wanted.format, columns))
            size = writing.keep(file)
        job.move(request.dbsession, total=total, place={**place, "bytes": size})


def _write_some(request: Request, job: Running, wanted: Wanted, file: Any, numbers: Any) -> None:
    """TOGETHER slices, then the disk, then their place into the row."""
    place: dict[str, Any] = dict(job.place)
    n = 0
    with request.tm:
        project = request.dbsession.get_one(Project, job.project_id)
        for _turn in range(TOGETHER):
            found, following = rows.step(request.dbsession, project, wanted, place, numbers)
            file.write(writing.lines(wanted.format, found))
            n += len(found)
            if following is None:
                place["over"] = True
                break
            place.update(following)
        place["bytes"] = writing.keep(file)
        job.move(request.dbsession, done=n, place=place)


@task("mailhub.exports.clean", queue="celery", every=3600)
def clean(request: Request) -> None:
    """Throw half-made files away that belong to no export that waits or runs."""
    folder = background.folder(request.registry.mailhub) / "parts"
    if not folder.is_dir():
        return
    files = request.dbsession.scalars(
        select(ProjectJob.file).where(ProjectJob.kind == KIND, ProjectJob.state.in_(background.OPEN))
    )
    needed = {name.partition(".")[0] for name in files if name}
    oldest = time.time() - STRAY_SECONDS
    for path in folder.iterdir():
        if path.stem not in needed and path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)
