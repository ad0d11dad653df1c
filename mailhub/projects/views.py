"""A project's pages: the list of projects, a new one, settings, senders."""

from __future__ import annotations

from typing import Any

from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from mailhub.events.renames import following
from mailhub.mail.address import display_domain
from mailhub.projects import service
from mailhub.projects.forms import NewProject, ProjectSettings, SenderForm
from mailhub.projects.resources import SenderContext
from mailhub.projects.tasks import cut_days
from mailhub.security import audit
from mailhub.security.context import ProjectContext
from mailhub.web import forms, htmx
from mailhub.web.i18n import _
from mailhub.web.time_zones import zone_options


@view_config(route_name="projects.home")
def home(request: Request) -> Response:
    """Straight to the work of who has one project; the list for everybody else."""
    mine = service.my_projects(request.dbsession, request.user.id)
    if len(mine) == 1:
        return htmx.redirect(request, request.route_path("stats.overview", project=mine[0].slug))
    return htmx.redirect(request, request.route_path("projects.index"))


@view_config(route_name="projects.index", renderer="projects/index.html")
def index(request: Request) -> dict[str, Any]:
    return {"projects": service.my_projects(request.dbsession, request.user.id)}


@view_config(route_name="projects.new", request_method="GET", renderer="projects/new.html")
def new_page(request: Request) -> dict[str, Any]:
    values = {"time_zone": request.user.time_zone or "UTC", "language": request.user.language}
    return {"values": values, "errors": {}, "zones": zone_options()}


@view_config(route_name="projects.new", request_method="POST", renderer="projects/new.html")
def create(request: Request) -> dict[str, Any] | Response:
    form = forms.read(request, NewProject)
    if form.value is not None:
        try:
            project = service.create_project(request.dbsession, **form.value.model_dump(), owner=request.user)
        except service.ProjectRefused as refusal:
            form.refuse(refusal.field, refusal.message)
        else:
            audit.write(
                request.dbsession,
                "project.created",
                project,
                project_id=project.id,
                user_id=request.user.id,
                actor=request.user.email,
                ip=request.client_addr,
                name=project.name,
            )
            request.notice(_("The project is there. Add the address that it will write from."))
            return htmx.redirect(request, request.route_path("projects.senders", project=project.slug))
    request.response.status_int = 422
    return {"values": form.values, "errors": form.errors, "zones": zone_options()}


@view_config(
    route_name="projects.settings", request_method="GET", permission="project:edit", renderer="projects/settings.html"
)
def settings_page(context: ProjectContext, request: Request) -> dict[str, Any]:
    project = context.project
    values = {
        "name": project.name,
        "domain": display_domain(project.domain),
        "time_zone": project.time_zone,
        "language": project.language,
        "postal_address": project.postal_address,
        "notify_email": project.notify_email,
        "tracking": project.tracking,
        "messages_per_second": f"{project.messages_per_second:g}" if project.messages_per_second else "",
        "retention_days": project.retention_days or "",
        "unconfirmed_days": project.unconfirmed_days or "",
    }
    return _settings_page(context, request, values, {})


@view_config(
    route_name="projects.settings", request_method="POST", permission="project:edit", renderer="projects/settings.html"
)
def save_settings(context: ProjectContext, request: Request) -> dict[str, Any] | Response:
    form = forms.read(request, ProjectSettings)
    most = request.registry.mailhub.retention_days
    if form.value is not None and (form.value.retention_days or 0) > most:
        form.refuse("retention_days", _("This must be at most ${n}.", mapping={"n": most}))
    if form.value is not None:
        try:
            changed = service.update_project(request.dbsession, context.project, **form.value.model_dump())
        except service.ProjectRefused as refusal:
            form.refuse(refusal.field, refusal.message)
        else:
            if "time_zone" in changed:
                request.enqueue(cut_days, context.project.id)
            if changed:
                audit.note(request, "project.changed", context.project, name=context.project.name, changed=changed)
            request.notice(_("The settings are saved."))
            return htmx.redirect(request, request.route_path("projects.settings", project=context.project.slug))
    request.response.status_int = 422
    return _settings_page(context, request, form.values, form.errors)


