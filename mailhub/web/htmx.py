"""htmx: the only module that knows its headers (htmx 4.0.1, read in the vendored source).

The browser says `HX-Request: true`, `HX-Request-Type: partial|full`, `HX-Target: tag#id`; a Back button asks with
`HX-History-Restore-Request` and expects the whole page.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import unquote

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response

from mailhub.web.i18n import translate


def is_fragment(request: Request) -> bool:
    """The answer will be put into a part of the page: a whole page would be wrong."""
    headers = request.headers
    return (
        headers.get("HX-Request") == "true"
        and headers.get("HX-Request-Type", "partial") == "partial"
        and "HX-Boosted" not in headers
        and "HX-History-Restore-Request" not in headers
    )


def is_htmx(request: Request) -> bool:
    """htmx sent it, whatever it will do with the answer."""
    return bool(request.headers.get("HX-Request") == "true")


def target_id(request: Request) -> str | None:
    """The id of the element that the answer goes into, None where it has none."""
    __, mark, identifier = request.headers.get("HX-Target", "").partition("#")
    return unquote(identifier) if mark else None


def redirect(request: Request, url: str) -> Response:
    """Go to another page: 303 for a plain form; for htmx a header, since fetch would follow a 303 by itself."""
    if not is_htmx(request):
        return HTTPSeeOther(location=url)
    return Response(status=204, headers={"HX-Redirect": url})


def toast(request: Request, text: str, kind: str = "ok") -> None:
    """Show a short notice with the answer to this htmx request. `kind`: ok, info, bad. Texts may be lazy."""
    trigger(request, "mh:toast", {"text": translate(request, text), "kind": kind})


def keep_page(request: Request, response: Response, text: str = "") -> None:
    """An error that is to be told without touching the page: nothing is swapped, `text` is a toast.

    Without a text mh.js says what the status means.
    """
    response.headers["HX-Reswap"] = "none"
    if text:
        toast(request, text, kind="bad")


def trigger(request: Request, event: str, detail: object = None) -> None:
    """Fire a DOM event at the element that asked, after the swap."""
    pending = request.environ.setdefault("mailhub.hx_trigger", {})
    pending[event] = detail if detail is not None else True


def ptag(request: Request, response: Response, version: object) -> bool:
    """Stamp a polled answer with its version. True: the browser has that version; answer `not_modified()` instead."""
    response.headers["HX-PTag"] = str(version)
    return bool(is_fragment(request) and request.headers.get("HX-PTag") == str(version))


def unchanged(request: Request, version: object) -> bool:
    """As `ptag`, for a view that has a renderer: stamps `request.response`. Then `return not_modified(version)`."""
    return ptag(request, request.response, version)


def not_modified(version: object) -> Response:
    """304 for a poll: nothing is swapped."""
    return Response(status=304, headers={"HX-PTag": str(version)})


class TargetPredicate:
    """View predicate `hx_target="rows"`: a fragment request whose target is the element with that id."""

    def __init__(self, identifier: str, config: Configurator) -> None:
        self.identifier = identifier

    def text(self) -> str:
        return f"hx_target = {self.identifier}"

    phash = text

    def __call__(self, context: object, request: Request) -> bool:
        return is_fragment(request) and target_id(request) == self.identifier


Handler = Callable[[Request], Response]


def headers_tween(handler: Handler, registry: Registry) -> Handler:
    """Sets what every answer to htmx needs: `Vary` on pages, `no-store` on fragments, the pending triggers."""

    def tween(request: Request) -> Response:
        response = handler(request)
        if (response.content_type or "").startswith("text/html") or is_htmx(request):
            response.vary = (*(response.vary or ()), "HX-Request")
        if is_htmx(request):
            if is_fragment(request):
                response.headers["Cache-Control"] = "no-store"
            pending = request.environ.get("mailhub.hx_trigger")
            if pending:
                # Headers are latin-1: json.dumps escapes everything beyond ASCII.
                response.headers["HX-Trigger"] = json.dumps(pending)
        return response

    return tween


def includeme(config: Configurator) -> None:
    config.add_view_predicate("hx_target", TargetPredicate)
    # Over the exception view, so that error answers get the headers too.
    config.add_tween("mailhub.web.htmx.headers_tween", over="pyramid.tweens.excview_tween_factory")
