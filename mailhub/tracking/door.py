"""What stands before Pyramid's router and answers opens and clicks itself: 0.1 ms instead of a millisecond.

Without session, cookie, transaction or template. Anything else goes on to the router: other methods and paths, and
clicks that lead nowhere, which get a page.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pyramid.router import Router

from mailhub import logs
from mailhub.tracking.desk import NoLink, NotNow, desk_of
from mailhub.tracking.hit import Visitor
from mailhub.tracking.refused import RETRY_SECONDS
from mailhub.web.headers import EveryAnswer, request_id_of

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

#: 43 bytes: a transparent point.
PIXEL = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00"
    b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
PIXEL_HEADERS = {"Content-Type": "image/gif", "Cache-Control": "no-store, private"}
CLICK_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer-when-downgrade"}
#: Where the router finds why a click was refused.
REFUSED = "mailhub.tracking.refused"

#: Headers by which browsers and proxies say that nobody has asked yet (W3C Resource Hints; older forms), and how.
_PREFETCH = ("HTTP_SEC_PURPOSE", "HTTP_PURPOSE", "HTTP_X_PURPOSE", "HTTP_X_MOZ")
_AHEAD = ("prefetch", "preview", "prerender")
#: Requests in the router at once, where it has a process that is to be free for hits: its pool has as many connections.
ROUTER_AT_ONCE = 8
ROUTER_WAIT_SECONDS = 10.0

log = logs.get(__name__)


class Door:
    """A WSGI application around a router. `keeps_free`: no more than ROUTER_AT_ONCE threads wait for the database."""

    def __init__(self, router: Router, *, keeps_free: bool = False, starts_late: bool = False) -> None:
        self.router = router
        self.registry = router.registry
        self._desk = desk_of(router.registry)
        self._starts_late = starts_late
        self._every = EveryAnswer.of(router.registry.mailhub)
        self._room = threading.BoundedSemaphore(ROUTER_AT_ONCE) if keeps_free else None
        self._pixel = [*self._every.headers({"Referrer-Policy": "same-origin", **PIXEL_HEADERS}),
                       ("Content-Length", str(len(PIXEL)))]  # fmt: skip
        self._click = [*self._every.headers(CLICK_HEADERS), ("Content-Length", "0")]

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path.startswith("/t/") and environ["REQUEST_METHOD"] == "GET" and "/" not in (token := path[5:]):
            kind = path[:5]
            if token and kind in ("/t/o/", "/t/c/") and self._every.knows(environ.get("HTTP_HOST", "")):
                if self._starts_late:
                    self._desk.start()
                answer = self._open if kind == "/t/o/" else self._follow
                if answer(token, environ, start_response):
                    return [PIXEL] if kind == "/t/o/" else [b""]
        return self._rest(environ, start_response)

    def _open(self, token: str, environ: Environ, start_response: StartResponse) -> bool:
        try:
            self._desk.opened(token, visitor_of(environ))
        except Exception:  # a reader gets the picture, whatever is wrong with us
            log.exception("open.failed")
        start_response("200 OK", [*self._pixel, _request_id(environ)])
        return True

    def _follow(self, token: str, environ: Environ, start_response: StartResponse) -> bool:
        try:
            location = self._desk.clicked(token, visitor_of(environ))
        except (NoLink, NotNow) as refusal:
            environ[REFUSED] = refusal
            return False
        start_response("302 Found", [*self._click, ("Location", location), _request_id(environ)])
        return True

    def _rest(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if self._room is None:
            return self.router(environ, start_response)
        if not self._room.acquire(timeout=ROUTER_WAIT_SECONDS):
            headers = [("Content-Type", "text/plain; charset=utf-8"), ("Retry-After", RETRY_SECONDS)]
            start_response("503 Service Unavailable", headers)
            return [b"Too many requests wait for the database. Please try again.\n"]
        try:
            return self.router(environ, start_response)
        finally:
            self._room.release()


def opened_door(router: Router, *, keeps_free: bool = False, at_once: bool = True) -> Door:
    """A door whose desk is at work until the process ends: from now on, or not `at_once` but from the first hit."""
    door = Door(router, keeps_free=keeps_free, starts_late=not at_once)
    desk = desk_of(router.registry)
    if at_once:
        desk.start()
    atexit.register(desk.close)
    return door


def visitor_of(environ: Mapping[str, Any]) -> Visitor:
    """Who asks. The address is the server's, which knows whether the proxy's word counts."""
    purpose = " ".join(environ.get(name, "") for name in _PREFETCH).lower()
    return Visitor(
        environ.get("REMOTE_ADDR"),
        environ.get("HTTP_USER_AGENT", ""),
        bool(purpose.strip()) and any(word in purpose for word in _AHEAD),
        environ.get("HTTP_SEC_GPC") == "1",
    )


def _request_id(environ: Environ) -> tuple[str, str]:
    return "X-Request-ID", request_id_of(environ.get("HTTP_X_REQUEST_ID", ""))
