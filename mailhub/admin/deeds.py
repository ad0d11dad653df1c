"""What admins do to other people's things, by page or by token: each is noted in the journal under the admin's name.

Nothing here destroys a statistic. What cannot be done is Refused with its reasons, and then nothing has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from sqlalchemy import select

from mailhub.accounts import service as accounts
from mailhub.admin import letters
from mailhub.campaigns import service as campaigns
from mailhub.delivery import service as delivery
from mailhub.imports import service as imports
from mailhub.models import Campaign, Message, MessageState, Project, SubscriberImport, User
from mailhub.projects import service as projects
from mailhub.security import audit
from mailhub.web.i18n import _


class Refused(Exception):
    """It was not done; `message` says why (translatable), `reasons` name what stands against it."""

    def __init__(self, message: Any, reasons: Sequence[str] = ()) -> None:
        super().__init__(str(message))
        self.message = message
        self.reasons = list(reasons)


def archive_project(request: Request, project_id: int) -> Project:
    """Put a project away; everything of it stays."""
    project = _project(request, project_id)
    if project.archived_at is None:
        reasons = projects.archive_project(request.dbsession, project)
        if reasons:
            raise Refused(_("Something of this project is on its way. Stop it first."), reasons)
        _note(request, "project.archived", project, project.id, project.name)
    return project


def restore_project(request: Request, project_id: int) -> Project:
    """Bring an archived project back."""
    project = _project(request, project_id)
    if project.archived_at is not None:
        projects.restore_project(request.dbsession, project)
        _note(request, "project.restored", project, project.id, project.name)
    return project


def disable_user(request: Request, user_id: int) -> User:
    """Let a person in no more. Nobody disables themselves, the last admin, or a project's last owner."""
    user = _user(request, user_id)
    if user.id == request.user.id:
        raise Refused(_("Nobody can disable themselves. Ask another administrator."))
    if user.disabled_at is None:
        try:
            accounts.disable_user(request.dbsession, user)
        except accounts.AccountRefused as refusal:
            raise Refused(refusal.message, refusal.reasons) from None
        _note(request, "user.disabled", user, None, user.email)
    return user


def enable_user(request: Request, user_id: int) -> User:
    """Let a person in again."""
    user = _user(request, user_id)
    if user.disabled_at is not None:
        accounts.enable_user(request.dbsession, user)
        _note(request, "user.enabled", user, None, user.email)
    return user


def delete_campaign(request: Request, campaign_id: int) -> str:
    """Delete a draft, archive what was sent or cancelled; says which: "deleted" or "archived".

    Refused for a campaign on its way: people would get half of it.
    """
    found = select(Campaign).where(Campaign.id == campaign_id, Campaign.archived_at.is_(None))
    campaign = request.dbsession.scalars(found).one_or_none()
    if campaign is None:
        raise HTTPNotFound()
    name, project_id = campaign.name, campaign.project_id
    try:
        if campaign.version is None and campaign.state == "draft":
            campaigns.remove(request.dbsession, campaign)
            _note(request, "campaign.deleted", campaign, project_id, name)
            return "deleted"
        campaigns.archive(request.dbsession, campaign)
    except campaigns.CampaignRefused as refusal:
        raise Refused(refusal.message) from None
    _note(request, "campaign.archived", campaign, project_id, name)
    return "archived"


def cancel_import(request: Request, import_id: int) -> SubscriberImport:
    """Stop an import that waits or runs."""
    row = _import(request, import_id)
    _refusing(imports.cancel, request.dbsession, row)
    _note(request, "import.cancelled", row, row.project_id, row.file_name)
    return row


def retry_import(request: Request, import_id: int) -> SubscriberImport:
    """Let a stopped import go on. The sweep wakes it within seconds."""
    row = _import(request, import_id)
    _refusing(imports.retry, request.dbsession, row)
    _note(request, "import.retried", row, row.project_id, row.file_name)
    return row


def delete_import(request: Request, import_id: int) -> None:
    """Forget an import that has ended, with its rejected rows; the people whom it brought stay."""
    row = _import(request, import_id)
    name, project_id = row.file_name, row.project_id
    _refusing(imports.remove, request.dbsession, request.registry.mailhub, row)
    _note(request, "import.deleted", row, project_id, name)


def delete_message(request: Request, message_id: UUID) -> str:
    """Take a waiting letter back and erase what it says; of a settled one erase what it said.

    Says which: "withdrawn" or "erased". The row and its events stay for the statistics, until retention takes them.
    """
    found = letters.letter(request.dbsession, message_id)
    if found is None:
        raise HTTPNotFound()
    message = request.dbsession.get_one(Message, (found.project_id, found.created_at, found.id), with_for_update=True)
    if message.state in (MessageState.QUEUED, MessageState.DEFERRED):
        if not delivery.withdraw(request.dbsession, message):
            raise Refused(_("The letter is on the wire just now, or its campaign sends it again."))
        delivery.erase_content(request.dbsession, message)
        done = "withdrawn"
    elif delivery.erase_content(request.dbsession, message):
        done = "erased"
    else:
        raise Refused(_("Nothing of what this letter said is kept; its row goes with the retention of raw data."))
    # No address and no subject: the journal is kept for longer than letters are.
    _note(request, f"message.{done}", message, message.project_id, str(message.id))
    return done


def _refusing(deed: Any, *given: Any) -> None:
    try:
        deed(*given)
    except imports.ImportRefused as refusal:
        raise Refused(refusal.message) from None


def _project(request: Request, project_id: int) -> Project:
    found: Project | None = request.dbsession.get(Project, project_id)
    if found is None:
        raise HTTPNotFound()
    return found


def _user(request: Request, user_id: int) -> User:
    found: User | None = request.dbsession.get(User, user_id)
    if found is None:
        raise HTTPNotFound()
    return found


def _import(request: Request, import_id: int) -> SubscriberImport:
    found: SubscriberImport | None = request.dbsession.scalars(
        select(SubscriberImport).where(SubscriberImport.id == import_id)
    ).one_or_none()
    if found is None:
        raise HTTPNotFound()
    return found


def _note(request: Request, action: str, target: Any, project_id: int | None, name: str) -> None:
    audit.write(
        request.dbsession,
        action,
        target,
        actor=request.identity.name,
        project_id=project_id,
        user_id=request.user.id,
        ip=request.client_addr,
        name=name,
        detail={"by": "admin"},
    )
