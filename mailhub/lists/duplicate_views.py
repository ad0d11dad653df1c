"""Pages of likely duplicates: the pairs, two people side by side, and making one of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pyramid.request import Request
from pyramid.view import view_config

from mailhub.background import service as background
from mailhub.lists import duplicates, merging, queries, tags
from mailhub.lists.fields import fields_of, show_value
from mailhub.lists.resources import DuplicateContext, SubscriberContext
from mailhub.lists.service import find_by_address
from mailhub.lists.subscriber_views import person_url
from mailhub.lists.table_views import user_id
from mailhub.mail.address import InvalidAddress, parse_address
from mailhub.models import Subscriber
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.web import htmx
from mailhub.web.i18n import _
from mailhub.web.paging import first_url, next_url

REASONS = {
    "alias": _("One mailbox, two spellings"),
    "typo": _("The domain is probably mistyped"),
}
FIRST, SECOND = "first", "second"


@view_config(route_name="lists.duplicates", request_method="GET", renderer="lists/duplicates.html",
             permission="subscribers:view")  # fmt: skip
@view_config(route_name="lists.duplicates", request_method="GET", hx_target="duplicate-search",
             renderer="lists/_duplicate_search.html", permission="subscribers:view")  # fmt: skip
def index(context: ProjectContext, request: Request) -> Any:
    jobs = background.latest(request.dbsession, context.project.id, duplicates.KIND, most=1)
    job = jobs[0] if jobs else None
    version = f"{job.id}-{job.state}" if job is not None else "none"
    if htmx.unchanged(request, version):
        return htmx.not_modified(version)
    page = duplicates.pairs_of(request.dbsession, context.project.id, after=request.GET.get("after"))
    return {
        "page": page,
        "job": job,
        "busy": job is not None and job.state in background.OPEN,
        "version": version,
        "total": duplicates.count(request.dbsession, context.project.id),
        "reasons": REASONS,
        "next": next_url(request, page),
        "first": first_url(request),
    }


@view_config(route_name="lists.duplicates", request_method="POST", permission="subscribers:edit")
def search(context: ProjectContext, request: Request) -> Any:
    try:
        duplicates.ask(request, context.project.id, user_id=user_id(request))
    except background.TooManyJobs:
        request.notice(_("Too much is going on: wait until a job has ended."), "warn")
    return htmx.redirect(request, duplicates_url(request))


@view_config(route_name="lists.duplicate", request_method="GET", renderer="lists/merge.html",
             permission="subscribers:edit")  # fmt: skip
def compare(context: DuplicateContext, request: Request) -> dict[str, Any]:
    return _page(request, context.first, context.second) | {"duplicate": context.duplicate, "reasons": REASONS}


@view_config(route_name="lists.duplicate", request_method="POST", permission="subscribers:edit")
def merge(context: DuplicateContext, request: Request) -> Any:
    person = _merge(request, context.first, context.second)
    return htmx.redirect(request, person_url(request, person))


@view_config(route_name="lists.duplicate_dismiss", request_method="POST", permission="subscribers:edit")
def dismiss(context: DuplicateContext, request: Request) -> Any:
    """They are two people; later searches leave them alone."""
    context.duplicate.dismissed_at = datetime.now(UTC)
    note(request, "subscriber.told_apart", context.first, other=context.second.id)
    request.notice(_("They stay two people."))
    return htmx.redirect(request, duplicates_url(request))


@view_config(route_name="lists.subscriber_merge", request_method="GET", renderer="lists/merge.html",
             permission="subscribers:edit")  # fmt: skip
def choose(context: SubscriberContext, request: Request) -> Any:
    """Two people whom nobody has found to be alike: the other one is named by the address."""
    typed = request.GET.get("with", "").strip()
    other, error = _by_address(request, typed, context.subscriber)
    if other is None:
        if error is not None:
            request.response.status_int = 422
        return {"person": context.subscriber, "other": None, "typed": typed, "error": error, "duplicate": None}
    return _page(request, context.subscriber, other) | {"duplicate": None, "reasons": REASONS}


@view_config(route_name="lists.subscriber_merge", request_method="POST", permission="subscribers:edit")
def merge_chosen(context: SubscriberContext, request: Request) -> Any:
    other, _error = _by_address(request, request.POST.get("with", "").strip(), context.subscriber)
    if other is None:
        request.notice(_("There is no such person."), "bad")
        return htmx.redirect(request, person_url(request, context.subscriber))
    return htmx.redirect(request, person_url(request, _merge(request, context.subscriber, other)))


def _by_address(request: Request, typed: str, person: Subscriber) -> tuple[Subscriber | None, Any]:
    if not typed:
        return None, None
    try:
        address = parse_address(typed)
    except InvalidAddress:
        return None, _("There is no such person.")
    other = find_by_address(request.dbsession, project_id=request.project.id, address=address)
    if other is None or other.id == person.id:
        return None, _("There is no such person.")
    return other, None


def _merge(request: Request, first: Subscriber, second: Subscriber) -> Subscriber:
    """What the form says: whose address stays, and of each value which. What was not said is the one that stays's."""
    chosen = request.POST
    keep, gone = (second, first) if chosen.get("keep") == SECOND else (first, second)
    by_word = {FIRST: first, SECOND: second}
    name = by_word.get(chosen.get("name", ""), keep).name or gone.name
    fields = {**gone.fields, **keep.fields}
    for field in fields_of(request.dbsession, request.project.id):
        word = chosen.get(f"field_{field.name}", "")
        if word in by_word:
            fields[field.name] = by_word[word].fields.get(field.name)
    gone_id, gone_email = gone.id, gone.email
    moved = merging.merge_people(request.dbsession, keep, gone, name=name, fields=fields)
    note(request, "subscriber.merged", keep, gone=gone_id, events=moved.events, messages=moved.messages)
    request.notice(_("${gone} and ${email} are one person now.", mapping={"gone": gone_email, "email": keep.email}))
    return keep


def _page(request: Request, first: Subscriber, second: Subscriber) -> dict[str, Any]:
    dbsession, project_id, ids = request.dbsession, request.project.id, [first.id, second.id]
    memberships = queries.lists_of_people(dbsession, project_id=project_id, subscriber_ids=ids)
    tagged = tags.tags_of_people(dbsession, project_id, ids)
    known = fields_of(dbsession, project_id)
    return {
        "person": first,
        "other": second,
        "typed": second.email,
        "error": None,
        "lists": {number: [one.name for one, _subscription in rows] for number, rows in memberships.items()},
        "tagged": tagged,
        "fields": [field for field in known if first.fields.get(field.name) != second.fields.get(field.name)],
        "show": lambda field, value: show_value(field, value, request.locale_name),
    }


def duplicates_url(request: Request) -> str:
    return str(request.route_path("lists.duplicates", project=request.project.slug))
