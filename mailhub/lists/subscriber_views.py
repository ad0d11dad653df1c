"""Pages of people: the table, a person, their lists, their end."""

from __future__ import annotations

from typing import Any

from pydantic import create_model
from pyramid.request import Request
from pyramid.view import view_config

from mailhub.lists import queries, service
from mailhub.lists.fields import known_fields
from mailhub.lists.forms import (
    NewSubscriberForm,
    OneListForm,
    SubscriberForm,
    Text,
    UnsubscribeForm,
)
from mailhub.lists.history import history
from mailhub.lists.resources import SubscriberContext
from mailhub.models import MailingList, Subscriber, SubscriberField, SubscriberImport, SubscriptionStatus
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.web import forms, htmx
from mailhub.web.i18n import _
from mailhub.web.paging import PAGE_SIZE, first_url, next_url

MAX_QUERY = 200


@view_config(
    route_name="lists.subscribers",
    request_method="GET",
    renderer="lists/subscribers.html",
    permission="subscribers:view",
)
@view_config(
    route_name="lists.subscribers",
    request_method="GET",
    hx_target="subscriber-rows",
    renderer="lists/_subscriber_rows.html",
    permission="subscribers:view",
)
def subscribers(context: ProjectContext, request: Request) -> dict[str, Any]:
    project_id = context.project.id
    choices = queries.list_choices(request.dbsession, project_id=project_id)
    wanted, sort = _wanted(request, choices)
    page = queries.find_subscribers(
        request.dbsession,
        project_id=project_id,
        wanted=wanted,
        sort=sort,
        after=request.GET.get("after"),
        limit=PAGE_SIZE,
    )
    if page.next is None and "after" not in request.GET:
        total = queries.Total(len(page.rows))
    else:
        total = queries.count_subscribers(request.dbsession, project_id=project_id, wanted=wanted)
    return {
        "page": page,
        "wanted": wanted,
        "sort": sort,
        "total": total,
        "choices": choices,
        "memberships": queries.lists_of_people(
            request.dbsession, project_id=project_id, subscriber_ids=[row.id for row in page.rows]
        ),
        "next": next_url(request, page),
        "first": first_url(request),
    }


def _wanted(request: Request, choices: list[tuple[int, str]]) -> tuple[queries.SubscriberFilter, str]:
    """The filter in the URL. What is no choice of ours is passed over: an old link still shows a table."""
    list_id = next((number for number, _name in choices if str(number) == request.GET.get("list")), None)
    status = request.GET.get("status", "")
    if status not in queries.PERSON_STATUSES | queries.LIST_STATUSES:
        status = ""
    sort = request.GET.get("sort", "")
    q = request.GET.get("q", "").strip()[:MAX_QUERY].replace("\0", "")
    wanted = queries.SubscriberFilter(q, list_id, status)
    return wanted, sort if sort in queries.SORTS else "-added"


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
    fields = known_fields(request.dbsession, project_id=context.project.id)
    form = forms.read(request, _with_fields(NewSubscriberForm, fields))
    choices = queries.list_choices(request.dbsession, project_id=context.project.id)
    known = {number for number, _name in choices}
    if form.value is not None:
        chosen: list[int] = form.value.list_ids
        if not known.issuperset(chosen):
            form.refuse("list_ids", _("There is no such list."))
        elif chosen and form.value.consent is None:
            form.refuse("consent", _("Without their consent they cannot be put into a list."))
    if form.value is None:
        request.response.status_int = 422
        return _new_page(context, request, form.values, form.errors)
    value = form.value
    made = service.upsert_subscriber(
        request.dbsession,
        project_id=context.project.id,
        email=value.email,
        name=value.name,
        fields=_field_values(value, fields),
        source="manual",
    )
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
        "fields": known_fields(request.dbsession, project_id=context.project.id),
        "choices": queries.list_choices(request.dbsession, project_id=context.project.id),
    }


def _with_fields(model: type[SubscriberForm], fields: list[SubscriberField]) -> Any:
    """The form with an input for each custom field of the project; anything else is still refused."""
    inputs: dict[str, Any] = {f"field_{one.name}": (Text, "") for one in fields}
    return create_model("WithFields", __base__=model, **inputs)


def _field_values(value: Any, fields: list[SubscriberField]) -> dict[str, str]:
    return {one.name: getattr(value, f"field_{one.name}") for one in fields}


@view_config(
    route_name="lists.subscriber",
    request_method="GET",
    renderer="lists/subscriber.html",
    permission="subscribers:view",
)
def show(context: SubscriberContext, request: Request) -> dict[str, Any]:
    person, project_id = context.subscriber, context.project.id
    memberships = queries.lists_of_people(request.dbsession, project_id=project_id, subscriber_ids=[person.id])
    mine = memberships[person.id]
    joined = {mailing_list.id for mailing_list, _subscription in mine}
    choices = queries.list_choices(request.dbsession, project_id=project_id)
    events = history(request.dbsession, project_id=project_id, subscriber_id=person.id, after=request.GET.get("after"))
    return {
        "person": person,
        "memberships": mine,
        "other_lists": [choice for choice in choices if choice[0] not in joined],
        "fields": known_fields(request.dbsession, project_id=project_id),
        "suppressed": service.is_suppressed(request.dbsession, project_id=project_id, email_key=person.email_key),
        "events": events,
        "next": next_url(request, events),
        "first": first_url(request),
        "sources": _import_names(request, [person.source, *(one.source for _list, one in mine)]),
    }


def _import_names(request: Request, sources: list[str]) -> dict[str, tuple[int, str]]:
    """source (`import:12`) → (id, file name) of the imports that brought the person."""
    ids = {int(source[7:]) for source in sources if source.startswith("import:") and source[7:].isdigit()}
    if not ids:
        return {}
    found = request.dbsession.query(SubscriberImport.id, SubscriberImport.file_name).filter(
        SubscriberImport.project_id == request.project.id, SubscriberImport.id.in_(ids)
    )
    return {f"import:{row.id}": (row.id, row.file_name) for row in found}


@view_config(
    route_name="lists.subscriber_edit",
    request_method="GET",
    renderer="lists/subscriber_edit.html",
    permission="subscribers:edit",
)
def edit(context: SubscriberContext, request: Request) -> dict[str, Any]:
    person = context.subscriber
    fields = known_fields(request.dbsession, project_id=context.project.id)
    values = {f"field_{one.name}": person.fields.get(one.name, "") for one in fields}
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
    fields = known_fields(request.dbsession, project_id=context.project.id)
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
    service.subscribe(
        request.dbsession,
        project_id=context.project.id,
        subscriber_id=person.id,
        list_id=mailing_list.id,
        status=SubscriptionStatus.SUBSCRIBED,
        source="manual",
        rejoin=True,
    )
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
    left = service.unsubscribe(
        request.dbsession, project_id=context.project.id, subscriber_id=person.id, list_ids=list_ids, source="manual"
    )
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
