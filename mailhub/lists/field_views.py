"""Pages of custom fields: all of them in their order, one's label and choices, its type, its end."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pyramid.request import Request
from pyramid.view import view_config

from mailhub.background import service as background
from mailhub.lists import field_changes, uses
from mailhub.lists.fields import MAX_LABEL, TooManyFields, clean_field_name, declare_fields, fields_of
from mailhub.lists.forms import Text, one_line
from mailhub.lists.resources import FieldContext
from mailhub.lists.table_views import user_id
from mailhub.models import FieldType, SubscriberField
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.web import forms, htmx
from mailhub.web.forms import Form
from mailhub.web.i18n import _, pgettext

TYPES = {
    FieldType.TEXT.value: _("Text"),
    FieldType.NUMBER.value: pgettext("value", "Number"),
    FieldType.DATE.value: _("Date"),
    FieldType.BOOLEAN.value: _("Yes or no"),
    FieldType.CHOICE.value: _("Choice"),
}

Label = Annotated[str, Field(min_length=1, max_length=MAX_LABEL), AfterValidator(one_line)]


class NewFieldForm(Form):
    label: Label
    type: FieldType = FieldType.TEXT
    choices: Text = ""


class FieldForm(Form):
    label: Label


class RetypeForm(Form):
    """`step`: look who does not fit, or change; `drop`: take away what does not fit."""

    type: FieldType
    choices: Text = ""
    step: Literal["check", "change"] = "check"
    drop: Literal["1"] | None = None


class MoveForm(Form):
    to: Literal["up", "down"]


@view_config(route_name="lists.fields", request_method="GET", renderer="lists/fields.html",
             permission="subscribers:view")  # fmt: skip
def index(context: ProjectContext, request: Request) -> dict[str, Any]:
    return _index(context, request, {"type": FieldType.TEXT.value}, {})


@view_config(route_name="lists.fields", request_method="POST", renderer="lists/fields.html",
             permission="subscribers:edit")  # fmt: skip
def create(context: ProjectContext, request: Request) -> Any:
    form = forms.read(request, NewFieldForm)
    choices = field_changes.clean_choices(form.value.choices) if form.value is not None else []
    name = clean_field_name(form.value.label) if form.value is not None else ""
    if form.value is not None:
        if not name:
            form.refuse("label", _("A field's name has letters, digits and underscores."))
        elif request.dbsession.get(SubscriberField, (context.project.id, name)) is not None:
            form.refuse("label", _("There is a field of this name already."))
        elif form.value.type == FieldType.CHOICE and not choices:
            form.refuse("choices", _("A choice needs at least one value."))
    if form.value is not None:
        try:
            declare_fields(
                request.dbsession,
                project_id=context.project.id,
                labels={name: form.value.label},
                types={name: form.value.type.value},
                choices={name: choices if form.value.type == FieldType.CHOICE else []},
            )
        except TooManyFields:
            form.refuse("label", _("The project has too many fields already."))
    if form.value is None:
        request.response.status_int = 422
        return _index(context, request, form.values, form.errors)
    made = request.dbsession.get_one(SubscriberField, (context.project.id, name))
    note(request, "subscriber_field.created", made, name=name, type=made.type)
    request.notice(_("The field “${name}” has been made.", mapping={"name": made.label}))
    return htmx.redirect(request, fields_url(request))


def _index(context: ProjectContext, request: Request, values: dict[str, Any], errors: dict[str, Any]) -> dict[str, Any]:
    found = fields_of(request.dbsession, context.project.id)
    return {"fields": found, "types": TYPES, "values": values, "errors": errors}


@view_config(route_name="lists.field", request_method="GET", renderer="lists/field.html", permission="subscribers:edit")
def edit(context: FieldContext, request: Request) -> dict[str, Any]:
    return _page(context, request, {"label": context.field.label or context.field.name}, {})


@view_config(route_name="lists.field", request_method="POST", renderer="lists/field.html",
             permission="subscribers:edit")  # fmt: skip
def rename(context: FieldContext, request: Request) -> Any:
    form = forms.read(request, FieldForm)
    if form.value is None:
        request.response.status_int = 422
        return _page(context, request, form.values, form.errors)
    if form.value.label != context.field.label:
        context.field.label = form.value.label
        note(request, "subscriber_field.changed", context.field, name=context.field.name, fields=["label"])
    request.notice(_("Saved."))
    return htmx.redirect(request, fields_url(request))


@view_config(route_name="lists.field_move", request_method="POST", permission="subscribers:edit")
def move(context: FieldContext, request: Request) -> Any:
    form = forms.read(request, MoveForm)
    if form.value is not None:
        field_changes.move(request.dbsession, context.field, up=form.value.to == "up")
    return htmx.redirect(request, fields_url(request))


@view_config(route_name="lists.field_retype", request_method="GET", hx_target="field-check",
             renderer="lists/_field_check.html", permission="subscribers:edit")  # fmt: skip
@view_config(route_name="lists.field_retype", request_method="GET", renderer="lists/field.html",
             permission="subscribers:edit")  # fmt: skip
def checked(context: FieldContext, request: Request) -> Any:
    """How far the last check or change of the field is."""
    answer = _page(context, request, {"label": context.field.label or context.field.name}, {})
    if htmx.unchanged(request, answer["version"]):
        return htmx.not_modified(answer["version"])
    return answer


@view_config(route_name="lists.field_retype", request_method="POST", renderer="lists/field.html",
             permission="subscribers:edit")  # fmt: skip
def retype(context: FieldContext, request: Request) -> Any:
    form, field = forms.read(request, RetypeForm), context.field
    choices: list[str] = []
    if form.value is not None and form.value.type == FieldType.CHOICE:
        choices = field_changes.clean_choices(form.value.choices)
        if not choices:
            form.refuse("choices", _("A choice needs at least one value."))
    if form.value is None:
        request.response.status_int = 422
        return _page(context, request, {**form.values, "label": field.label or field.name}, form.errors)
    step = field_changes.CHECK if form.value.step == "check" else field_changes.CHANGE
    return _asked(context, request, step, kind=form.value.type.value, choices=choices, drop=form.value.drop is not None)


@view_config(route_name="lists.field_delete", request_method="POST", permission="subscribers:edit")
def delete(context: FieldContext, request: Request) -> Any:
    """The button asks by the field's name; everybody's values go with it."""
    return _asked(context, request, field_changes.DELETE)


def _asked(context: FieldContext, request: Request, step: str, **what: Any) -> Any:
    field = context.field
    try:
        job, is_new = field_changes.ask(request, field, step, user_id=user_id(request), **what)
    except field_changes.FieldBusy:
        request.notice(_("This field is being looked through or changed already. Wait until that has ended."), "warn")
    except background.TooManyJobs:
        request.notice(_("Too much is going on: wait until a job has ended."), "warn")
    else:
        if step != field_changes.CHECK and is_new:
            action = "subscriber_field.deleted" if step == field_changes.DELETE else "subscriber_field.retyped"
            note(request, action, field, name=field.name, job=job.id)
    return htmx.redirect(request, field_url(request, field))


def _page(context: FieldContext, request: Request, values: dict[str, Any], errors: dict[str, Any]) -> dict[str, Any]:
    field = context.field
    job = field_changes.last_check(request.dbsession, field)
    asked = job.parameters if job is not None else {}
    defaults = {
        "type": asked.get("type") or field.type,
        "choices": "\n".join(asked.get("choices") or field.choices),
    }
    return {
        "field": field,
        "types": TYPES,
        "job": job,
        "busy": job is not None and job.state in background.OPEN,
        "uses": (found := uses.of_field(request.dbsession, field)),
        "use_names": uses.names(found),
        "use_kinds": uses.KINDS,
        "version": f"{job.id}-{job.state}-{job.done}" if job is not None else "none",
        "values": {**defaults, **values},
        "errors": errors,
    }


def fields_url(request: Request) -> str:
    return str(request.route_path("lists.fields", project=request.project.slug))


def field_url(request: Request, field: SubscriberField) -> str:
    return str(request.route_path("lists.field", project=request.project.slug, field=field.name))
