"""Fields, tags, bulk changes and merging over the JSON API."""

from __future__ import annotations

from typing import Any

from pyramid.request import Request
from sqlalchemy import func, select

from mailhub.background import service as background
from mailhub.lists import bulk, field_changes, merging, tags, uses
from mailhub.lists.api import filter_of, one_person, refuse_in_use
from mailhub.lists.fields import (
    BadValue,
    FieldFaults,
    TooManyFields,
    clean_field_name,
    declare_fields,
    ensure_fields,
    fields_of,
    read_value,
)
from mailhub.lists.filters import scope_of
from mailhub.lists.people_schema import (
    BulkIn,
    FieldIn,
    FieldOut,
    FieldPatch,
    JobOut,
    MergeIn,
    TagIn,
    TagOut,
    TagPatch,
    field_out,
    job_out,
    tag_out,
)
from mailhub.lists.resources import BulkContext, FieldContext, SubscriberContext, TagContext
from mailhub.lists.schema import ForceQuery, SubscriberOut
from mailhub.lists.search import Search
from mailhub.models import FieldType, MailingList, ProjectJob, Subscriber, SubscriberField, Tag
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.web import forms
from mailhub.web.api import endpoint
from mailhub.web.i18n import _
from mailhub.web.problems import ApiProblem, FieldProblem


def _wrong(field: str, message: Any) -> ApiProblem:
    return ApiProblem(422, _("Some fields are wrong."), [FieldProblem(field, message)])


def _too_much() -> ApiProblem:
    return ApiProblem(409, _("Too much is going on: wait until a job has ended."))


# Fields


@endpoint("api.fields", "GET", permission="subscribers:view", summary="Custom fields, in their order", answer=FieldOut,
          many=True)  # fmt: skip
def fields(context: ProjectContext, request: Request) -> dict[str, Any]:
    found = fields_of(request.dbsession, context.project.id)
    return {"results": [field_out(field) for field in found], "next": None, "count": len(found)}


@endpoint("api.fields", "POST", permission="subscribers:edit", summary="Make a custom field", body=FieldIn,
          answer=FieldOut, status=201)  # fmt: skip
def create_field(context: ProjectContext, request: Request) -> FieldOut:
    given = forms.read_json(request, FieldIn)
    name = clean_field_name(given.name or given.label)
    if not name:
        raise _wrong("label", _("A field's name has letters, digits and underscores."))
    if request.dbsession.get(SubscriberField, (context.project.id, name)) is not None:
        raise ApiProblem(409, _("There is a field of this name already."))
    choices = _choices(given.type, given.choices)
    try:
        declare_fields(
            request.dbsession,
            project_id=context.project.id,
            labels={name: given.label},
            types={name: given.type.value},
            choices={name: choices},
        )
    except TooManyFields:
        raise _wrong("label", _("The project has too many fields already.")) from None
    made = request.dbsession.get_one(SubscriberField, (context.project.id, name))
    note(request, "subscriber_field.created", made, name=name, type=made.type)
    return field_out(made)


@endpoint("api.field", "GET", permission="subscribers:view", summary="A custom field", answer=FieldOut)
def show_field(context: FieldContext, request: Request) -> FieldOut:
    return field_out(context.field)


@endpoint("api.field", "PATCH", permission="subscribers:edit", summary="Change a custom field", body=FieldPatch,
          answer=FieldOut)  # fmt: skip
def change_field(context: FieldContext, request: Request) -> Any:
    given, field = forms.read_json(request, FieldPatch), context.field
    if given.label is not None:
        field.label = given.label
    if given.position is not None:
        field_changes.place(request.dbsession, field, given.position)
    kind = given.type or FieldType(field.type)
    choices = _choices(kind, given.choices if given.choices is not None else field.choices)
    note(request, "subscriber_field.changed", field, name=field.name, fields=sorted(given.model_fields_set))
    if kind != field.type or (kind == FieldType.CHOICE and choices != field.choices):
        try:
            job, _new = field_changes.ask(
                request, field, field_changes.CHANGE, kind=kind.value, choices=choices, drop=given.drop
            )
        except field_changes.FieldBusy:
            raise _busy() from None
        except background.TooManyJobs:
            raise _too_much() from None
        request.response.status_int = 202
        return job_out(job, undo=False)
    request.dbsession.flush()
    return field_out(field)


@endpoint("api.field", "DELETE", permission="subscribers:edit", summary="Delete a custom field and everybody's values",
          query=ForceQuery, answer=JobOut, status=202)  # fmt: skip
