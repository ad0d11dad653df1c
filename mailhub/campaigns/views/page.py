"""What the pages of a campaign share: addresses, the draft's steps, problems in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyramid.request import Request

from mailhub.campaigns.chosen import Chosen
from mailhub.campaigns.refusals import Check
from mailhub.models import Campaign, CampaignState
from mailhub.web.i18n import DOMAIN, _

STEPS = (("recipients", _("Recipients")), ("content", _("Letter")), ("review", _("Review and send")))


def addresses_of(request: Request, campaign: Campaign) -> Callable[..., str]:
    """`at("review", anchor="list")`: the path of one of the campaign's pages."""

    def at(page: str, anchor: str = "", **query: Any) -> str:
        given = {name: value for name, value in query.items() if value not in (None, "")}
        path: str = request.route_path(
            f"campaigns.{page}", project=request.project.slug, campaign_id=campaign.id, _query=given or None
        )
        return f"{path}#{anchor}" if anchor else path

    return at


def steps(
    at: Callable[..., str], current: str, campaign: Campaign, chosen: Chosen
) -> list[tuple[Any, str, str]]:
    """The draft's steps for `ui.steps`; they may be taken in any order."""
    done = {
        "recipients": chosen.anybody,
        "content": bool(
            campaign.subject.strip() and (campaign.html.strip() or campaign.text.strip()) and campaign.sender_id
        ),
    }
    return [
        (label, at(name), "current" if name == current else "done" if done.get(name) else "") for name, label in STEPS
    ]


def words(request: Request, check: Check) -> str:
    """A check as a sentence in the reader's language."""
    translated = request.localizer.translate(check.text, domain=DOMAIN)
    if hasattr(check.text, "interpolate"):
        return str(translated)
    return str(translated) % dict(check.params)


def line_of(check: Check, source: str) -> str:
    """The source line that a problem stands on, shortened; empty where it is about the whole text."""
    lines = source.splitlines()
    return lines[check.line - 1].strip()[:120] if 0 < check.line <= len(lines) else ""


def may_send_again(request: Request, campaign: Campaign) -> bool:
    """Whether this person may send letters in doubt or failed ones again, and the campaign's state allows it."""
    moving = campaign.state in (CampaignState.SENDING, CampaignState.PAUSED, CampaignState.SENT)
    return moving and campaign.archived_at is None and bool(request.has_permission("campaigns:start"))


def is_draft(campaign: Campaign) -> bool:
    return campaign.state == CampaignState.DRAFT
