"""The styleguide as an app of its own, without database, and a server for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from pyramid.router import Router
from pyramid.session import SignedCookieSessionFactory
from waitress.server import create_server

from mailhub import routes
from mailhub.web.headers import page_policy

Handler = Callable[[Request], Response]


def policy_tween(handler: Handler, registry: Any) -> Handler:
    """The site's CSP, where the answer has none of its own."""

    def tween(request: Request) -> Response:
        response = handler(request)
        response.headers.setdefault("Content-Security-Policy", page_policy("'self'"))
        # WebOb copies a large body into a temporary file and leaves it to the garbage collector, which would warn.
        request.body_file_raw.close()
        return response

    return tween


def styleguide() -> Router:
    """The pages of mailhub.web.styleguide with the site's templates, routes and policy."""
    config = Configurator(settings={"pyramid.reload_templates": "false"})
    config.set_session_factory(SignedCookieSessionFactory("test"))
    config.include("mailhub.web.jinja")
    config.include("mailhub.web.styleguide")
    for room in ("accounts", "projects", "lists", "campaigns", "transactional", "stats"):
        config.include(getattr(routes, room))
    config.add_route("mailbox.index", "/_mailbox")
    config.add_tween("tests.browser.site.policy_tween")
    return config.make_wsgi_app()


class InPieces:
    """An app whose pages come as over a slow line: the head at once, a piece of the rest each time `more` is called."""

    def __init__(self, app: Any, pieces: int) -> None:
        self.app = app
        self.pieces = pieces
        self._asked = threading.Semaphore(0)

    def more(self) -> None:
        """Let the next piece go."""
        self._asked.release()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        answer = Request(environ).get_response(self.app)
        pieces = answer.content_type == "text/html"
        return self._slowly(answer(environ, start_response)) if pieces else answer(environ, start_response)

    def _slowly(self, app_iter: Iterable[bytes]) -> Iterator[bytes]:
        head, mark, body = b"".join(app_iter).partition(b"<body")
        yield head + mark
        size = len(body) // self.pieces + 1
        for start in range(0, len(body), size):
            # A test that has failed asks for nothing more.
            self._asked.acquire(timeout=10)
            yield body[start : start + size]


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The app on a free port of the loopback; gives its origin."""
    server = create_server(app, host="127.0.0.1", port=0, threads=8, clear_untrusted_proxy_headers=True)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"
    finally:
        server.close()
        thread.join(timeout=5)
