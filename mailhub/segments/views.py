"""Pages of saved segments: the table, one with its numbers, its people, why somebody is in it, its end."""

from __future__ import annotations

from typing import Any

from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config
from sqlalchemy import select

from mailhub.events import activity
from mailhub.models import Segment, Subscriber
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.segments import asking, service
from mailhub.segments.explaining import GroupVerdict
from mailhub.segments.people import FIRST_SECONDS, MOST_SECONDS, people_of
from mailhub.segments.resources import SegmentContext
from mailhub.segments.words import Speaker
from mailhub.web import htmx
from mailhub.web.i18n import _, translate
from mailhub.web.paging import PAGE_SIZE, first_url, next_url

_DEED: dict[str, Any] = {"request_method": "POST", "permission": "segments:edit"}


@view_config(route_name="segments.index", request_method="GET", renderer="segments/index.html",
             permission="segments:view")  # fmt: skip
def index(context: ProjectContext, request: Request) -> dict[str, Any]:
    archived = request.GET.get("archived") == "1"
    rows = service.listed(request.dbsession, context.project.id, archived=archived)
    return {
        "rows": rows,
        "broken": service.broken(request.dbsession, context.project.id, [row.segment for row in rows]),
        "archived": archived,
    }


@view_config(route_name="segments.show", request_method="GET", renderer="segments/show.html",
             permission="segments:view")  # fmt: skip
def show(context: SegmentContext, request: Request) -> dict[str, Any]:
    shown = _read(context, request)
    tree = shown["tree"]
    why: dict[str, Any] = {"q": "", "answer": None, "person": None}
    if tree is not None and request.has_permission("subscribers:view"):
        why = _why(request, tree, shown["catalog"])
    return {
        **_numbers(context, request),
        **shown,
        **why,
        "uses": service.where_used(request.dbsession, context.segment),
        "as_of": activity.as_of(request.dbsession, context.project.id) if tree is not None else None,
    }


@view_config(route_name="segments.show", request_method="GET", hx_target="segment-why",
             renderer="segments/_segment_why.html", permission="subscribers:view")  # fmt: skip
def why(context: SegmentContext, request: Request) -> dict[str, Any]:
    shown = _read(context, request)
    if shown["tree"] is None:
        return {"segment": context.segment, "q": "", "answer": None, "person": None}
    return {"segment": context.segment, **_why(request, shown["tree"], shown["catalog"])}


@view_config(route_name="segments.show", request_method="GET", hx_target="segment-numbers",
             renderer="segments/_segment_numbers.html", permission="segments:view")  # fmt: skip
def numbers(context: SegmentContext, request: Request) -> dict[str, Any] | Response:
    found = _numbers(context, request)
    if htmx.unchanged(request, found["version"]):
        return htmx.not_modified(found["version"])
    return found


@view_config(route_name="segments.people", request_method="GET", renderer="segments/people.html",
             permission="subscribers:view")  # fmt: skip
def people(context: SegmentContext, request: Request) -> dict[str, Any]:
    """The page of people. What is not found at once is asked for by the page itself, or by its link (`?wait=1`)."""
    wait = request.GET.get("wait") == "1"
    found = _people(context, request, MOST_SECONDS if wait else FIRST_SECONDS)
    return {**found, "later": found["page"] is None and found["tree"] is not None and not wait}


@view_config(route_name="segments.people", request_method="GET", hx_target="segment-sample",
             renderer="segments/_segment_sample.html", permission="subscribers:view")  # fmt: skip
@view_config(route_name="segments.people", request_method="GET", hx_target="segment-people",
             renderer="segments/_segment_people.html", permission="subscribers:view")  # fmt: skip
def people_found(context: SegmentContext, request: Request) -> dict[str, Any]:
    """The people of the segment, the newest first. As a sample it is loaded after the segment's page."""
    return {**_people(context, request, MOST_SECONDS), "later": False}


@view_config(route_name="segments.count", **_DEED)
def count(context: SegmentContext, request: Request) -> Response:
    try:
        tree = service.tree_of(request.dbsession, context.segment)
    except service.SegmentRefused:
        request.notice(_("A rule of this segment does not fit the project any more. Edit the segment."), "bad")
        return _to(request, context.segment)
    if asking.ask_count(request, context.segment, tree) is None:
        request.notice(_("Counting takes longer than usual; the number comes by itself."), "info")
    return _to(request, context.segment)


@view_config(route_name="segments.copy", **_DEED)
def copy(context: SegmentContext, request: Request) -> Response:
    name = translate(request, _("Copy of ${name}", mapping={"name": context.segment.name}))[:120]
    twin = service.copy(request.dbsession, context.segment, name=name, user_id=request.user.id)
    note(request, "segment.created", twin, name=twin.name)
    request.notice(_("The copy is a new segment."), "ok")
    return htmx.redirect(request, request.route_path("segments.edit", project=context.project.slug, segment_id=twin.id))


