"""The page for people without a letter at hand: it sends the link to their page, and never says who is known."""

from __future__ import annotations

import time
from typing import Any

from pyramid.httpexceptions import HTTPNotFound, HTTPTooManyRequests
from pyramid.request import Request
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from mailhub.lists import service as lists
from mailhub.lists.forms import ADDRESS_FAULTS
from mailhub.mail.address import Address, InvalidAddress, parse_address
from mailhub.models import Project
from mailhub.preferences import caps, letters, links
from mailhub.preferences.views import fields_of_body
from mailhub.web.i18n import choose_language, languages_of


@view_config(
    route_name="preferences.ask", request_method="GET", renderer="preferences/ask.html",
    permission=NO_PERMISSION_REQUIRED,
)  # fmt: skip
def show(request: Request) -> dict[str, Any]:
    project, expired = _project(request)
    return _page(request, project, "", {}, expired=expired)


@view_config(
    route_name="preferences.ask", request_method="POST", renderer="preferences/ask.html",
    permission=NO_PERMISSION_REQUIRED, require_csrf=False,
)  # fmt: skip
def send(request: Request) -> dict[str, Any]:
    """Whoever has that address gets the link; the answer is the same for everybody, in its words and in its time."""
    project, _expired = _project(request)
    if wait := caps.wait_for_ip(request):
        raise HTTPTooManyRequests(headers={"Retry-After": str(wait)})
    fields = fields_of_body(request)
    given = fields.get("email", [""])[-1].strip()
    try:
        address = parse_address(given)
    except InvalidAddress as refusal:
        request.response.status_int = 422
        return _page(request, project, given, {"email": ADDRESS_FAULTS[refusal.reason_code]})
    # A field that people do not see: programs fill it in.
    if not fields.get("website", [""])[-1] and caps.may_write(request, project.id, address):
        _write_to(request, project, address)
    return {**_page(request, project, "", {}), "done": True}


def _write_to(request: Request, project: Project, address: Address) -> None:
    """The letter with the link, if the address is known. An unknown one costs the same: its letter is taken back.

    Writing a letter takes longer than not writing one, and that can be measured from outside (walls.md, T17).
    """
    person = lists.find_by_address(request.dbsession, project_id=project.id, address=address)
    with request.dbsession.begin_nested() as savepoint:
        url = links.asked_url(
            request.registry.mailhub.public_url, request.registry.signer, project_id=project.id,
            subscriber_id=person.id if person is not None else 0, now=time.time(),
        )  # fmt: skip
        to_email = person.email if person is not None else address.email
        letters.send_link(request, project, request.locale_name, to_email=to_email, url=url)
        if person is None:
            savepoint.rollback()


def _project(request: Request) -> tuple[Project, bool]:
    """The project of the token, and whether the token was somebody's whose time is over. Raises the 404."""
    found = links.project_of(request.dbsession, request.registry.signer, request.matchdict["token"])
    if found is None:
        raise HTTPNotFound()
    project, claims = found
    choose_language(request, project.language)
    return project, claims.subscriber is not None


def _page(
    request: Request, project: Project, email: str, errors: dict[str, Any], *, expired: bool = False
) -> dict[str, Any]:
    return {
        "project": project,
        "email": email,
        "errors": errors,
        "expired": expired,
        "done": False,
        "languages_of_page": languages_of(request),
    }
