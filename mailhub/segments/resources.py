"""The objects in the URLs of this room: the row of the project at hand, or 404."""

from __future__ import annotations

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request

from mailhub.models import Segment
from mailhub.security.context import ProjectContext, number_of


class SegmentContext(ProjectContext):
    """A segment, an archived one too."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        found = request.dbsession.get(Segment, (self.project.id, number_of(request, "segment_id")))
        if found is None:
            raise HTTPNotFound()
        self.segment: Segment = found
