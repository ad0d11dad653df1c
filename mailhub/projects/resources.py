"""From an id in the URL to a sender, a sending domain or a member, or 404."""

from __future__ import annotations

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from sqlalchemy import select
from sqlalchemy.orm import contains_eager

from mailhub.models import Membership, Sender, SendingDomain, User
from mailhub.security.context import ProjectContext, number_of


class SenderContext(ProjectContext):
    """A sender of the project."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        found = request.dbsession.scalars(
            select(Sender).where(Sender.project_id == self.project.id, Sender.id == number_of(request, "sender_id"))
        ).one_or_none()
        if found is None:
            raise HTTPNotFound()
        self.sender: Sender = found


class DomainContext(ProjectContext):
    """A sending domain of the project."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        found = request.dbsession.get(SendingDomain, (self.project.id, number_of(request, "domain_id")))
        if found is None:
            raise HTTPNotFound()
        self.domain: SendingDomain = found


class MemberContext(ProjectContext):
    """A member of the project."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        found = request.dbsession.scalars(
            select(Membership)
            .join(Membership.user)
            .options(contains_eager(Membership.user))
            .where(Membership.project_id == self.project.id, Membership.user_id == number_of(request, "user_id"))
        ).one_or_none()
        if found is None:
            raise HTTPNotFound()
        self.membership: Membership = found
        self.user: User = found.user
