"""What every answer carries: the request's id, the content security policy, no sniffing, no caching of pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from pyramid.tweens import INGRESS

from mailhub import logs
from mailhub.security.secrets import new_token

_SECURE = "max-age=31536000; includeSubDomains"
_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")


def request_id(request: Request) -> str:
    """The proxy's `X-Request-ID` if it has the form of one, else our own."""
    return request_id_of(request.headers.get("X-Request-ID", ""))


def request_id_of(given: str) -> str:
    """An id as it was given if it has the form of one, else a new one."""
    return given if _REQUEST_ID.fullmatch(given) else new_token()[:22]


def page_policy(usercontent_url: str) -> str:
    """The CSP of our own pages: no inline script or style, frames only for what users wrote (ui.md)."""
    return (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"frame-src 'self' {usercontent_url}; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    )


@dataclass(frozen=True)
class EveryAnswer:
    """What a process's answers have in common. `hosts`: the names that it answers to; None: to any."""

    policy: str
    secure: bool
    hosts: frozenset[str] | None

    @classmethod
    def of(cls, settings: Any) -> EveryAnswer:
        urls = (settings.public_url, settings.tracking_url, settings.usercontent_url, settings.reports_url)
        hosts = frozenset(urlsplit(url).netloc for url in urls) if settings.environment == "production" else None
        return cls(page_policy(settings.usercontent_url), settings.public_url.startswith("https:"), hosts)

    def knows(self, host: str) -> bool:
        return self.hosts is None or host in self.hosts

    def headers(self, own: Mapping[str, str]) -> list[tuple[str, str]]:
        """An answer's own headers with those of every answer, but for the request's id."""
        found = {"Content-Security-Policy": self.policy, "Referrer-Policy": "same-origin", **own}
        found["X-Content-Type-Options"] = "nosniff"
        if self.secure:
            found["Strict-Transport-Security"] = _SECURE
        return list(found.items())


def tween_factory(handler: Callable[[Request], Response], registry: Any) -> Callable[[Request], Response]:
    """The outermost tween: error pages and redirects carry the headers too."""
    every = EveryAnswer.of(registry.mailhub)

    def tween(request: Request) -> Response:
        try:
            request.environ.get("PATH_INFO", "").encode("latin-1").decode()
        except UnicodeError:
            # No text, so no address of ours; whoever looks at the path of such a request fails.
            return Response("There is nothing here.\n", status=404, content_type="text/plain", charset="utf-8")
        if not every.knows(request.host) and not request.path_info.startswith("/__"):
            return Response("Unknown host.\n", status=400, content_type="text/plain", charset="utf-8")
        with logs.context(request_id=request.id):
            response = handler(request)
        headers = response.headers
        headers.setdefault("Content-Security-Policy", every.policy)
        headers.setdefault("Referrer-Policy", "same-origin")
        headers["X-Content-Type-Options"] = "nosniff"
        headers["X-Request-ID"] = request.id
        if every.secure:
            headers["Strict-Transport-Security"] = _SECURE
        if response.content_type == "text/html":
            headers.setdefault("Cache-Control", "no-store")
        return response

    return tween


def includeme(config: Configurator) -> None:
    config.add_request_method(request_id, "id", reify=True)
    # Pyramid puts a later tween outside an earlier one; this one is outside them all, whenever it is added.
    config.add_tween("mailhub.web.headers.tween_factory", under=INGRESS)
