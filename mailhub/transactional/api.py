"""`/api/v1/messages`: send a letter, and follow what becomes of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pyramid.request import Request

from mailhub.delivery.tasks import send_due
from mailhub.mail.address import InvalidAddress
from mailhub.mail.problem import describe
from mailhub.models import Message, Queue
from mailhub.security.context import ProjectContext
from mailhub.transactional import idempotency, service
from mailhub.transactional.resources import MessageContext
from mailhub.transactional.schema import (
    AcceptedOut,
    EventOut,
    MessageDetailOut,
    MessageIn,
    MessageOut,
    MessageQuery,
)
from mailhub.transactional.service import Filter, LetterRefused, SenderRefused, Wanted
from mailhub.web import forms
from mailhub.web.api import endpoint
from mailhub.web.i18n import _
from mailhub.web.paging import next_url, page_of, read_cursor
from mailhub.web.problems import ApiProblem, FieldProblem

MAX_KEY = 255


@endpoint(
    "api.messages", "POST", permission="messages:send", summary="Send a letter to one address",
    body=MessageIn, answer=AcceptedOut, status=202,
)  # fmt: skip
def create(context: ProjectContext, request: Request) -> dict[str, Any]:
    """With an `Idempotency-Key`, a request that is repeated within 24 hours sends nothing and answers the same."""
    key = _idempotency_key(request)
    dbsession, project = request.dbsession, context.project
    if key:
        try:
            answer = idempotency.recall(dbsession, project.id, key, request.body)
        except idempotency.KeyInUse:
            raise ApiProblem(
                409, _("A request with this Idempotency-Key is being answered."), headers={"Retry-After": "1"}
            ) from None
        except idempotency.KeyUsedForAnother:
            raise ApiProblem(422, _("This Idempotency-Key was used for another request.")) from None
        if answer is not None:
            request.response.headers["Idempotent-Replayed"] = "true"
            return answer
    wanted = forms.read_json(request, MessageIn)
    message = _sent(request, context, wanted)
    answer = {"id": str(message.id), "state": message.state}
    if key:
        idempotency.remember(dbsession, project.id, key, request.body, answer)
    request.enqueue(send_due, Queue.TRANSACTIONAL.value)
    return answer


@endpoint(
    "api.messages", "GET", permission="messages:view", summary="Letters, the newest first",
    query=MessageQuery, answer=MessageOut, many=True,
)  # fmt: skip
def index(context: ProjectContext, request: Request) -> dict[str, Any]:
    query = forms.read_query(request, MessageQuery)
    wanted = Filter(state=query.state, to=query.to, tag=query.tag, kind=query.kind, campaign_id=query.campaign)
    rows = service.messages(
        request.dbsession, context.project.id, wanted, limit=query.limit + 1, before=before(request)
    )
    page = page_of(rows, query.limit, lambda message: (str(message.id),))
    following = next_url(request, page)
    return {
        "results": [MessageOut(**_shown(message)) for message in page.rows],
        "next": request.registry.mailhub.public_url + following if following else None,
    }


@endpoint(
    "api.message", "GET", permission="messages:view", summary="A letter and everything that happened to it",
    answer=MessageDetailOut,
)  # fmt: skip
def show(context: MessageContext, request: Request) -> MessageDetailOut:
    events = service.events_of(request.dbsession, context.message)
    return MessageDetailOut(
        **_shown(context.message),
        events=[EventOut(type=event.type, at=event.at, detail=event.detail or event.url) for event in events],
    )


def before(request: Request) -> UUID | None:
    """The id behind which a page of the log begins."""
    keys = read_cursor(request.GET.get("after"), str)
    try:
        return UUID(keys[0]) if keys else None
    except ValueError:
        return None


def _idempotency_key(request: Request) -> str:
    key: str = request.headers.get("Idempotency-Key", "").strip()
    if len(key) > MAX_KEY or not key.isprintable():
        raise ApiProblem(422, _("An Idempotency-Key has at most 255 printable characters."))
    return key


def _sent(request: Request, context: ProjectContext, wanted: MessageIn) -> Message:
    try:
        return service.send(
            request.dbsession,
            context.project,
            Wanted(
                from_email=wanted.sender.email,
                from_name=wanted.sender.name,
                to_email=wanted.to.email,
                to_name=wanted.to.name,
                subject=wanted.subject,
                html=wanted.html,
                text=wanted.text,
                reply_to=wanted.reply_to,
                variables=wanted.variables,
                headers=wanted.headers,
                attachments=tuple(
                    service.Attachment(one.filename, one.content_type, one.content, one.content_id)
                    for one in wanted.attachments
                ),
                tag=wanted.tag,
                tracked=wanted.tracking,
            ),
        )
    except SenderRefused:
        sentence = _("The project may not write from this address: add it as a sender, or use the project's domain.")
        raise ApiProblem(422, _("Some fields are wrong."), [FieldProblem("from", sentence)]) from None
    except InvalidAddress as failure:
        raise ApiProblem(422, _("Some fields are wrong."), [FieldProblem("to", failure.message)]) from None
    except LetterRefused as refused:
        problems = [FieldProblem(refused.part, describe(problem)) for problem in refused.problems]
        raise ApiProblem(422, _("The letter cannot be filled in."), problems) from None


def _shown(message: Message) -> dict[str, Any]:
    return {
        "id": str(message.id),
        "kind": message.kind,
        "state": message.state,
        "reason": message.reason,
        "to": message.email,
        "subject": message.subject,
        "tag": message.tag,
        "campaign_id": str(message.campaign_id) if message.campaign_id is not None else None,
        "attempts": message.attempts,
        "smtp_code": message.smtp_code,
        "smtp_reply": message.smtp_reply,
        "created_at": message.created_at,
        "settled_at": message.settled_at,
    }
