"""Opens and clicks by way of Pyramid: HEAD, pages for links that don't work, and all of it without a door in front."""

from __future__ import annotations

from pyramid.httpexceptions import HTTPFound
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from mailhub.tracking.desk import NoLink, NotNow, desk_of
from mailhub.tracking.door import CLICK_HEADERS, PIXEL, PIXEL_HEADERS, REFUSED, visitor_of
from mailhub.tracking.hit import Visitor
from mailhub.tracking.refused import LinkBusy, LinkGone


@view_config(route_name="tracking.open", permission=NO_PERMISSION_REQUIRED, request_method="GET")
def opened(request: Request) -> Response:
    """The pixel. It is always the same picture; only a genuine token stores anything."""
    visitor = _visitor(request)
    if visitor is not None:
        desk_of(request.registry).opened(request.matchdict["token"], visitor)
    return Response(body=PIXEL, headers=PIXEL_HEADERS)


@view_config(route_name="tracking.click", permission=NO_PERMISSION_REQUIRED, request_method="GET")
def clicked(request: Request) -> Response:
    """302 to the URL that was stored when the letter was sent, never to one that the request brings."""
    try:
        # The door has asked already, and only the page is wanted.
        if refusal := request.environ.get(REFUSED):
            raise refusal
        location = desk_of(request.registry).clicked(request.matchdict["token"], _visitor(request))
    except NoLink:
        raise LinkGone() from None
    except NotNow:
        raise LinkBusy() from None
    return HTTPFound(location, headers=CLICK_HEADERS)


def _visitor(request: Request) -> Visitor | None:
    """A HEAD request is a machine that asks whether the address exists: no hit."""
    return visitor_of(request.environ) if request.method == "GET" else None
