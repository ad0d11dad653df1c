"""The objects in the URLs of this room: an erasure of the project at hand, or 404."""

from __future__ import annotations

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request

from mailhub.models import Erasure
from mailhub.security.context import ProjectContext, number_of


class ErasureContext(ProjectContext):
    def __init__(self, request: Request) -> None:
        super().__init__(request)
        found = request.dbsession.get(Erasure, (self.project.id, number_of(request, "erasure_id")))
        if found is None:
            raise HTTPNotFound()
        self.erasure: Erasure = found
