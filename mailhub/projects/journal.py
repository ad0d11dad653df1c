"""The project's journal: who did what, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyramid.request import Request
from pyramid.view import view_config
from sqlalchemy import select
from sqlalchemy.orm import Session

from mailhub.models import AuditEntry
from mailhub.security.context import ProjectContext
from mailhub.web import paging
from mailhub.web.i18n import _

#: What an action is called for people. An action that is not here is shown as it is written down.
ACTIONS = {
    "project.created": _("Created the project"),
    "project.changed": _("Changed the project's settings"),
    "project.archived": _("Archived the project"),
    "project.restored": _("Took the project out of the archive"),
    "sender.added": _("Added a sender"),
    "sender.changed": _("Changed a sender"),
    "sender.deleted": _("Deleted a sender"),
    "domain.added": _("Added a sending domain"),
    "domain.check_asked": _("Had the DNS of a sending domain checked"),
    "domain.deleted": _("Removed a sending domain"),
    "member.added": _("Added somebody to the team"),
    "member.link_made": _("Made a sign-in link for somebody"),
    "member.role_changed": _("Changed somebody's role"),
    "member.removed": _("Removed somebody from the team"),
    "api_key.created": _("Made an API key"),
    "api_key.revoked": _("Revoked an API key"),
    "list.created": _("Created a list"),
    "list.changed": _("Changed a list"),
    "list.deleted": _("Deleted a list"),
    "list.archived": _("Archived a list"),
    "subscriber.created": _("Added a subscriber"),
    "subscriber.batch": _("Added or changed subscribers by the API"),
    "subscriber.changed": _("Changed a subscriber"),
    "subscriber.deleted": _("Erased a subscriber"),
    "subscriber.subscribed": _("Subscribed somebody to a list"),
    "subscriber.unsubscribed": _("Unsubscribed somebody"),
    "suppression.added": _("Put addresses on the stop list"),
    "suppression.removed": _("Took an address off the stop list"),
    "preferences.joined": _("A person joined lists by their page"),
    "preferences.left": _("A person left lists by their page"),
    "preferences.paused": _("A person paused their letters"),
    "preferences.pause_ended": _("A person ended their pause"),
    "preferences.details": _("A person changed their details"),
    "preferences.address": _("A person changed their address"),
    "preferences.tracking": _("A person chose what is counted of them"),
    "preferences.settings": _("Changed what people may change themselves"),
    "import.started": _("Started an import"),
    "import.cancelled": _("Stopped an import"),
    "import.retried": _("Let an import go on"),
    "import.deleted": _("Deleted an import"),
    "message.withdrawn": _("Took a letter back before it was sent"),
    "message.erased": _("Erased the content of a letter"),
    "campaign.created": _("Created a campaign"),
    "campaign.changed": _("Changed a campaign"),
    "campaign.scheduled": _("Scheduled a campaign"),
    "campaign.started": _("Started a campaign"),
    "campaign.not_ready": _("Could not start a scheduled campaign"),
    "campaign.segment_broken": _("Stopped a campaign whose segment can't be read"),
    "campaign.paused": _("Paused a campaign"),
    "campaign.resumed": _("Resumed a campaign"),
    "campaign.unscheduled": _("Took a scheduled campaign back"),
    "campaign.resent": _("Sent letters in doubt again"),
    "campaign.retried": _("Tried failed letters again"),
    "campaign.cancelled": _("Cancelled a campaign"),
    "campaign.copied": _("Copied a campaign"),
    "campaign.archived": _("Archived a campaign"),
    "campaign.unarchived": _("Took a campaign out of the archive"),
    "campaign.deleted": _("Deleted a campaign"),
    "campaign.tested": _("Sent a test letter"),
    "share.created": _("Shared a campaign's report by a link"),
    "share.revoked": _("Revoked a link to a campaign's report"),
}


def entries(
    dbsession: Session, project_id: int, *, actor: str = "", before: int | None = None, limit: int = paging.PAGE_SIZE
) -> Sequence[AuditEntry]:
    """Up to `limit + 1` entries, newest first, from the one before `before` on; of one `actor`, if one is given."""
    wanted = select(AuditEntry).where(AuditEntry.project_id == project_id)
    if actor:
        wanted = wanted.where(AuditEntry.actor == actor)
    if before is not None:
        wanted = wanted.where(AuditEntry.id < before)
    return dbsession.scalars(wanted.order_by(AuditEntry.id.desc()).limit(limit + 1)).all()


@view_config(
    route_name="projects.journal", request_method="GET", permission="journal:view", renderer="projects/journal.html"
)
@view_config(
    route_name="projects.journal",
    request_method="GET",
    permission="journal:view",
    renderer="projects/_journal_rows.html",
    hx_target="journal-rows",
)
def journal(context: ProjectContext, request: Request) -> dict[str, Any]:
    actor = request.GET.get("actor", "")[:320]
    after = paging.read_cursor(request.GET.get("after"), int)
    found = entries(request.dbsession, context.project.id, actor=actor, before=after[0] if after is not None else None)
    page = paging.page_of(found, paging.PAGE_SIZE, lambda entry: (entry.id,))
    return {
        "entries": [(entry, ACTIONS.get(entry.action, entry.action), _facts(entry)) for entry in page.rows],
        "actor": actor,
        "actor_options": [(one, one) for one in _actors(request.dbsession, context.project.id)],
        "next": paging.next_url(request, page),
        "first": paging.first_url(request),
    }


def _actors(dbsession: Session, project_id: int) -> list[str]:
    """Who has an entry in the project's last thousand."""
    latest = (
        select(AuditEntry.actor)
        .where(AuditEntry.project_id == project_id)
        .order_by(AuditEntry.id.desc())
        .limit(1000)
        .subquery()
    )
    return sorted(actor for actor in dbsession.scalars(select(latest.c.actor).distinct()) if actor)


def _facts(entry: AuditEntry) -> str:
    """The entry's detail in one line, as it was written down."""
    pairs = []
    for name, value in entry.detail.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        if shown:
            pairs.append(f"{name}: {shown}")
    return "; ".join(pairs)
