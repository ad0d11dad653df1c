"""A person's page: profile, tags, lists and consents, what happened, what comes next; and small changes on it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from pyramid.request import Request
from pyramid.view import view_config

from mailhub.lists import columns, consents, queries, tags
from mailhub.lists.fields import BadValue, fields_of, read_value, show_value, written_value
from mailhub.lists.forms import Text, id_in
from mailhub.lists.history import history
from mailhub.lists.resources import NoteContext, SubscriberContext
from mailhub.lists.subscriber_views import person_url
from mailhub.lists.table_views import source_names
from mailhub.lists.upcoming import next_letters
from mailhub.models import Subscriber, SubscriberField, SubscriberNote, SuppressionReason
from mailhub.security.audit import note
from mailhub.suppression import service as suppression
from mailhub.web import forms, htmx
from mailhub.web.forms import Form
from mailhub.web.i18n import _
from mailhub.web.paging import first_url, next_url

MAX_NOTE = 5_000
#: Consents that the page shows; the export of a person has all of them.
MOST_CONSENTS = 20


class TagsForm(Form):
    """`add`: names with commas between them; `remove`: an id."""

    add: Annotated[str, Field(max_length=1000)] = ""
    remove: Annotated[str, Field(max_length=20)] = ""


class NoteForm(Form):
    body: Annotated[str, Field(min_length=1, max_length=MAX_NOTE)]


class FieldForm(Form):
    name: Annotated[str, Field(max_length=100)]
    value: Text = ""


@view_config(
    route_name="lists.subscriber",
    request_method="GET",
    renderer="lists/subscriber.html",
    permission="subscribers:view",
)
@view_config(
    route_name="lists.subscriber",
    request_method="GET",
    hx_target="person-history",
    renderer="lists/_person_history.html",
    permission="subscribers:view",
)
def show(context: SubscriberContext, request: Request) -> dict[str, Any]:
    person, project_id, dbsession = context.subscriber, context.project.id, request.dbsession
    happened = history(dbsession, project_id=project_id, subscriber_id=person.id, after=request.GET.get("after"))
    answer = {
        "person": person,
        "happened": happened,
        "next": next_url(request, happened),
        "first": first_url(request),
        "note_form": {},
    }
    if htmx.target_id(request) == "person-history":
        return answer | {
            "sources": _sources(request, person, [], [row.consent for row in happened.rows if row.consent])
        }
    memberships = queries.lists_of_people(dbsession, project_id=project_id, subscriber_ids=[person.id])[person.id]
    agreed = consents.of_person(dbsession, project_id, person.id, most=MOST_CONSENTS)
    joined = {mailing_list.id for mailing_list, _subscription in memberships}
    return answer | {
        "memberships": memberships,
        "other_lists": [
            choice for choice in queries.list_choices(dbsession, project_id=project_id) if choice[0] not in joined
        ],
        "fields": fields_of(dbsession, project_id),
        "show": lambda field, value: show_value(field, value, request.locale_name),
        "written": written_value,
        "tags": tags.tags_of_people(dbsession, project_id, [person.id])[person.id],
        "known_tags": tags.tags_of(dbsession, project_id),
        "stopped": suppression.stopped(dbsession, project_id, person.email_key),
        "consents": agreed,
        "upcoming": next_letters(dbsession, person) if request.has_permission("campaigns:view") else [],
        "sources": _sources(request, person, [one for _list, one in memberships], agreed),
    }


def _sources(request: Request, person: Subscriber, memberships: Any, agreed: Any) -> dict[str, Any]:
    """source → (what a person calls it, the import's id or None)."""
    words = {person.source, *(one.source for one in memberships), *(one.consent.source for one in agreed)} - {""}
    names = source_names(request, sorted(words))
    return {
        word: (names[word], id_in(word.removeprefix("import:")) if word.startswith("import:") else None)
        for word in names
    }


@view_config(route_name="lists.subscriber_field", request_method="GET", hx_target="person-profile",
             renderer="lists/_person_profile.html", permission="subscribers:edit")  # fmt: skip
@view_config(route_name="lists.subscriber_field", request_method="GET", renderer="lists/subscriber_field.html",
             permission="subscribers:edit")  # fmt: skip
def edit_field(context: SubscriberContext, request: Request) -> Any:
    """One field with its input, in its place on the profile."""
    return _profile(context, request, request.GET.get("name", ""), None, {})


@view_config(route_name="lists.subscriber_field", request_method="POST", hx_target="person-profile",
             renderer="lists/_person_profile.html", permission="subscribers:edit")  # fmt: skip
@view_config(route_name="lists.subscriber_field", request_method="POST", renderer="lists/subscriber_field.html",
             permission="subscribers:edit")  # fmt: skip
def set_field(context: SubscriberContext, request: Request) -> Any:
    form = forms.read(request, FieldForm)
    person = context.subscriber
    name = form.values.get("name", "")
    field = request.dbsession.get(SubscriberField, (context.project.id, name.replace("\0", "")))
    if field is None:
        request.notice(_("There is no such field any more."), "bad")
        return htmx.redirect(request, person_url(request, person))
    if form.value is not None:
        try:
            value = read_value(field, form.value.value)
        except BadValue as fault:
            form.refuse("value", fault.message)
    if form.value is None:
        request.response.status_int = 422
        return _profile(context, request, name, form.values.get("value", ""), form.errors)
    kept = {key: one for key, one in {**person.fields, field.name: value}.items() if one is not None}
    if kept != person.fields:
        person.fields = kept
        note(request, "subscriber.changed", person, fields=[field.name])
    if htmx.is_fragment(request):
        request.dbsession.flush()
        return _profile(context, request, "", None, {})
    return htmx.redirect(request, person_url(request, person))


def _profile(
    context: SubscriberContext, request: Request, name: str, typed: str | None, errors: dict[str, Any]
) -> dict[str, Any]:
    person = context.subscriber
    return {
        "person": person,
        "fields": fields_of(request.dbsession, context.project.id),
        "show": lambda field, value: show_value(field, value, request.locale_name),
        "written": written_value,
        "sources": _sources(request, person, [], []),
        "editing": name,
        "typed": typed,
        "errors": errors,
    }


@view_config(route_name="lists.subscriber_tags", request_method="POST", permission="subscribers:edit")
def change_tags(context: SubscriberContext, request: Request) -> Any:
    form, person, project_id = forms.read(request, TagsForm), context.subscriber, context.project.id
    names = form.value.add.split(",") if form.value is not None else []
    tag_id = id_in(form.value.remove) if form.value is not None else None
    changed = tags.remove_tags(request.dbsession, project_id, [person.id], [tag_id] if tag_id is not None else [])
    try:
        made = tags.ensure_tags(request.dbsession, project_id, names[:20])
    except tags.TooManyTags:
        request.notice(_("The project has too many tags already."), "bad")
        return htmx.redirect(request, person_url(request, person))
    changed += tags.add_tags(request.dbsession, project_id, [person.id], [tag.id for tag in made])
    if any(name.strip() and not tags.clean_tag(name) for name in names):
        request.notice(_("A tag has at most 80 characters."), "warn")
    if changed:
        note(request, "subscriber.tagged", person)
    return htmx.redirect(request, person_url(request, person) + "#person-tags")


@view_config(route_name="lists.subscriber_notes", request_method="POST", permission="subscribers:edit")
def add_note(context: SubscriberContext, request: Request) -> Any:
    form, person = forms.read(request, NoteForm), context.subscriber
    if form.value is None:
        request.notice(_("A note has between 1 and 5,000 characters."), "bad")
        return htmx.redirect(request, person_url(request, person))
    user = request.user
    made = SubscriberNote(
        project_id=context.project.id,
        subscriber_id=person.id,
        user_id=user.id if user is not None else None,
        author=(user.name or user.email)[: columns.MAX_NAME] if user is not None else "",
        body=form.value.body,
    )
    request.dbsession.add(made)
    request.dbsession.flush()
    note(request, "subscriber.noted", person)
    return htmx.redirect(request, person_url(request, person) + "#person-history")


@view_config(route_name="lists.subscriber_note_delete", request_method="POST", permission="subscribers:edit")
def delete_note(context: NoteContext, request: Request) -> Any:
    request.dbsession.delete(context.note)
    note(request, "subscriber.note_deleted", context.subscriber)
    request.notice(_("The note has been deleted."))
    return htmx.redirect(request, person_url(request, context.subscriber))


@view_config(route_name="lists.subscriber_suppress", request_method="POST", permission="subscribers:edit")
def suppress(context: SubscriberContext, request: Request) -> Any:
    """On the stop list: nothing is sent to the address, whatever its lists say."""
    person = context.subscriber
    is_new = suppression.suppress(
        request.dbsession,
        project_id=context.project.id,
        email=person.email,
        reason=SuppressionReason.MANUAL.value,
        user_id=request.user.id if request.user is not None else None,
    )
    if is_new:
        note(request, "subscriber.suppressed", person)
    request.notice(_("${email} is on the stop list now.", mapping={"email": person.email}))
    return htmx.redirect(request, person_url(request, person))
