"""Adding a person, changing and deleting one, putting them into lists and taking them out."""

from __future__ import annotations

from typing import Any

from pydantic import create_model
from pyramid.request import Request
from pyramid.view import view_config

from mailhub.lists import queries, service
from mailhub.lists.fields import FieldFaults, fields_of, written_value
from mailhub.lists.forms import (
    NewSubscriberForm,
    OneListForm,
    SubscriberForm,
    Text,
    UnsubscribeForm,
)
from mailhub.lists.resources import SubscriberContext
from mailhub.models import MailingList, Subscriber, SubscriberField, Subscription, SubscriptionStatus
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.web import forms, htmx
from mailhub.web.i18n import _


@view_config(
    route_name="lists.subscriber_new",
    request_method="GET",
    renderer="lists/subscriber_new.html",
    permission="subscribers:edit",
)
def new(context: ProjectContext, request: Request) -> dict[str, Any]:
    given = request.GET.get("list", "")
    return _new_page(context, request, {"list_ids": [given] if given else []}, {})


@view_config(
    route_name="lists.subscriber_new",
    request_method="POST",
    renderer="lists/subscriber_new.html",
    permission="subscribers:edit",
)
def create(context: ProjectContext, request: Request) -> Any:
    fields = fields_of(request.dbsession, context.project.id)
    form = forms.read(request, _with_fields(NewSubscriberForm, fields))
    choices = queries.list_choices(request.dbsession, project_id=context.project.id)
    known = {number for number, _name in choices}
    if form.value is not None:
        chosen: list[int] = form.value.list_ids
        if not known.issuperset(chosen):
            form.refuse("list_ids", _("There is no such list."))
        elif chosen and form.value.consent is None:
            form.refuse("consent", _("Without their consent they cannot be put into a list."))
    made = None
    if form.value is not None:
        value = form.value
        try:
            made = service.upsert_subscriber(
                request.dbsession,
                project_id=context.project.id,
                email=value.email,
                name=value.name,
                fields=_field_values(value, fields),
                source="manual",
            )
        except FieldFaults as refusal:
            _refuse(form, refusal)
    if made is None:
        request.response.status_int = 422
        return _new_page(context, request, form.values, form.errors)
    person = made.subscriber
    for list_id in chosen:
        service.subscribe(
            request.dbsession,
            project_id=context.project.id,
            subscriber_id=person.id,
            list_id=list_id,
            source="manual",
            rejoin=True,
        )
    note(request, "subscriber.created" if made.created else "subscriber.changed", person, lists=chosen)
    if made.created:
        request.notice(_("${email} has been added.", mapping={"email": person.email}))
    else:
        request.notice(_("${email} was here already and has been brought up to date.", mapping={"email": person.email}))
    return htmx.redirect(request, person_url(request, person))


def _new_page(
    context: ProjectContext, request: Request, values: dict[str, Any], errors: dict[str, Any]
) -> dict[str, Any]:
    return {
        "values": values,
        "errors": errors,
        "fields": fields_of(request.dbsession, context.project.id),
        "choices": queries.list_choices(request.dbsession, project_id=context.project.id),
    }


def _with_fields(model: type[SubscriberForm], fields: list[SubscriberField]) -> Any:
    """The form with an input for each custom field of the project; anything else is still refused."""
    inputs: dict[str, Any] = {f"field_{one.name}": (Text, "") for one in fields}
    return create_model("WithFields", __base__=model, **inputs)


def _refuse(form: forms.FormResult[Any], refusal: FieldFaults) -> None:
    for name, fault in refusal.faults.items():
        form.refuse(f"field_{name}", fault.message)


def _field_values(value: Any, fields: list[SubscriberField]) -> dict[str, str]:
    return {one.name: getattr(value, f"field_{one.name}") for one in fields}


@view_config(
    route_name="lists.subscriber_edit",
    request_method="GET",
    renderer="lists/subscriber_edit.html",
    permission="subscribers:edit",
)
def edit(context: SubscriberContext, request: Request) -> dict[str, Any]:
    person = context.subscriber
    fields = fields_of(request.dbsession, context.project.id)
    values = {f"field_{one.name}": written_value(one, person.fields.get(one.name)) for one in fields}
    return {
        "person": person,
        "fields": fields,
        "values": {"email": person.email, "name": person.name, **values},
        "errors": {},
    }


