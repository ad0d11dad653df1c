"""What every answer carries: the request's id, the content security policy, no sniffing, no caching of pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from pyramid.tweens import INGRESS

from mailhub import logs
from mailhub.security.secrets import new_token

_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")


def request_id(request: Request) -> str:
    """The proxy's `X-Request-ID` if it has the form of one, else our own."""
    given = request.headers.get("X-Request-ID", "")
    return given if _REQUEST_ID.fullmatch(given) else new_token()[:22]


def page_policy(usercontent_url: str) -> str:
    """The CSP of our own pages: no inline script or style, frames only for what users wrote (ui.md)."""
    return (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"frame-src 'self' {usercontent_url}; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    )


def tween_factory(handler: Callable[[Request], Response], registry: Any) -> Callable[[Request], Response]:
    """The outermost tween: error pages and redirects carry the headers too."""
    settings = registry.mailhub
    policy = page_policy(settings.usercontent_url)
    secure = settings.public_url.startswith("https:")
    urls = (settings.public_url, settings.tracking_url, settings.usercontent_url, settings.reports_url)
    hosts = {urlsplit(url).netloc for url in urls}
    check_host = settings.environment == "production"

    def tween(request: Request) -> Response:
        if check_host and request.host not in hosts and not request.path_info.startswith("/__"):
            return Response("Unknown host.\n", status=400, content_type="text/plain", charset="utf-8")
        with logs.context(request_id=request.id):
            response = handler(request)
        headers = response.headers
        headers.setdefault("Content-Security-Policy", policy)
        headers.setdefault("Referrer-Policy", "same-origin")
        headers["X-Content-Type-Options"] = "nosniff"
        headers["X-Request-ID"] = request.id
        if secure:
            headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
        if response.content_type == "text/html":
            headers.setdefault("Cache-Control", "no-store")
        return response

    return tween


def includeme(config: Configurator) -> None:
    config.add_request_method(request_id, "id", reify=True)
    # Pyramid puts a later tween outside an earlier one; this one is outside them all, whenever it is added.
    config.add_tween("mailhub.web.headers.tween_factory", under=INGRESS)
