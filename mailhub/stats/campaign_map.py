"""The click map's frame: the letter as it was sent, for nobody in particular, with its links' shares of the clicks."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from html import escape
from typing import Any

from pyramid.request import Request
from pyramid.response import Response

from mailhub.delivery.letters import source_of
from mailhub.mail.campaign import CampaignSource, Recipient, RecipientUrls, compile_campaign
from mailhub.mail.click_map import OWN_MARK, Badge, mark_of, with_badges
from mailhub.mail.template import RenderFailed, TemplateRefused, guarded_text
from mailhub.models import Campaign, CampaignVersion
from mailhub.reporting import queries
from mailhub.reporting.queries import LinkClicks
from mailhub.web.formats import cldr, number_text, percent_text
from mailhub.web.i18n import _, translate
from mailhub.web.letter_frame import letter_frame

#: A process keeps so many rendered letters, of so many characters at most.
KEPT_LETTERS, KEPT_LENGTH = 32, 300_000
#: Nobody: merge fields show what a letter says to somebody of whom nothing is known.
_NOBODY = Recipient("reader@example.com", "", {}, RecipientUrls(OWN_MARK, OWN_MARK, click=mark_of))


def frame(request: Request, campaign: Campaign) -> Response:
    """The map as an answer for a sandboxed frame; a sentence where there is no letter to show."""
    version = None
    if campaign.version is not None:
        version = request.dbsession.get(CampaignVersion, (campaign.project_id, campaign.id, campaign.version))
    if version is None:
        return _sentence(request, translate(request, _("Nothing was sent yet, so there is no letter to show.")))
    links = queries.campaign_links(request.dbsession, campaign.project_id, campaign.id)
    source = source_of({column.key: getattr(version, column.key) for column in CampaignVersion.__table__.columns})
    try:
        return letter_frame(with_badges(_letter(request.registry, campaign, source), badges(request, links)))
    except (RenderFailed, TemplateRefused):
        return _sentence(request, translate(request, _("The letter can't be shown without its reader's data.")))


def badges(request: Request, links: list[LinkClicks]) -> dict[int, Badge]:
    """A badge for each link by its position: its number in the table, and its share of people's clicks."""
    locale = cldr(request.locale_name)
    whole = sum(link.human_redirected for link in links)
    made = {}
    for number, link in enumerate(links, start=1):
        share = link.human_redirected / whole if whole else 0.0
        title = translate(
            request, _("Link ${number}. People: ${people}. Clicks: ${clicks}.", mapping={
                "number": number, "people": number_text(link.human_unique, locale),
                "clicks": number_text(link.human_redirected, locale),
            }),
        )  # fmt: skip
        made[link.position] = Badge(f"{number} · {percent_text(share, locale, 0)}", title, share, link.url)
    return made


def _letter(registry: Any, campaign: Campaign, source: CampaignSource) -> str:
    """The rendered letter; a frozen version never changes, so that a process renders each but once."""
    kept: OrderedDict[tuple[int, int, int | None], str] = registry.__dict__.setdefault("click_maps", OrderedDict())
    key = (campaign.project_id, campaign.id, campaign.version)
    found = kept.get(key)
    if found is None:
        found = _render(source)
        if len(found) <= KEPT_LENGTH:
            kept[key] = found
        while len(kept) > KEPT_LETTERS:
            # Another thread may have been faster, which is as good.
            with suppress(KeyError):
                kept.popitem(last=False)
    return found


def _render(source: CampaignSource) -> str:
    return guarded_text(lambda: compile_campaign(source).render_parts(_NOBODY).html)


def _sentence(request: Request, text: str) -> Response:
    style = "margin:0;padding:24px;font:14px/1.5 system-ui,sans-serif;color:#4b5563"
    page = (
        f'<!DOCTYPE html><html lang="{escape(request.locale_name)}"><head><meta charset="utf-8"><title>{escape(text)}'
        f'</title></head><body style="{style}"><p>{escape(text)}</p></body></html>'
    )
    return letter_frame(page)
