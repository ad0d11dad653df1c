"""Signing in: by password, counted and slowed down; by a one-time link; and out again."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable
from typing import Any

from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from mailhub import logs
from mailhub.accounts import service
from mailhub.accounts.forms import OpenLink, SignIn
from mailhub.models import User
from mailhub.security import audit, sessions
from mailhub.web import forms, htmx, limits
from mailhub.web.i18n import _
from mailhub.web.local_path import local_path

log = logs.get(__name__)

#: An office behind one address has more people than one, hence more tries.
ATTEMPTS_OF_A_NETWORK = 10


class TooManyAttempts(Exception):
    """Nobody looks at the password before `seconds` have passed."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"wait {seconds} s")
        self.seconds = seconds


def attempt(request: Request, email: str, password: str, admit: Callable[[User], bool]) -> User | None:
    """The person whose password this is, if `admit` lets them in here; raises TooManyAttempts.

    A try is counted before the password is looked at, by address and by network, so that parallel tries are counted
    too; a right one is given back. An address without an account is counted and answered in the same way.
    """
    settings = request.registry.mailhub
    few, many = settings.sign_in_attempts, settings.sign_in_attempts * ATTEMPTS_OF_A_NETWORK
    limited = ((_address_key(email), few), (_network_key(request.client_addr), many))
    for key, burst in limited:
        waiting = limits.take(request.registry, key, burst=burst, per_seconds=settings.sign_in_window_seconds)
        if waiting:
            log.warning("sign_in.limited", by=key.split(":")[0], seconds=waiting)
            raise TooManyAttempts(waiting)
    user = service.authenticate(request.dbsession, email, password)
    if user is None or not admit(user):
        log.info("sign_in.refused", user_id=user.id if user is not None else None)
        return None
    for key, burst in limited:
        limits.give_back(request.registry, key, burst=burst)
    return user


def begin(request: Request, user: User, way: str) -> None:
    """Start the session: whatever this browser had before is ended, and its cookie is replaced."""
    sessions.end(request)
    session = sessions.start(request, user)
    audit.write(
        request.dbsession,
        "session.started",
        session,
        actor=user.email,
        user_id=user.id,
        ip=request.client_addr,
        name=user.email,
        detail={"way": way, "app": session.app},
    )
    log.info("sign_in.done", user_id=user.id, way=way)


def answer(request: Request, admit: Callable[[User], bool], wrong: Any) -> dict[str, Any] | Response:
    """What a sign-in page does with its form; the reports process has the same with its own `admit` and words."""
    form = forms.read(request, SignIn)
    back = local_path(form.values.get("next"))
    page = {"values": {"email": form.values.get("email", "")}, "errors": form.errors, "wait": 0, "next": back}
    if form.value is None:
        request.response.status_int = 422
        return page
    try:
        user = attempt(request, form.value.email, form.value.password, admit)
    except TooManyAttempts as refusal:
        request.response.status_int = 429
        request.response.headers["Retry-After"] = str(refusal.seconds)
        return {**page, "wait": refusal.seconds}
    if user is None:
        request.response.status_int = 422
        return {**page, "errors": {"": wrong}}
    begin(request, user, "password")
    return htmx.redirect(request, back)


def _address_key(email: str) -> str:
    return "sign_in:" + hashlib.sha256(email.casefold().encode()).hexdigest()[:32]


def _network_key(ip: str | None) -> str:
    """One IPv6 customer has at least a /64."""
    try:
        address = ipaddress.ip_address(ip or "")
    except ValueError:
        return "sign_in_network:unknown"
    if address.version == 4:
        return f"sign_in_network:{address}"
    return f"sign_in_network:{ipaddress.ip_network((address, 64), strict=False)}"


@view_config(
    route_name="accounts.sign_in",
    request_method="GET",
    renderer="accounts/sign_in.html",
    permission=NO_PERMISSION_REQUIRED,
)
def sign_in_page(request: Request) -> dict[str, Any] | Response:
    back = local_path(request.GET.get("next"))
    if request.user is not None:
        return htmx.redirect(request, back)
    return {"values": {}, "errors": {}, "wait": 0, "next": back}


@view_config(
    route_name="accounts.sign_in",
    request_method="POST",
    renderer="accounts/sign_in.html",
    permission=NO_PERMISSION_REQUIRED,
)
def sign_in(request: Request) -> dict[str, Any] | Response:
    return answer(request, lambda user: True, _("The address or the password is not right."))


@view_config(
    route_name="accounts.sign_in_link",
    request_method="GET",
    renderer="accounts/sign_in_link.html",
    permission=NO_PERMISSION_REQUIRED,
)
def link_page(request: Request) -> dict[str, Any]:
    """The button. Opening the page uses nothing up: mail scanners open links too."""
    return _link_answer(request, service.link_user(request.dbsession, request.matchdict["token"]))


@view_config(
    route_name="accounts.sign_in_link",
    request_method="POST",
    renderer="accounts/sign_in_link.html",
    permission=NO_PERMISSION_REQUIRED,
)
def open_link(request: Request) -> dict[str, Any] | Response:
    if forms.read(request, OpenLink).value is None:
        request.response.status_int = 422
        return _link_answer(request, None)
    user = service.use_link(request.dbsession, request.matchdict["token"])
    if user is None:
        return _link_answer(request, None)
    begin(request, user, "link")
    target = "accounts.password" if user.password_hash is None else "projects.home"
    return htmx.redirect(request, request.route_path(target))


def _link_answer(request: Request, user: User | None) -> dict[str, Any]:
    # The address of this page is a secret: nobody else gets to see it.
    request.response.headers["Referrer-Policy"] = "no-referrer"
    if user is None and request.response.status_int == 200:
        request.response.status_int = 404
    return {"owner": user}


@view_config(route_name="accounts.sign_out", request_method="POST")
def sign_out(request: Request) -> Response:
    sessions.end(request)
    return htmx.redirect(request, request.route_path("accounts.sign_in"))
