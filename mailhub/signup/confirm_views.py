"""The page of a confirmation letter's link. A GET shows a button: scanners of mail follow every link."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from mailhub.lists import caps
from mailhub.signup import confirming, design, look, opened
from mailhub.signup.confirming import Confirmation
from mailhub.web.i18n import use_language


@view_config(
    route_name="signup.confirm", request_method="GET", renderer="signup/confirm.html",
    permission=NO_PERMISSION_REQUIRED,
)  # fmt: skip
def ask(request: Request) -> dict[str, Any]:
    found = _found(request)
    if found.is_over:
        request.response.status_int = 410
        return _page(request, found, "over")
    return _page(request, found, "ask")


@view_config(
    route_name="signup.confirm", request_method="POST", renderer="signup/confirm.html",
    permission=NO_PERMISSION_REQUIRED, require_csrf=False,
)  # fmt: skip
def confirm(request: Request) -> dict[str, Any]:
    """Confirm; or, where the link is too old, send another, as often as the caps allow. The answer is the same."""
    found = _found(request)
    if found.is_over:
        if caps.take(request.registry, [caps.network_cap("sign_up", request.client_addr)]) is None:
            confirming.send_again(request, found)
        return _page(request, found, "sent")
    state = confirming.confirm(request, found)
    if state == "gone":
        request.response.status_int = 410
    return _page(request, found, state)


def _found(request: Request) -> Confirmation:
    found = confirming.by_token(request)
    if found is None:
        raise HTTPNotFound()
    use_language(request, found.language)
    return found


def _page(request: Request, found: Confirmation, state: str) -> dict[str, Any]:
    request.response.headers["Referrer-Policy"] = "no-referrer"
    form = found.form
    of_form = design.of_form(form.design) if form is not None else None
    return {
        "project": found.project,
        "lists": found.lists,
        "names": ", ".join(one.name for one in found.lists),
        "state": state,
        "already": of_form.texts.already if of_form is not None else "",
        "show_brand": of_form is None or of_form.show_brand,
        "look_url": request.route_path(
            "signup.look", token=opened.token_of(request, form), _query={"v": look.version(of_form.colours)}
        )
        if form is not None and of_form is not None and form.archived_at is None
        else "",
    }
