"""Answers to what went wrong: a page, a fragment or a problem document, each with the request's id."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_to_bytes, urlencode

from pyramid.config import Configurator
from pyramid.events import NewRequest
from pyramid.exceptions import BadCSRFToken
from pyramid.httpexceptions import HTTPBadRequest, HTTPException
from pyramid.renderers import render_to_response
from pyramid.request import Request
from pyramid.response import Response

from mailhub import logs
from mailhub.security.identity import is_api
from mailhub.web import htmx
from mailhub.web.i18n import _
from mailhub.web.problems import ApiProblem, problem_response

log = logs.get(__name__)

_DETAILS = {
    400: _("The request could not be read."),
    401: _("Send a valid API key: Authorization: Bearer mh_…"),
    403: _("The key's scopes do not allow this."),
    404: _("There is nothing here."),
    405: _("This address does not take this method."),
    409: _("This is not possible now."),
    413: _("The request is too large."),
}


def error_response(request: Request, status: int, detail: Any = "") -> Response:
    """The designed answer to an error: problem document for the API, page or fragment for a browser."""
    if is_api(request):
        return problem_response(request, ApiProblem(status, detail or _DETAILS.get(status, "")))
    known = status if status in (400, 403, 404, 409, 422, 429, 500) else 400
    values = {"status": status, "detail": detail, "request_id": request.id, "fragment": htmx.is_fragment(request)}
    response = render_to_response(f"errors/{known}.html", values, request=request)
    response.status_int = status
    if htmx.is_fragment(request):
        htmx.keep_page(request, response, detail)
    return response


def not_found(request: Request) -> Response:
    return error_response(request, 404)


def forbidden(context: Any, request: Request) -> Response:
    """Signed out: to the sign-in page and back. Signed in: the role does not allow it."""
    if request.identity is not None:
        return error_response(request, 403)
    if is_api(request):
        response = error_response(request, 401)
        response.headers["WWW-Authenticate"] = 'Bearer realm="mailhub"'
        return response
    back = request.path_qs if request.method == "GET" and not htmx.is_fragment(request) else "/"
    target = request.route_path("accounts.sign_in") + ("?" + urlencode({"next": back}) if back != "/" else "")
    return htmx.redirect(request, target)


def bad_csrf(context: Any, request: Request) -> Response:
    return error_response(request, 400, _("This page was open for too long. Load it again and repeat the last step."))


def http_error(context: HTTPException, request: Request) -> Response:
    """Errors raised by views with Pyramid's exceptions; redirects pass through."""
    if context.status_int < 400:
        return context
    response = error_response(request, context.status_int, context.detail or "")
    for name in ("Retry-After", "Allow"):
        if name in context.headers:
            response.headers[name] = context.headers[name]
    return response


def api_problem(context: ApiProblem, request: Request) -> Response:
    return problem_response(request, context)


def crash(context: Exception, request: Request) -> Response:
    """A bug of ours, or the database is away. The log has the traceback under the request's id."""
    log.exception("request.failed", route=getattr(request.matched_route, "name", None), method=request.method)
    if is_api(request):
        return problem_response(request, ApiProblem(500, _("The server failed. Nothing was changed.")))
    # No template that asks the database: it may be the thing that failed.
    body = render_to_response(
        "errors/500.html",
        {"status": 500, "detail": "", "request_id": request.id, "fragment": htmx.is_fragment(request)},
        request=request,
    )
    body.status_int = 500
    return body


def refuse_unreadable(event: NewRequest) -> None:
    """A query that is no text is a fault of whoever made it, and no crash of ours: 400.

    One with a NUL is too: PostgreSQL's texts have no place for it.
    """
    environ = event.request.environ
    query = environ.get("QUERY_STRING", "")
    if query.isascii() and "%" not in query:
        return
    try:
        text = unquote_to_bytes(query.encode("latin-1")).decode()
    except UnicodeError:
        text = "\0"
    if "\0" in text:
        environ["QUERY_STRING"] = ""  # the page that says so reads it too
        raise HTTPBadRequest()


def includeme(config: Configurator) -> None:
    config.add_subscriber(refuse_unreadable, NewRequest)
    config.add_notfound_view(not_found, append_slash=False)
    config.add_forbidden_view(forbidden)
    config.add_exception_view(bad_csrf, context=BadCSRFToken)
    config.add_exception_view(api_problem, context=ApiProblem)
    config.add_exception_view(http_error, context=HTTPException)
    if config.registry.mailhub.environment != "test":
        config.add_exception_view(crash, context=Exception)
