"""The objects in the URLs of this room: the import of the project at hand, or 404."""

from __future__ import annotations

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request

from mailhub.models import SubscriberImport
from mailhub.security.context import ProjectContext, number_of


class ImportContext(ProjectContext):
    def __init__(self, request: Request) -> None:
        super().__init__(request)
        found = request.dbsession.get(SubscriberImport, (self.project.id, number_of(request, "import_id")))
        if found is None:
            raise HTTPNotFound()
        self.subscriber_import: SubscriberImport = found
