"""Unsubscribing: a page with a button, the mail client's one-click POST (RFC 8058), and an undo.

A GET changes nothing: scanners follow every link. The token is the only credential, so no cookie and no CSRF token.
"""

from __future__ import annotations

from typing import Any

from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config
from sqlalchemy import text

from mailhub.events.service import append_in
from mailhub.lists import service as lists
from mailhub.mail.tokens import BadToken, Claims, Kind
from mailhub.models import EventType, Project, Visibility
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
    values["left"] = values["known"] and not any(row.status == "subscribed" for row in values["rows"])
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
    assert claims.project is not None
    rows = _rows(request, claims)
    if claims.subscriber is not None:
        ids = [row.id for row in rows]
        whom = {
            "project_id": claims.project,
            "subscriber_id": claims.subscriber,
            "source": "one_click" if action == "one-click" else "page",
            "ip": request.client_addr,
            "user_agent": request.user_agent or "",
        }
        if action == "undo":
            wanted = set(fields.get("lists", "").split(","))
            lists.resubscribe(request.dbsession, **whom, list_ids=[one for one in ids if str(one) in wanted])
        elif left := lists.unsubscribe(request.dbsession, **whom, list_ids=ids or None, campaign_id=claims.campaign):
            _note(request, claims)
            request.environ["mailhub.left"] = left
    if action == "one-click":
        return Response("Unsubscribed.\n", content_type="text/plain", charset="utf-8")
    values = _page(request, claims)
    values["left"] = action != "undo"
    values["back"] = action == "undo"
    values["undo"] = ",".join(str(one) for one in request.environ.get("mailhub.left", ()))
    return values


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
    return claims


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
    return {
        "project": project,
        "rows": rows,
        "names": [row.name for row in rows if row.visibility == Visibility.PUBLIC],
        "known": any(row.status is not None for row in rows),
        "left": False,
        "back": False,
        "undo": "",
    }
