"""Signed-in browsers: the cookie, and its row in PostgreSQL, which can be ended from anywhere.

The cookie is one random value. A browser that has not signed in has one too, without a row: the CSRF token is
derived from it (security/csrf.py), and signing in replaces it, so that a fixed cookie is worth nothing.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from pyramid.request import Request
from pyramid.response import Response
from sqlalchemy import delete, select, text, update
from sqlalchemy.orm import contains_eager

from mailhub.db import side_transaction
from mailhub.models import User, WebSession
from mailhub.security.secrets import digest, new_token

_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")
#: Admins see all projects: their sessions in the reports process end sooner (walls.md, T18).
REPORTS_IDLE_SECONDS, REPORTS_ABSOLUTE_SECONDS = 3600, 12 * 3600
#: `last_seen_at` is written at most this often.
SEEN_EVERY = timedelta(minutes=1)


def cookie_name(request: Request) -> str:
    """`__Host-mailhub` under https, `mailhub` otherwise; the reports process has its own name."""
    name = "mailhub" if _app(request) == "site" else f"mailhub-{_app(request)}"
    return f"__Host-{name}" if _secure(request) else name


def _app(request: Request) -> str:
    return str(request.registry.settings.get("mailhub.process", "site"))


def _secure(request: Request) -> bool:
    url = request.registry.mailhub.public_url if _app(request) == "site" else request.registry.mailhub.reports_url
    return str(url).startswith("https:")


def browser_token(request: Request) -> str:
    """The cookie's value; a fresh one is made, and set on the response, where the browser has none."""
    given = request.cookies.get(cookie_name(request), "")
    if _VALUE.fullmatch(given):
        return str(given)
    token = new_token()
    request.add_response_callback(lambda _request, response: set_cookie(request, response, token))
    return token


def set_cookie(request: Request, response: Response, token: str) -> None:
    response.set_cookie(
        cookie_name(request),
        token,
        httponly=True,
        secure=_secure(request),
        samesite="Lax" if _app(request) == "site" else "Strict",
        path="/",
        overwrite=True,
    )


def lifetimes(request: Request) -> tuple[int, int]:
    """Seconds after which a session of this process has ended: without a request, and in any case."""
    settings = request.registry.mailhub
    idle, absolute = settings.session_idle_seconds, settings.session_absolute_seconds
    if _app(request) == "reports":
        return min(idle, REPORTS_IDLE_SECONDS), min(absolute, REPORTS_ABSOLUTE_SECONDS)
    return idle, absolute


def current(request: Request) -> WebSession | None:
    """The living session of the request's cookie with its user, or None. Its last sight is written once a minute."""
    given = request.cookies.get(cookie_name(request), "")
    if not _VALUE.fullmatch(given):
        return None
    now = datetime.now(UTC)
    idle = timedelta(seconds=lifetimes(request)[0])
    session: WebSession | None = request.dbsession.scalars(
        select(WebSession)
        .join(WebSession.user)
        .options(contains_eager(WebSession.user))
        .where(
            WebSession.token_hash == digest(given),
            WebSession.app == _app(request),
            WebSession.expires_at > now,
            WebSession.last_seen_at > now - idle,
            User.disabled_at.is_(None),
        )
    ).one_or_none()
    if session is not None and now - session.last_seen_at > SEEN_EVERY:
        with side_transaction(request.registry) as side:
            side.execute(update(WebSession).where(WebSession.id == session.id).values(last_seen_at=now))
    return session


def start(request: Request, user: User) -> WebSession:
    """Sign a person in: a new token, a new row; the response sets the cookie."""
    token = new_token()
    now = datetime.now(UTC)
    session = WebSession(
        token_hash=digest(token),
        user_id=user.id,
        app=_app(request),
        ip=request.client_addr,
        user_agent=(request.user_agent or "")[:300],
        created_at=now,
        last_seen_at=now,
        expires_at=now + timedelta(seconds=lifetimes(request)[1]),
    )
    request.dbsession.add(session)
    request.dbsession.flush()
    request.add_response_callback(lambda _request, response: set_cookie(request, response, token))
    return session


def end(request: Request) -> None:
    """Sign the browser out: its row goes, its cookie is replaced by a fresh value."""
    given = request.cookies.get(cookie_name(request), "")
    request.dbsession.execute(delete(WebSession).where(WebSession.token_hash == digest(given)))
    token = new_token()
    request.add_response_callback(lambda _request, response: set_cookie(request, response, token))


def end_others(dbsession: Any, user_id: int, *, keep: int | None = None) -> int:
    """End a person's sessions (all but the one with id `keep`); says how many."""
    ended = delete(WebSession).where(WebSession.user_id == user_id)
    if keep is not None:
        ended = ended.where(WebSession.id != keep)
    return int(dbsession.execute(ended).rowcount)


def add_notice(request: Request, message: Any, kind: str = "ok") -> None:
    """Keep a flash text for the next page. Texts are translated when they are added."""
    session = request.identity.session if request.identity else None
    if session is None:
        return
    shown = request.localizer.translate(message)
    request.dbsession.execute(
        text(
            "UPDATE web_session SET notices = notices || jsonb_build_array("
            "jsonb_build_array(CAST(:kind AS text), CAST(:shown AS text))) WHERE id = :id"
        ),
        {"kind": kind, "shown": shown, "id": session.id},
    )


def take_notices(request: Request) -> list[tuple[str, str]]:
    """The flash texts as (kind, text), which are forgotten by this call. No write where there are none."""
    session = request.identity.session if request.identity else None
    if session is None or not session.notices:
        return []
    waiting = [(kind, shown) for kind, shown in session.notices]
    # The update empties the object's list as well.
    request.dbsession.execute(update(WebSession).where(WebSession.id == session.id).values(notices=[]))
    return waiting
