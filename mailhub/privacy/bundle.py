"""A person's data as a ZIP: a JSON document for programs, an HTML page for people. Both say the same."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import date, datetime
from typing import Any

from pyramid.renderers import render
from pyramid.request import Request
from pyramid.response import Response

from mailhub.models import Project, Subscriber
from mailhub.privacy import person as persons
from mailhub.web.api import utc


def as_json(document: dict[str, Any]) -> bytes:
    """The document in UTF-8; times are RFC 3339 in UTC."""
    return json.dumps(document, ensure_ascii=False, indent=2, default=_plain).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return utc(value)
    return value.isoformat() if isinstance(value, date) else str(value)


def answer(request: Request, project: Project, person: Subscriber) -> Response:
    """The ZIP to save, in the request's language."""
    document = persons.collect(request.dbsession, project, person)
    page = render("privacy/export.html", {"data": document}, request=request)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.json", as_json(document))
        archive.writestr("data.html", page)
    response = Response(body=out.getvalue(), content_type="application/zip")
    # The address is no part of the name: names of files end up in many places.
    response.headers["Content-Disposition"] = f'attachment; filename="{project.slug}-person-{person.id}.zip"'
    response.headers["Cache-Control"] = "no-store"
    return response
