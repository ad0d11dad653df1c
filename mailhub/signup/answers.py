"""JSON for pages of other sites: what a form asks, and what has become of it. Any site may read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyramid.request import Request
from pyramid.response import Response

from mailhub.signup import proof
from mailhub.signup.design import plain
from mailhub.signup.opened import Opened
from mailhub.web.i18n import _, translate
from mailhub.web.problems import ApiProblem, problem_response

_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type, Accept",
    "Access-Control-Max-Age": "86400",
    "Access-Control-Expose-Headers": "Retry-After",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Cache-Control": "no-store",
}


def described(
    request: Request, opened: Opened, stamp: str, asks_work: bool, errors: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The form as JSON, with a stamp to send back; `work_bits` is 0 while no work is asked for."""
    document: dict[str, Any] = {
        "title": opened.title,
        "intro": opened.intro,
        "button": opened.design.texts.button or translate(request, _("Subscribe")),
        "language": request.locale_name,
        "state": opened.form.state,
        "double_opt_in": opened.is_double,
        "fields": [
            {
                "name": one.asked.name,
                "label": label_of(request, one.asked.name, one.asked.label, one.field),
                "hint": one.asked.hint,
                "required": one.asked.required,
                "type": one.field.type if one.field is not None else "email" if one.asked.name == "email" else "text",
                "choices": one.field.choices if one.field is not None else [],
            }
            for one in opened.questions
        ],
        "lists": [{"id": str(one.id), "name": one.name, "description": one.description} for one in opened.lists]
        if opened.form.choose_lists
        else [],
        "consents": [
            {"id": number, "text": plain(box.text), "required": box.required}
            for number, box in enumerate(opened.design.boxes)
        ],
        "stamp": stamp,
        "work_bits": proof.BITS if asks_work else 0,
    }
    if errors:
        document["errors"] = [
            {"field": document_name(name), "message": str(request.localizer.translate(message))}
            for name, message in errors.items()
        ]
    return document


def label_of(request: Request, name: str, label: str, field: Any) -> str:
    """What a field is called on the form."""
    if label:
        return label
    if field is not None:
        return str(field.label or field.name)
    return translate(request, _("E-mail") if name == "email" else _("Your name"))


def document_name(name: str) -> str:
    """What the JSON document calls an input of the page."""
    if name.startswith("field_"):
        return f"fields.{name.removeprefix('field_')}"
    return "consents" if name.startswith("box_") else name


def json_answer(request: Request, document: Any, *, status: int = 200) -> Response:
    """An answer that pages of any site may read."""
    response = Response(status=status)
    if document is not None:
        response = Response(json_body=document, status=status, charset="utf-8")
    response.headers.update(_CORS)
    return response


def json_problem(request: Request, problem: ApiProblem) -> Response:
    """A refusal as RFC 9457 says it."""
    response = problem_response(request, problem)
    response.headers.update(_CORS)
    return response
