"""The objects in the URLs of this room: the row of the project at hand, or 404."""

from __future__ import annotations

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request

from mailhub.models import MailingList, Subscriber
from mailhub.security.context import ProjectContext, number_of


class ListContext(ProjectContext):
    """A list that is in use; an archived one is not found."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        found = request.dbsession.get(MailingList, (self.project.id, number_of(request, "list_id")))
        if found is None or found.archived_at is not None:
            raise HTTPNotFound()
        self.mailing_list: MailingList = found


class SubscriberContext(ProjectContext):
    def __init__(self, request: Request) -> None:
        super().__init__(request)
        found = request.dbsession.get(Subscriber, (self.project.id, number_of(request, "subscriber_id")))
        if found is None:
            raise HTTPNotFound()
        self.subscriber: Subscriber = found
