"""Unsubscribing: a page with a button, the mail client's one-click POST (RFC 8058), an undo, a pause, a reason.

A GET changes nothing: scanners follow every link. The token is the only credential, so no cookie and no CSRF token.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config
from sqlalchemy import text

from mailhub.events.service import append_in
from mailhub.lists import letters
from mailhub.lists import service as lists
from mailhub.mail.tokens import BadToken, Claims, Kind
from mailhub.models import (
    EventType,
    LeavingReason,
    Project,
    Subscriber,
    Visibility,
)
from mailhub.preferences import leaving
from mailhub.preferences import service as preferences
from mailhub.preferences.links import page_url
from mailhub.preferences.service import Visit
from mailhub.tracking.facts import event_of
from mailhub.tracking.hit import MAX_AGENT
from mailhub.tracking.refused import LinkGone
from mailhub.web.i18n import use_language

#: A one-click request is one line.
MAX_BODY = 65_536

# The lists that the campaign was written to. Whom only a segment named is in none of them: such a person leaves all.
_LISTS = text(
    """
    SELECT l.id, l.name, l.visibility, l.language, s.status
    FROM mailing_list AS l
    LEFT JOIN subscription AS s
      ON s.project_id = l.project_id AND s.list_id = l.id AND s.subscriber_id = :subscriber
    WHERE l.project_id = :project AND (
        l.id = :list
        OR EXISTS (SELECT FROM campaign_list AS c
                   WHERE c.project_id = l.project_id AND c.campaign_id = :campaign AND c.list_id = l.id
                     AND c.side = 'include')
        OR (s.status IS NOT NULL
            AND EXISTS (SELECT FROM campaign_segment AS g
                        WHERE g.project_id = l.project_id AND g.campaign_id = :campaign AND g.side = 'include')
            AND NOT EXISTS (SELECT FROM campaign_list AS c
                            JOIN subscription AS b ON b.project_id = c.project_id AND b.list_id = c.list_id
                            WHERE c.project_id = l.project_id AND c.campaign_id = :campaign AND c.side = 'include'
                              AND b.subscriber_id = :subscriber)))
    ORDER BY l.id
    """
)


@view_config(
    route_name="tracking.unsubscribe",
    request_method="GET",
    renderer="tracking/unsubscribe.html",
    permission=NO_PERMISSION_REQUIRED,
)
def ask(request: Request) -> dict[str, Any]:
    claims = _claims(request)
    values = _page(request, claims)
    if values["known"] and not any(row.status == "subscribed" for row in values["rows"]):
        values["state"] = "left"
    return values


@view_config(
    route_name="tracking.unsubscribe",
    request_method="POST",
    renderer="tracking/unsubscribe.html",
    permission=NO_PERMISSION_REQUIRED,
    require_csrf=False,
)
def leave(request: Request) -> dict[str, Any] | Response:
    """Leave the lists that the campaign was written to. A mail client's POST gets a plain 200, also the second time."""
    claims = _claims(request)
    # Some clients send RFC 8058's field, some nothing at all: only our own page says anything else.
    fields = _fields(request)
    action = fields.get("action", "one-click")
    state, undo = "left", fields.get("lists", "")
    if claims.subscriber is not None:
        if action in _CHOICES:
            state, undo = _CHOICES[action](request, claims, fields)
        else:
            undo = _written(_leave(request, claims, action, fields))
    if action == "one-click":
        return Response("Unsubscribed.\n", content_type="text/plain", charset="utf-8")
    values = _page(request, claims)
    values["state"], values["undo"] = state, undo
    values["thanks"] = action == "reason"
    return values


def _leave(request: Request, claims: Claims, action: str, fields: Mapping[str, str]) -> list[int]:
    """Leave the campaign's lists, `only` one of them, or `all`; gives those that were left now."""
    ids: list[int] | None = [row.id for row in _rows(request, claims)]
    if action == "only":
        ids = [one for one in ids or () if str(one) == fields.get("list")]
        if not ids:
            return []
    elif action == "all" or not ids:
        ids = None
    left = lists.unsubscribe(
        request.dbsession, **_whom(request, claims, action), list_ids=ids, campaign_id=claims.campaign
    )
    if left:
        _note(request, claims)
        assert claims.project is not None
        assert claims.subscriber is not None
        letters.send_goodbyes(request, project_id=claims.project, subscriber_id=claims.subscriber, list_ids=left)
    return left


def _undo(request: Request, claims: Claims, fields: Mapping[str, str]) -> tuple[str, str]:
    """Into the lists that were left on this page a while ago: what was said about leaving them does not count."""
    assert claims.project is not None
    assert claims.subscriber is not None
    back = lists.resubscribe(
        request.dbsession, **_whom(request, claims, "undo"), list_ids=_just_left(request, claims, fields)
    )
    leaving.take_back(request.dbsession, claims.project, subscriber_id=claims.subscriber, list_ids=back)
    return "back", ""


