"""Imports over the JSON API: a multipart upload starts one at once."""

from __future__ import annotations

import json
from typing import Any

from pyramid.request import Request
from pyramid.response import Response

from mailhub.imports import service
from mailhub.imports.columns import guess_mapping
from mailhub.imports.reading import NotACsv
from mailhub.imports.rejected import rejected_csv
from mailhub.imports.resources import ImportContext
from mailhub.imports.schema import ImportOut, import_out
from mailhub.imports.tasks import run_import
from mailhub.models import MailingList, SubscriberImport
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.web.api import endpoint
from mailhub.web.i18n import _
from mailhub.web.problems import ApiProblem, FieldProblem

_PARTS = frozenset({"file", "list_id", "mapping", "update_existing"})


@endpoint(
    "api.imports",
    "POST",
    permission="imports:edit",
    summary="Import a CSV; sending it states that everybody in it has agreed to get the list's letters",
    answer=ImportOut,
    status=202,
    form={
        "file": "the CSV; encoding and delimiter are found out",
        "list_id": "the list that the people join",
        "mapping": 'JSON: {"column header": "email" | "name" | field}; without it the headers are guessed',
        "update_existing": "true (default) or false",
    },
)
def create(context: ProjectContext, request: Request) -> ImportOut:
    if not (request.content_type or "").startswith("multipart/form-data"):
        raise ApiProblem(415, _("Send multipart/form-data with file, list_id and mapping."))
    limit = request.registry.mailhub.upload_max_bytes
    if (request.content_length or 0) > limit + 1024 * 1024:
        raise ApiProblem(413, service.UploadTooLarge(limit).message)
    problems = [
        FieldProblem(name, _("There is no such field.")) for name in dict.fromkeys(request.POST) if name not in _PARTS
    ]
    mailing_list = _list(request, str(request.POST.get("list_id", "")))
    if mailing_list is None:
        problems.append(FieldProblem("list_id", _("There is no such list.")))
    mapping = _mapping(request.POST.get("mapping"), problems)
    existing = str(request.POST.get("update_existing", "true"))
    if existing not in ("true", "false"):
        problems.append(FieldProblem("update_existing", _("This must be yes or no.")))
    given = request.POST.get("file")
    if getattr(given, "file", None) is None:
        problems.append(FieldProblem("file", _("Choose a file.")))
    if problems or mailing_list is None:
        raise ApiProblem(422, _("Some fields are wrong."), problems)
    upload = _receive(request, given, is_mapped=mapping is not None)
    try:
        row = service.create_import(
            request.dbsession,
            project_id=context.project.id,
            list_id=mailing_list.id,
            file_name=given.filename or "file.csv",
            upload=upload,
            user_id=None,
        )
        service.start_import(
            request.dbsession,
            row,
            head=upload.head,
            mapping=guess_mapping(upload.head) if mapping is None else mapping,
            update_existing=existing == "true",
        )
    except service.MappingRefused as refusal:
        service.path_of(request.registry.mailhub, upload.stored_name).unlink(missing_ok=True)
        found = [FieldProblem(f"mapping.{header}".rstrip("."), text) for header, text in refusal.errors.items()]
        raise ApiProblem(422, _("Some fields are wrong."), found) from None
    note(request, "import.started", row, name=row.file_name, list_id=mailing_list.id, consent=str(service.CONSENT))
    request.enqueue(run_import, context.project.id, row.id)
    return _out(request, row)


def _receive(request: Request, given: Any, *, is_mapped: bool) -> service.Upload:
    try:
        return service.receive(request.registry.mailhub, given.file, is_mapped=is_mapped)
    except service.UploadTooLarge as refusal:
        raise ApiProblem(413, refusal.message) from None
    except NotACsv as refusal:
        problem = FieldProblem("file", refusal.message)
        raise ApiProblem(422, refusal.message, [problem]) from None


def _list(request: Request, given: str) -> MailingList | None:
    if not given.isascii() or not given.isdigit() or len(given) > 18:
        return None
    found: MailingList | None = request.dbsession.get(MailingList, (request.project.id, int(given)))
    return found if found is not None and found.archived_at is None else None


def _mapping(given: Any, problems: list[FieldProblem]) -> dict[str, str] | None:
    if given is None or given == "":
        return None
    try:
        mapping = json.loads(given if isinstance(given, str) else given.file.read(1024 * 1024))
    except (ValueError, RecursionError):
        problems.append(FieldProblem("mapping", _("This is not JSON.")))
        return None
    if not isinstance(mapping, dict) or not all(isinstance(meant, str | None) for meant in mapping.values()):
        problems.append(FieldProblem("mapping", _("This must be an object.")))
        return None
    return {header: meant or "" for header, meant in mapping.items()}


@endpoint("api.import", "GET", permission="imports:view", summary="An import and its counters", answer=ImportOut)
def show(context: ImportContext, request: Request) -> ImportOut:
    return _out(request, context.subscriber_import)


@endpoint("api.import_rejected", "GET", permission="imports:view", summary="The rejected rows as a CSV")
def rejected(context: ImportContext, request: Request) -> Response:
    return rejected_csv(request, context.subscriber_import)


def _out(request: Request, row: SubscriberImport) -> ImportOut:
    path = request.route_path("api.import_rejected", import_id=row.id)
    return import_out(row, request.registry.mailhub.public_url.rstrip("/") + path)