@view_config(route_name="segments.archive", **_DEED)
def archive(context: SegmentContext, request: Request) -> Response:
    try:
        service.archive(request.dbsession, context.segment)
    except service.SegmentInUse as refusal:
        return _held(request, context.segment, refusal)
    note(request, "segment.archived", context.segment, name=context.segment.name)
    request.notice(_("The segment is in the archive."), "ok")
    return _to(request)


@view_config(route_name="segments.restore", **_DEED)
def restore(context: SegmentContext, request: Request) -> Response:
    service.restore(request.dbsession, context.segment)
    note(request, "segment.unarchived", context.segment, name=context.segment.name)
    request.notice(_("The segment is back from the archive."), "ok")
    return _to(request, context.segment)


@view_config(route_name="segments.delete", **_DEED)
def delete(context: SegmentContext, request: Request) -> Response:
    segment, name = context.segment, context.segment.name
    try:
        gone = service.remove(request.dbsession, segment)
    except service.SegmentInUse as refusal:
        return _held(request, segment, refusal)
    note(request, "segment.deleted" if gone else "segment.archived", segment, name=name)
    if gone:
        request.notice(_("The segment “${name}” has been deleted.", mapping={"name": name}), "ok")
    else:
        request.notice(_("Sent campaigns were written to it, so the segment was put into the archive."), "info")
    return _to(request)


def _held(request: Request, segment: Segment, refusal: service.SegmentInUse) -> Response:
    names = ", ".join(translate(request, name) for name in refusal.names[:5])
    request.notice(_("This is not possible while these use the segment: ${names}.", mapping={"names": names}), "bad")
    return _to(request, segment)


def _to(request: Request, segment: Segment | None = None) -> Response:
    slug = request.project.slug
    if segment is None:
        return htmx.redirect(request, request.route_path("segments.index", project=slug))
    return htmx.redirect(request, request.route_path("segments.show", project=slug, segment_id=segment.id))


def _read(context: SegmentContext, request: Request) -> dict[str, Any]:
    """The segment with its tree and sentence; without them where it does not fit the project any more."""
    segment = context.segment
    catalog = service.load(request.dbsession, context.project.id, [segment.definition])
    try:
        tree = service.parse(segment.definition, catalog)
    except service.SegmentRefused:
        return {"segment": segment, "catalog": catalog, "tree": None, "words": ""}
    words = service.in_words(tree, catalog, request.localizer)
    return {"segment": segment, "catalog": catalog, "tree": tree, "words": words}


def _people(context: SegmentContext, request: Request, seconds: float) -> dict[str, Any]:
    """The people found in so many seconds; `page` is None where that is not enough."""
    shown = _read(context, request)
    if shown["tree"] is None:
        return {**shown, "page": None, "next": None, "first": None}
    page = people_of(
        request.dbsession, context.project.id, shown["tree"], after=request.GET.get("after"), limit=PAGE_SIZE,
        seconds=seconds,
    )  # fmt: skip
    return {
        **shown,
        "page": page,
        "next": next_url(request, page) if page is not None else None,
        "first": first_url(request),
    }


def _numbers(context: SegmentContext, request: Request) -> dict[str, Any]:
    segment = context.segment
    job = asking.counting_job(request, segment)
    is_open = asking.is_open(job)
    return {
        "segment": segment,
        "counting": is_open,
        "count_error": job.error if job is not None and not is_open and segment.count is None else "",
        "version": f"{segment.revision}-{segment.counted_at}-{job.state if job is not None else ''}",
    }


def _why(request: Request, tree: service.Tree, catalog: service.Catalog) -> dict[str, Any]:
    """The explanation for the address in the query."""
    q = request.GET.get("q", "").strip()[:254].replace("\0", "")
    if not q:
        return {"q": "", "answer": None, "person": None}
    person = request.dbsession.scalars(
        select(Subscriber).where(Subscriber.project_id == catalog.project_id, Subscriber.email_key == q.lower())
    ).one_or_none()
    if person is None:
        return {"q": q, "answer": None, "person": None}
    found = service.explain(request.dbsession, catalog.project_id, tree, person.id)
    assert found is not None
    speaker = Speaker(catalog, request.localizer)
    rules: list[dict[str, Any]] = [
        {"holds": one.holds, "words": speaker.group(one.group), "group": one.group,
         "rules": [{"holds": leaf.holds, "words": speaker.leaf(leaf.leaf)} for leaf in one.rules]}
        if isinstance(one, GroupVerdict)
        else {"holds": one.holds, "words": speaker.leaf(one.leaf), "group": None, "rules": []}
        for one in found.rules
    ]  # fmt: skip
    return {"q": q, "answer": found, "rules": rules, "person": person}