def delete_field(context: FieldContext, request: Request) -> JobOut:
    refuse_in_use(request, uses.of_field(request.dbsession, context.field))
    try:
        job, is_new = field_changes.ask(request, context.field, field_changes.DELETE)
    except field_changes.FieldBusy:
        raise _busy() from None
    except background.TooManyJobs:
        raise _too_much() from None
    if is_new:
        note(request, "subscriber_field.deleted", context.field, name=context.field.name, job=job.id)
    return job_out(job, undo=False)


def _busy() -> ApiProblem:
    return ApiProblem(409, _("This field is being looked through or changed already. Wait until that has ended."))


def _choices(kind: FieldType, given: list[str]) -> list[str]:
    if kind != FieldType.CHOICE:
        return []
    choices = field_changes.clean_choices("\n".join(given))
    if not choices:
        raise _wrong("choices", _("A choice needs at least one value."))
    return choices


# Tags


@endpoint("api.tags", "GET", permission="subscribers:view", summary="Tags by name", answer=TagOut, many=True)
def list_tags(context: ProjectContext, request: Request) -> dict[str, Any]:
    found = tags.tags_of(request.dbsession, context.project.id)
    return {"results": [tag_out(tag) for tag in found], "next": None, "count": len(found)}


@endpoint("api.tags", "POST", permission="subscribers:edit", body=TagIn, answer=TagOut, status=201,
          summary="Make a tag; one of this name that is there already is given back")  # fmt: skip
def create_tag(context: ProjectContext, request: Request) -> TagOut:
    given = forms.read_json(request, TagIn)
    known = {tag.name_key for tag in tags.tags_of(request.dbsession, context.project.id)}
    try:
        made = tags.ensure_tags(request.dbsession, context.project.id, [given.name])
    except tags.TooManyTags:
        raise _wrong("name", _("The project has too many tags already.")) from None
    if not made:
        raise _wrong("name", _("A tag has at most 80 characters."))
    if made[0].name_key not in known:
        note(request, "tag.created", made[0], name=made[0].name)
    return tag_out(made[0])


@endpoint("api.tag", "PATCH", permission="subscribers:edit", summary="Rename a tag, or make it one with another",
          body=TagPatch, answer=TagOut)  # fmt: skip
def change_tag(context: TagContext, request: Request) -> TagOut:
    given, tag = forms.read_json(request, TagPatch), context.tag
    if (given.name is None) == (given.into is None):
        raise _wrong("name", _("Give either a name or the tag that it becomes one with."))
    if given.into is not None:
        into = request.dbsession.get(Tag, (context.project.id, given.into))
        if into is None or into.id == tag.id:
            raise _wrong("into", _("There is no such tag."))
        note(request, "tag.merged", into, name=into.name, gone=tag.name, people=tag.n)
        tags.merge_tags(request.dbsession, gone=tag, into=into)
        return tag_out(into)
    name, before = tags.clean_tag(given.name or ""), tag.name
    if not name:
        raise _wrong("name", _("A tag has at most 80 characters."))
    try:
        tags.rename_tag(request.dbsession, tag, name)
    except tags.TagTaken:
        raise ApiProblem(409, _("Another tag has this name.")) from None
    if name != before:
        note(request, "tag.renamed", tag, name=name)
    return tag_out(tag)


@endpoint("api.tag", "DELETE", permission="subscribers:edit", summary="Delete a tag, and take it from everybody",
          query=ForceQuery, status=204)  # fmt: skip
def delete_tag(context: TagContext, request: Request) -> None:
    refuse_in_use(request, uses.of_tag(request.dbsession, context.tag))
    note(request, "tag.deleted", context.tag, name=context.tag.name, people=context.tag.n)
    tags.delete_tag(request.dbsession, context.tag)


# Many people at once


@endpoint("api.bulk", "POST", permission="subscribers:edit", body=BulkIn, answer=JobOut, status=202,
          summary="Change many people, as a job")  # fmt: skip
def start_bulk(context: ProjectContext, request: Request) -> JobOut:
    given = forms.read_json(request, BulkIn)
    if (given.ids is None) == (given.filter is None):
        raise _wrong("ids", _("Give either ids or a filter."))
    if given.ids is not None:
        whom = bulk.Whom(ids=tuple(given.ids))
    else:
        assert given.filter is not None
        whom = bulk.Whom(wanted=filter_of(request, given.filter))
    what = _what(request, given)
    most = _expected(request, given, whom) if given.action == "delete" else None
    try:
        job = bulk.ask(request, context.project, whom, given.action, total=len(given.ids or ()), most=most, **what)
    except background.TooManyJobs:
        raise _too_much() from None
    note(request, f"subscriber.bulk_{given.action}", job, **what)
    return job_out(job, undo=False)


