"""Lists and people over the JSON API (contract §4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyramid.request import Request
from sqlalchemy import select

from mailhub.lists import letters, queries, service, sign_up, tags, uses
from mailhub.lists.fields import FieldFaults, TooManyFields
from mailhub.lists.filters import PeopleFilter, scope_of
from mailhub.lists.resources import ListContext, SubscriberContext
from mailhub.lists.schema import (
    BatchIn,
    BatchOut,
    BatchRowOut,
    ForceQuery,
    ListIn,
    ListOut,
    ListPatch,
    PageQuery,
    PeopleQuery,
    SubscriberIn,
    SubscriberOut,
    SubscriberPatch,
    SubscriberQuery,
    list_out,
    subscriber_out,
)
from mailhub.lists.search import Search
from mailhub.mail.address import InvalidAddress, parse_address
from mailhub.models import (
    MailingList,
    OptIn,
    Segment,
    Subscriber,
    SubscriberStatus,
    Subscription,
    SubscriptionStatus,
    Tag,
    Visibility,
)
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.web import forms
from mailhub.web.api import endpoint
from mailhub.web.i18n import _
from mailhub.web.paging import next_url, page_of, read_cursor
from mailhub.web.problems import ApiProblem, FieldProblem

# Lists


@endpoint("api.lists", "GET", permission="lists:view", summary="The project's lists and their numbers",
          query=PageQuery, answer=ListOut, many=True)  # fmt: skip
def lists(context: ProjectContext, request: Request) -> dict[str, Any]:
    query = forms.read_query(request, PageQuery)
    rows = sorted(
        queries.lists_with_counts(request.dbsession, project_id=context.project.id),
        key=lambda row: row.mailing_list.id,
    )
    after = read_cursor(query.after, int)
    left = [row for row in rows if after is None or row.mailing_list.id > after[0]]
    page = page_of(left[: query.limit + 1], query.limit, lambda row: (row.mailing_list.id,))
    return {
        "results": [_list_out(request, row) for row in page.rows],
        "next": next_url(request, page),
        "count": len(rows),
    }


@endpoint("api.lists", "POST", permission="lists:edit", summary="Make a list", body=ListIn, answer=ListOut,
          status=201)  # fmt: skip
def create_list(context: ProjectContext, request: Request) -> ListOut:
    given = forms.read_json(request, ListIn)
    made = service.create_list(request.dbsession, project_id=context.project.id, **given.model_dump())
    note(request, "list.created", made, name=made.name, opt_in=made.opt_in)
    return _one_list(request, made)


@endpoint("api.list", "GET", permission="lists:view", summary="A list and its numbers", answer=ListOut)
def show_list(context: ListContext, request: Request) -> ListOut:
    return _one_list(request, context.mailing_list)


@endpoint("api.list", "PATCH", permission="lists:edit", summary="Change a list", body=ListPatch, answer=ListOut)
def change_list(context: ListContext, request: Request) -> ListOut:
    given = forms.read_json(request, ListPatch)
    changes = {name: value for name, value in given.model_dump().items() if value is not None}
    service.update_list(request.dbsession, context.mailing_list, **changes)
    note(request, "list.changed", context.mailing_list, name=context.mailing_list.name, fields=sorted(changes))
    request.dbsession.refresh(context.mailing_list)
    return _one_list(request, context.mailing_list)


@endpoint("api.list", "DELETE", permission="lists:edit", summary="Delete a list; its people stay", query=ForceQuery,
          status=204)  # fmt: skip
def delete_list(context: ListContext, request: Request) -> None:
    name = context.mailing_list.name
    refuse_in_use(request, uses.of_list(request.dbsession, context.mailing_list))
    try:
        gone = service.delete_list(request.dbsession, context.mailing_list)
    except service.ListInUse as refusal:
        campaigns = ", ".join(refusal.campaigns[:5])
        raise ApiProblem(
            409, _("Campaigns that are not finished write to this list: ${names}.", mapping={"names": campaigns})
        ) from None
    note(request, "list.deleted" if gone else "list.archived", context.mailing_list, name=name)


def refuse_in_use(request: Request, found: Sequence[uses.Use]) -> None:
    """The 409 with the names of what uses it, unless the caller wants it gone all the same."""
    if found and not forms.read_query(request, ForceQuery).force:
        names = {"names": uses.names(found)}
        raise ApiProblem(409, _("These use it: ${names}. With force=true it is deleted all the same.", mapping=names))


def _one_list(request: Request, mailing_list: MailingList) -> ListOut:
    (row,) = queries.lists_with_counts(request.dbsession, project_id=mailing_list.project_id, list_id=mailing_list.id)
    return _list_out(request, row)


def _list_out(request: Request, row: queries.ListRow) -> ListOut:
    public = row.mailing_list.visibility == Visibility.PUBLIC
    return list_out(row, sign_up.form_url(request, row.mailing_list) if public else None)


# People


@endpoint("api.subscribers", "GET", permission="subscribers:view", summary="People, the newest first",
          query=SubscriberQuery, answer=SubscriberOut, many=True)  # fmt: skip
def subscribers(context: ProjectContext, request: Request) -> dict[str, Any]:
    query = forms.read_query(request, SubscriberQuery)
    if query.email is not None:
        return _by_address(request, query.email)
    wanted = filter_of(request, query)
    search = Search(request.dbsession, scope_of(request.dbsession, context.project, wanted), wanted)
    page = search.page(after=query.after, limit=query.limit)
    answer: dict[str, Any] = {"results": _several(request, page.rows), "next": next_url(request, page)}
    total = search.count()
    if not total.more:
        answer["count"] = total.n
    return answer


def filter_of(request: Request, given: PeopleQuery) -> PeopleFilter:
    """The filter of a query, or of a bulk change. Raises the 422 for a list, tag or segment that is not there."""
    project_id = request.project.id
    if given.list_id is not None:
        _known_lists(request, [given.list_id], "list_id")
    for field, model, number in (("tag_id", Tag, given.tag_id), ("segment_id", Segment, given.segment_id)):
        if number is not None and request.dbsession.get(model, (project_id, number)) is None:
            message = _("There is no such tag.") if field == "tag_id" else _("There is no such segment.")
            raise ApiProblem(422, _("Some fields are wrong."), [FieldProblem(field, message)])
    return PeopleFilter(
        given.q.strip().replace("\0", ""), given.list_id, given.status or "", given.tag_id, given.segment_id,
        given.source, given.since, given.until,
    )  # fmt: skip


def _by_address(request: Request, text: str) -> dict[str, Any]:
    try:
        address = parse_address(text)
    except InvalidAddress:
        return {"results": [], "next": None, "count": 0}
    person = service.find_by_address(request.dbsession, project_id=request.project.id, address=address)
    people = [person] if person is not None else []
    return {"results": _several(request, people), "next": None, "count": len(people)}


@endpoint("api.subscribers", "POST", permission="subscribers:edit", body=SubscriberIn, answer=SubscriberOut,
          summary="Add a person (201), or bring the one with this address up to date (200)")  # fmt: skip
def upsert(context: ProjectContext, request: Request) -> SubscriberOut:
    given = forms.read_json(request, SubscriberIn)
    joined = _known_lists(request, given.lists, "lists")
    made = _upsert(request, given, joined, notify=True)
    note(request, "subscriber.created" if made.created else "subscriber.changed", made.subscriber, lists=given.lists)
    request.response.status_int = 201 if made.created else 200
    return _several(request, [made.subscriber])[0]


@endpoint("api.subscriber", "GET", permission="subscribers:view", summary="A person", answer=SubscriberOut)
def show(context: SubscriberContext, request: Request) -> SubscriberOut:
    return _several(request, [context.subscriber])[0]


@endpoint("api.subscriber", "PATCH", permission="subscribers:edit", summary="Change a person", body=SubscriberPatch,
          answer=SubscriberOut)  # fmt: skip
def change(context: SubscriberContext, request: Request) -> SubscriberOut:
    given = forms.read_json(request, SubscriberPatch)
    person, project_id = context.subscriber, context.project.id
    wanted = _known_lists(request, given.lists or [], "lists")
    try:
        service.update_subscriber(request.dbsession, person, email=given.email, name=given.name, fields=given.fields)
    except service.AddressTaken:
        raise ApiProblem(409, _("Somebody else in this project has this address.")) from None
    except TooManyFields:
        raise _too_many_fields() from None
    except FieldFaults as refusal:
        raise _field_faults(refusal) from None
    _set_status(request, person, given.status)
    if given.tracking is not None:
        person.tracking = given.tracking
    if given.tags is not None:
        old = {tag.id for tag in tags.tags_of_people(request.dbsession, project_id, [person.id])[person.id]}
        new = _mark(request, person, given.tags)
        tags.remove_tags(request.dbsession, project_id, [person.id], sorted(old - new))
    if given.lists is not None:
        now = queries.lists_of_people(request.dbsession, project_id=project_id, subscriber_ids=[person.id])
        live = {one.list_id for _list, one in now[person.id] if one.status in service.LIVE}
        gone = live - set(given.lists)
        if gone:
            service.unsubscribe(
                request.dbsession,
                project_id=project_id,
                subscriber_id=person.id,
                list_ids=sorted(gone),
                source="api",
            )
        _join(request, person, [one for one in wanted if one.id not in live], rejoin=True)
    note(request, "subscriber.changed", person, fields=sorted(given.model_fields_set))
    request.dbsession.refresh(person)
    return _several(request, [person])[0]


@endpoint("api.subscriber", "DELETE", permission="subscribers:edit", summary="Delete a person", status=204)
def delete(context: SubscriberContext, request: Request) -> None:
    note(request, "subscriber.deleted", context.subscriber)
    service.delete_subscriber(request.dbsession, context.subscriber)


@endpoint("api.subscribers_batch", "POST", permission="subscribers:edit", body=BatchIn, answer=BatchOut,
          summary="Add or update up to 500 people; each row has its own result")  # fmt: skip
def batch(context: ProjectContext, request: Request) -> BatchOut:
    given = forms.read_json(request, BatchIn)
    results: list[BatchRowOut] = []
    for index, document in enumerate(given.subscribers):
        try:
            row = forms.validate(SubscriberIn, document)
            with request.dbsession.begin_nested():
                made = _upsert(request, row, _known_lists(request, row.lists, "lists"), notify=False)
            status = "created" if made.created else "updated"
            results.append(BatchRowOut(index=index, status=status, id=str(made.subscriber.id)))
        except ApiProblem as problem:
            results.append(BatchRowOut(index=index, status="rejected", errors=_plain(problem)))
    numbers = {status: sum(row.status == status for row in results) for status in ("created", "updated", "rejected")}
    note(request, "subscriber.batch", created=numbers["created"], updated=numbers["updated"])
    return BatchOut(results=results, **numbers)


def _plain(problem: ApiProblem) -> list[dict[str, str]]:
    """The faults of a row as the API says them: in English."""
    found = problem.errors or [FieldProblem("", problem.detail)]
    return [
        {"field": one.field, "message": str(getattr(one.message, "interpolate", lambda text=one.message: text)())}
        for one in found
    ]


def _upsert(request: Request, given: SubscriberIn, joined: list[MailingList], *, notify: bool) -> service.Upserted:
    try:
        made = service.upsert_subscriber(
            request.dbsession,
            project_id=request.project.id,
            email=given.email,
            name=given.name,
            fields=given.fields,
            source="api",
        )
    except TooManyFields:
        raise _too_many_fields() from None
    except FieldFaults as refusal:
        raise _field_faults(refusal) from None
    person = made.subscriber
    _mark(request, person, given.tags)
    _join(request, person, joined, rejoin=False)
    _set_status(request, person, given.status)
    if given.tracking is not None:
        person.tracking = given.tracking
        request.dbsession.flush()
    if made.created and notify and given.status != SubscriberStatus.UNSUBSCRIBED.value:
        letters.send_notice(request, request.project, joined[0] if joined else None, person)
    request.dbsession.refresh(person)
    return made


def _mark(request: Request, person: Subscriber, names: Sequence[str]) -> set[int]:
    """Add tags, made where there are none; gives their ids."""
    try:
        made = tags.ensure_tags(request.dbsession, person.project_id, names)
    except tags.TooManyTags:
        raise ApiProblem(
            422, _("Some fields are wrong."), [FieldProblem("tags", _("The project has too many tags already."))]
        ) from None
    ids = [tag.id for tag in made]
    tags.add_tags(request.dbsession, person.project_id, [person.id], ids)
    return set(ids)


def _join(request: Request, person: Subscriber, joined: Sequence[MailingList], *, rejoin: bool) -> None:
    """Into these lists: at once, or by a letter where a list asks for confirmation."""
    for mailing_list in joined:
        double = mailing_list.opt_in == OptIn.DOUBLE
        before = request.dbsession.get(Subscription, (mailing_list.project_id, mailing_list.id, person.id))
        status = service.subscribe(
            request.dbsession,
            project_id=mailing_list.project_id,
            subscriber_id=person.id,
            list_id=mailing_list.id,
            status=SubscriptionStatus.UNCONFIRMED if double else SubscriptionStatus.SUBSCRIBED,
            source="api",
            rejoin=rejoin,
        )
        asked = before is not None and before.status == SubscriptionStatus.UNCONFIRMED
        if status == SubscriptionStatus.UNCONFIRMED and not asked:
            sign_up.ask_to_confirm(request, request.project, mailing_list, person)


def _set_status(request: Request, person: Subscriber, status: str | None) -> None:
    if status == SubscriberStatus.UNSUBSCRIBED.value:
        service.unsubscribe(
            request.dbsession, project_id=person.project_id, subscriber_id=person.id, source="api"
        )
    elif status == SubscriberStatus.ACTIVE.value:
        service.set_person_status(
            request.dbsession, project_id=person.project_id, subscriber_id=person.id, status=SubscriberStatus.ACTIVE
        )


def _known_lists(request: Request, ids: Sequence[int], field: str) -> list[MailingList]:
    """These lists of the project, in the order asked for; raises the 422 for one that is not there."""
    if not ids:
        return []
    found = {
        one.id: one
        for one in request.dbsession.scalars(
            select(MailingList).where(
                MailingList.project_id == request.project.id,
                MailingList.id.in_(ids),
                MailingList.archived_at.is_(None),
            )
        )
    }
    if any(number not in found for number in ids):
        raise ApiProblem(422, _("Some fields are wrong."), [FieldProblem(field, _("There is no such list."))])
    return [found[number] for number in dict.fromkeys(ids)]


def _several(request: Request, people: Sequence[Subscriber]) -> list[SubscriberOut]:
    memberships = queries.lists_of_people(
        request.dbsession, project_id=request.project.id, subscriber_ids=[person.id for person in people]
    )
    tagged = tags.tags_of_people(request.dbsession, request.project.id, [person.id for person in people])
    return [subscriber_out(person, memberships[person.id], tagged[person.id]) for person in people]


def one_person(request: Request, person: Subscriber) -> SubscriberOut:
    """A person as the API tells them."""
    return _several(request, [person])[0]


def _field_faults(refusal: FieldFaults) -> ApiProblem:
    faults = [FieldProblem(f"fields.{name}", fault.message) for name, fault in refusal.faults.items()]
    return ApiProblem(422, _("Some fields are wrong."), faults)


def _too_many_fields() -> ApiProblem:
    return ApiProblem(
        422, _("Some fields are wrong."), [FieldProblem("fields", _("The project has too many fields already."))]
    )
