"""Segments over the JSON API (contract §4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyramid.request import Request
from sqlalchemy import select

from mailhub.models import Segment
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext, number_of
from mailhub.segments import service
from mailhub.segments.asking import ask_count
from mailhub.segments.explaining import GroupVerdict
from mailhub.segments.people import people_of
from mailhub.segments.resources import SegmentContext
from mailhub.segments.schema import (
    ExplainOut,
    PageQuery,
    PersonOut,
    PreviewIn,
    PreviewOut,
    RuleOut,
    SegmentIn,
    SegmentOut,
    SegmentPatch,
    segment_out,
)
from mailhub.segments.words import Speaker, english
from mailhub.web import forms
from mailhub.web.api import endpoint
from mailhub.web.i18n import _
from mailhub.web.paging import next_url, page_of, read_cursor
from mailhub.web.problems import ApiProblem, FieldProblem


@endpoint("api.segments", "GET", permission="segments:view", summary="The project's segments in use",
          query=PageQuery, answer=SegmentOut, many=True)  # fmt: skip
def segments(context: ProjectContext, request: Request) -> dict[str, Any]:
    query = forms.read_query(request, PageQuery)
    given = read_cursor(query.after, int)
    rows = request.dbsession.scalars(
        select(Segment)
        .where(
            Segment.project_id == context.project.id,
            Segment.archived_at.is_(None),
            Segment.id > (given[0] if given is not None else 0),
        )
        .order_by(Segment.id)
        .limit(query.limit + 1)
    ).all()
    page = page_of(rows, query.limit, lambda row: (row.id,))
    catalog = service.load(request.dbsession, context.project.id, [row.definition for row in page.rows])
    return {"results": [_out(row, catalog) for row in page.rows], "next": next_url(request, page)}


@endpoint("api.segments", "POST", permission="segments:edit", summary="Make a segment", body=SegmentIn,
          answer=SegmentOut, status=201)  # fmt: skip
def create(context: ProjectContext, request: Request) -> SegmentOut:
    given = forms.read_json(request, SegmentIn)
    tree = _tree(request, given.definition)
    made = service.create(
        request.dbsession, project_id=context.project.id, name=given.name, description=given.description, tree=tree
    )
    note(request, "segment.created", made, name=made.name)
    ask_count(request, made, tree)
    return _one(request, made)


@endpoint("api.segments_preview", "POST", permission="segments:view", body=PreviewIn, answer=PreviewOut,
          summary="Count a tree without keeping it")  # fmt: skip
def preview(context: ProjectContext, request: Request) -> PreviewOut:
    given = forms.read_json(request, PreviewIn)
    catalog = service.load(request.dbsession, context.project.id, [given.definition])
    tree = _parsed(given.definition, catalog)
    counted = service.count(request.dbsession, context.project.id, tree)
    return PreviewOut(
        definition=tree.document,
        words=service.in_words(tree, catalog),
        count=counted.people if counted is not None else None,
        active=counted.active if counted is not None else None,
    )


@endpoint("api.segment", "GET", permission="segments:view", summary="A segment and its number", answer=SegmentOut)
def show(context: SegmentContext, request: Request) -> SegmentOut:
    return _one(request, context.segment)


@endpoint("api.segment", "PATCH", permission="segments:edit", summary="Change a segment", body=SegmentPatch,
          answer=SegmentOut)  # fmt: skip
def change(context: SegmentContext, request: Request) -> SegmentOut:
    given = forms.read_json(request, SegmentPatch)
    segment = context.segment
    tree = _tree(request, given.definition) if given.definition is not None else None
    try:
        asks_anew = service.change(
            request.dbsession, segment, name=given.name, description=given.description, tree=tree,
            revision=given.revision,
        )  # fmt: skip
        if given.archived is True:
            service.archive(request.dbsession, segment)
        elif given.archived is False:
            service.restore(request.dbsession, segment)
    except service.SegmentChanged:
        raise ApiProblem(409, _("Somebody else has changed this segment meanwhile.")) from None
    except service.SegmentInUse as refusal:
        raise _held(refusal) from None
    note(request, "segment.changed", segment, name=segment.name, fields=sorted(given.model_fields_set))
    if asks_anew and tree is not None:
        ask_count(request, segment, tree)
    return _one(request, segment)


@endpoint("api.segment", "DELETE", permission="segments:edit", status=204,
          summary="Delete a segment; one that sent campaigns were written to is archived")  # fmt: skip
def delete(context: SegmentContext, request: Request) -> None:
    note(request, "segment.deleted", context.segment, name=context.segment.name)
    try:
        service.remove(request.dbsession, context.segment)
    except service.SegmentInUse as refusal:
        raise _held(refusal) from None


@endpoint("api.segment_subscribers", "GET", permission="subscribers:view", query=PageQuery, answer=PersonOut,
          many=True, summary="The people in a segment now, the newest first")  # fmt: skip
def subscribers(context: SegmentContext, request: Request) -> dict[str, Any]:
    query = forms.read_query(request, PageQuery)
    tree = _tree(request, context.segment.definition)
    page = people_of(request.dbsession, context.project.id, tree, after=query.after, limit=query.limit)
    if page is None:
        raise ApiProblem(503, _("This takes too long now. Export the segment instead."), headers={"Retry-After": "60"})
    results = [PersonOut(id=str(one.id), email=one.email, name=one.name, status=one.status) for one in page.rows]
    return {"results": results, "next": next_url(request, page)}


@endpoint("api.segment_explain", "GET", permission="subscribers:view", answer=ExplainOut,
          summary="Why a person is in a segment or not, rule by rule")  # fmt: skip
def explain(context: SegmentContext, request: Request) -> ExplainOut:
    project_id = context.project.id
    catalog = service.load(request.dbsession, project_id, [context.segment.definition])
    tree = _parsed(context.segment.definition, catalog)
    person_id = number_of(request, "subscriber_id")
    found = service.explain(request.dbsession, project_id, tree, person_id)
    if found is None:
        raise ApiProblem(404)
    speaker = Speaker(catalog, english())
    rules: list[RuleOut] = []
    for one in found.rules:
        if isinstance(one, GroupVerdict):
            rules.append(RuleOut(path=one.path, words=speaker.group(one.group), holds=one.holds))
            rules += [RuleOut(path=leaf.path, words=speaker.leaf(leaf.leaf), holds=leaf.holds) for leaf in one.rules]
        else:
            rules.append(RuleOut(path=one.path, words=speaker.leaf(one.leaf), holds=one.holds))
    return ExplainOut(subscriber_id=str(person_id), in_segment=found.is_in, rules=rules)


def _tree(request: Request, definition: Mapping[str, Any]) -> service.Tree:
    return _parsed(definition, service.load(request.dbsession, request.project.id, [definition]))


def _parsed(definition: Mapping[str, Any], catalog: service.Catalog) -> service.Tree:
    """The tree; raises the 422 with the faults by their paths."""
    try:
        return service.parse(definition, catalog)
    except service.SegmentRefused as refusal:
        raise ApiProblem(422, _("Some fields are wrong."), [
            FieldProblem(f"definition.{path}".rstrip("."), message) for path, message in refusal.errors.items()
        ]) from None  # fmt: skip


def _one(request: Request, segment: Segment) -> SegmentOut:
    request.dbsession.refresh(segment)
    return _out(segment, service.load(request.dbsession, segment.project_id, [segment.definition]))


def _out(segment: Segment, catalog: service.Catalog) -> SegmentOut:
    try:
        tree = service.parse(segment.definition, catalog)
    except service.SegmentRefused as refusal:
        problems = [{"field": path, "message": str(_plain(text))} for path, text in refusal.errors.items()]
        return segment_out(segment, "", problems)
    return segment_out(segment, service.in_words(tree, catalog), [])


def _plain(message: Any) -> Any:
    interpolate = getattr(message, "interpolate", None)
    return interpolate() if interpolate is not None else message


def _held(refusal: service.SegmentInUse) -> ApiProblem:
    names = ", ".join(str(name) for name in refusal.names[:5])
    return ApiProblem(409, _("This is not possible while these use the segment: ${names}.", mapping={"names": names}))