def _settings_page(
    context: ProjectContext, request: Request, values: dict[str, Any], errors: dict[str, Any]
) -> dict[str, Any]:
    project_id = context.project.id
    return {
        "values": values,
        "errors": errors,
        "zones": zone_options(),
        "most_days": request.registry.mailhub.retention_days,
        "following": following(request.dbsession, project_id, "project_domain", project_id),
    }


@view_config(
    route_name="projects.senders", request_method="GET", permission="project:edit", renderer="projects/senders.html"
)
def senders_page(context: ProjectContext, request: Request) -> dict[str, Any]:
    return _senders_page(context, request, {}, {})


@view_config(
    route_name="projects.senders", request_method="POST", permission="project:edit", renderer="projects/senders.html"
)
def add_sender(context: ProjectContext, request: Request) -> dict[str, Any] | Response:
    form = forms.read(request, SenderForm)
    if form.value is not None:
        try:
            sender = service.add_sender(request.dbsession, context.project, **form.value.model_dump())
        except service.ProjectRefused as refusal:
            form.refuse(refusal.field, refusal.message)
        else:
            audit.note(request, "sender.added", sender, name=sender.email)
            request.notice(_("The project may now write from ${email}.", mapping={"email": sender.email}))
            return _to_senders(context, request)
    request.response.status_int = 422
    return _senders_page(context, request, form.values, form.errors)


@view_config(
    route_name="projects.sender", request_method="GET", permission="project:edit", renderer="projects/sender.html"
)
def sender_page(context: SenderContext, request: Request) -> dict[str, Any]:
    sender = context.sender
    values = {
        "email": sender.email,
        "name": sender.name,
        "reply_to": sender.reply_to,
        "is_default": sender.is_default,
    }
    return {"sender": sender, "values": values, "errors": {}}


@view_config(
    route_name="projects.sender", request_method="POST", permission="project:edit", renderer="projects/sender.html"
)
def save_sender(context: SenderContext, request: Request) -> dict[str, Any] | Response:
    form = forms.read(request, SenderForm)
    if form.value is not None:
        try:
            service.update_sender(request.dbsession, context.project, context.sender, **form.value.model_dump())
        except service.ProjectRefused as refusal:
            form.refuse(refusal.field, refusal.message)
        else:
            audit.note(request, "sender.changed", context.sender, name=context.sender.email)
            request.notice(_("The sender is saved."))
            return _to_senders(context, request)
    request.response.status_int = 422
    return {"sender": context.sender, "values": form.values, "errors": form.errors}


@view_config(route_name="projects.sender_delete", request_method="POST", permission="project:edit")
def delete_sender(context: SenderContext, request: Request) -> Response:
    email = context.sender.email
    try:
        service.delete_sender(request.dbsession, context.sender)
    except service.ProjectRefused as refusal:
        request.notice(refusal.message, "bad")
        return _to_senders(context, request)
    audit.note(request, "sender.deleted", context.sender, name=email)
    request.notice(_("The sender ${email} is deleted.", mapping={"email": email}))
    return _to_senders(context, request)


def _senders_page(
    context: ProjectContext, request: Request, values: dict[str, Any], errors: dict[str, Any]
) -> dict[str, Any]:
    project = context.project
    found = service.senders(request.dbsession, project.id)
    return {
        "senders": [(sender, service.fits_domain(project.domain, sender.email)) for sender in found],
        "domain": display_domain(project.domain),
        "values": values,
        "errors": errors,
    }


def _to_senders(context: ProjectContext, request: Request) -> Response:
    return htmx.redirect(request, request.route_path("projects.senders", project=context.project.slug))
