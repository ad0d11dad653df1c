"""What people do with their data themselves: take it, have it erased. The token of a letter opens the page; for
either they type the address, so that who was only forwarded a letter can't.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from pyramid.httpexceptions import HTTPNotFound, HTTPTooManyRequests
from pyramid.request import Request
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from mailhub.lists import service as lists
from mailhub.mail.tokens import BadToken, Claims, Kind
from mailhub.models import ErasureState, ErasureWay, Project, Subscriber
from mailhub.privacy import bundle, service
from mailhub.privacy.forms import OwnForm
from mailhub.security import audit
from mailhub.security.sealed import sealer_of
from mailhub.web import forms, limits
from mailhub.web.i18n import _, choose_language, languages_of

#: Times in an hour that an address may be tried at a token.
TRIES = 10


def _claims(request: Request) -> Claims:
    try:
        claims: Claims = request.registry.signer.read(
            Kind.PREFERENCES, request.matchdict["token"], now=int(time.time())
        )
    except BadToken:
        raise HTTPNotFound() from None
    return claims


def _opened(request: Request, *, tried: bool = False) -> tuple[Project, Subscriber]:
    """The project and person of the token, the page in the project's language; 404 where there is nobody.

    `tried`: an address comes with it, which may be tried TRIES times an hour.
    """
    claims = _claims(request)
    wait = 0
    if tried:
        key = f"privacy.own:{claims.project}:{claims.subscriber}"
        wait = limits.take(request.registry, key, burst=TRIES, per_seconds=3600)
    if wait:
        raise HTTPTooManyRequests(headers={"Retry-After": str(wait)})
    project = request.dbsession.get(Project, claims.project) if claims.project is not None else None
    if project is None or project.archived_at is not None or claims.subscriber is None:
        raise HTTPNotFound()
    person = request.dbsession.get(Subscriber, (project.id, claims.subscriber))
    if person is None:
        raise HTTPNotFound()
    choose_language(request, project.language)
    return project, person


def _read(request: Request, person: Subscriber) -> forms.FormResult[OwnForm]:
    form = forms.read(request, OwnForm)
    if (
        form.value is not None
        and form.value.action != "keep"
        and form.value.email.casefold() not in (person.email_key, person.email.casefold())
    ):
        form.refuse("email", _("This is not the address to which the letter was sent."))
    return form


@view_config(
    route_name="privacy.my_data", request_method="GET", renderer="privacy/my_data.html",
    permission=NO_PERMISSION_REQUIRED,
)  # fmt: skip
def data_page(request: Request) -> dict[str, Any]:
    project, _person = _opened(request)
    return _page(request, project, {}, {})


@view_config(
    route_name="privacy.my_data", request_method="POST", renderer="privacy/my_data.html",
    permission=NO_PERMISSION_REQUIRED, require_csrf=False,
)  # fmt: skip
def data(request: Request) -> Any:
    project, person = _opened(request, tried=True)
    form = _read(request, person)
    if form.value is None:
        request.response.status_int = 422
        return _page(request, project, form.values, form.errors)
    _note(request, "person.exported", person)
    return bundle.as_zip(request, project, person)


@view_config(
    route_name="privacy.my_erase", request_method="GET", renderer="privacy/my_erase.html",
    permission=NO_PERMISSION_REQUIRED,
)  # fmt: skip
def erase_page(request: Request) -> dict[str, Any]:
    project, person = _opened(request)
    return _erase_page(request, project, person, {}, {})


@view_config(
    route_name="privacy.my_erase", request_method="POST", renderer="privacy/my_erase.html",
    permission=NO_PERMISSION_REQUIRED, require_csrf=False,
)  # fmt: skip
def erase(request: Request) -> dict[str, Any]:
    """Out of all lists at once; erased after a day, in which they may change their mind on the same page."""
    project, person = _opened(request, tried=True)
    form = _read(request, person)
    if form.value is None:
        request.response.status_int = 422
        return _erase_page(request, project, person, form.values, form.errors)
    if form.value.action == "keep":
        open_ = service.waiting_of(request.dbsession, project_id=project.id, subscriber_id=person.id)
        kept = open_ is not None and service.withdraw(request.dbsession, project_id=project.id, erasure_id=open_.id)
        if kept:
            _note(request, "person.erasure_withdrawn", open_)
        return {**_erase_page(request, project, person, {}, {}), "kept": kept}
    erasure, is_new = service.ask(
        request.dbsession, sealer_of(request.registry.mailhub), project_id=project.id, person=person,
        way=ErasureWay.OWN, due_at=datetime.now(UTC) + service.OWN_GRACE,
    )  # fmt: skip
    lists.unsubscribe(request.dbsession, project_id=project.id, subscriber_id=person.id)
    if is_new:
        _note(request, "person.erasure_asked", erasure)
    return _erase_page(request, project, person, {}, {})


def _page(request: Request, project: Project, values: dict[str, Any], errors: dict[str, Any]) -> dict[str, Any]:
    return {
        "project": project,
        "values": values,
        "errors": errors,
        **_links(request, "privacy.my_erase"),
    }


def _erase_page(
    request: Request, project: Project, person: Subscriber, values: dict[str, Any], errors: dict[str, Any]
) -> dict[str, Any]:
    open_ = service.waiting_of(request.dbsession, project_id=project.id, subscriber_id=person.id)
    return {
        "project": project,
        "values": values,
        "errors": errors,
        "waiting": open_ if open_ is not None and open_.state == ErasureState.WAITING else None,
        "kept": False,
        "hours": int(service.OWN_GRACE.total_seconds() // 3600),
        **_links(request, "privacy.my_data"),
    }


def _links(request: Request, other: str) -> dict[str, Any]:
    """Where else one may go, in the language that was chosen."""
    values = {"token": request.matchdict["token"], "_query": {"lang": request.locale_name}}
    return {
        "other": request.route_path(other, **values),
        "back": request.route_path("preferences.page", **values),
        "languages_of_page": languages_of(request),
    }


def _note(request: Request, action: str, target: Any) -> None:
    """In the journal, by nobody who is signed in."""
    audit.write(request.dbsession, action, target, actor="", project_id=target.project_id, detail={"way": "own"})
