"""What a project does when more forms come in than people can be behind: first work, then a pause (walls.md, T9)."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from pyramid.request import Request
from sqlalchemy import func, select, update

from mailhub import logs
from mailhub.lists import caps, letters
from mailhub.lists.list_letters import Written
from mailhub.lists.speaking import public_url, write
from mailhub.models import FormState, Membership, PauseReason, Project, Role, SignUpForm, User
from mailhub.security import audit
from mailhub.signup import intake

log = logs.get(__name__)


class Entry(StrEnum):
    """What may happen with a form that was sent."""

    NOW = "now"
    #: It came without work, by the way for people without a script: it waits.
    LATER = "later"
    WORK = "work"
    FULL = "full"
    CLOSED = "closed"


def is_flooded(request: Request, project_id: int) -> bool:
    """Whether the project's forms ask for work now."""
    return caps.is_reached(request.registry, intake.free_cap(project_id))


def enter(request: Request, form: SignUpForm, *, worked: bool, slow: bool) -> Entry:
    """Whether a form may come in now; uses up what it needs. The form that comes in when all is used up is paused."""
    registry, project_id = request.registry, form.project_id
    if caps.take(registry, [intake.free_cap(project_id)]) is None:
        return Entry.NOW
    if worked:
        if caps.take(registry, [intake.worked_cap(project_id)]) is None:
            return Entry.NOW
        pause(request, form)
        return Entry.CLOSED
    if slow:
        return Entry.LATER if caps.take(registry, [intake.slow_cap(project_id)]) is None else Entry.FULL
    return Entry.WORK


def pause(request: Request, form: SignUpForm) -> bool:
    """Close a flooded form and tell the project's owners, once; False where it was closed already."""
    paused = (
        update(SignUpForm)
        .where(
            SignUpForm.project_id == form.project_id,
            SignUpForm.id == form.id,
            SignUpForm.state == FormState.ACTIVE,
        )
        .values(state=FormState.PAUSED, pause_reason=PauseReason.FLOOD, paused_at=func.now())
        .returning(SignUpForm.id)
        .execution_options(synchronize_session=False)
    )
    if request.dbsession.scalar(paused) is None:
        return False
    request.dbsession.refresh(form)
    project = request.dbsession.get_one(Project, form.project_id)
    audit.write(request.dbsession, "form.flooded", form, actor="mailhub", project_id=project.id, name=form.name)
    log.warning("sign_up.form_paused", project_id=project.id, form_id=form.id, at=datetime.now(UTC).isoformat())
    written = Written(
        *write(
            request,
            "form_paused",
            project.language,
            project=project,
            form=form,
            form_page=public_url(request, "signup.form", project=project.slug, form_id=form.id),
        )
    )
    for email in _owners(request, project):
        letters.deliver(request, project, written, to_email=email, subscriber_id=None, tag="form_paused")
    return True


def _owners(request: Request, project: Project) -> list[str]:
    if project.notify_email:
        return [project.notify_email]
    owners = (
        select(User.email)
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.project_id == project.id, Membership.role == Role.OWNER)
        .order_by(User.id)
        .limit(5)
    )
    return list(request.dbsession.scalars(owners))
