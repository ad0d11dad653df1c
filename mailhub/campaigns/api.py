"""Campaigns over the JSON API (contract §4)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from pyramid.request import Request
from sqlalchemy import func, select

from mailhub.campaigns import listing, people, service, tasks
from mailhub.campaigns.chosen import chosen_of, chosen_of_several
from mailhub.campaigns.resources import CampaignContext
from mailhub.campaigns.schema import (
    AgainIn,
    AgainOut,
    ArchiveIn,
    CampaignIn,
    CampaignOut,
    CampaignPatch,
    LeftOutOut,
    LetterTestIn,
    LetterTestOut,
    ListQuery,
    RecipientOut,
    RecipientsQuery,
    SentTestOut,
    StartIn,
    campaign_out,
    moment,
    recipient_out,
)
from mailhub.campaigns.testing import TEST_BURST, TEST_SECONDS, preview_url
from mailhub.delivery.service import Again
from mailhub.mail.address import InvalidAddress, parse_address
from mailhub.models import Campaign, CampaignVersion, Sender
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.web import forms
from mailhub.web.api import endpoint
from mailhub.web.forms import Invalid
from mailhub.web.i18n import _
from mailhub.web.limits import take
from mailhub.web.paging import next_url, page_of, read_cursor
from mailhub.web.problems import ApiProblem, FieldProblem

Result = TypeVar("Result")

#: Names of the draft's fields in the API, where they are others.
_API_FIELDS = {"sender_id": "from"}


@endpoint("api.campaigns", "GET", permission="campaigns:view", summary="The project's campaigns, the newest first",
          query=ListQuery, answer=CampaignOut, many=True)  # fmt: skip
def index(context: ProjectContext, request: Request) -> dict[str, Any]:
    query = forms.read_query(request, ListQuery)
    after = read_cursor(query.after, int)
    rows = listing.campaigns_in_state(
        request.dbsession, context.project.id, state=query.state, before=after[0] if after else None,
        limit=query.limit + 1,
    )  # fmt: skip
    page = page_of(rows, query.limit, lambda row: (row.campaign.id,))
    shown = _several(request, list(page.rows))
    return {"results": shown, "next": next_url(request, page)}


@endpoint("api.campaigns", "POST", permission="campaigns:edit", summary="Write a campaign", body=CampaignIn,
          answer=CampaignOut, status=201)  # fmt: skip
def create(context: ProjectContext, request: Request) -> CampaignOut:
    given = forms.read_json(request, CampaignIn)
    content = cast("service.Content", {
        "subject": given.subject, "preheader": given.preheader, "reply_to": given.reply_to,
        "html": given.html, "text": given.text, "send_at": _moment(given.send_at),
        "spread_seconds": given.spread_seconds or None,
    })  # fmt: skip
    if given.from_ is not None:
        content.update(_sender(request, given.from_.email, given.from_.name))
    try:
        campaign = service.create(
            request.dbsession, context.project, name=given.name, list_ids=given.list_ids,
            segment_ids=_segment_ids(given) or (), exclude_list_ids=given.exclude_list_ids,
            exclude_segment_ids=given.exclude_segment_ids, content=content,
        )  # fmt: skip
    except service.CampaignRefused as refusal:
        raise _problem(refusal) from None
    note(request, "campaign.created", campaign, name=campaign.name)
    return _one(request, campaign)


@endpoint("api.campaign", "GET", permission="campaigns:view", summary="A campaign and its ledger", answer=CampaignOut)
def show(context: CampaignContext, request: Request) -> CampaignOut:
    return _one(request, context.campaign)


@endpoint("api.campaign", "PATCH", permission="campaigns:edit", summary="Change a draft; once started, only its name",
          body=CampaignPatch, answer=CampaignOut)  # fmt: skip
def change(context: CampaignContext, request: Request) -> CampaignOut:
    given = forms.read_json(request, CampaignPatch)
    if given.model_fields_set == {"name"} and given.name is not None and context.campaign.version is not None:
        # A name is the team's own word: it may change when the letter no longer can.
        return _one(request, service.rename(request.dbsession, context.campaign, given.name))
    content: service.Content = {}
    for name in given.model_fields_set & {"name", "subject", "preheader", "reply_to", "html", "text"}:
        value = getattr(given, name)
        if value is None:
            raise _wrong(name, _("This must be text."))
        content[name] = value  # type: ignore[literal-required]
    if "spread_seconds" in given.model_fields_set:
        if given.spread_seconds is None:
            raise _wrong("spread_seconds", _("This must be a whole number."))
        content["spread_seconds"] = given.spread_seconds or None
    if "send_at" in given.model_fields_set:
        content["send_at"] = _moment(given.send_at)
    if "from_" in given.model_fields_set:
        content.update(
            _sender(request, given.from_.email, given.from_.name)
            if given.from_ is not None
            else {"sender_id": None, "from_name": ""}
        )
    try:
        campaign = service.update(
            request.dbsession, context.project, context.campaign,
            revision=given.revision, list_ids=given.list_ids, segment_ids=_segment_ids(given),
            exclude_list_ids=given.exclude_list_ids, exclude_segment_ids=given.exclude_segment_ids, content=content,
        )  # fmt: skip
    except service.CampaignRefused as refusal:
        raise _problem(refusal) from None
    return _one(request, campaign)


@endpoint("api.campaign", "DELETE", permission="campaigns:edit", summary="Delete a draft", status=204)
def delete(context: CampaignContext, request: Request) -> None:
    note(request, "campaign.deleted", context.campaign, name=context.campaign.name)
    try:
        service.remove(request.dbsession, context.campaign)
    except service.CampaignRefused as refusal:
        raise _problem(refusal) from None


@endpoint("api.campaign_start", "POST", permission="campaigns:start", summary="Start a draft", body=StartIn,
          answer=CampaignOut, status=202)  # fmt: skip
def start(context: CampaignContext, request: Request) -> CampaignOut:
    given = forms.read_json(request, StartIn)
    try:
        campaign = service.start(
            request.dbsession, context.project, context.campaign, now=datetime.now(UTC),
            send_at=context.campaign.send_at, grace_seconds=given.grace_seconds, spread_seconds=given.spread_seconds,
        )  # fmt: skip
    except service.CampaignRefused as refusal:
        raise _problem(refusal) from None
    tasks.after_start(request, campaign)
    return _one(request, campaign)


@endpoint("api.campaign_pause", "POST", permission="campaigns:start", summary="Pause a campaign", answer=CampaignOut,
          status=202)  # fmt: skip
def pause(context: CampaignContext, request: Request) -> CampaignOut:
    campaign = _moved(request, context, service.pause)
    note(request, "campaign.paused", campaign, name=campaign.name)
    return _one(request, campaign)


@endpoint("api.campaign_resume", "POST", permission="campaigns:start", summary="Go on with a paused campaign",
          answer=CampaignOut, status=202)  # fmt: skip
def resume(context: CampaignContext, request: Request) -> CampaignOut:
    campaign = _moved(request, context, service.resume)
    tasks.after_resume(request, campaign)
    return _one(request, campaign)


@endpoint("api.campaign_cancel", "POST", permission="campaigns:start", summary="Cancel a campaign for good",
          answer=CampaignOut, status=202)  # fmt: skip
def cancel(context: CampaignContext, request: Request) -> CampaignOut:
    campaign = _moved(request, context, service.cancel)
    tasks.after_cancel(request, campaign)
    return _one(request, campaign)


@endpoint("api.campaign_resend", "POST", permission="campaigns:start", summary="Send letters in doubt again",
          body=AgainIn, answer=AgainOut, status=202)  # fmt: skip
def resend(context: CampaignContext, request: Request) -> AgainOut:
    """Letters in the state `unknown`, with the Message-ID that they had. Who had got theirs may get it twice."""
    return _again(request, context, service.resend, "resent")


@endpoint("api.campaign_retry", "POST", permission="campaigns:start", summary="Try failed letters again",
          body=AgainIn, answer=AgainOut, status=202)  # fmt: skip
def retry(context: CampaignContext, request: Request) -> AgainOut:
    """Letters in the state `failed`, without those whose failure is for good and people who have left."""
    return _again(request, context, service.retry, "retried")


@endpoint("api.campaign_archive", "POST", permission="campaigns:edit", summary="Put a campaign away, or back",
          body=ArchiveIn, answer=CampaignOut, status=202)  # fmt: skip
def archive(context: CampaignContext, request: Request) -> CampaignOut:
    given = forms.read_json(request, ArchiveIn)
    try:
        campaign = service.archive(request.dbsession, context.campaign, archived=given.archived)
    except service.CampaignRefused as refusal:
        raise _problem(refusal) from None
    return _one(request, campaign)


@endpoint("api.campaign_test", "POST", permission="campaigns:test", summary="Send a test letter", body=LetterTestIn,
          answer=LetterTestOut, status=202)  # fmt: skip
def test(context: CampaignContext, request: Request) -> LetterTestOut:
    given = forms.read_json(request, LetterTestIn)
    addresses = []
    for number, typed in enumerate(given.to):
        try:
            addresses.append(parse_address(typed).email)
        except InvalidAddress as wrong:
            raise _wrong(f"to.{number}", wrong.message) from None
    waiting = take(request.registry, f"campaign-test:{context.project.id}", burst=TEST_BURST, per_seconds=TEST_SECONDS)
    if waiting:
        raise ApiProblem(429, _("Too many test letters. Wait a little."), headers={"Retry-After": str(waiting)})
    try:
        messages = service.send_test(
            request.dbsession, context.project, context.campaign, addresses,
            preview_url=preview_url(request, context.campaign), subscriber_id=given.subscriber_id,
        )  # fmt: skip
    except service.CampaignRefused as refusal:
        raise _problem(refusal) from None
    tasks.after_test(request)
    sent = [SentTestOut(id=str(message.id), state=message.state, to=message.email) for message in messages]
    return LetterTestOut(messages=sent)


@endpoint("api.campaign_recipients", "GET", permission="campaigns:view", summary="Who got it, who did not and why",
          query=RecipientsQuery, answer=RecipientOut, many=True)  # fmt: skip
def recipients(context: CampaignContext, request: Request) -> dict[str, Any]:
    query = forms.read_query(request, RecipientsQuery)
    wanted = people.Filter(state=query.state or "", reason=query.reason or "", code=query.code or 0)
    after = people.safe_cursor(wanted, read_cursor(query.after, *people.cursor_kinds(wanted)))
    rows = people.recipients(request.dbsession, context.campaign, wanted, after=after, limit=query.limit + 1)
    page = page_of(rows, query.limit, lambda person: people.key_of(wanted, person))
    with_address = bool(request.has_permission("subscribers:view"))
    shown = [recipient_out(person, with_address=with_address) for person in page.rows]
    return {"results": shown, "next": next_url(request, page)}


def _moved(request: Request, context: CampaignContext, move: Callable[..., Result]) -> Result:
    try:
        return move(request.dbsession, context.campaign)
    except service.CampaignRefused as refusal:
        raise _problem(refusal) from None


def _again(request: Request, context: CampaignContext, deed: Callable[..., Again], action: str) -> AgainOut:
    given = forms.read_json(request, AgainIn)
    again = _moved(request, context, lambda *row: deed(*row, given.message_ids))
    tasks.after_again(request, context.campaign, action, again)
    return AgainOut(n=again.n, left_out=LeftOutOut(hard=again.hard, stopped=again.stopped))


def _one(request: Request, campaign: Campaign) -> CampaignOut:
    dbsession = request.dbsession
    sender = dbsession.get(Sender, (campaign.project_id, campaign.sender_id)) if campaign.sender_id else None
    version = None
    if campaign.version is not None:
        version = dbsession.get(CampaignVersion, (campaign.project_id, campaign.id, campaign.version))
    dbsession.refresh(campaign)
    chosen = chosen_of(dbsession, campaign.project_id, campaign.id)
    count = listing.count_of(dbsession, campaign)
    return campaign_out(campaign, count, sender=sender, chosen=chosen, version=version)


def _several(request: Request, rows: list[listing.Row]) -> list[CampaignOut]:
    """A page of campaigns with two more statements, whatever its length."""
    if not rows:
        return []
    project_id = rows[0].campaign.project_id
    sender_ids = {row.campaign.sender_id for row in rows}
    found = request.dbsession.scalars(select(Sender).where(Sender.project_id == project_id, Sender.id.in_(sender_ids)))
    senders = {sender.id: sender for sender in found}
    chosen = chosen_of_several(request.dbsession, project_id, [row.campaign.id for row in rows])
    return [
        campaign_out(
            row.campaign, row.count, sender=senders.get(row.campaign.sender_id or 0),
            chosen=chosen[row.campaign.id], with_letter=False,
        )
        for row in rows
    ]  # fmt: skip


def _segment_ids(given: CampaignIn | CampaignPatch) -> list[int] | None:
    """`segment_id` is the older way to name one segment; None where neither was sent."""
    if "segment_id" not in given.model_fields_set:
        return given.segment_ids
    one = [] if given.segment_id is None else [given.segment_id]
    if "segment_ids" in given.model_fields_set and given.segment_ids is not None and given.segment_ids != one:
        raise _wrong("segment_id", _("Send either segment_id or segment_ids."))
    return one


def _sender(request: Request, email: str, name: str) -> service.Content:
    sender = request.dbsession.scalars(
        select(Sender).where(Sender.project_id == request.project.id, func.lower(Sender.email) == email.lower())
    ).one_or_none()
    if sender is None:
        raise _wrong("from.email", _("This is not a sender of the project."))
    return {"sender_id": sender.id, "from_name": "" if name == sender.name else name}


def _moment(value: datetime | None) -> datetime | None:
    try:
        return moment(value)
    except Invalid as wrong:
        raise _wrong("send_at", wrong.message) from None


def _wrong(field: str, message: Any) -> ApiProblem:
    return ApiProblem(422, _("Some fields are wrong."), [FieldProblem(field, message)])


def _problem(refusal: service.CampaignRefused) -> ApiProblem:
    """409 where the state or the letter forbids it, with the reasons; 422 where a field is wrong."""
    match refusal:
        case service.FieldRefused():
            return _wrong(_API_FIELDS.get(refusal.name, refusal.name), refusal.message)
        case service.LetterRefused():
            return ApiProblem(422, refusal.message, [_reason(check) for check in refusal.problems])
        case service.CampaignNotReady():
            return ApiProblem(409, refusal.message, [_reason(check) for check in refusal.reasons])
    return ApiProblem(409, refusal.message)


def _reason(check: service.Check) -> FieldProblem:
    text = check.english()
    return FieldProblem(_API_FIELDS.get(check.field, check.field), f"Line {check.line}: {text}" if check.line else text)
