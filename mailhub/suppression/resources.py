"""From an id in the URL to an entry of the stop list, or 404."""

from __future__ import annotations

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request

from mailhub.security.context import ProjectContext, number_of
from mailhub.suppression import queries


class EntryContext(ProjectContext):
    """An entry of the project's stop list."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        found = queries.entry(request.dbsession, self.project.id, number_of(request, "suppression_id"))
        if found is None:
            raise HTTPNotFound()
        self.row: queries.Row = found
