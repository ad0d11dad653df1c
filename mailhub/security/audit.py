"""The journal: who did what to which object. Written in the transaction of the deed itself."""

from __future__ import annotations

from typing import Any

from pyramid.request import Request
from sqlalchemy.orm import Session

from mailhub.models import AuditEntry


def note(request: Request, action: str, target: Any = None, *, name: str = "", **detail: Any) -> None:
    """Add an entry, like `note(request, "campaign.started", campaign, name=campaign.name, audience=25000)`.

    `target` is a model's row: its table and id are written down. `detail` must be JSON; no secrets, no addresses of
    subscribers.
    """
    identity = request.identity
    write(
        request.dbsession,
        action,
        target,
        project_id=request.project.id if request.project is not None else None,
        user_id=identity.user.id if identity is not None and identity.user is not None else None,
        actor=identity.name if identity is not None else "",
        ip=request.client_addr,
        name=name,
        detail=detail,
    )


def write(
    dbsession: Session,
    action: str,
    target: Any = None,
    *,
    actor: str,
    project_id: int | None = None,
    user_id: int | None = None,
    ip: str | None = None,
    name: str = "",
    detail: dict[str, Any] | None = None,
) -> None:
    """The same for commands and tasks, which have no signed-in person."""
    dbsession.add(
        AuditEntry(
            project_id=project_id if project_id is not None else getattr(target, "project_id", None),
            user_id=user_id,
            actor=actor,
            action=action,
            object_type=target.__tablename__ if target is not None else "",
            object_id=str(getattr(target, "id", "")) if target is not None else "",
            object_name=name,
            detail=detail or {},
            ip=ip,
        )
    )
