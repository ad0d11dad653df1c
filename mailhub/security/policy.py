"""Pyramid's security policy: identity from identity.py, permission from the one table."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.security import Allowed, Denied

from mailhub.models import Project, User
from mailhub.security import permissions, sessions
from mailhub.security.context import ProjectContext
from mailhub.security.identity import Identity, identify, project_and_role


class SecurityPolicy:
    """`authenticated` for any signed-in person, `admin` for staff, the rest by role or scope in the project."""

    def identity(self, request: Request) -> Identity | None:
        if not hasattr(request, "_mailhub_identity"):
            request._mailhub_identity = identify(request)
        return request._mailhub_identity

    def authenticated_userid(self, request: Request) -> str | None:
        identity = self.identity(request)
        return identity.name if identity is not None else None

    def permits(self, request: Request, context: Any, permission: str) -> Allowed | Denied:
        identity = self.identity(request)
        if identity is None:
            return Denied("nobody has signed in")
        if permission == "authenticated":
            return Allowed("signed in") if identity.session is not None else Denied("for people only")
        if permission == "admin":
            admin = identity.user is not None and identity.user.is_admin
            return Allowed("staff") if admin else Denied("for staff only")
        if not isinstance(context, ProjectContext) and request.project is None:
            return Denied("no project")
        return Allowed("granted") if permission in request.granted else Denied("not granted")

    def remember(self, request: Request, userid: str, **_kw: Any) -> list[tuple[str, str]]:
        raise NotImplementedError("sessions.start() signs a person in")

    def forget(self, request: Request, **_kw: Any) -> list[tuple[str, str]]:
        return []


def _user(request: Request) -> User | None:
    return request.identity.user if request.identity is not None else None


def _where(request: Request) -> tuple[Project | None, str | None]:
    return project_and_role(request)


def _granted(request: Request) -> frozenset[str]:
    """The permissions in the request's project."""
    identity: Identity | None = request.identity
    if identity is None or request.project is None:
        return frozenset()
    if identity.api_key is not None:
        return permissions.of_scopes(identity.api_key.scopes)
    return permissions.of_role(request.role)


def _time_zone(request: Request) -> ZoneInfo:
    """In which times are shown: the person's choice, else the project's."""
    user, project = request.user, request.project
    return ZoneInfo((user.time_zone if user else None) or (project.time_zone if project else None) or "UTC")


def includeme(config: Configurator) -> None:
    config.set_security_policy(SecurityPolicy())
    # A view that says nothing is for signed-in people at the least; public ones say NO_PERMISSION_REQUIRED.
    config.set_default_permission("authenticated")
    config.add_request_method(_user, "user", reify=True)
    config.add_request_method(_where, "project_and_role", reify=True)
    config.add_request_method(lambda request: request.project_and_role[0], "project", reify=True)
    config.add_request_method(lambda request: request.project_and_role[1], "role", reify=True)
    config.add_request_method(_granted, "granted", reify=True)
    config.add_request_method(_time_zone, "time_zone", reify=True)
    config.add_request_method(sessions.add_notice, "notice")
    config.add_request_method(sessions.take_notices, "notices")
