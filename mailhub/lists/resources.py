"""The objects in the URLs of this room: the row of the project at hand, or 404."""

from __future__ import annotations

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request

from mailhub.lists import bulk
from mailhub.models import (
    MailingList,
    ProjectJob,
    Subscriber,
    SubscriberDuplicate,
    SubscriberField,
    SubscriberNote,
    SubscriberView,
    Tag,
)
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


class TagContext(ProjectContext):
    def __init__(self, request: Request) -> None:
        super().__init__(request)
        found = request.dbsession.get(Tag, (self.project.id, number_of(request, "tag_id")))
        if found is None:
            raise HTTPNotFound()
        self.tag: Tag = found


class FieldContext(ProjectContext):
    """A custom field, by its name."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        found = request.dbsession.get(SubscriberField, (self.project.id, request.matchdict["field"].replace("\0", "")))
        if found is None:
            raise HTTPNotFound()
        self.field: SubscriberField = found


class ViewContext(ProjectContext):
    """A saved view of the table: one's own, or one that the team shares."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        found = request.dbsession.get(SubscriberView, (self.project.id, number_of(request, "view_id")))
        user_id = request.user.id if request.user is not None else None
        if found is None or not (found.shared or found.user_id == user_id):
            raise HTTPNotFound()
        self.view: SubscriberView = found


class BulkContext(ProjectContext):
    """A job that changes people, or takes such a change back."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        found = request.dbsession.get(ProjectJob, (self.project.id, number_of(request, "job_id")))
        if found is None or found.kind not in (bulk.KIND, bulk.UNDO):
            raise HTTPNotFound()
        self.job: ProjectJob = found


class NoteContext(SubscriberContext):
    def __init__(self, request: Request) -> None:
        super().__init__(request)
        found = request.dbsession.get(SubscriberNote, (self.project.id, number_of(request, "note_id")))
        if found is None or found.subscriber_id != self.subscriber.id:
            raise HTTPNotFound()
        self.note: SubscriberNote = found


class DuplicateContext(ProjectContext):
    """Two rows that may be one person."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        found = request.dbsession.get(SubscriberDuplicate, (self.project.id, number_of(request, "duplicate_id")))
        if found is None:
            raise HTTPNotFound()
        self.duplicate: SubscriberDuplicate = found
        self.first: Subscriber = request.dbsession.get_one(Subscriber, (self.project.id, found.first_id))
        self.second: Subscriber = request.dbsession.get_one(Subscriber, (self.project.id, found.second_id))
