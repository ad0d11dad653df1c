"""Public pages of a list: signing up, confirming. No session, no cookie, the list's language."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPNotFound, HTTPTooManyRequests
from pyramid.request import Request
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from mailhub.lists import letters, sign_up
from mailhub.lists.forms import SignUpForm
from mailhub.mail.tokens import Claims, Kind
from mailhub.models import MailingList, OptIn, Project
from mailhub.web import forms
from mailhub.web.i18n import _, use_language


@view_config(
    route_name="lists.sign_up",
    request_method="GET",
    renderer="lists/sign_up.html",
    permission=NO_PERMISSION_REQUIRED,
)
def show(request: Request) -> dict[str, Any]:
    project, mailing_list = _open_list(request)
    return _page(request, project, mailing_list, {}, {})


@view_config(
    route_name="lists.sign_up",
    request_method="POST",
    renderer="lists/sign_up.html",
    permission=NO_PERMISSION_REQUIRED,
    require_csrf=False,
)
def submit(request: Request) -> dict[str, Any]:
    """The token in the URL is the permission: there is no cookie that a foreign site could abuse."""
    project, mailing_list = _open_list(request)
    wait = sign_up.wait_for_ip(request)
    if wait:
        raise HTTPTooManyRequests(headers={"Retry-After": str(wait)})
    form = forms.read(request, SignUpForm)
    if form.value is not None:
        age = sign_up.stamp_age(request, form.value.stamp)
        if age is None or age > sign_up.MAX_FORM_SECONDS:
            form.refuse("", _("This page was open for too long. Press the button once more."))
        elif age < sign_up.MIN_FILL_SECONDS:
            form.refuse("", _("That was very quick. Press the button once more."))
    if form.value is None:
        request.response.status_int = 422
        return _page(request, project, mailing_list, form.values, form.errors)
    if not form.value.website:
        sign_up.sign_up(request, project, mailing_list, email=form.value.email, name=form.value.name)
    return {**_page(request, project, mailing_list, {}, {}), "done": True}


def _open_list(request: Request) -> tuple[Project, MailingList]:
    claims = sign_up.read_token(request, Kind.FORM)
    found = sign_up.list_of(request, claims) if claims is not None else None
    if found is None or not sign_up.is_open(found[1]):
        raise HTTPNotFound()
    use_language(request, letters.language_of(*found))
    return found


def _page(
    request: Request, project: Project, mailing_list: MailingList, values: dict[str, Any], errors: dict[str, Any]
) -> dict[str, Any]:
    # A stamp that is good stays: after a mistake nobody has to wait again.
    kept = str(values.get("stamp", ""))
    age = sign_up.stamp_age(request, kept)
    return {
        "project": project,
        "mailing_list": mailing_list,
        "double": mailing_list.opt_in == OptIn.DOUBLE,
        "values": values,
        "errors": errors,
        "stamp": kept if age is not None and age < sign_up.MAX_FORM_SECONDS else sign_up.stamp(request),
        "done": False,
    }


@view_config(
    route_name="lists.confirm",
    request_method="GET",
    renderer="lists/confirm.html",
    permission=NO_PERMISSION_REQUIRED,
)
def ask(request: Request) -> dict[str, Any]:
    """A page with a button: scanners of mail follow every link, and must not confirm anything."""
    _claims, project, mailing_list = _confirmable(request)
    return {"project": project, "mailing_list": mailing_list, "state": "ask"}


@view_config(
    route_name="lists.confirm",
    request_method="POST",
    renderer="lists/confirm.html",
    permission=NO_PERMISSION_REQUIRED,
    require_csrf=False,
)
def confirm(request: Request) -> dict[str, Any]:
    claims, project, mailing_list = _confirmable(request)
    done = sign_up.confirm(request, project, mailing_list, claims)
    if not done:
        request.response.status_int = 410
    return {"project": project, "mailing_list": mailing_list, "state": "done" if done else "gone"}


def _confirmable(request: Request) -> tuple[Claims, Project, MailingList]:
    claims = sign_up.read_token(request, Kind.CONFIRM)
    found = sign_up.list_of(request, claims) if claims is not None else None
    if claims is None or claims.subscriber is None or claims.expires is None or found is None:
        raise HTTPNotFound()
    use_language(request, letters.language_of(*found))
    return claims, *found
