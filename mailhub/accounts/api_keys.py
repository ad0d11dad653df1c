"""The page of a project's API keys."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from mailhub.accounts import service
from mailhub.accounts.forms import NewApiKey
from mailhub.models import Project
from mailhub.security import audit
from mailhub.security.context import ProjectContext, number_of
from mailhub.security.permissions import SCOPES
from mailhub.web import forms, htmx
from mailhub.web.i18n import _

_SCOPE_LABELS = {
    "lists:read": _("See lists"),
    "lists:write": _("Create and change lists"),
    "subscribers:read": _("See subscribers and imports"),
    "subscribers:write": _("Add and change subscribers, import files"),
    "subscribers:erase": _("Erase people for good"),
    "campaigns:read": _("See campaigns and their numbers"),
    "campaigns:write": _("Create and change campaigns, send tests"),
    "campaigns:send": _("Start, pause and cancel campaigns"),
    "messages:read": _("See single messages"),
    "messages:send": _("Send single messages"),
    "stats:read": _("See the project's numbers"),
    "domains:read": _("See sending domains"),
    "domains:write": _("Add, check and remove sending domains"),
}


@view_config(
    route_name="accounts.api_keys", request_method="GET", permission="api_keys:edit", renderer="accounts/api_keys.html"
)
def api_keys_page(context: ProjectContext, request: Request) -> dict[str, Any]:
    return _page(context, request, {"access": "limited"}, {})


@view_config(
    route_name="accounts.api_keys", request_method="POST", permission="api_keys:edit", renderer="accounts/api_keys.html"
)
def create_api_key(context: ProjectContext, request: Request) -> dict[str, Any]:
    """Answers the page itself, no redirect: the secret is in this answer and nowhere else."""
    form = forms.read(request, NewApiKey)
    issued = None
    if form.value is not None:
        try:
            issued = service.create_api_key(
                request.dbsession,
                project_id=context.project.id,
                name=form.value.name,
                scopes=form.value.scopes if form.value.access == "limited" else (),
                expires_at=_end_of(form.value.expires_on, context.project),
                created_by=request.user.id,
            )
        except service.AccountRefused as refusal:
            form.refuse(refusal.field, refusal.message)
    if issued is None:
        request.response.status_int = 422
        return _page(context, request, form.values, form.errors)
    audit.note(request, "api_key.created", issued.row, name=issued.row.name, scopes=issued.row.scopes)
    request.dbsession.flush()
    request.response.status_int = 201
    return _page(context, request, {"access": "limited"}, {}, issued)


@view_config(route_name="accounts.api_key_revoke", request_method="POST", permission="api_keys:edit")
def revoke_api_key(context: ProjectContext, request: Request) -> Response:
    key = service.revoke_api_key(request.dbsession, project_id=context.project.id, key_id=number_of(request, "key_id"))
    if key is None:
        raise HTTPNotFound()
    audit.note(request, "api_key.revoked", key, name=key.name)
    request.notice(_("The key “${name}” no longer works.", mapping={"name": key.name}))
    return htmx.redirect(request, request.route_path("accounts.api_keys", project=context.project.slug))


def _page(
    context: ProjectContext,
    request: Request,
    values: dict[str, Any],
    errors: dict[str, Any],
    issued: service.Issued[Any] | None = None,
) -> dict[str, Any]:
    return {
        "keys": service.api_keys(request.dbsession, context.project.id),
        "now": datetime.now(UTC),
        "scopes": [(scope, _SCOPE_LABELS[scope], scope) for scope in SCOPES],
        "values": values,
        "errors": errors,
        "issued": issued,
        "api_url": request.registry.mailhub.public_url + "/api/v1",
    }


def _end_of(day: Any, project: Project) -> datetime | None:
    """The midnight at which the project's day is over."""
    if day is None:
        return None
    return datetime.combine(day, time(), ZoneInfo(project.time_zone)) + timedelta(days=1)
