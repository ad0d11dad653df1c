"""From an id in the URL to a list, a person or an import, or 404."""

from __future__ import annotations

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from sqlalchemy import select

from mailhub.models import MailingList, Subscriber, SubscriberImport
from mailhub.security.context import ProjectContext, number_of


class ListContext(ProjectContext):
    """A list of the project."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        found = request.dbsession.scalars(
            select(MailingList).where(MailingList.project_id == self.project.id, MailingList.id == number_of(request, "list_id"))
        ).one_or_none()
        if found is None:
            raise HTTPNotFound()
        self.mailing_list: MailingList = found


class SubscriberContext(ProjectContext):
    """A person of the project."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        found = request.dbsession.scalars(
            select(Subscriber).where(Subscriber.project_id == self.project.id, Subscriber.id == number_of(request, "subscriber_id"))
        ).one_or_none()
        if found is None:
            raise HTTPNotFound()
        self.subscriber: Subscriber = found


class ImportContext(ProjectContext):
    """An import of the project."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        found = request.dbsession.scalars(
            select(SubscriberImport).where(SubscriberImport.project_id == self.project.id, SubscriberImport.id == number_of(request, "import_id"))
        ).one_or_none()
        if found is None:
            raise HTTPNotFound()
        self.subscriber_import: SubscriberImport = found
