"""The preview: the letter as a real subscriber gets it, in a frame that may do nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from mailhub.campaigns import audience
from mailhub.campaigns.chosen import chosen_of
from mailhub.campaigns.refusals import CampaignRefused, Check, check_of
from mailhub.campaigns.resources import CampaignContext
from mailhub.campaigns.testing import current_letter, own_links, preview_url
from mailhub.campaigns.views.page import addresses_of, is_draft, steps, words
from mailhub.mail.template import RenderFailed, TemplateRefused
from mailhub.models import Subscriber
from mailhub.web.letter_frame import letter_frame

VIEWS = ("html", "text", "source")


@view_config(route_name="campaigns.preview", permission="campaigns:view", request_method="GET",
             renderer="campaigns/preview.html")  # fmt: skip
def preview(context: CampaignContext, request: Request) -> dict[str, Any]:
    """HTML, plain text or source for one person, and who else it can be shown as."""
    campaign = context.campaign
    at = addresses_of(request, campaign)
    chosen = chosen_of(request.dbsession, context.project.id, campaign.id)
    # Who may not see people sees the letter as somebody made up.
    named = bool(request.has_permission("subscribers:view"))
    query = request.GET.get("q", "").strip()[:254] if named else ""
    sample = (
        audience.sample(request.dbsession, context.project.id, chosen, _wanted(request))
        if named
        else audience.Sample(None)
    )
    view = request.GET.get("view", "html")
    view = view if view in VIEWS else "html"
    shown = _rendered(context, request, sample.subscriber, with_source=view == "source")
    person = sample.subscriber
    return {
        "campaign": campaign,
        "at": at,
        "draft": is_draft(campaign),
        "steps": steps(at, "", campaign, chosen) if is_draft(campaign) else [],
        "view": view,
        "person": person,
        "sample": sample,
        "named": named,
        "q": query,
        "found": audience.find_people(request.dbsession, context.project.id, query),
        "frame_url": at("preview_frame", subscriber=person.id if person is not None else None),
        "link": request.GET.get("link", ""),
        **shown,
    }


@view_config(route_name="campaigns.preview", permission="subscribers:view", request_method="GET",
             hx_target="preview-people", renderer="campaigns/_preview_people.html")  # fmt: skip
def preview_people(context: CampaignContext, request: Request) -> dict[str, Any]:
    """Whom the preview can be shown as, while an address is typed."""
    query = request.GET.get("q", "").strip()[:254]
    return {
        "at": addresses_of(request, context.campaign),
        "view": request.GET.get("view", "html"),
        "q": query,
        "found": audience.find_people(request.dbsession, context.project.id, query),
    }


@view_config(route_name="campaigns.preview_frame", permission="campaigns:view", request_method="GET")
def preview_frame(context: CampaignContext, request: Request) -> Response:
    """The HTML part alone, under a policy of its own: no script, no form, no origin."""
    person = None
    if request.has_permission("subscribers:view"):
        chosen = chosen_of(request.dbsession, context.project.id, context.campaign.id)
        person = audience.sample(request.dbsession, context.project.id, chosen, _wanted(request)).subscriber
    shown = _rendered(context, request, person)
    return letter_frame(shown["parts"].html if shown["parts"] is not None else "")


def _rendered(
    context: CampaignContext, request: Request, person: Subscriber | None, *, with_source: bool = False
) -> dict[str, Any]:
    """`parts` of the letter (None where it can't be made, then `faults` say why), `source` if wanted."""
    faults: list[Check] = []
    result: dict[str, Any] = {"parts": None, "raw": "", "from_name": "", "from_email": "", "preheader": ""}
    result["frozen"] = None
    try:
        draft, result["frozen"] = current_letter(request.dbsession, context.project, context.campaign)
        urls = own_links(preview_url(request, context.campaign))
        result["from_name"], result["from_email"] = draft.source.from_name, draft.source.from_email
        result["preheader"] = draft.preheader(person, urls)
        result["parts"] = draft.parts(person, urls)
        if with_source:
            message_id = f"<preview@{draft.source.from_email.rpartition('@')[2]}>"
            result["raw"] = draft.raw(person, urls, message_id=message_id, date=datetime.now(UTC))
    except TemplateRefused as refused:
        faults = [check_of(problem) for problem in refused.problems]
    except RenderFailed as failed:
        faults = [check_of(failed.problem)]
    except CampaignRefused as refusal:
        faults = [Check("gone", "block", refusal.message)]
    result["faults"] = [(fault, words(request, fault)) for fault in faults]
    head, __, body = result["raw"].partition("\r\n\r\n")
    result["headers"], result["body"] = head.replace("\r\n", "\n"), body.replace("\r\n", "\n")
    return result


def _wanted(request: Request) -> int | None:
    value = request.GET.get("subscriber", "")
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 18 else None
