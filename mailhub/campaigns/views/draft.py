"""The draft in three steps, each a URL, saved as one goes: recipients, letter, review."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config
from sqlalchemy import select

from mailhub.campaigns import audience, letter, service
from mailhub.campaigns import chosen as choice
from mailhub.campaigns.chosen import Chosen, chosen_of, names_of
from mailhub.campaigns.forms import SPREADS, ContentForm, RecipientsForm
from mailhub.campaigns.resources import CampaignContext
from mailhub.campaigns.views.page import addresses_of, is_draft, line_of, steps, words
from mailhub.models import Sender, SubscriberField
from mailhub.web import forms, htmx
from mailhub.web.i18n import _

_EDIT = {"permission": "campaigns:edit"}
_RECIPIENTS = {"route_name": "campaigns.recipients", "renderer": "campaigns/recipients.html", **_EDIT}
#: The boxes of the first step, in the order of Chosen.
_PARTS = ("list_ids", "segment_ids", "exclude_list_ids", "exclude_segment_ids")
_CONTENT = {"route_name": "campaigns.content", "renderer": "campaigns/content.html", **_EDIT}


@view_config(request_method="GET", **_RECIPIENTS)
def recipients(context: CampaignContext, request: Request) -> dict[str, Any] | Response:
    if not is_draft(context.campaign):
        return _to_show(context, request)
    chosen = chosen_of(request.dbsession, context.project.id, context.campaign.id)
    return _recipients_page(context, request, chosen)


@view_config(route_name="campaigns.recipients", request_method="GET", hx_target="recipient-count",
             renderer="campaigns/_recipient_count.html", **_EDIT)  # fmt: skip
def recipient_count(context: CampaignContext, request: Request) -> dict[str, Any]:
    """How many people the ticked lists and segments hold, and who of them gets nothing, before anything is saved."""
    ticked = _ticked({name: request.GET.getall(name) for name in _PARTS})
    # A box of something archived is there only where it was ticked before, and it counts as the page counts it.
    chosen = choice.known(request.dbsession, context.project.id, ticked, archived=True)
    return _counted(context, request, chosen)


@view_config(request_method="POST", **_RECIPIENTS)
def save_recipients(context: CampaignContext, request: Request) -> dict[str, Any] | Response:
    form = forms.read(request, RecipientsForm)
    conflict = False
    if form.value is not None:
        try:
            service.update(
                request.dbsession, context.project, context.campaign, revision=form.value.revision,
                list_ids=form.value.list_ids, segment_ids=form.value.segment_ids,
                exclude_list_ids=form.value.exclude_list_ids, exclude_segment_ids=form.value.exclude_segment_ids,
            )  # fmt: skip
            return _saved(context, request, form.value.go, "recipients")
        except service.DraftChanged:
            conflict = True
        except service.StateForbids as refusal:
            return _refused(context, request, refusal)
        except service.FieldRefused as refusal:
            form.refuse(refusal.name, refusal.message)
    request.response.status_int = 409 if conflict else 422
    given = _ticked({name: form.values.get(name, []) for name in _PARTS})
    return _recipients_page(context, request, given, errors=form.errors, conflict=conflict)


def _ticked(given: dict[str, Any]) -> Chosen:
    """The ticked boxes; what is no id is left out."""
    parts = []
    for name in _PARTS:
        values = [str(value) for value in given[name]][:500]
        numbers = {int(value) for value in values if value.isascii() and value.isdigit() and len(value) <= 18}
        parts.append(tuple(sorted(numbers)))
    return Chosen(*parts)


def _recipients_page(
    context: CampaignContext, request: Request, chosen: Chosen, *, errors: Any = None, conflict: bool = False
) -> dict[str, Any]:
    dbsession, project_id = request.dbsession, context.project.id
    lists = audience.list_choices(dbsession, project_id, also=(*chosen.lists, *chosen.not_lists))
    segments = choice.segment_choices(dbsession, project_id, also=(*chosen.segments, *chosen.not_segments))
    known_lists, known_segments = {one.id for one in lists}, {one.id for one in segments}
    known = Chosen(
        tuple(one for one in chosen.lists if one in known_lists),
        tuple(one for one in chosen.segments if one in known_segments),
        tuple(one for one in chosen.not_lists if one in known_lists),
        tuple(one for one in chosen.not_segments if one in known_segments),
    )
    later = "count" not in request.GET and audience.is_large(dbsession, project_id, known)
    shown = _counted(context, request, known, later=later)
    return {
        **shown,
        "campaign": context.campaign,
        "steps": steps(shown["at"], "recipients", context.campaign, known),
        "lists": lists,
        "segments": segments,
        "chosen": {
            name: [str(number) for number in part]
            for name, part in zip(
                _PARTS, (chosen.lists, chosen.segments, chosen.not_lists, chosen.not_segments), strict=True
            )
        },
        "errors": errors or {},
        "conflict": conflict,
    }


def _counted(
    context: CampaignContext, request: Request, chosen: Chosen, *, later: bool = False
) -> dict[str, Any]:
    """What the card with the number shows; `later`: it asks for the number itself once the page is there."""
    count = audience.estimate if later else audience.count_audience
    return {
        "people": count(request.dbsession, context.project.id, chosen),
        "later": later,
        "anybody": chosen.anybody,
        "any_segment": bool(chosen.segments),
        "at": addresses_of(request, context.campaign),
    }


@view_config(request_method="GET", **_CONTENT)
def content(context: CampaignContext, request: Request) -> dict[str, Any] | Response:
    campaign = context.campaign
    if not is_draft(campaign):
        return _to_show(context, request)
    names = ("name", "sender_id", "from_name", "reply_to", "subject", "preheader", "html", "text")
    values = {name: getattr(campaign, name) for name in names}
    return _content_page(context, request, forms.FormResult(None, values))


@view_config(request_method="POST", **_CONTENT)
def save_content(context: CampaignContext, request: Request) -> dict[str, Any] | Response:
    form = forms.read(request, ContentForm)
    problems: list[service.Check] | None = None
    conflict = False
    if form.value is not None:
        given = form.value.model_dump(exclude={"revision", "anyway", "go"})
        try:
            service.update(
                request.dbsession, context.project, context.campaign, revision=form.value.revision,
                content=given, accept_mistakes=bool(form.value.anyway),  # type: ignore[arg-type]
            )  # fmt: skip
            return _saved(context, request, form.value.go, "content")
        except service.DraftChanged:
            conflict = True
        except service.StateForbids as refusal:
            return _refused(context, request, refusal)
        except service.FieldRefused as refusal:
            form.refuse(refusal.name, refusal.message)
        except service.LetterRefused as refusal:
            problems = refusal.problems
            for problem in problems:
                form.errors.setdefault(problem.field, _("Mend what is listed below."))
            form.value = None
    request.response.status_int = 409 if conflict else 422
    return _content_page(context, request, form, problems=problems, conflict=conflict)


def _content_page(
    context: CampaignContext,
    request: Request,
    form: forms.FormResult[Any],
    *,
    problems: list[service.Check] | None = None,
    conflict: bool = False,
) -> dict[str, Any]:
    dbsession, project, campaign = request.dbsession, context.project, context.campaign
    at = addresses_of(request, campaign)
    chosen = chosen_of(dbsession, project.id, campaign.id)
    refused = problems is not None
    if problems is None and not form.errors and not conflict:
        found = letter.draft_of(dbsession, project, campaign, None).problems
        # What is merely not written yet is the review's business.
        problems = [service.check_of(problem) for problem in found if problem.code not in letter.UNWRITTEN]
    shown = [
        (problem, words(request, problem), line_of(problem, str(form.values.get(problem.field) or "")))
        for problem in problems or []
    ]
    senders = dbsession.scalars(
        select(Sender).where(Sender.project_id == project.id).order_by(Sender.is_default.desc(), Sender.email)
    ).all()
    fields = dbsession.scalars(
        select(SubscriberField).where(SubscriberField.project_id == project.id).order_by(SubscriberField.name)
    ).all()
    return {
        "campaign": campaign,
        "at": at,
        "steps": steps(at, "content", campaign, chosen),
        "form": form,
        "problems": shown,
        "refused": refused,
        "conflict": conflict,
        "senders": senders,
        "fields": fields,
        "size": len(campaign.html.encode()),
    }


@view_config(route_name="campaigns.review", request_method="GET", renderer="campaigns/review.html", **_EDIT)
def review(context: CampaignContext, request: Request) -> dict[str, Any] | Response:
    if not is_draft(context.campaign):
        return _to_show(context, request)
    return review_page(context, request)


def review_page(
    context: CampaignContext,
    request: Request,
    *,
    refused: bool = False,
    errors: dict[str, Any] | None = None,
    values: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The pre-flight list, the summary, the test letter and the last button."""
    dbsession, project, campaign = request.dbsession, context.project, context.campaign
    at = addresses_of(request, campaign)
    chosen = chosen_of(dbsession, project.id, campaign.id)
    report = service.examine(dbsession, project, campaign)
    zone = ZoneInfo(project.time_zone)
    hours = (campaign.spread_seconds or 0) / 3600
    return {
        "campaign": campaign,
        "at": at,
        "steps": steps(at, "review", campaign, chosen),
        "report": report,
        "checks": [(check, words(request, check)) for check in report.checks],
        "names": names_of(dbsession, project.id, [campaign.id])[campaign.id],
        "refused": refused,
        "errors": errors or {},
        "values": values or {"addresses": request.user.email},
        "zone": project.time_zone,
        "spreads": SPREADS,
        "spread": f"{hours:g}" if hours in SPREADS else "own",
        "spread_hours": f"{hours:g}" if hours not in SPREADS else "",
        "now_local": datetime.now(UTC).astimezone(zone).strftime("%Y-%m-%dT%H:%M"),
    }


def _saved(context: CampaignContext, request: Request, go: str, here: str) -> Response:
    """On to where the pressed button leads; back to the same step by default."""
    target = go if go in ("recipients", "content", "review", "preview") else here
    if target == here:
        request.notice(_("Saved."), "ok")
    return htmx.redirect(request, addresses_of(request, context.campaign)(target))


def _to_show(context: CampaignContext, request: Request) -> Response:
    return htmx.redirect(request, addresses_of(request, context.campaign)("show"))


def _refused(context: CampaignContext, request: Request, refusal: service.CampaignRefused) -> Response:
    request.notice(refusal.message, "bad")
    return _to_show(context, request)
