"""The log of messages and a message's page."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from mailhub.models import EventType, Message, MessageKind, MessageState
from mailhub.security.context import ProjectContext
from mailhub.transactional import service
from mailhub.transactional.api import before
from mailhub.transactional.resources import MessageContext
from mailhub.transactional.service import Filter
from mailhub.web.i18n import _
from mailhub.web.paging import PAGE_SIZE, first_url, next_url, page_of

#: A letter may show images and its own styles; no script, no form, no origin of ours.
FRAME_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src http: https: data:; "
    "style-src 'unsafe-inline'; font-src http: https: data:; form-action 'none'; frame-ancestors 'self'"
)

STATES = {
    MessageState.QUEUED: _("Queued"),
    MessageState.SENT: _("Sent"),
    MessageState.DEFERRED: _("Deferred"),
    MessageState.FAILED: _("Failed"),
    MessageState.UNKNOWN: _("Unknown"),
    MessageState.SKIPPED: _("Skipped"),
}
KINDS = {
    MessageKind.TRANSACTIONAL: _("By API"),
    MessageKind.TEST: _("Test letters"),
    MessageKind.SERVICE: _("Service letters"),
}
#: What each state means to the person who looks at one letter.
SENTENCES = {
    MessageState.QUEUED: _("The letter waits to be sent."),
    MessageState.SENT: _("The relay has taken the letter."),
    MessageState.DEFERRED: _("The receiving server asked to try again later; the letter is sent again by itself."),
    MessageState.FAILED: _("The receiving server has refused the letter."),
    MessageState.UNKNOWN: _(
        "The connection broke while the letter was on its way: nobody knows whether it has arrived."
    ),
    MessageState.SKIPPED: _("The letter was not sent."),
}
EVENTS = {
    EventType.QUEUED: (_("Accepted"), ""),
    EventType.SENT: (_("Taken by the relay"), "ok"),
    EventType.DEFERRED: (_("Deferred"), "warn"),
    EventType.OPENED: (_("Opened"), "info"),
    EventType.REDIRECTED: (_("Clicked"), "info"),
    EventType.HARDBOUNCED: (_("Hard bounce"), "bad"),
    EventType.SOFTBOUNCED: (_("Soft bounce"), "bad"),
    EventType.BLOCKED: (_("Blocked"), "bad"),
    EventType.UNKNOWN: (_("Outcome unknown"), "warn"),
    EventType.UNSUBSCRIBED: (_("Unsubscribed"), "warn"),
    EventType.COMPLAINED: (_("Complained"), "bad"),
}
VIEWS = ("html", "text", "headers")


@view_config(route_name="transactional.index", renderer="transactional/index.html", permission="messages:view")
@view_config(
    route_name="transactional.index",
    renderer="transactional/_message_rows.html",
    permission="messages:view",
    hx_target="message-rows",
)
def index(context: ProjectContext, request: Request) -> dict[str, Any]:
    """Single letters, the newest first. What is no state or kind is no filter."""
    given = request.GET
    wanted = Filter(
        state=given.get("state") if given.get("state") in set(STATES) else None,
        kind=given.get("kind") if given.get("kind") in set(KINDS) else None,
        text=given.get("q", "").strip()[:200],
        tag=given.get("tag", "").strip()[:100],
    )
    rows = service.messages(request.dbsession, context.project.id, wanted, limit=PAGE_SIZE + 1, before=before(request))
    page = page_of(rows, PAGE_SIZE, lambda message: (str(message.id),))
    return {
        "messages": page.rows,
        "wanted": wanted,
        "is_filtered": any((wanted.state, wanted.kind, wanted.text, wanted.tag)),
        "states": list(STATES.items()),
        "kinds": list(KINDS.items()),
        "kind_names": KINDS,
        "next": next_url(request, page),
        "first": first_url(request),
    }


@view_config(route_name="transactional.show", renderer="transactional/show.html", permission="messages:view")
def show(context: MessageContext, request: Request) -> dict[str, Any]:
    """A letter: how it stands, what happened to it, what it says."""
    message, dbsession = context.message, request.dbsession
    content = service.content_of(dbsession, message)
    available = [view for view in VIEWS if content is not None and (view != "html" or content.html)]
    view = request.GET.get("view")
    return {
        "message": message,
        "content": content,
        "campaign": service.campaign_of(dbsession, message),
        "sentence": SENTENCES[MessageState(message.state)],
        "timeline": [_line(event) for event in service.events_of(dbsession, message)],
        "views": available,
        "view": view if view in available else (available[0] if available else ""),
        "headers": _headers(message, content) if content is not None else [],
    }


@view_config(route_name="transactional.frame", permission="messages:view")
def frame(context: MessageContext, request: Request) -> Response:
    """The letter's HTML by itself, for the sandboxed frame."""
    content = service.content_of(request.dbsession, context.message)
    if content is None or not content.html:
        raise HTTPNotFound()
    response = Response(content.html, content_type="text/html", charset="utf-8")
    response.headers["Content-Security-Policy"] = FRAME_POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _line(event: Any) -> tuple[Any, str, Any, str]:
    title, kind = EVENTS[EventType(event.type)]
    return title, event.detail or event.url, event.at, kind


def _headers(message: Message, content: Any) -> list[tuple[str, str]]:
    """The headers as they were given; the letter on the wire has more, made when it is sent."""
    shown = [
        ("From", f"{content.from_name} <{content.from_email}>" if content.from_name else content.from_email),
        ("To", f"{content.to_name} <{message.email}>" if content.to_name else message.email),
        ("Reply-To", content.reply_to),
        ("Subject", content.subject),
        ("Message-ID", f"<{message.header_id}>" if message.header_id else ""),
        *content.headers.items(),
    ]
    return [(name, value) for name, value in shown if value]
