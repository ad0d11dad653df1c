"""A letter in a frame of one of our pages: it may be looked at, and nothing else."""

from __future__ import annotations

import re

from pyramid.response import Response

#: No script, no form, no origin of ours; its links open in a new tab (walls.md, T3).
FRAME_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src http: https: data:; "
    "style-src 'unsafe-inline'; font-src http: https:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
_LINK = re.compile(r"<(a|area)\b(?![^>]*\btarget\s*=)", re.IGNORECASE)


def letter_frame(html: str) -> Response:
    """The HTML of a letter as a page of its own, under the frame's policy."""
    response = Response(opening_new_tabs(html), content_type="text/html", charset="utf-8")
    response.headers["Content-Security-Policy"] = FRAME_POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response


def opening_new_tabs(html: str) -> str:
    """Links leave the frame in a new tab; a frame without rights could not follow them."""
    return _LINK.sub(r'<\1 target="_blank" rel="noopener noreferrer"', html)
