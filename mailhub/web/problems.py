"""Refusals of the JSON API: RFC 9457 problem documents."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from pyramid.request import Request
from pyramid.response import Response


@dataclass
class FieldProblem:
    """What is wrong with one field; `field` is a path like `from.email`, empty for the whole document."""

    field: str
    message: Any


@dataclass
class ApiProblem(Exception):
    """Raised by API views: it rolls the transaction back and becomes a problem document."""

    status: int
    detail: Any = ""
    errors: list[FieldProblem] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)


def problem_response(request: Request, problem: ApiProblem) -> Response:
    """`application/problem+json` with type, title, status, detail, errors and the request's id."""
    response = Response(
        json_body={
            "type": "about:blank",
            "title": HTTPStatus(problem.status).phrase,
            "status": problem.status,
            "detail": _english(problem.detail),
            "errors": [{"field": one.field, "message": _english(one.message)} for one in problem.errors],
            "request_id": request.id,
        },
        status=problem.status,
        content_type="application/problem+json",
        charset="utf-8",
    )
    for name, value in problem.headers.items():
        response.headers[name] = value
    return response


def _english(message: Any) -> str:
    """The API speaks English: a translation string's own text, with its placeholders filled in."""
    interpolate = getattr(message, "interpolate", None)
    return str(interpolate()) if interpolate is not None else str(message)
