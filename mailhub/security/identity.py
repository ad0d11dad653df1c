"""Who is asking: a person with a session, a project's API key, or an admin's token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pyramid.request import Request
from sqlalchemy import or_, select, update

from mailhub.db import side_transaction
from mailhub.models import AdminToken, ApiKey, Membership, Project, User, WebSession
from mailhub.security import secrets, sessions

USED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class Identity:
    """Exactly one of session, api_key and admin_token is set."""

    user: User | None = None
    session: WebSession | None = None
    api_key: ApiKey | None = None
    admin_token: AdminToken | None = None

    @property
    def name(self) -> str:
        """For the audit trail: an address, or a key's name."""
        if self.api_key is not None:
            return f"key {self.api_key.name}"
        return self.user.email if self.user is not None else ""


def is_api(request: Request) -> bool:
    """Whether the request is for the JSON API: there only a bearer counts, never a cookie."""
    return bool(request.path_info.startswith("/api/"))


def identify(request: Request) -> Identity | None:
    """The identity of a request; None for a stranger."""
    if request.registry.settings.get("mailhub.process") == "reports":
        return _admin_token(request) if is_api(request) else _session(request)
    return _api_key(request) if is_api(request) else _session(request)


def _session(request: Request) -> Identity | None:
    session = sessions.current(request)
    return Identity(user=session.user, session=session) if session is not None else None


def _bearer(request: Request, prefix: str) -> tuple[str, str] | None:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    return secrets.parse(prefix, value.strip()) if scheme.lower() == "bearer" else None


def _api_key(request: Request) -> Identity | None:
    given = _bearer(request, "mh")
    if given is None:
        return None
    key_id, secret = given
    now = datetime.now(UTC)
    key = request.dbsession.scalars(
        select(ApiKey)
        .join(Project, Project.id == ApiKey.project_id)
        .where(
            ApiKey.key_id == key_id,
            Project.archived_at.is_(None),
            ApiKey.revoked_at.is_(None),
            or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now),
        )
    ).one_or_none()
    if key is None or not secrets.matches(key.secret_hash, secret):
        return None
    if key.last_used_at is None or now - key.last_used_at > USED_EVERY:
        with side_transaction(request.registry) as side:
            side.execute(
                update(ApiKey).where(ApiKey.key_id == key_id).values(last_used_at=now, last_used_ip=request.client_addr)
            )
    return Identity(api_key=key)


def _admin_token(request: Request) -> Identity | None:
    given = _bearer(request, "mha")
    if given is None:
        return None
    key_id, secret = given
    found = request.dbsession.execute(
        select(AdminToken, User)
        .join(User, User.id == AdminToken.user_id)
        .where(
            AdminToken.key_id == key_id,
            AdminToken.revoked_at.is_(None),
            User.is_admin,
            User.disabled_at.is_(None),
        )
    ).one_or_none()
    if found is None or not secrets.matches(found.AdminToken.secret_hash, secret):
        return None
    now = datetime.now(UTC)
    if found.AdminToken.last_used_at is None or now - found.AdminToken.last_used_at > USED_EVERY:
        with side_transaction(request.registry) as side:
            side.execute(update(AdminToken).where(AdminToken.key_id == key_id).values(last_used_at=now))
    return Identity(user=found.User, admin_token=found.AdminToken)


def project_and_role(request: Request) -> tuple[Project | None, str | None]:
    """The project of a request and the person's role in it; an API key has its project and no role."""
    identity: Identity | None = request.identity
    if identity is None:
        return None, None
    if identity.api_key is not None:
        return request.dbsession.get(Project, identity.api_key.project_id), None
    slug = (request.matchdict or {}).get("project")
    if slug is None or identity.user is None:
        return None, None
    found = request.dbsession.execute(
        select(Project, Membership.role)
        .join(Membership, Membership.project_id == Project.id)
        .where(Project.slug == slug, Project.archived_at.is_(None), Membership.user_id == identity.user.id)
    ).one_or_none()
    return (found.Project, found.role) if found is not None else (None, None)
