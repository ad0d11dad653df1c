"""Pages of lists: all of them, one, its making, changing and end."""

from __future__ import annotations

from typing import Any

from pyramid.request import Request
from pyramid.view import view_config

from mailhub.events.renames import following
from mailhub.lists import queries, service, uses
from mailhub.lists.forms import DeleteForm, ListForm
from mailhub.lists.resources import ListContext
from mailhub.lists.sign_up import form_url
from mailhub.models import MailingList, OptIn, Tracking, Visibility
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.web import forms, htmx
from mailhub.web.i18n import _


@view_config(route_name="lists.index", request_method="GET", renderer="lists/index.html", permission="lists:view")
def index(context: ProjectContext, request: Request) -> dict[str, Any]:
    return {"lists": queries.lists_with_counts(request.dbsession, project_id=context.project.id)}


@view_config(route_name="lists.new", request_method="GET", renderer="lists/new.html", permission="lists:edit")
def new(context: ProjectContext, request: Request) -> dict[str, Any]:
    return {
        "values": {"opt_in": OptIn.DOUBLE, "visibility": Visibility.PRIVATE, "language": "", "tracking": Tracking.FULL},
        "errors": {},
    }


@view_config(route_name="lists.new", request_method="POST", renderer="lists/new.html", permission="lists:edit")
def create(context: ProjectContext, request: Request) -> Any:
    form = forms.read(request, ListForm)
    if form.value is None:
        request.response.status_int = 422
        return {"values": form.values, "errors": form.errors}
    made = service.create_list(request.dbsession, project_id=context.project.id, **form.value.model_dump())
    note(request, "list.created", made, name=made.name, opt_in=made.opt_in)
    request.notice(_("The list “${name}” has been made.", mapping={"name": made.name}))
    return htmx.redirect(request, list_url(request, made))


@view_config(route_name="lists.show", request_method="GET", renderer="lists/show.html", permission="lists:view")
def show(context: ListContext, request: Request) -> dict[str, Any]:
    mailing_list, project_id = context.mailing_list, context.project.id
    (row,) = queries.lists_with_counts(request.dbsession, project_id=project_id, list_id=mailing_list.id)
    newest = []
    if request.has_permission("subscribers:view"):
        newest = queries.newest_in_list(request.dbsession, project_id=project_id, list_id=mailing_list.id)
    return {
        "row": row,
        "mailing_list": mailing_list,
        "newest": newest,
        "campaigns": queries.campaigns_of_list(request.dbsession, project_id=project_id, list_id=mailing_list.id),
        "form_url": form_url(request, mailing_list) if mailing_list.visibility == Visibility.PUBLIC else None,
    }


@view_config(route_name="lists.edit", request_method="GET", renderer="lists/edit.html", permission="lists:edit")
def edit(context: ListContext, request: Request) -> dict[str, Any]:
    mailing_list = context.mailing_list
    values = {name: getattr(mailing_list, name) for name in ListForm.model_fields}
    return _edit_page(context, request, values, {})


@view_config(route_name="lists.edit", request_method="POST", renderer="lists/edit.html", permission="lists:edit")
def update(context: ListContext, request: Request) -> Any:
    mailing_list = context.mailing_list
    form = forms.read(request, ListForm)
    if form.value is None:
        request.response.status_int = 422
        return _edit_page(context, request, form.values, form.errors)
    changes = {name: value for name, value in form.value.model_dump().items() if getattr(mailing_list, name) != value}
    service.update_list(request.dbsession, mailing_list, **changes)
    if changes:
        note(request, "list.changed", mailing_list, name=mailing_list.name, fields=sorted(changes))
    request.notice(_("Saved."))
    return htmx.redirect(request, list_url(request, mailing_list))


def _edit_page(
    context: ListContext, request: Request, values: dict[str, Any], errors: dict[str, Any]
) -> dict[str, Any]:
    mailing_list = context.mailing_list
    return {
        "mailing_list": mailing_list,
        "values": values,
        "errors": errors,
        "following": following(request.dbsession, context.project.id, "list_name", mailing_list.id),
    }


@view_config(route_name="lists.delete", request_method="GET", renderer="lists/delete.html", permission="lists:edit")
def ask(context: ListContext, request: Request) -> dict[str, Any]:
    return _question(context, request, {}, {})


@view_config(route_name="lists.delete", request_method="POST", renderer="lists/delete.html", permission="lists:edit")
def delete(context: ListContext, request: Request) -> Any:
    mailing_list = context.mailing_list
    form = forms.read(request, DeleteForm)
    if form.value is not None and form.value.name != mailing_list.name.strip():
        form.refuse("name", _("This is not the name of the list."))
    if form.value is None:
        request.response.status_int = 422
        return _question(context, request, form.values, form.errors)
    name = mailing_list.name
    try:
        gone = service.delete_list(request.dbsession, mailing_list)
    except service.ListInUse:
        request.response.status_int = 409
        return _question(context, request, form.values, {})
    note(request, "list.deleted" if gone else "list.archived", mailing_list, name=name)
    request.notice(_("The list “${name}” has been deleted.", mapping={"name": name}))
    return htmx.redirect(request, request.route_path("lists.index", project=context.project.slug))


def _question(context: ListContext, request: Request, values: dict[str, Any], errors: dict[str, Any]) -> dict[str, Any]:
    (row,) = queries.lists_with_counts(
        request.dbsession, project_id=context.project.id, list_id=context.mailing_list.id
    )
    return {
        "mailing_list": context.mailing_list,
        "row": row,
        "in_use": service.unfinished_campaigns(request.dbsession, context.mailing_list),
        "uses": uses.of_list(request.dbsession, context.mailing_list),
        "use_kinds": uses.KINDS,
        "values": values,
        "errors": errors,
    }


def list_url(request: Request, mailing_list: MailingList) -> str:
    return str(request.route_path("lists.show", project=request.project.slug, list_id=mailing_list.id))
