"""The objects in the URLs of this room: an export of the project at hand, or 404."""

from __future__ import annotations

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request

from mailhub.exports.tasks import KIND
from mailhub.models import ProjectJob
from mailhub.security.context import ProjectContext, number_of


class ExportContext(ProjectContext):
    def __init__(self, request: Request) -> None:
        super().__init__(request)
        found = request.dbsession.get(ProjectJob, (self.project.id, number_of(request, "export_id")))
        if found is None or found.kind != KIND:
            raise HTTPNotFound()
        self.export: ProjectJob = found