def _what(request: Request, given: BulkIn) -> dict[str, Any]:
    project_id = request.project.id
    if given.action == "tag_remove":
        key = tags.clean_tag(given.tag).lower()
        known = select(Tag.id).where(Tag.project_id == project_id, Tag.name_key == key)
        number = request.dbsession.scalar(known)
        if number is None:
            raise _wrong("tag", _("There is no such tag."))
        return {"tag": number}
    if given.action == "tag_add":
        try:
            made = tags.ensure_tags(request.dbsession, project_id, [given.tag])
        except tags.TooManyTags:
            raise _wrong("tag", _("The project has too many tags already.")) from None
        if not made:
            raise _wrong("tag", _("Choose a tag."))
        return {"tag": made[0].id}
    if given.action in ("list_add", "list_remove"):
        found = request.dbsession.get(MailingList, (project_id, given.list_id)) if given.list_id is not None else None
        if found is None or found.archived_at is not None:
            raise _wrong("list_id", _("There is no such list."))
        return {"list": found.id}
    if given.action == "set_field":
        field = request.dbsession.get(SubscriberField, (project_id, given.field.replace("\0", "")))
        if field is None:
            raise _wrong("field", _("There is no such field."))
        try:
            return {"field": field.name, "value": read_value(field, given.value)}
        except BadValue as fault:
            raise _wrong("value", fault.message) from None
    return {}


def _expected(request: Request, given: BulkIn, whom: bulk.Whom) -> int:
    """How many people are deleted: what the caller expects, or nobody."""
    if whom.wanted is not None:
        there = Search(request.dbsession, scope_of(request.dbsession, request.project, whom.wanted), whom.wanted)
        n = there.count_all()
    else:
        known = select(func.count()).where(Subscriber.project_id == request.project.id, Subscriber.id.in_(whom.ids))
        n = request.dbsession.scalar(known) or 0
    if given.expected != n:
        raise ApiProblem(409, _("It would delete ${n} people.", mapping={"n": n}))
    return n


@endpoint("api.bulk_job", "GET", permission="subscribers:view", summary="A bulk change and how far it is",
          answer=JobOut)  # fmt: skip
def show_bulk(context: BulkContext, request: Request) -> JobOut:
    return _job(request, context.job)


@endpoint("api.bulk_cancel", "POST", permission="subscribers:edit", summary="Stop a bulk change", answer=JobOut,
          status=202)  # fmt: skip
def cancel_bulk(context: BulkContext, request: Request) -> JobOut:
    if not background.cancel(request.dbsession, context.project.id, context.job.id):
        raise ApiProblem(409, _("It has ended already."))
    note(request, "subscriber.bulk_cancelled", context.job)
    request.dbsession.refresh(context.job)
    return _job(request, context.job)


@endpoint("api.bulk_undo", "POST", permission="subscribers:edit", summary="Take a bulk change back, as a job",
          answer=JobOut, status=202)  # fmt: skip
def undo_bulk(context: BulkContext, request: Request) -> JobOut:
    try:
        made, is_new = bulk.ask_undo(request, context.job)
    except bulk.CannotUndo:
        raise ApiProblem(409, _("There is nothing left to be taken back.")) from None
    except background.TooManyJobs:
        raise _too_much() from None
    if is_new:
        note(request, "subscriber.bulk_undone", context.job)
    return _job(request, made)


def _job(request: Request, job: ProjectJob) -> JobOut:
    return job_out(job, undo=bulk.can_undo(request.dbsession, job))


@endpoint("api.subscriber_merge", "POST", permission="subscribers:edit", body=MergeIn, answer=SubscriberOut,
          summary="Make one person of two: all that is the other's becomes this one's")  # fmt: skip
def merge(context: SubscriberContext, request: Request) -> SubscriberOut:
    given, person = forms.read_json(request, MergeIn), context.subscriber
    other = request.dbsession.get(Subscriber, (context.project.id, given.other_id))
    if other is None or other.id == person.id:
        raise _wrong("other_id", _("There is no such person."))
    name = given.name if given.name is not None else person.name or other.name
    kept = {**other.fields, **person.fields}
    if given.fields is not None:
        try:
            kept |= ensure_fields(request.dbsession, project_id=context.project.id, fields=given.fields)
        except FieldFaults as refusal:
            raise ApiProblem(
                422,
                _("Some fields are wrong."),
                [FieldProblem(f"fields.{one}", fault.message) for one, fault in refusal.faults.items()],
            ) from None
        except TooManyFields:
            raise _wrong("fields", _("The project has too many fields already.")) from None
    gone = other.id
    moved = merging.merge_people(request.dbsession, person, other, name=name, fields=kept)
    note(request, "subscriber.merged", person, gone=gone, events=moved.events, messages=moved.messages)
    request.dbsession.refresh(person)
    return one_person(request, person)
