"""Views of the JSON API: one decorator that registers the view and describes it for OpenAPI."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import venusian
from pydantic import BaseModel
from pyramid.config import Configurator
from pyramid.renderers import JSON
from pyramid.request import Request

from mailhub.web import forms


@dataclass(frozen=True)
class Operation:
    """One method of one route, as `/api/v1/openapi.json` tells it."""

    route_name: str
    method: str
    permission: str
    summary: str
    body: type[BaseModel] | None
    query: type[BaseModel] | None
    answer: type[BaseModel] | None
    many: bool
    status: int
    form: dict[str, str] | None


def endpoint(
    route_name: str,
    method: str,
    *,
    permission: str,
    summary: str,
    body: type[BaseModel] | None = None,
    query: type[BaseModel] | None = None,
    answer: type[BaseModel] | None = None,
    many: bool = False,
    status: int = 200,
    form: dict[str, str] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make `view(context, request)` answer JSON. `many`: `{"results": [answer…], "next": URL or null}`.

    Without `body` and `form` it takes no fields, and says so. The view returns a model, a dict or None (204). No
    cookie counts here, hence no CSRF token.
    """

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        takes_nothing = method != "GET" and body is None and form is None
        operation = Operation(route_name, method, permission, summary, body, query, answer, many, status, form)

        def answered(context: Any, request: Request) -> Any:
            if takes_nothing and request.content_length:
                forms.read_json(request, forms.Form)
            result = view(context, request)
            if result is None and status == 204:
                return request.response.__class__(status=204)
            if request.response.status_int == 200:
                request.response.status_int = status
            request.response.headers["Cache-Control"] = "no-store"
            return result

        def register(scanner: Any, _name: str, _view: Any) -> None:
            config: Configurator = scanner.config.with_package(view.__module__)
            config.add_view(
                answered,
                route_name=route_name,
                request_method=method,
                permission=permission,
                renderer="json",
                require_csrf=False,
            )
            operations(config.registry).append(operation)

        venusian.attach(view, register, category="pyramid")
        return view

    return decorate


def operations(registry: Any) -> list[Operation]:
    """What the API can do, in the order in which the rooms were scanned."""
    if not hasattr(registry, "api_operations"):
        registry.api_operations = []
    return registry.api_operations


def utc(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC: `2026-11-23T10:00:00.123456Z`."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def includeme(config: Configurator) -> None:
    renderer = JSON(ensure_ascii=False)
    renderer.add_adapter(datetime, lambda value, _request: utc(value))
    renderer.add_adapter(date, lambda value, _request: value.isoformat())
    renderer.add_adapter(UUID, lambda value, _request: str(value))
    renderer.add_adapter(BaseModel, lambda value, _request: value.model_dump(mode="json", by_alias=True))
    config.add_renderer("json", renderer)
