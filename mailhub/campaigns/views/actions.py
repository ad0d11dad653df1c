"""Buttons: start, pause, resume, cancel, copy, archive, delete, test. Each is a plain POST."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from mailhub.campaigns import service, tasks
from mailhub.campaigns.control import GRACE_SECONDS
from mailhub.campaigns.forms import (
    AgainForm,
    ArchiveForm,
    LetterTestForm,
    RenameForm,
    StartForm,
    local_moment,
    spread_seconds_of,
    typed_addresses,
)
from mailhub.campaigns.resources import CampaignContext
from mailhub.campaigns.testing import TEST_BURST, TEST_SECONDS, preview_url
from mailhub.campaigns.views.draft import review_page
from mailhub.campaigns.views.page import addresses_of, is_draft, words
from mailhub.delivery.service import Again
from mailhub.events.renames import following
from mailhub.models import Campaign, CampaignState
from mailhub.security.audit import note
from mailhub.web import forms, htmx
from mailhub.web.forms import Invalid
from mailhub.web.i18n import _, translate
from mailhub.web.limits import take

_START = {"permission": "campaigns:start", "request_method": "POST"}
_EDIT = {"permission": "campaigns:edit", "request_method": "POST"}


@view_config(route_name="campaigns.start", renderer="campaigns/review.html", **_START)
def start(context: CampaignContext, request: Request) -> dict[str, Any] | Response:
    """Send in a minute, so that it can be undone, or at the chosen time; refused with the whole list of reasons."""
    now = datetime.now(UTC)
    form = forms.read(request, StartForm)
    send_at = None
    spread_seconds = 0
    given = form.value
    if given is not None:
        try:
            spread_seconds = spread_seconds_of(given)
        except Invalid as wrong:
            form.refuse("spread_hours" if given.spread == "own" else "spread", wrong.message)
    if given is not None and given.when == "later":
        try:
            send_at = local_moment(given.send_at, ZoneInfo(context.project.time_zone), now)
        except Invalid as wrong:
            form.refuse("send_at", wrong.message)
    if form.value is None and is_draft(context.campaign):
        request.response.status_int = 422
        return review_page(context, request, errors=form.errors, values=form.values)
    try:
        campaign = service.start(
            request.dbsession, context.project, context.campaign, now=now, send_at=send_at,
            grace_seconds=0 if send_at is not None else GRACE_SECONDS, spread_seconds=spread_seconds,
        )  # fmt: skip
    except service.CampaignNotReady:
        request.response.status_int = 422
        return review_page(context, request, refused=True)
    except service.CampaignRefused as refusal:
        return _back(context, request, refusal.message, "bad")
    tasks.after_start(request, campaign)
    if send_at is not None:
        return _back(context, request, _("The campaign is scheduled. Until then it can be taken back."))
    return _back(context, request, _("The campaign goes out in a minute. Until then it can be undone."))


@view_config(route_name="campaigns.send_now", **_START)
def send_now(context: CampaignContext, request: Request) -> Response:
    """Do not wait for the end of the grace, or for the scheduled time."""
    try:
        campaign = service.start_now(request.dbsession, context.project, context.campaign)
    except service.CampaignNotReady as refusal:
        return _back(context, request, words(request, refusal.reasons[0]), "bad")
    except service.CampaignRefused as refusal:
        return _back(context, request, refusal.message, "bad")
    tasks.after_start(request, campaign)
    return _back(context, request, _("The campaign is being sent."))


@view_config(route_name="campaigns.pause", **_START)
def pause(context: CampaignContext, request: Request) -> Response:
    return _move(context, request, service.pause, _noted("campaign.paused"), _("The campaign is paused."))


@view_config(route_name="campaigns.resume", **_START)
def resume(context: CampaignContext, request: Request) -> Response:
    return _move(context, request, service.resume, tasks.after_resume, _("The campaign goes on."))


@view_config(route_name="campaigns.cancel", **_START)
def cancel(context: CampaignContext, request: Request) -> Response:
    """A scheduled campaign becomes a draft again; one on its way ends for good."""
    if context.campaign.state == CampaignState.SCHEDULED:
        said = _("The campaign is a draft again. Nothing was sent.")
        return _move(context, request, service.unschedule, _noted("campaign.unscheduled"), said)
    return _move(context, request, service.cancel, tasks.after_cancel, _("The campaign was cancelled."))


@view_config(route_name="campaigns.resend", **_START)
def resend(context: CampaignContext, request: Request) -> Response:
    """Letters in doubt, once more: all, or one person's."""
    return _again(context, request, service.resend, "resent")


