"""One's own account: profile, appearance, password, sessions."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from mailhub.accounts import service
from mailhub.accounts.browser_name import browser_name
from mailhub.accounts.forms import Appearance, NewPassword, Profile
from mailhub.security import audit, passwords, sessions
from mailhub.security.context import number_of
from mailhub.web import forms, htmx, limits
from mailhub.web.i18n import _, use_language
from mailhub.web.local_path import local_path
from mailhub.web.time_zones import zone_options


@view_config(route_name="accounts.profile", request_method="GET", renderer="accounts/profile.html")
def profile_page(request: Request) -> dict[str, Any]:
    user = request.user
    values = {"name": user.name, "language": user.language, "time_zone": user.time_zone or ""}
    return {"values": values, "errors": {}, "zones": zone_options()}


@view_config(route_name="accounts.profile", request_method="POST", renderer="accounts/profile.html")
def save_profile(request: Request) -> dict[str, Any] | Response:
    form = forms.read(request, Profile)
    if form.value is None:
        request.response.status_int = 422
        return {"values": form.values, "errors": form.errors, "zones": zone_options()}
    user = request.user
    user.name, user.language = form.value.name, form.value.language
    user.time_zone = form.value.time_zone or None
    use_language(request, user.language)
    request.notice(_("Your profile is saved."))
    return htmx.redirect(request, request.route_path("accounts.profile"))


@view_config(route_name="accounts.appearance", request_method="GET", renderer="accounts/appearance.html")
def appearance_page(request: Request) -> dict[str, Any]:
    return {"values": {"theme": request.user.theme, "language": request.user.language}, "errors": {}}


@view_config(route_name="accounts.appearance", request_method="POST", renderer="accounts/appearance.html")
def save_appearance(request: Request) -> dict[str, Any] | Response:
    """From the page, or from the menu of any page, to which it goes back."""
    form = forms.read(request, Appearance)
    if form.value is None:
        request.response.status_int = 422
        return {"values": form.values, "errors": form.errors}
    if form.value.theme is not None:
        request.user.theme = form.value.theme
    if form.value.language is not None:
        request.user.language = form.value.language
    return htmx.redirect(request, local_path(form.value.next, request.route_path("accounts.appearance")))


@view_config(route_name="accounts.password", request_method="GET", renderer="accounts/password.html")
def password_page(request: Request) -> dict[str, Any]:
    return _password_page(request, {})


@view_config(route_name="accounts.password", request_method="POST", renderer="accounts/password.html")
def change_password(request: Request) -> dict[str, Any] | Response:
    form = forms.read(request, NewPassword)
    user = request.user
    first = user.password_hash is None
    if form.value is not None and not first:
        waiting = _try_current(request, form.value.current)
        if waiting:
            request.response.status_int = 429
            request.response.headers["Retry-After"] = str(waiting)
            return _password_page(request, {"current": _("Too many attempts. Wait a few minutes and try again.")})
        if waiting is None:
            form.refuse("current", _("This is not your current password."))
    ended = 0
    if form.value is not None:
        try:
            ended = service.set_password(
                request.dbsession, user, form.value.password, keep_session=request.identity.session.id
            )
        except service.AccountRefused as refusal:
            form.refuse(refusal.field, refusal.message)
    if form.value is None:
        request.response.status_int = 422
        return _password_page(request, form.errors)
    audit.note(request, "password.changed", user, name=user.email, ended_sessions=ended)
    if first:
        request.notice(_("Your password is set. Next time sign in with it."))
        return htmx.redirect(request, request.route_path("projects.home"))
    request.notice(_("Your password is changed, and you are signed out everywhere else."))
    return htmx.redirect(request, request.route_path("accounts.password"))


def _try_current(request: Request, password: str) -> int | None:
    """0: it is the current password; None: it is not; else the seconds to wait, as when signing in.

    Whoever sits at a browser that was left open shall not guess for ever.
    """
    settings = request.registry.mailhub
    key, burst = f"password:{request.user.id}", settings.sign_in_attempts
    waiting = limits.take(request.registry, key, burst=burst, per_seconds=settings.sign_in_window_seconds)
    if waiting:
        return waiting
    if not passwords.verify(request.user.password_hash, password):
        return None
    limits.give_back(request.registry, key, burst=burst)
    return 0


def _password_page(request: Request, errors: dict[str, Any]) -> dict[str, Any]:
    return {"errors": errors, "first": request.user.password_hash is None, "min_length": passwords.MIN_LENGTH}


@view_config(route_name="accounts.sessions", request_method="GET", renderer="accounts/sessions.html")
def sessions_page(request: Request) -> dict[str, Any]:
    living = service.living_sessions(
        request.dbsession, request.user.id, idle_seconds=request.registry.mailhub.session_idle_seconds
    )
    return {
        "living": [(session, browser_name(session.user_agent)) for session in living],
        "current_id": request.identity.session.id,
    }


@view_config(route_name="accounts.sessions", request_method="POST")
def end_other_sessions(request: Request) -> Response:
    ended = sessions.end_others(request.dbsession, request.user.id, keep=request.identity.session.id)
    audit.note(request, "session.others_ended", request.user, name=request.user.email, ended_sessions=ended)
    request.notice(_("You are signed out everywhere else."))
    return htmx.redirect(request, request.route_path("accounts.sessions"))


@view_config(route_name="accounts.session_end", request_method="POST")
def end_session(request: Request) -> Response:
    session_id = number_of(request, "session_id")
    mine = session_id == request.identity.session.id
    if not service.end_session(request.dbsession, request.user.id, session_id):
        raise HTTPNotFound()
    if mine:
        return htmx.redirect(request, request.route_path("accounts.sign_in"))
    audit.note(request, "session.ended", request.user, name=request.user.email)
    request.notice(_("That browser is signed out."))
    return htmx.redirect(request, request.route_path("accounts.sessions"))
