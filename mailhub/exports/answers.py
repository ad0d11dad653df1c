"""Files as answers: one that was made at once, one that a job has made."""

from __future__ import annotations

from urllib.parse import quote

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import FileResponse, Response

from mailhub.background import service as background
from mailhub.exports import service
from mailhub.models import ProjectJob
from mailhub.security.audit import note


def saved(small: service.Small) -> Response:
    """A small file to save."""
    return _to_save(Response(body=small.content), small.file_name)


def file_of(request: Request, job: ProjectJob) -> Response:
    """The finished file; 404 where there is none. That it was taken is noted: it holds addresses."""
    if not service.has_file(request, job):
        raise HTTPNotFound()
    note(request, "export.downloaded", job, name=job.file_name)
    path = background.path_of(request.registry.mailhub, job.file)
    return _to_save(FileResponse(str(path), request=request), job.file_name)


def _to_save(response: Response, file_name: str) -> Response:
    response.headers["Content-Type"] = service.CONTENT_TYPES[file_name.rpartition(".")[2]]
    # RFC 6266: a plain name for old programs, the whole one in UTF-8 (RFC 8187).
    plain = file_name.encode("ascii", "ignore").decode()
    spelled = quote(file_name, safe="")
    response.headers["Content-Disposition"] = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{spelled}"
    response.headers["Cache-Control"] = "no-store"
    return response
