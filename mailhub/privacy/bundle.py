"""A person's data as a ZIP: a JSON document for programs, an HTML page for people. Both say the same."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import IO, Any

from pyramid.request import Request
from pyramid.response import FileIter, Response
from pyramid_jinja2 import IJinja2Environment

from mailhub.models import Project, Subscriber
from mailhub.privacy import person as persons
from mailhub.privacy.person import Known
from mailhub.web.api import utc
from mailhub.web.assets import ROOT

#: What is larger is kept on disk while it is sent: a person may have any number of letters, memory stays flat.
_IN_MEMORY_BYTES = 1024 * 1024
_BLOCK = 64 * 1024
_STYLE = ROOT / "static" / "css" / "person.css"


def as_zip(request: Request, project: Project, person: Subscriber) -> Response:
    """The ZIP to save, in the request's language."""
    known = persons.collect(request.dbsession, project, person)
    spool = _spool()
    with zipfile.ZipFile(spool, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, pieces in (("data.json", _json(known)), ("data.html", _html(request, known))):
            with archive.open(name, "w", force_zip64=True) as file:
                _write(file, pieces)
        archive.write(_STYLE, "data.css")
    # The address is no part of the name: names of files end up in many places.
    return _answer(spool, "application/zip", f"{project.slug}-person-{person.id}.zip")


def as_json(request: Request, project: Project, person: Subscriber) -> Response:
    """The JSON document alone, in UTF-8; times are RFC 3339 in UTC."""
    spool = _spool()
    _write(spool, _json(persons.collect(request.dbsession, project, person)))
    return _answer(spool, "application/json", f"{project.slug}-person-{person.id}.json")


def _json(known: Known) -> Iterator[str]:
    """The parts of the document, of which letters and events come row by row."""
    yield "{"
    for name, value in known.about.items():
        yield f"\n{json.dumps(name)}: {_text(value)},"
    for name, rows in (("letters", known.letters()), ("events", known.events())):
        yield f'\n"{name}": ['
        for n, row in enumerate(rows):
            yield (",\n" if n else "\n") + _text(row)
        yield "\n]" + ("," if name == "letters" else "\n}\n")


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return utc(value)
    return value.isoformat() if isinstance(value, date) else str(value)


def _html(request: Request, known: Known) -> Iterator[str]:
    template = request.registry.getUtility(IJinja2Environment, ".html").get_template("privacy/export.html")
    return iter(template.generate(request=request, data=known.about, letters=known.letters(), events=known.events()))


def _spool() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)


def _write(file: IO[bytes], pieces: Iterable[str]) -> None:
    held: list[str] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size > _BLOCK:
            file.write("".join(held).encode())
            held, size = [], 0
    file.write("".join(held).encode())


def _answer(spool: IO[bytes], content_type: str, name: str) -> Response:
    size = spool.tell()
    spool.seek(0)
    response = Response(content_type=content_type, charset="utf-8" if content_type == "application/json" else None)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "no-store"
    # Unlike a generator it closes the file too where nobody reads it, as with HEAD.
    response.app_iter = FileIter(spool, _BLOCK)
    response.content_length = size
    return response