def _pause(request: Request, claims: Claims, fields: Mapping[str, str]) -> tuple[str, str]:
    """A pause instead: whoever has just left is in the lists again."""
    _undo(request, claims, fields)
    days = next((one for one in preferences.PAUSES if str(one) == fields.get("days")), preferences.PAUSES[0])
    person = request.dbsession.get(Subscriber, (claims.project, claims.subscriber))
    if person is not None:
        visit = Visit(datetime.now(UTC), request.client_addr, (request.user_agent or "")[:MAX_AGENT])
        preferences.pause(request.dbsession, person, days, visit)
    return "paused", ""


def _say(request: Request, claims: Claims, fields: Mapping[str, str]) -> tuple[str, str]:
    """Why they leave. Nothing has to be said."""
    project = request.dbsession.get(Project, claims.project)
    reason = fields.get("reason", "")
    ids = _just_left(request, claims, fields) or [row.id for row in _rows(request, claims)]
    if project is not None and claims.subscriber is not None and reason in set(LeavingReason):
        leaving.say(
            request.dbsession, project, subscriber_id=claims.subscriber, list_ids=ids, campaign_id=claims.campaign,
            reason=LeavingReason(reason), note=fields.get("note", ""), now=datetime.now(UTC),
        )  # fmt: skip
    return "left", fields.get("lists", "")


_CHOICES = {"undo": _undo, "pause": _pause, "reason": _say}


def _whom(request: Request, claims: Claims, action: str) -> dict[str, Any]:
    return {
        "project_id": claims.project,
        "subscriber_id": claims.subscriber,
        "source": "one_click" if action == "one-click" else "page",
        "ip": request.client_addr,
        "user_agent": request.user_agent or "",
    }


def _just_left(request: Request, claims: Claims, fields: Mapping[str, str]) -> list[int]:
    """Of the lists that the page says were left, those that the person has left in the last hour."""
    said = {int(one) for one in fields.get("lists", "").split(",") if one.isascii() and one.isdigit() and len(one) < 19}
    if claims.project is None or claims.subscriber is None:
        return []
    return preferences.just_left(request.dbsession, claims.project, claims.subscriber, said)


def _written(ids: Iterable[int]) -> str:
    return ",".join(map(str, ids))


def _fields(request: Request) -> dict[str, str]:
    """The fields of the body; one that is too large or that nobody can read is empty."""
    if (request.content_length or 0) > MAX_BODY:
        return {}
    try:
        return {name: value for name, value in request.POST.items() if isinstance(value, str)}
    except (ValueError, OSError):
        return {}


def _note(request: Request, claims: Claims) -> None:
    agent = (request.user_agent or "")[:MAX_AGENT]
    event = event_of(request.dbsession, EventType.UNSUBSCRIBED, claims, ip=request.client_addr, user_agent=agent)
    if event is not None:
        append_in(request.dbsession, [event])


def _claims(request: Request) -> Claims:
    try:
        claims: Claims = request.registry.signer.read(Kind.UNSUBSCRIBE, request.matchdict["token"])
    except BadToken:
        raise LinkGone() from None
    if claims.project is None or claims.subscriber is None:
        return claims
    # Whoever was merged with another person leaves as that one.
    person = lists.person_of(request.dbsession, claims.project, claims.subscriber)
    return replace(claims, subscriber=person.id) if person is not None else claims


def _rows(request: Request, claims: Claims) -> list[Any]:
    binds = {
        "project": claims.project,
        "campaign": claims.campaign,
        "list": claims.list,
        "subscriber": claims.subscriber,
    }
    return list(request.dbsession.execute(_LISTS, binds))


def _page(request: Request, claims: Claims) -> dict[str, Any]:
    """The page in the list's language. Names of private lists are nobody's business."""
    project = request.dbsession.get(Project, claims.project)
    if project is None:
        raise LinkGone()
    rows = _rows(request, claims)
    language = next((row.language for row in rows if row.language), project.language)
    use_language(request, language)
    public = [row for row in rows if row.visibility == Visibility.PUBLIC]
    there = claims.subscriber is not None and request.dbsession.get(Subscriber, (project.id, claims.subscriber))
    settings, signer = request.registry.mailhub, request.registry.signer
    return {
        "project": project,
        "rows": rows,
        "names": [row.name for row in public],
        # One of several may be left alone, if its name may be told.
        "single": [row for row in public if row.status == "subscribed"] if len(rows) > 1 else [],
        "known": any(row.status is not None for row in rows),
        "state": "ask",
        "undo": "",
        "thanks": False,
        "pauses": preferences.PAUSES,
        "max_note": leaving.MAX_NOTE,
        "preferences_url": page_url(settings.public_url, signer, claims) if there else "",
    }
