"""The pages of the development mailbox, at `/_mailbox`: in development only, for whoever is signed in."""

from __future__ import annotations

import re
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response

from mailhub.embedded.letters import LETTERS_KEPT, Mailbox, StoredLetter
from mailhub.security.context import Root, number_of
from mailhub.web.i18n import _
from mailhub.web.paging import PAGE_SIZE, first_url, next_url, page_of, read_cursor

VIEWS = ("html", "text", "headers", "source")
_SOURCE_LIMIT = 1_000_000

FRAME_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation; default-src 'none'; "
    "img-src http: https: data:; style-src 'unsafe-inline'; font-src http: https: data:; form-action 'none'; "
    "frame-ancestors 'self'"
)
"""What a letter in the frame may do: show images and its own styles, open links; no script, no form, no origin."""

_HEAD = re.compile(r"<head(?:\s[^>]*)?>", re.IGNORECASE)
_HTML = re.compile(r"<html(?:\s[^>]*)?>", re.IGNORECASE)
_DOCTYPE = re.compile(r"\s*<!doctype[^>]*>", re.IGNORECASE)
_TARGET = re.compile(r"(<(?:a|area|base)\b[^<>]*?)\starget\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s>]+)", re.IGNORECASE)


def includeme(config: Configurator) -> None:
    settings = config.registry.mailhub
    if settings.environment != "development":
        return
    config.registry.mailbox = Mailbox(settings.home / "mailbox.sqlite")
    for name, path in (
        ("index", "/_mailbox"),
        ("clear", "/_mailbox/clear"),
        ("show", r"/_mailbox/{letter_id:\d+}"),
        ("frame", r"/_mailbox/{letter_id:\d+}/frame"),
        ("download", r"/_mailbox/{letter_id:\d+}/letter.eml"),
    ):
        config.add_route(f"mailbox.{name}", path, factory=Root)
    allowed = {"permission": "authenticated"}
    config.add_view(index, route_name="mailbox.index", renderer="mailbox/index.html", **allowed)
    rows = "mailbox/_letter_rows.html"
    config.add_view(index, route_name="mailbox.index", renderer=rows, hx_target="letter-rows", **allowed)
    config.add_view(clear, route_name="mailbox.clear", request_method="POST", **allowed)
    config.add_view(show, route_name="mailbox.show", renderer="mailbox/show.html", **allowed)
    config.add_view(frame, route_name="mailbox.frame", **allowed)
    config.add_view(download, route_name="mailbox.download", **allowed)


def index(request: Request) -> dict[str, Any]:
    """The letters, the newest first."""
    mailbox: Mailbox = request.registry.mailbox
    query = request.GET.get("q", "")[:200].strip()
    after = read_cursor(request.GET.get("after"), int)
    letters = mailbox.list(query, before=after[0] if after else None, limit=PAGE_SIZE + 1)
    page = page_of(letters, PAGE_SIZE, lambda letter: (letter.id,))
    return {
        "letters": page.rows,
        "count": mailbox.count(query),
        "q": query,
        "kept": LETTERS_KEPT,
        "next": next_url(request, page),
        "first": first_url(request),
    }


def clear(request: Request) -> HTTPSeeOther:
    request.registry.mailbox.clear()
    request.notice(_("The mailbox is empty now."), "ok")
    return HTTPSeeOther(request.route_path("mailbox.index"))


def show(request: Request) -> dict[str, Any]:
    """One letter, as HTML, text, headers or source: a URL for each."""
    letter = _letter(request)
    available = [view for view in VIEWS if view != "html" or letter.html]
    view = request.GET.get("view")
    if view not in available:
        view = available[0]
    source = letter.raw[:_SOURCE_LIMIT].decode("utf-8", "replace") if view == "source" else ""
    return {
        "letter": letter,
        "views": available,
        "view": view,
        "source": source,
        "cut": len(letter.raw) > _SOURCE_LIMIT,
    }


def frame(request: Request) -> Response:
    """The letter's HTML by itself, for the sandboxed frame."""
    response = Response(opening_new_tabs(_letter(request).html), content_type="text/html", charset="utf-8")
    response.headers["Content-Security-Policy"] = FRAME_POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def download(request: Request) -> Response:
    """The letter as it came, for a mail program."""
    letter = _letter(request)
    response = Response(letter.raw, content_type="message/rfc822")
    response.headers["Content-Disposition"] = f'attachment; filename="letter-{letter.id}.eml"'
    return response


def opening_new_tabs(html: str) -> str:
    """The HTML with all its links opening in a new tab, whatever target they had."""
    html = _TARGET.sub(r"\1", html)
    for place in (_HEAD, _HTML, _DOCTYPE):
        # A doctype must stay first, or the browser lays the letter out in quirks mode.
        found = place.match(html) if place is _DOCTYPE else place.search(html)
        if found:
            return f'{html[: found.end()]}<base target="_blank">{html[found.end() :]}'
    return f'<base target="_blank">{html}'


def _letter(request: Request) -> StoredLetter:
    letter: StoredLetter | None = request.registry.mailbox.get(number_of(request, "letter_id"))
    if letter is None:
        raise HTTPNotFound()
    return letter
