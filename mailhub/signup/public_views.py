"""A form's page, as strangers see it and as other sites send it: no session, no cookie, the form's language.

The token in the URL is the permission: there is no cookie that a foreign site could abuse, hence no CSRF token.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from mailhub.lists import caps
from mailhub.signup import flood, intake, look, proof
from mailhub.signup.answers import described, json_answer, json_problem
from mailhub.signup.counting import views_of
from mailhub.signup.design import runs
from mailhub.signup.flood import Entry
from mailhub.signup.opened import Opened, by_token, came_from
from mailhub.signup.submitting import Sent, read_document, read_page
from mailhub.signup.tasks import take_in
from mailhub.web.i18n import _, use_language
from mailhub.web.problems import ApiProblem

#: What a browser may do on a form's page; the form itself may only come here, and go on to its own thanks.
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action {action}; base-uri 'none'; frame-ancestors 'none'"
)


@view_config(
    route_name="signup.page", request_method="GET", renderer="signup/page.html", permission=NO_PERMISSION_REQUIRED
)
def show(request: Request) -> Any:
    """The page; a program that asks for JSON gets the form's description with a fresh stamp."""
    opened = _opened(request)
    if _wants_json(request):
        asks_work = _is_work_asked(request, opened)
        return json_answer(request, described(request, opened, _fresh(request, opened), asks_work))
    if not opened.is_open:
        request.response.status_int = 403
        return _page(request, opened, state="closed")
    if request.method != "HEAD":
        views_of(request.registry).seen(opened.project.id, opened.form.id, came_from(request))
    return _page(request, opened, asks_work=_is_work_asked(request, opened))


@view_config(
    route_name="signup.page", request_method="POST", renderer="signup/page.html", permission=NO_PERMISSION_REQUIRED,
    require_csrf=False,
)  # fmt: skip
def submit(request: Request) -> Any:
    """The answer says nothing about the address: whatever it is, the same page comes in the same time.

    A form's fields may be asked for JSON too (`Accept`): `fetch` with a FormData is the shortest script of all.
    """
    opened = _opened(request)
    is_document = request.content_type == "application/json"
    is_json = is_document or _wants_json(request)
    if not opened.is_open:
        return _refusal(request, opened, is_json, 403, "closed")
    cap = caps.network_cap("sign_up", request.client_addr)
    if caps.take(request.registry, [cap]) is not None:
        return _too_many(request, opened, is_json, str(caps.wait_seconds(request.registry, cap)))
    if is_document:
        try:
            sent = read_document(request, opened)
        except ApiProblem as problem:
            return json_problem(request, problem)
    else:
        sent = read_page(request, opened)
    return _judge(request, opened, sent, is_json)


def _too_many(request: Request, opened: Opened, is_json: bool, wait: str) -> Any:
    """A network's cap is reached: a school or an office has one address too, so what was typed is not lost."""
    if is_json:
        problem = ApiProblem(429, _("Too many requests. Wait a moment."), headers={"Retry-After": wait})
        return json_problem(request, problem)
    sent = read_page(request, opened)
    sent.errors = {"": _("Many forms have come from your network just now. Wait a minute and press the button again.")}
    request.response.status_int, request.response.headers["Retry-After"] = 429, wait
    return _page(request, opened, sent=sent, asks_work=_is_work_asked(request, opened))


def _judge(request: Request, opened: Opened, sent: Sent, is_json: bool) -> Any:
    stamp = proof.read(request.registry, opened.key, sent.stamp)
    if sent.given is not None and sent.is_bait:
        return _thanks(request, opened, is_json)
    if sent.given is not None and stamp is not None and intake.was_sent(request, stamp.key):
        return _thanks(request, opened, is_json)
    if stamp is None or stamp.age_seconds > proof.MAX_STAMP_SECONDS:
        _again(sent, _("One more step: press the button once more, so that we know that you are no program."))
    elif stamp.age_seconds < proof.MIN_FILL_SECONDS:
        _again(sent, _("That was very quick. Press the button once more."))
    if sent.given is None:
        return _refused(request, opened, sent, is_json, asks_work=_is_work_asked(request, opened))
    assert stamp is not None
    entry = flood.enter(
        request, opened.form, worked=proof.is_worked(sent.stamp, stamp, sent.work), slow=sent.is_slow
    )
    if entry is Entry.CLOSED:
        # 200: the form has just been paused, and a refusal would take that back.
        return _refusal(request, opened, is_json, 200, "closed")
    if entry in (Entry.WORK, Entry.FULL):
        sent.given = None
        if entry is Entry.WORK:
            sent.errors[""] = _("Many forms are coming in just now. Your browser has to do a small sum first.")
        else:
            sent.errors[""] = _("Many forms are coming in just now. Try again in an hour.")
        return _refused(request, opened, sent, is_json, asks_work=True)
    given = replace(sent.given, host=stamp.host or sent.given.host)
    wait = intake.SLOW_MINUTES if entry is Entry.LATER else 0
    made = intake.accept(request, opened.form, given, stamp_key=stamp.key, wait_minutes=wait)
    if made is not None and not wait:
        request.enqueue(take_in, opened.project.id, made)
    return _thanks(request, opened, is_json)


