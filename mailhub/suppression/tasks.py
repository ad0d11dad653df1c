"""A long list of addresses, put on the stop list slice by slice by a worker."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import datetime
from typing import Any, BinaryIO

from pyramid.request import Request

from mailhub.background import service as background
from mailhub.background.running import Failed, Running
from mailhub.models import ProjectJob
from mailhub.security import audit
from mailhub.suppression import service
from mailhub.suppression.reading import MOST_SHOWN, read

KIND = "stop_list"
#: Lines of a slice.
SLICE = 2_000


def ask(request: Request, project_id: int, upload: BinaryIO, entry: service.Entry) -> ProjectJob:
    """Keep the upload and have a worker go through it. Raises TooManyJobs.

    The name is random, so each upload is a job of its own.
    """
    name = background.new_name("txt")
    path = background.path_of(request.registry.mailhub, name)
    size = 0
    with path.open("wb") as file:
        while block := upload.read(1 << 20):
            size += file.write(block)
    parameters = {
        "file": name, "reason": entry.reason, "note": entry.note,
        "expires_at": entry.expires_at.isoformat() if entry.expires_at else None,
    }  # fmt: skip
    try:
        job, _new = background.ask(request, project_id, KIND, parameters, total=size, user_id=entry.user_id)
    except background.TooManyJobs:
        path.unlink(missing_ok=True)
        raise
    # Named in the job's row: what no row names is taken away as a stray.
    job.file = name
    request.dbsession.flush()
    return job


@background.project_job(KIND)
def add_all(request: Request, job: Running) -> dict[str, Any]:
    """Read the file on from where the last slice ended; the result says what came of it."""
    given = job.parameters
    until = datetime.fromisoformat(given["expires_at"]) if given["expires_at"] else None
    entry = service.Entry(given["reason"], given["note"], user_id=job.requested_by, expires_at=until)
    path = background.path_of(request.registry.mailhub, given["file"])
    totals: dict[str, Any] = {name: int(job.place.get(name, 0)) for name in ("read", "added", "wrong")}
    totals["shown"] = list(job.place.get("shown", ()))
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise Failed("gone") from None
    with file:
        file.seek(int(job.place.get("at", 0)))
        while lines := list(itertools.islice(iter(file.readline, b""), SLICE)):
            at = file.tell()
            found = read(_texts(lines), from_start=not job.place)
            with request.tm:
                changed = service.suppress_many(request.dbsession, job.project_id, found.keys, entry)
                totals = {
                    "read": totals["read"] + len(found.keys),
                    "added": totals["added"] + len(changed),
                    "wrong": totals["wrong"] + found.wrong,
                    # The first wrong lines as they were: who made the file knows them again.
                    "shown": [*totals["shown"], *found.shown][:MOST_SHOWN],
                }
                job.move(request.dbsession, done=sum(map(len, lines)), place={"at": at, **totals}, result=totals)
    with request.tm:
        audit.write(
            request.dbsession, "suppression.added", actor="job", project_id=job.project_id, user_id=job.requested_by,
            detail={"reason": entry.reason, "addresses": totals["added"]},
        )  # fmt: skip
        # The addresses stand in the list now; the upload is needed no more.
        job.move(request.dbsession, file="", file_bytes=0)
    path.unlink(missing_ok=True)
    return totals


def _texts(lines: Iterable[bytes]) -> Iterable[str]:
    """Addresses are ASCII or UTF-8; whatever else stands on a line does not matter."""
    return (line.decode("utf-8-sig", "replace") for line in lines)
