"""Templates in a test: the environment of the site without its database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment
from pyramid.config import Configurator
from pyramid.interfaces import IRoutesMapper
from pyramid.request import Request, apply_request_extensions
from pyramid.session import SignedCookieSessionFactory
from pyramid.threadlocal import RequestContext

from mailhub import routes


def configurator() -> Configurator:
    """The look, the routes of the rooms, a session in a cookie."""
    config = Configurator()
    config.set_session_factory(SignedCookieSessionFactory("test"))
    config.include("mailhub.web.jinja")
    for room in (
        "accounts",
        "projects",
        "segments",
        "lists",
        "suppression",
        "imports",
        "signup",
        "preferences",
        "campaigns",
        "transactional",
        "stats",
        "privacy",
        "exports",
    ):
        config.include(getattr(routes, room))
    return config


@contextmanager
def asking(
    path: str = "/projects/demo/campaigns",
    *,
    language: str = "en",
    zone: str = "UTC",
    granted: frozenset[str] | None = None,
    route: str | None = None,
    **values: Any,
) -> Iterator[Request]:
    """A request to that path by somebody who may what is granted (None: everything), and its registry."""
    config = configurator()
    config.commit()
    request = Request.blank(path, **values)
    request.registry = config.registry
    apply_request_extensions(request)
    request.__dict__.update(
        user=SimpleNamespace(id=1, name="Alice", email="alice@example.test", theme="auto", language=language),
        project=SimpleNamespace(slug="demo", name="Demo", domain="demo.test"),
        my_projects=[],
        time_zone=ZoneInfo(zone),
        notices=list,
        has_permission=lambda permission, context=None: granted is None or permission in granted,
    )
    request.matched_route = config.registry.getUtility(IRoutesMapper).get_route(route) if route else None
    with RequestContext(request):
        yield request


def environment(request: Request) -> Environment:
    """The Jinja environment of that request's registry."""
    config = Configurator(registry=request.registry)
    config.include("pyramid_jinja2")
    found: Environment = config.get_jinja2_environment(".html")
    return found


def render(request: Request, source: str, **values: Any) -> str:
    """A template from a string."""
    return environment(request).from_string(source).render({"request": request, **values})
