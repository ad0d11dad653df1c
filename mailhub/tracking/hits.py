"""Opens and clicks: one short transaction a hit, and an answer even when the database is away."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import lru_cache
from typing import Any

from psycopg import Error as PsycopgError
from pyramid.httpexceptions import HTTPFound
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config
from sqlalchemy.exc import SQLAlchemyError

from mailhub import logs, metrics
from mailhub.db import side_transaction
from mailhub.events.service import append_in
from mailhub.mail.merge import merge_context
from mailhub.mail.template import RenderFailed, Template, TemplateRefused, compile_template
from mailhub.mail.tokens import BadToken, Claims, Kind
from mailhub.mail.url import UnsafeUrl, safe_url
from mailhub.models import EventType
from mailhub.tracking.facts import NOBODY, StoredLink, event_of, link_of, person_of
from mailhub.tracking.memory import memory
from mailhub.tracking.refused import LinkBusy, LinkGone

log = logs.get(__name__)

#: 43 bytes: a transparent point.
PIXEL = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00"
    b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
#: A token's hits that this process stores in a day: a page that reloads for ever costs no more than this.
HITS_A_DAY = 50
#: Longer user agents are cut.
MAX_AGENT = 300

_lost = metrics.counter("mailhub_hits_lost_total", "Hits that could not be stored because the database was away.")


@view_config(route_name="tracking.open", permission=NO_PERMISSION_REQUIRED, request_method="GET")
def opened(request: Request) -> Response:
    """The pixel. It is always the same picture; only a genuine token stores anything."""
    try:
        claims = request.registry.signer.read(Kind.OPEN, request.matchdict["token"])
    except BadToken:
        return _pixel()
    _store(request, EventType.OPENED, claims)
    return _pixel()


@view_config(route_name="tracking.click", permission=NO_PERMISSION_REQUIRED, request_method="GET")
def clicked(request: Request) -> Response:
    """302 to the URL that was stored when the letter was sent, never to one that the request brings."""
    try:
        claims = request.registry.signer.read(Kind.CLICK, request.matchdict["token"])
    except BadToken:
        raise LinkGone() from None
    link, target = _target(request, claims)
    _store(request, EventType.REDIRECTED, claims, url=link.url)
    return HTTPFound(target, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer-when-downgrade"})


def _target(request: Request, claims: Claims) -> tuple[StoredLink, str]:
    assert claims.project is not None
    if claims.link is None:
        raise LinkGone()
    kept = memory(request.registry).links
    link = kept.get((claims.project, claims.link))
    person = None
    try:
        if link is None or link.personal:
            with side_transaction(request.registry) as session:
                link = link_of(session, kept, claims.project, claims.link)
                person = person_of(session, claims.project, claims.subscriber) if link and link.personal else None
    except SQLAlchemyError as failure:
        log.warning("click.database_away", error=type(failure).__name__)
        if link is None:
            raise LinkBusy() from None
        # The page without what is personal in its address is better than none.
        person = NOBODY
    if link is None:
        raise LinkGone()
    url = link.url
    try:
        if person is not None:
            context = merge_context(
                email=person.email,
                name=person.name,
                fields=person.fields,
                unsubscribe_url="",
                web_version_url="",
                groups={"project": {}, "campaign": {}, "list": {}},
            )
            url = _template(url).render(context)
        return link, safe_url(url)
    except (UnsafeUrl, TemplateRefused, RenderFailed):
        log.warning("click.unsafe_link", project_id=claims.project, link_id=claims.link)
        raise LinkGone() from None


@lru_cache(maxsize=5_000)
def _template(url: str) -> Template:
    return compile_template(url, kind="url")


def _store(request: Request, type_: EventType, claims: Claims, *, url: str = "") -> None:
    """Store the hit before the answer. A HEAD request is a machine that asks whether the address exists: no hit."""
    if request.method != "GET" or not _may_store(request.registry, request.matchdict["token"]):
        return
    try:
        with side_transaction(request.registry) as session:
            event = event_of(session, type_, claims)
            if event is not None:
                agent = (request.user_agent or "")[:MAX_AGENT]
                append_in(session, [replace(event, url=url, ip=request.client_addr, user_agent=agent)])
    except (SQLAlchemyError, PsycopgError) as failure:  # COPY's own errors come as psycopg's
        _lost.add()
        log.warning("hit.lost", type=type_.value, project_id=claims.project, error=type(failure).__name__)


def _may_store(registry: Any, token: str) -> bool:
    today = int(time.time() // 86400)
    seen = memory(registry).seen
    day, hits = seen.get(token) or (today, 0)
    hits = hits + 1 if day == today else 1
    seen.put(token, (today, hits))
    return hits <= HITS_A_DAY


def _pixel() -> Response:
    headers = {"Cache-Control": "no-store, private", "Content-Type": "image/gif"}
    return Response(body=PIXEL, headers=headers)