@view_config(
    route_name="lists.subscriber_edit",
    request_method="POST",
    renderer="lists/subscriber_edit.html",
    permission="subscribers:edit",
)
def update(context: SubscriberContext, request: Request) -> Any:
    person = context.subscriber
    fields = fields_of(request.dbsession, context.project.id)
    form = forms.read(request, _with_fields(SubscriberForm, fields))
    if form.value is not None:
        try:
            service.update_subscriber(
                request.dbsession,
                person,
                email=form.value.email,
                name=form.value.name,
                fields=_field_values(form.value, fields),
            )
        except service.AddressTaken:
            form.refuse("email", _("Somebody else in this project has this address."))
        except FieldFaults as refusal:
            _refuse(form, refusal)
    if form.value is None:
        request.response.status_int = 422
        return {"person": person, "fields": fields, "values": form.values, "errors": form.errors}
    note(request, "subscriber.changed", person)
    request.notice(_("Saved."))
    return htmx.redirect(request, person_url(request, person))


@view_config(route_name="lists.subscriber_subscribe", request_method="POST", permission="subscribers:edit")
def subscribe(context: SubscriberContext, request: Request) -> Any:
    """Into one list; who has left it, or asked to confirm, is put in by somebody who answers for their consent."""
    person = context.subscriber
    form = forms.read(request, OneListForm)
    mailing_list = _list_of(request, form.value.list_id) if form.value is not None else None
    if mailing_list is None:
        request.notice(_("There is no such list."), "bad")
        return htmx.redirect(request, person_url(request, person))
    key = (context.project.id, mailing_list.id, person.id)
    before = request.dbsession.get(Subscription, key)
    was_in = before is not None and before.status == SubscriptionStatus.SUBSCRIBED
    service.subscribe(
        request.dbsession,
        project_id=context.project.id,
        subscriber_id=person.id,
        list_id=mailing_list.id,
        status=SubscriptionStatus.SUBSCRIBED,
        source="manual",
        rejoin=True,
    )
    if not was_in:
        note(request, "subscriber.subscribed", person, list_id=mailing_list.id)
    request.notice(
        _("${email} is in the list “${list}” now.", mapping={"email": person.email, "list": mailing_list.name})
    )
    return htmx.redirect(request, person_url(request, person))


@view_config(route_name="lists.subscriber_unsubscribe", request_method="POST", permission="subscribers:edit")
def unsubscribe(context: SubscriberContext, request: Request) -> Any:
    """Out of one list, or out of all where none is named."""
    person = context.subscriber
    form = forms.read(request, UnsubscribeForm)
    if form.value is None:
        request.notice(_("There is no such list."), "bad")
        return htmx.redirect(request, person_url(request, person))
    list_ids = None if form.value.list_id is None else [form.value.list_id]
    before = person.status
    left = service.unsubscribe(
        request.dbsession, project_id=context.project.id, subscriber_id=person.id, list_ids=list_ids, source="manual"
    )
    if left or person.status != before:
        note(request, "subscriber.unsubscribed", person, lists=left)
    request.notice(_("${email} gets no more letters of this list.", mapping={"email": person.email})
                   if list_ids else _("${email} gets no more campaigns.", mapping={"email": person.email}))  # fmt: skip
    return htmx.redirect(request, person_url(request, person))


@view_config(route_name="lists.subscriber_delete", request_method="POST", permission="subscribers:edit")
def delete(context: SubscriberContext, request: Request) -> Any:
    """The button asks by address; a bare POST is the confirmed answer."""
    person = context.subscriber
    email = person.email
    note(request, "subscriber.deleted", person)
    service.delete_subscriber(request.dbsession, person)
    request.notice(_("${email} has been deleted.", mapping={"email": email}))
    return htmx.redirect(request, request.route_path("lists.subscribers", project=context.project.slug))


@view_config(route_name="lists.subscriber_delete", request_method="GET", renderer="lists/subscriber_delete.html",
             permission="subscribers:edit")  # fmt: skip
def ask(context: SubscriberContext, request: Request) -> dict[str, Any]:
    return {"person": context.subscriber}


def _list_of(request: Request, list_id: int) -> MailingList | None:
    found: MailingList | None = request.dbsession.get(MailingList, (request.project.id, list_id))
    return found if found is not None and found.archived_at is None else None


def person_url(request: Request, person: Subscriber) -> str:
    return str(request.route_path("lists.subscriber", project=request.project.slug, subscriber_id=person.id))