@view_config(route_name="campaigns.retry", **_START)
def retry(context: CampaignContext, request: Request) -> Response:
    """Failed letters whose failure may pass, once more: all, or one person's."""
    return _again(context, request, service.retry, "retried")


def _again(context: CampaignContext, request: Request, deed: Callable[..., Again], action: str) -> Response:
    form = forms.read(request, AgainForm)
    if form.value is None:
        return _back(context, request, next(iter(form.errors.values())), "bad")
    one = form.value.message_id
    try:
        again = deed(request.dbsession, context.campaign, [one] if one is not None else None)
    except service.CampaignRefused as refusal:
        return _back(context, request, refusal.message, "bad")
    tasks.after_again(request, context.campaign, action, again)
    if again.n:
        request.notice(_("Letters that are sent again: ${n}.", mapping={"n": again.n}), "ok")
    elif not (again.hard or again.stopped):
        request.notice(_("There is no such letter any more."), "info")
    if again.hard or again.stopped:
        left_out = {"hard": again.hard, "stopped": again.stopped}
        request.notice(_("Left out: ${hard} whose address takes no mail for good, ${stopped} who have left or are on "
                         "the stop list.", mapping=left_out), "info")  # fmt: skip
    at = addresses_of(request, context.campaign)
    return htmx.redirect(request, at("people", state=form.value.back) if form.value.back else at("show"))


@view_config(route_name="campaigns.copy", **_EDIT)
def copy(context: CampaignContext, request: Request) -> Response:
    name = translate(request, _("Copy of ${name}", mapping={"name": context.campaign.name}))[:200]
    twin = service.copy(request.dbsession, context.campaign, name=name, created_by=request.user.id)
    note(request, "campaign.created", twin, name=twin.name)
    request.notice(_("The copy is a new draft."), "ok")
    return htmx.redirect(request, addresses_of(request, twin)("content"))


@view_config(route_name="campaigns.rename", request_method="GET", permission="campaigns:edit",
             renderer="campaigns/rename.html")  # fmt: skip
def rename_page(context: CampaignContext, request: Request) -> dict[str, Any]:
    return _rename_page(context, request, {"name": context.campaign.name}, {})


@view_config(route_name="campaigns.rename", renderer="campaigns/rename.html", **_EDIT)
def rename(context: CampaignContext, request: Request) -> dict[str, Any] | Response:
    form = forms.read(request, RenameForm)
    if form.value is None:
        request.response.status_int = 422
        return _rename_page(context, request, form.values, form.errors)
    before = context.campaign.name
    campaign = service.rename(request.dbsession, context.campaign, form.value.name)
    if campaign.name != before:
        note(request, "campaign.renamed", campaign, name=campaign.name, before=before)
    return _back(context, request, _("The campaign is called “${name}”.", mapping={"name": campaign.name}))


def _rename_page(
    context: CampaignContext, request: Request, values: dict[str, Any], errors: dict[str, Any]
) -> dict[str, Any]:
    return {
        "campaign": context.campaign,
        "values": values,
        "errors": errors,
        "following": following(request.dbsession, context.project.id, "campaign_name", context.campaign.id),
        "back": addresses_of(request, context.campaign)("show"),
    }