@view_config(route_name="signup.page", request_method="OPTIONS", permission=NO_PERMISSION_REQUIRED,
             require_csrf=False)  # fmt: skip
def preflight(request: Request) -> Response:
    """Pages of any site may send this form: they could as well link to it."""
    return json_answer(request, None, status=204)


@view_config(route_name="signup.look", request_method="GET", permission=NO_PERMISSION_REQUIRED)
def style(request: Request) -> Response:
    """The form's colours. Its URL changes with them, so browsers may keep it."""
    opened = _opened(request)
    response = Response(look.sheet(opened.design.colours), content_type="text/css", charset="utf-8")
    response.headers["Cache-Control"] = "public, max-age=86400"
    return response


def _opened(request: Request) -> Opened:
    found = by_token(request)
    if found is None:
        raise HTTPNotFound()
    use_language(request, found.language)
    return found


def _wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("Accept", "")


def _is_work_asked(request: Request, opened: Opened) -> bool:
    return flood.is_flooded(request, opened.project.id)


def _fresh(request: Request, opened: Opened, kept: str = "") -> str:
    """A stamp for the page; one that is good stays, so that nobody has to wait again after a mistake."""
    stamp = proof.read(request.registry, opened.key, kept)
    if stamp is not None and stamp.age_seconds < proof.MAX_WORK_SECONDS / 2:
        return kept
    return proof.make(request.registry, opened.key, host=came_from(request))


def _again(sent: Sent, message: Any) -> None:
    if sent.given is not None:
        sent.errors[""] = message
        sent.given = None


def _page(
    request: Request, opened: Opened, *, state: str = "ask", sent: Sent | None = None, asks_work: bool = False
) -> dict[str, Any]:
    target = urlsplit(opened.form.redirect_url)
    action = f"'self' {target.scheme}://{target.netloc}" if opened.form.redirect_url else "'self'"
    request.response.headers["Content-Security-Policy"] = _POLICY.format(action=action)
    request.response.headers["Referrer-Policy"] = "no-referrer"
    return {
        **view_values(opened),
        "state": state,
        "values": sent.values if sent is not None else {},
        "errors": sent.errors if sent is not None else {},
        "stamp": _fresh(request, opened, sent.stamp if sent is not None else ""),
        "work_bits": proof.BITS if asks_work else 0,
        "look_url": request.route_path(
            "signup.look", token=opened.token, _query={"v": look.version(opened.design.colours)}
        ),
    }


def view_values(opened: Opened) -> dict[str, Any]:
    """What the page is made from, for the page itself and for its preview."""
    return {
        "opened": opened,
        "project": opened.project,
        "design": opened.design,
        "texts": opened.design.texts,
        "runs": runs,
        "chooses": opened.form.choose_lists and len(opened.lists) > 1,
    }


def _refused(request: Request, opened: Opened, sent: Sent, is_json: bool, *, asks_work: bool) -> Any:
    if is_json:
        stamp = _fresh(request, opened, sent.stamp)
        return json_answer(request, described(request, opened, stamp, asks_work, sent.errors), status=422)
    request.response.status_int = 422
    return _page(request, opened, sent=sent, asks_work=asks_work)


def _refusal(request: Request, opened: Opened, is_json: bool, status: int, state: str) -> Any:
    if is_json:
        return json_answer(request, {"state": state}, status=status)
    request.response.status_int = status
    return _page(request, opened, state=state)


def _thanks(request: Request, opened: Opened, is_json: bool) -> Any:
    if is_json:
        return json_answer(request, {"state": "accepted", "redirect_url": opened.form.redirect_url or None}, status=202)
    if opened.form.redirect_url:
        # Checked when it was saved: https, a plain host, nothing of it from the visitor.
        return HTTPSeeOther(opened.form.redirect_url)
    return _page(request, opened, state="done")


