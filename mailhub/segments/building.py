"""The builder's pages: a new segment, a changed one, the live count beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from mailhub.models import Segment
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.segments import builder, service
from mailhub.segments.asking import ask_count
from mailhub.segments.forms import HeadForm
from mailhub.segments.offering import offer
from mailhub.segments.resources import SegmentContext
from mailhub.web import forms, htmx
from mailhub.web.i18n import _

_PAGE: dict[str, Any] = {"renderer": "segments/edit.html", "permission": "segments:edit"}
_PART: dict[str, Any] = {
    "renderer": "segments/_segment_builder.html", "permission": "segments:edit", "hx_target": "segment-builder"
}  # fmt: skip


@view_config(route_name="segments.new", request_method="GET", **_PAGE)
def new(context: ProjectContext, request: Request) -> dict[str, Any]:
    return _page(request, builder.Draft(rules=[builder.DraftLeaf()]), {}, {}, None)


@view_config(route_name="segments.new", request_method="POST", **_PAGE)
@view_config(route_name="segments.new", request_method="POST", **_PART)
def create(context: ProjectContext, request: Request) -> dict[str, Any] | Response:
    return _posted(context, request, None)


@view_config(route_name="segments.edit", request_method="GET", **_PAGE)
def edit(context: SegmentContext, request: Request) -> dict[str, Any]:
    segment = context.segment
    values = {"name": segment.name, "description": segment.description, "revision": str(segment.revision)}
    draft = builder.draft_of(segment.definition)
    offered = offer(request.dbsession, context.project.id, segment.definition)
    # What the project has no longer is said at once.
    try:
        service.parse(segment.definition, offered.catalog)
        errors: dict[str, Any] = {}
    except service.SegmentRefused as refusal:
        errors = builder.form_errors(refusal.errors, draft)
    return _page(request, draft, values, errors, segment, offered=offered)


@view_config(route_name="segments.edit", request_method="POST", **_PAGE)
@view_config(route_name="segments.edit", request_method="POST", **_PART)
def update(context: SegmentContext, request: Request) -> dict[str, Any] | Response:
    return _posted(context, request, context.segment)


@view_config(route_name="segments.preview", request_method="POST", renderer="segments/_segment_preview.html",
             permission="segments:edit")  # fmt: skip
def preview(context: ProjectContext, request: Request) -> dict[str, Any]:
    """Who the rules in the form find now; half filled in ones are told apart from wrong ones by nobody."""
    draft = builder.read(list(request.POST.items()))
    catalog = service.load(request.dbsession, context.project.id, [_rough(draft)])
    builder.settle(draft, catalog)
    return {"preview": _preview(request, builder.definition(draft, catalog), catalog)}


def _posted(context: ProjectContext, request: Request, segment: Segment | None) -> dict[str, Any] | Response:
    fields = list(request.POST.items())
    deed = request.POST.get("do", "save")
    draft = builder.read(fields)
    focus = builder.act(draft, deed)
    offered = offer(request.dbsession, context.project.id, _rough(draft))
    builder.settle(draft, offered.catalog)
    values = {name: value for name, value in fields if name in ("name", "description", "revision")}
    document = builder.definition(draft, offered.catalog)
    if deed != "save":
        shown = _preview(request, document, offered.catalog) if deed == "preview" else None
        htmx.trigger(request, "segment:changed")
        return _page(request, draft, values, {}, segment, offered=offered, preview=shown, focus=focus)
    return _save(context, request, segment, draft, values, document, offered)


def _save(
    context: ProjectContext,
    request: Request,
    segment: Segment | None,
    draft: builder.Draft,
    values: dict[str, str],
    document: Mapping[str, Any],
    offered: Any,
) -> dict[str, Any] | Response:
    head = forms.validate_values(HeadForm, {name: values.get(name, "") for name in HeadForm.model_fields})
    errors = dict(head.errors)
    tree = None
    try:
        tree = service.parse(document, offered.catalog)
    except service.SegmentRefused as refusal:
        errors |= builder.form_errors(refusal.errors, draft)
    if not draft.rules:
        errors[""] = _("Add at least one rule.")
    if head.value is None or tree is None:
        request.response.status_int = 422
        return _page(request, draft, values, errors, segment, offered=offered)
    user_id = request.user.id
    if segment is None:
        segment = service.create(
            request.dbsession, project_id=context.project.id, name=head.value.name,
            description=head.value.description, tree=tree, user_id=user_id,
        )  # fmt: skip
        note(request, "segment.created", segment, name=segment.name)
        asks_anew = True
    else:
        given = values.get("revision", "")
        revision = int(given) if given.isascii() and given.isdigit() and len(given) < 18 else None
        try:
            asks_anew = service.change(
                request.dbsession, segment, name=head.value.name, description=head.value.description, tree=tree,
                revision=revision,
            )  # fmt: skip
        except service.SegmentChanged:
            request.response.status_int = 409
            errors = {"": _("Somebody else has changed this segment meanwhile. Save again to put yours in its place.")}
            return _page(request, draft, values | {"revision": str(segment.revision)}, errors, segment, offered=offered)
        note(request, "segment.changed", segment, name=segment.name)
    if asks_anew:
        ask_count(request, segment, tree)
    request.notice(_("Saved."))
    return htmx.redirect(
        request, request.route_path("segments.show", project=context.project.slug, segment_id=segment.id)
    )


def _rough(draft: builder.Draft) -> dict[str, Any]:
    """Enough of a document to look up the names that it speaks of."""
    rules = [
        {"value": leaf.values, "campaigns": leaf.campaigns, "link": leaf.link}
        for rule in draft.rules
        for leaf in (rule.rules if isinstance(rule, builder.DraftGroup) else [rule])
    ]
    return {"rules": rules}


def _preview(request: Request, document: Mapping[str, Any], catalog: Any) -> dict[str, Any]:
    """Sentence, number and ten people; `errors` is True where the rules are not ready for it."""
    project_id = catalog.project_id
    try:
        tree = service.parse(document, catalog)
    except service.SegmentRefused:
        return {"ready": False}
    counted = service.count(request.dbsession, project_id, tree)
    people = None
    if counted is not None and request.has_permission("subscribers:view"):
        people = service.sample(request.dbsession, project_id, tree, 1.0)
    return {
        "ready": True,
        "words": service.in_words(tree, catalog, request.localizer),
        "count": counted,
        "people": people,
    }


def _page(
    request: Request,
    draft: builder.Draft,
    values: Mapping[str, Any],
    errors: Mapping[str, Any],
    segment: Segment | None,
    *,
    offered: Any = None,
    preview: Any = None,
    focus: str = "",
) -> dict[str, Any]:
    offered = offered or offer(request.dbsession, request.project.id, {})
    builder.settle(draft, offered.catalog)
    return {
        "draft": draft,
        "values": values,
        "errors": errors,
        "segment": segment,
        "offer": offered,
        "preview": preview,
        "focus": focus,
    }