@view_config(route_name="campaigns.archive", **_EDIT)
def archive(context: CampaignContext, request: Request) -> Response:
    form = forms.read(request, ArchiveForm)
    archived = form.value is None or form.value.archived == "1"
    try:
        service.archive(request.dbsession, context.campaign, archived=archived)
    except service.CampaignRefused as refusal:
        return _back(context, request, refusal.message, "bad")
    note(request, "campaign.archived" if archived else "campaign.unarchived", context.campaign,
         name=context.campaign.name)  # fmt: skip
    said = _("The campaign is in the archive.") if archived else _("The campaign is back from the archive.")
    request.notice(said, "ok")
    return htmx.redirect(request, request.route_path("campaigns.index", project=context.project.slug))


@view_config(route_name="campaigns.delete", **_EDIT)
def delete(context: CampaignContext, request: Request) -> Response:
    campaign: Campaign = context.campaign
    try:
        service.remove(request.dbsession, campaign)
    except service.CampaignRefused as refusal:
        return _back(context, request, refusal.message, "bad")
    note(request, "campaign.deleted", campaign, name=campaign.name)
    request.notice(_("The draft “${name}” was deleted.", mapping={"name": campaign.name}), "ok")
    return htmx.redirect(request, request.route_path("campaigns.index", project=context.project.slug))


@view_config(route_name="campaigns.test", permission="campaigns:test", request_method="POST",
             renderer="campaigns/review.html")  # fmt: skip
def test(context: CampaignContext, request: Request) -> dict[str, Any] | Response:
    """Send the letter to up to five typed addresses, marked as a test."""
    form = forms.read(request, LetterTestForm)
    addresses: list[str] = []
    if form.value is not None:
        try:
            addresses = typed_addresses(form.value.addresses)
        except Invalid as wrong:
            form.refuse("addresses", wrong.message)
    if form.value is not None:
        key = f"campaign-test:{context.project.id}"
        if take(request.registry, key, burst=TEST_BURST, per_seconds=TEST_SECONDS):
            form.refuse("addresses", _("Too many test letters. Wait a little."))
    if form.value is not None:
        try:
            service.send_test(
                request.dbsession, context.project, context.campaign, addresses,
                preview_url=preview_url(request, context.campaign), subscriber_id=form.value.subscriber,
            )  # fmt: skip
        except service.CampaignNotReady as refusal:
            form.refuse("addresses", words(request, refusal.reasons[0]))
        except service.CampaignRefused as refusal:
            form.refuse("addresses", refusal.message)
    at = addresses_of(request, context.campaign)
    back = "preview" if form.values.get("back") == "preview" else "review"
    if form.value is None:
        if back == "review" and is_draft(context.campaign) and request.has_permission("campaigns:edit"):
            request.response.status_int = 422
            return review_page(context, request, errors=form.errors, values=form.values)
        request.notice(next(iter(form.errors.values())), "bad")
        return htmx.redirect(request, at("preview"))
    tasks.after_test(request)
    note(request, "campaign.tested", context.campaign, name=context.campaign.name, letters=len(addresses))
    request.notice(_("Test letters on their way: ${n}.", mapping={"n": len(addresses)}), "ok")
    if back == "review" and is_draft(context.campaign) and request.has_permission("campaigns:edit"):
        return htmx.redirect(request, at("review"))
    return htmx.redirect(request, at("preview", subscriber=form.value.subscriber))


def _move(
    context: CampaignContext,
    request: Request,
    move: Callable[..., Campaign],
    afterwards: Callable[[Request, Campaign], None],
    said: Any,
) -> Response:
    try:
        campaign = move(request.dbsession, context.campaign)
    except service.CampaignRefused as refusal:
        return _back(context, request, refusal.message, "bad")
    afterwards(request, campaign)
    return _back(context, request, said)


def _noted(action: str) -> Callable[[Request, Campaign], None]:
    return lambda request, campaign: note(request, action, campaign, name=campaign.name)


def _back(context: CampaignContext, request: Request, said: Any, kind: str = "ok") -> Response:
    request.notice(said, kind)
    return htmx.redirect(request, addresses_of(request, context.campaign)("show"))
