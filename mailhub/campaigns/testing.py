"""Test letters: the campaign's letter to a few addresses, marked, through the transactional queue; counted nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from mailhub.campaigns import audience, letter
from mailhub.campaigns.chosen import chosen_of
from mailhub.campaigns.refusals import CampaignNotReady, CampaignRefused, FieldRefused, check_of
from mailhub.delivery.service import SingleLetter, accept
from mailhub.mail.campaign import RecipientUrls
from mailhub.mail.template import RenderFailed, TemplateRefused
from mailhub.models import Campaign, CampaignVersion, Message, MessageKind, Project, Sender, Subscriber
from mailhub.web.i18n import _

PREFIX = "[Test] "
#: A project may send this many test requests in this time.
TEST_BURST, TEST_SECONDS = 20, 600.0


def send_test(
    dbsession: Session,
    project: Project,
    campaign: Campaign,
    addresses: Sequence[str],
    *,
    preview_url: str,
    subscriber_id: int | None = None,
) -> list[Message]:
    """Accept the letter for each address, made for the person `subscriber_id` or for the audience's first.

    Its own links (unsubscribe, web version) lead to `preview_url`: nobody is unsubscribed by a test. The caller
    enqueues `delivery.tasks.send_due`. Raises FieldRefused without a sender, CampaignNotReady with the letter's faults.
    """
    draft, version = current_letter(dbsession, project, campaign)
    if version is None and campaign.sender_id is None:
        raise FieldRefused("sender_id", _("Choose a sender first."))
    person = person_for(dbsession, project, campaign, subscriber_id)
    try:
        parts = draft.parts(person, own_links(preview_url))
    except TemplateRefused as refused:
        raise CampaignNotReady([check_of(problem) for problem in refused.problems]) from None
    except RenderFailed as failed:
        raise CampaignNotReady([check_of(failed.problem)]) from None
    source = draft.source
    return [
        accept(
            dbsession,
            project=project,
            kind=MessageKind.TEST,
            letter=SingleLetter(
                from_email=source.from_email,
                from_name=source.from_name,
                reply_to=source.reply_to,
                to_email=address,
                subject=PREFIX + parts.subject,
                html=parts.html,
                text=parts.text,
            ),
            campaign_id=campaign.id,
        )
        for address in addresses
    ]


def current_letter(
    dbsession: Session, project: Project, campaign: Campaign
) -> tuple[letter.Draft, CampaignVersion | None]:
    """What would be sent now, or what was frozen when the campaign was started."""
    if campaign.version is not None:
        version = dbsession.get(CampaignVersion, (project.id, campaign.id, campaign.version))
        if version is None:
            raise CampaignRefused(_("The letter of this campaign is no longer there."))
        return letter.frozen_of(version), version
    sender = dbsession.get(Sender, (project.id, campaign.sender_id)) if campaign.sender_id is not None else None
    return letter.draft_of(dbsession, project, campaign, sender), None


def person_for(
    dbsession: Session, project: Project, campaign: Campaign, subscriber_id: int | None
) -> Subscriber | None:
    """The wanted person or the first of the audience; None where the project has nobody."""
    chosen = chosen_of(dbsession, project.id, campaign.id)
    return audience.sample(dbsession, project.id, chosen, subscriber_id).subscriber


def own_links(preview_url: str) -> RecipientUrls:
    """The letter's own links where no real person may be touched: they lead to the preview, which says so."""
    return RecipientUrls(unsubscribe=f"{preview_url}?link=unsubscribe", web_version=preview_url)


def preview_url(request: Any, campaign: Campaign) -> str:
    """The preview's address with the host of the settings, never of the Host header."""
    path = request.route_path("campaigns.preview", project=request.project.slug, campaign_id=campaign.id)
    return str(request.registry.mailhub.public_url) + str(path)
