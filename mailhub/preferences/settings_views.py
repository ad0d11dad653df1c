"""The team's side: which fields people may change, where they ask for their link; a person's mode and pause."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field
from pyramid.request import Request
from pyramid.view import view_config
from sqlalchemy import select

from mailhub.lists.fields import fields_of
from mailhub.lists.resources import SubscriberContext
from mailhub.models import MailingList, Tracking, Visibility
from mailhub.preferences import links, service
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.web import forms, htmx
from mailhub.web.forms import Form
from mailhub.web.i18n import _


class SettingsForm(Form):
    fields: list[str] = Field(default_factory=list)


class PersonForm(Form):
    """`pause`: days from now on, 0 for none, empty to leave it as it is."""

    tracking: Tracking
    pause: Literal["", "0", "30", "90"] = ""


@view_config(
    route_name="preferences.settings", request_method="GET", permission="project:edit",
    renderer="preferences/settings.html",
)  # fmt: skip
def settings(context: ProjectContext, request: Request) -> dict[str, Any]:
    fields = fields_of(request.dbsession, context.project.id)
    return _page(context, request, {"fields": [one.name for one in fields if one.editable]}, {})


@view_config(
    route_name="preferences.settings", request_method="POST", permission="project:edit",
    renderer="preferences/settings.html",
)  # fmt: skip
def save(context: ProjectContext, request: Request) -> Any:
    form = forms.read(request, SettingsForm)
    known = fields_of(request.dbsession, context.project.id)
    if form.value is not None and not {one.name for one in known}.issuperset(form.value.fields):
        form.refuse("fields", _("This is not one of the choices."))
    if form.value is None:
        request.response.status_int = 422
        return _page(context, request, form.values, form.errors)
    changed = [one for one in known if one.editable != (one.name in form.value.fields)]
    for one in changed:
        one.editable = not one.editable
    if changed:
        note(request, "preferences.settings", context.project, name=context.project.name,
             fields=sorted(form.value.fields))  # fmt: skip
    request.notice(_("Saved."))
    return htmx.redirect(request, request.route_path("preferences.settings", project=context.project.slug))


@view_config(route_name="preferences.person", request_method="POST", permission="subscribers:edit")
def save_person(context: SubscriberContext, request: Request) -> Any:
    """The fragment on the person's page."""
    form = forms.read(request, PersonForm)
    person = context.subscriber
    if form.value is None:
        request.notice(_("This is not one of the choices."), "bad")
    else:
        days = int(form.value.pause) if form.value.pause else None
        changed = service.set_for_person(
            request.dbsession, person, tracking=form.value.tracking, pause_days=days, now=datetime.now(UTC)
        )
        if changed:
            note(request, "subscriber.changed", person, fields=changed)
        request.notice(_("Saved."))
    return htmx.redirect(
        request, request.route_path("lists.subscriber", project=context.project.slug, subscriber_id=person.id)
    )


def _page(context: ProjectContext, request: Request, values: dict[str, Any], errors: dict[str, Any]) -> dict[str, Any]:
    project_id = context.project.id
    public = select(MailingList).where(
        MailingList.project_id == project_id,
        MailingList.visibility == Visibility.PUBLIC,
        MailingList.archived_at.is_(None),
    )
    return {
        "ask_url": links.ask_url(request.registry.mailhub.public_url, request.registry.signer, project_id),
        "fields": fields_of(request.dbsession, project_id),
        "lists": request.dbsession.scalars(public.order_by(MailingList.name, MailingList.id)).all(),
        "values": values,
        "errors": errors,
    }
