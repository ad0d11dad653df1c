"""What a reader sees whose link does not work: a page of the letters' world, without a way into the site."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPNotFound, HTTPServiceUnavailable
from pyramid.renderers import render_to_response
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import exception_view_config
from sqlalchemy.exc import OperationalError

from mailhub import logs
from mailhub.web.i18n import DEFAULT_LANGUAGE, LANGUAGES, use_language

log = logs.get(__name__)

RETRY_SECONDS = "30"


class LinkGone(HTTPNotFound):
    """A forged token, or one whose letter, link or project is no longer there. Never a redirect."""


class LinkBusy(HTTPServiceUnavailable):
    """The database is away and this process does not know the answer by heart."""


@exception_view_config(LinkGone)
def not_found(context: Any, request: Request) -> Response:
    return _page(request, "tracking/not_found.html", 404)


@exception_view_config(LinkBusy)
def busy(context: Any, request: Request) -> Response:
    """Readers and mail clients try again."""
    response = _page(request, "tracking/unavailable.html", 503)
    response.headers["Retry-After"] = RETRY_SECONDS
    return response


@exception_view_config(OperationalError, route_name="tracking.unsubscribe")
@exception_view_config(OperationalError, route_name="tracking.web_version")
def away(context: Any, request: Request) -> Response:
    log.warning("tracking.database_away", route=request.matched_route.name)
    return busy(context, request)


def _page(request: Request, template: str, status: int) -> Response:
    # Not the negotiator of the site: it would look for a session, and thereby ask the database.
    use_language(request, request.accept_language.lookup(list(LANGUAGES), default=DEFAULT_LANGUAGE) or DEFAULT_LANGUAGE)
    response = render_to_response(template, {}, request=request)
    response.status_int = status
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
