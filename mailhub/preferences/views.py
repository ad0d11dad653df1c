"""A person's own page: their lists, pauses, details, address, data. No session, no cookie, no script.

The token in the URL is the permission, so there is no CSRF token. A GET changes nothing: scanners follow every link.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther, HTTPTooManyRequests
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from mailhub.lists.fields import written_value
from mailhub.lists.forms import ADDRESS_FAULTS
from mailhub.lists.letters import send_goodbyes
from mailhub.lists.speaking import public_url
from mailhub.mail.address import InvalidAddress, parse_address
from mailhub.models import Tracking
from mailhub.preferences import address, caps, letters, links, service
from mailhub.preferences.links import Opened
from mailhub.preferences.service import Visit
from mailhub.web.i18n import LANGUAGES, _, choose_language, languages_of

#: A page of choices is small.
MAX_BODY = 262_144
MAX_NAME = 300
#: What a change says when the page is there again.
NOTICES = {
    "lists": _("Your choice of letters is saved."),
    "left": _("You are unsubscribed from everything. A letter that is already on its way may still come."),
    "back": _("You are subscribed again, as before."),
    "paused": _("Your letters are paused."),
    "resumed": _("The pause is over: your letters go on."),
    "details": _("Your details are saved."),
    "asked": _("We have written to the new address. It is yours here as soon as you press the button of that letter."),
    "counted": _("Your opens and clicks may be counted again."),
    "uncounted": _("Your opens and clicks are no longer counted."),
    "same": _("Nothing has changed."),
}


class Wrong(Exception):
    """Input that cannot be taken: field → sentence. The page shows it beside what was typed."""

    def __init__(self, **errors: Any) -> None:
        super().__init__(", ".join(errors))
        self.errors = errors


@view_config(
    route_name="preferences.page",
    request_method="GET",
    renderer="preferences/page.html",
    permission=NO_PERMISSION_REQUIRED,
)
def show(request: Request) -> dict[str, Any] | Response:
    found = _opened(request)
    return _page(request, found, {}, {}) if found is not None else _gone(request)


@view_config(
    route_name="preferences.page",
    request_method="POST",
    renderer="preferences/page.html",
    permission=NO_PERMISSION_REQUIRED,
    require_csrf=False,
)
def change(request: Request) -> dict[str, Any] | Response:
    """One of the page's forms; its button says which. Then the page again, with what was done."""
    found = _opened(request)
    if found is None:
        return _gone(request)
    fields = fields_of_body(request)
    deed = _DEEDS.get(fields.get("action", [""])[-1])
    if deed is None:
        return _back(request, "same")
    visit = visit_of(request)
    try:
        done = deed(request, found, fields, visit)
        return _back(request, *(done if isinstance(done, tuple) else (done,)))
    except Wrong as wrong:
        request.response.status_int = 422
        return _page(request, found, {name: given[-1] for name, given in fields.items()}, wrong.errors)


_Fields = dict[str, list[str]]
#: Which notice the page has, with the lists that were left now.
_Done = tuple[str, list[int]]


def _lists(request: Request, found: Opened, fields: _Fields, visit: Visit) -> _Done:
    joined, left = service.choose_lists(
        request.dbsession, found.project, found.person, found.claims, _numbers(fields.get("lists", [])), visit,
        shown=_numbers(fields["shown"]) if "shown" in fields else None,
    )  # fmt: skip
    _say_goodbye(request, found, left)
    return ("lists" if joined or left else "same"), left


def _numbers(given: list[str]) -> set[int]:
    return {int(one) for one in given if one.isascii() and one.isdigit() and len(one) < 19}


def _leave_all(request: Request, found: Opened, _fields: _Fields, visit: Visit) -> _Done:
    left = service.leave(request.dbsession, found.project, found.person, found.claims, None, visit)
    _say_goodbye(request, found, left)
    return "left", left


def _undo(request: Request, found: Opened, fields: _Fields, visit: Visit) -> str:
    said = _numbers(fields.get("undo", [""])[-1].split(","))
    return "back" if service.undo(request.dbsession, found.person, said, visit) else "same"


def _say_goodbye(request: Request, found: Opened, left: list[int]) -> None:
    send_goodbyes(request, project_id=found.project.id, subscriber_id=found.person.id, list_ids=left)


def _pause(request: Request, found: Opened, fields: _Fields, visit: Visit) -> str:
    days = fields.get("days", [""])[-1]
    chosen = next((one for one in service.PAUSES if str(one) == days), None)
    if chosen is None:
        return "same"
    service.pause(request.dbsession, found.person, chosen, visit)
    return "paused"


def _resume(request: Request, found: Opened, _fields: _Fields, visit: Visit) -> str:
    return "resumed" if service.end_pause(request.dbsession, found.person, visit) else "same"


