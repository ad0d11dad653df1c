"""The page that a new address is led to: a button that makes it the person's address."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pyramid.request import Request
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from mailhub.preferences import address, letters, service
from mailhub.preferences.views import visit_of
from mailhub.web.i18n import choose_language, languages_of


@view_config(
    route_name="preferences.address", request_method="GET", renderer="preferences/address.html",
    permission=NO_PERMISSION_REQUIRED,
)  # fmt: skip
def ask(request: Request) -> dict[str, Any]:
    found = _waiting(request)
    return _page(request, found, "ask" if found is not None else "gone")


@view_config(
    route_name="preferences.address", request_method="POST", renderer="preferences/address.html",
    permission=NO_PERMISSION_REQUIRED, require_csrf=False,
)  # fmt: skip
def confirm(request: Request) -> dict[str, Any]:
    """The change, and a notice to the old address."""
    found = _waiting(request)
    if found is None:
        return _page(request, None, "gone")
    visit = visit_of(request)
    before, project = found.person.email, found.project
    outcome = address.confirm(request.dbsession, found, now=visit.now)
    if outcome == address.Outcome.CHANGED:
        service.address_changed(request.dbsession, found.person, visit)
        letters.send_notice(
            request, project, request.locale_name, to_email=before, masked=address.masked(found.person.email)
        )
    return _page(request, found, outcome.value)


def _waiting(request: Request) -> address.Waiting | None:
    found = address.waiting(request.dbsession, request.matchdict["token"], now=datetime.now(UTC))
    if found is not None:
        choose_language(request, found.change.language or found.project.language)
    return found


def _page(request: Request, found: address.Waiting | None, state: str) -> dict[str, Any]:
    if state == "gone":
        request.response.status_int = 410
    return {
        "project": found.project if found is not None else None,
        "email": found.change.email if state == "ask" and found is not None else "",
        "state": state,
        "languages_of_page": languages_of(request),
    }
