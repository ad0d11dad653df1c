"""From a message's UUID in the URL to its row, or 404."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from sqlalchemy import select

from mailhub.models import Message
from mailhub.security.context import ProjectContext

#: The UUID's time and the row's time are not the same moment; a day either way is enough to prune partitions.
NEAR = timedelta(days=1)


class MessageContext(ProjectContext):
    """A message of the project. The time in its UUID says in which partition it lies."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        try:
            message_id = UUID(request.matchdict["message_id"])
            near = datetime.fromtimestamp((message_id.int >> 80) / 1000, UTC)
            since, until = near - NEAR, near + NEAR
        except (ValueError, OverflowError):
            raise HTTPNotFound() from None
        found = request.dbsession.scalars(
            select(Message).where(
                Message.project_id == self.project.id,
                Message.created_at.between(since, until),
                Message.id == message_id,
            )
        ).one_or_none()
        if found is None:
            raise HTTPNotFound()
        self.message: Message = found