def _details(request: Request, found: Opened, fields: _Fields, visit: Visit) -> str:
    name = " ".join(fields.get("name", [""])[-1].split())
    if len(name) > MAX_NAME:
        raise Wrong(name=_("Use at most ${n} characters.", mapping={"n": MAX_NAME}))
    if not name.isprintable():
        raise Wrong(name=_("Line breaks and invisible characters are not possible here."))
    values = {key.removeprefix("field_"): given[-1] for key, given in fields.items() if key.startswith("field_")}
    try:
        changed = service.change_details(request.dbsession, found.person, name=name, values=values, visit=visit)
    except service.WrongValues as wrong:
        raise Wrong(**{f"field_{key}": message for key, message in wrong.errors.items()}) from None
    return "details" if changed else "same"


def _address(request: Request, found: Opened, fields: _Fields, visit: Visit) -> str:
    """A letter to the new address. The answer is the same whoever has that address, and when a cap is reached."""
    try:
        wanted = parse_address(fields.get("email", [""])[-1])
    except InvalidAddress as refusal:
        raise Wrong(email=ADDRESS_FAULTS[refusal.reason_code]) from None
    if wait := caps.wait_for_ip(request):
        raise HTTPTooManyRequests(headers={"Retry-After": str(wait)})
    if wanted.key == found.person.email_key:
        raise Wrong(email=_("This is the address that you have now."))
    if caps.may_write(request, found.project.id, wanted):
        token = address.ask(request.dbsession, found.person, wanted.email, language=request.locale_name, now=visit.now)
        url, hours = public_url(request, "preferences.address", token=token), address.WAIT.total_seconds() // 3600
        letters.send_question(
            request, found.project, request.locale_name, to_email=wanted.email, url=url, hours=int(hours)
        )
    return "asked"


def _tracking(request: Request, found: Opened, fields: _Fields, visit: Visit) -> str:
    counted = "uncounted" not in fields
    changed = service.count_me(request.dbsession, found.person, counted=counted, visit=visit)
    return ("counted" if counted else "uncounted") if changed else "same"


_DEEDS: dict[str, Callable[[Request, Opened, _Fields, Visit], str | _Done]] = {
    "lists": _lists,
    "leave_all": _leave_all,
    "undo": _undo,
    "pause": _pause,
    "resume": _resume,
    "details": _details,
    "address": _address,
    "tracking": _tracking,
}


def visit_of(request: Request) -> Visit:
    """From where the request comes, and the moment."""
    return Visit(datetime.now(UTC), request.client_addr, (request.user_agent or "")[:300])


def fields_of_body(request: Request) -> _Fields:
    """The fields of the body, all values of each; one that is too large or that nobody can read is empty."""
    if (request.content_length or 0) > MAX_BODY:
        return {}
    try:
        return {
            name: [value.replace("\0", "") for value in request.POST.getall(name) if isinstance(value, str)] or [""]
            for name in request.POST
        }
    except (ValueError, OSError):
        return {}


def _opened(request: Request) -> Opened | None:
    found = links.opened(request.dbsession, request.registry.signer, request.matchdict["token"], now=time.time())
    if found is not None:
        choose_language(request, found.language)
    return found


def _gone(request: Request) -> Response:
    """A link that is too old leads to where one asks for a new one; one that nobody can read is a 404."""
    if links.project_of(request.dbsession, request.registry.signer, request.matchdict["token"]) is None:
        raise HTTPNotFound()
    return HTTPSeeOther(request.route_path("preferences.ask", token=request.matchdict["token"]))


def _back(request: Request, done: str, left: Sequence[int] = ()) -> Response:
    query = {"lang": request.GET["lang"]} if request.GET.get("lang") in LANGUAGES else {}
    query |= {"done": done} | ({"undo": ",".join(map(str, left))} if left else {})
    return HTTPSeeOther(f"{request.path}?{urlencode(query, safe=',')}")


def _undoable(request: Request, found: Opened) -> list[int]:
    said = _numbers(request.GET.get("undo", "").split(","))
    return service.just_left(request.dbsession, found.project.id, found.person.id, said)


def _page(request: Request, found: Opened, values: dict[str, str], errors: dict[str, Any]) -> dict[str, Any]:
    project, person = found.project, found.person
    fields = service.editable_fields(request.dbsession, project.id)
    known = {f"field_{one.name}": written_value(one, person.fields.get(one.name)) for one in fields}
    paused = person.paused_until if person.paused_until and person.paused_until > datetime.now(UTC) else None
    return {
        "project": project,
        "person": person,
        # Whoever was passed a letter on has the link too, and does not learn the address by it.
        "masked": address.masked(person.email),
        "choices": service.choices(request.dbsession, person),
        "fields": fields,
        "values": {"name": person.name, "email": "", **known, **values},
        "errors": errors,
        "paused_until": paused,
        "pauses": service.PAUSES,
        "asks_tracking": project.tracking != Tracking.OFF,
        "notice": NOTICES.get(request.GET.get("done", "")) if not errors else None,
        # The address may be old, or made up: only what was left within the hour can be undone.
        "undo": ",".join(map(str, _undoable(request, found))) if not errors else "",
        "languages_of_page": languages_of(request),
        "token": request.matchdict["token"],
    }
