"""Imports over the JSON API: a multipart upload starts one at once, or is only checked."""

from __future__ import annotations

import json
from typing import Any

from pyramid.request import Request
from pyramid.response import Response

from mailhub.background.service import TooManyJobs
from mailhub.imports import checking, queries, service, undo
from mailhub.imports.columns import guess_mapping
from mailhub.imports.reading import NotACsv
from mailhub.imports.rejected import rejected_csv
from mailhub.imports.resources import ImportContext
from mailhub.imports.rules import Rules
from mailhub.imports.schema import CheckOut, ImportOut, ImportsQuery, RulesIn, import_out
from mailhub.imports.tasks import run_import
from mailhub.lists.fields import known_fields
from mailhub.models import MailingList, SubscriberImport
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.web import forms
from mailhub.web.api import endpoint
from mailhub.web.i18n import _
from mailhub.web.paging import next_url
from mailhub.web.problems import ApiProblem, FieldProblem

_PARTS = frozenset({"file", "list_id", "list_ids", "mapping", "update_existing", "rules", "dry_run"})
#: Lists that one import fills at most.
MOST_LISTS = 50


@endpoint("api.imports", "GET", permission="imports:view", summary="Imports, the newest first", query=ImportsQuery,
          answer=ImportOut, many=True)  # fmt: skip
def index(context: ProjectContext, request: Request) -> dict[str, Any]:
    query = forms.read_query(request, ImportsQuery)
    page = queries.imports(request.dbsession, project_id=context.project.id, after=query.after, limit=query.limit)
    return {"results": [_out(request, one.row) for one in page.rows], "next": next_url(request, page)}


@endpoint(
    "api.imports",
    "POST",
    permission="imports:edit",
    summary="Import a file; sending it states that everybody in it has agreed to get the lists' letters",
    answer=ImportOut,
    status=202,
    form={
        "file": "CSV, TSV, XLSX, ODS, or a ZIP with one CSV; encoding and delimiter are found out",
        "list_id": "the list that the people join",
        "list_ids": "JSON: several lists instead of one, as in [1, 2]",
        "mapping": 'JSON: {"column header": "email" | "name" | ":tags" | field}; without it the headers are guessed',
        "update_existing": "true (default) or false; the same as `existing` of the rules",
        "rules": 'JSON: {"status": "subscribed" | "unconfirmed" (they are asked by a letter), "existing": "update" |'
        ' "skip", "tags": […], "consent_source": "…", "bad_values": "reject" | "leave_out"}',
        "dry_run": "true: nothing is imported, `check` says what would be; POST /imports/{id}/start then imports it",
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
    lists = _lists(request, problems)
    mapping = _mapping(request.POST.get("mapping"), problems)
    rules = _rules(request, problems)
    dry_run = _switch(request, "dry_run", "false", problems)
    given = request.POST.get("file")
    if getattr(given, "file", None) is None:
        problems.append(FieldProblem("file", _("Choose a file.")))
    if problems or rules is None:
        raise ApiProblem(422, _("Some fields are wrong."), problems)
    upload = _receive(request, given, is_mapped=mapping is not None)
    row = service.create_import(
        request.dbsession,
        project_id=context.project.id,
        file_name=given.filename or "file.csv",
        upload=upload,
        user_id=None,
    )
    try:
        if mapping is None:
            mapping = guess_mapping(upload.head, known_fields(request.dbsession, project_id=context.project.id))
        service.save_mapping(request.dbsession, row, mapping)
        service.save_rules(
            request.dbsession, row, list_ids=[one.id for one in lists], rules=rules, statement=str(service.CONSENT)
        )
        if dry_run:
            _check(request, row)
        else:
            service.start(request.dbsession, row)
    except (service.MappingRefused, ApiProblem) as refusal:
        service.path_of(request.registry.mailhub, upload.stored_name).unlink(missing_ok=True)
        if isinstance(refusal, ApiProblem):
            raise
        found = [FieldProblem(f"mapping.{header}".rstrip("."), text) for header, text in refusal.errors.items()]
        raise ApiProblem(422, _("Some fields are wrong."), found) from None
    if not dry_run:
        _started(request, row)
    return _out(request, row)


def _started(request: Request, row: SubscriberImport) -> None:
    note(request, "import.started", row, name=row.file_name, list_id=row.list_id, consent=str(service.CONSENT))
    request.enqueue(run_import, row.project_id, row.id)


def _check(request: Request, row: SubscriberImport) -> None:
    try:
        checking.begin(request, row)
    except TooManyJobs:
        raise ApiProblem(429, _("Too many jobs of this project wait already. Try again in some minutes.")) from None


def _receive(request: Request, given: Any, *, is_mapped: bool) -> service.Upload:
    try:
        return service.receive(request.registry.mailhub, given.file, is_mapped=is_mapped)
    except service.UploadTooLarge as refusal:
        raise ApiProblem(413, refusal.message) from None
    except NotACsv as refusal:
        problem = FieldProblem("file", refusal.message)
        raise ApiProblem(422, refusal.message, [problem]) from None


def _lists(request: Request, problems: list[FieldProblem]) -> list[MailingList]:
    """The lists that are named; a problem for each that is not one of the project's in use."""
    given = request.POST.get("list_ids")
    name = "list_ids" if given else "list_id"
    ids = _json(given, "list_ids", problems) if given else [request.POST.get("list_id")]
    if not isinstance(ids, list) or not ids or len(ids) > MOST_LISTS:
        problems.append(FieldProblem(name, _("Choose a list.")))
        return []
    found = [queries.list_in_use(request.dbsession, request.project.id, str(one or "")) for one in ids]
    if None in found:
        problems.append(FieldProblem(name, _("There is no such list.")))
    return [one for one in found if one is not None]


def _rules(request: Request, problems: list[FieldProblem]) -> Rules | None:
    update = _switch(request, "update_existing", "true", problems)
    given = request.POST.get("rules")
    if not given:
        return Rules(update=update)
    document = _json(given, "rules", problems)
    if not isinstance(document, dict):
        problems.append(FieldProblem("rules", _("This must be an object.")))
        return None
    form = forms.validate_values(RulesIn, {"existing": "update" if update else "skip"} | document)
    if form.value is None:
        problems += [FieldProblem(f"rules.{name}", text) for name, text in form.errors.items()]
        return None
    asked = form.value
    return Rules(
        status=asked.status,
        update=asked.existing == "update",
        tags=tuple(asked.tags),
        consent_source=asked.consent_source,
        strict=asked.bad_values == "reject",
    )


def _switch(request: Request, name: str, default: str, problems: list[FieldProblem]) -> bool:
    given = str(request.POST.get(name, default))
    if given not in ("true", "false"):
        problems.append(FieldProblem(name, _("This must be yes or no.")))
    return given == "true"


def _json(given: Any, name: str, problems: list[FieldProblem]) -> Any:
    try:
        return json.loads(given if isinstance(given, str) else given.file.read(1024 * 1024))
    except (ValueError, RecursionError):
        problems.append(FieldProblem(name, _("This is not JSON.")))
        return None


def _mapping(given: Any, problems: list[FieldProblem]) -> dict[str, str] | None:
    if given is None or given == "":
        return None
    known = len(problems)
    mapping = _json(given, "mapping", problems)
    if len(problems) > known:
        return None
    if not isinstance(mapping, dict) or not all(isinstance(meant, str | None) for meant in mapping.values()):
        problems.append(FieldProblem("mapping", _("This must be an object.")))
        return None
    return {header: meant or "" for header, meant in mapping.items()}


@endpoint("api.import", "GET", permission="imports:view", summary="An import and its counters", answer=ImportOut)
def show(context: ImportContext, request: Request) -> ImportOut:
    return _out(request, context.subscriber_import)


@endpoint("api.import_rejected", "GET", permission="imports:view",
          summary="The rejected and skipped rows as a CSV, in the file's own columns")  # fmt: skip
def rejected(context: ImportContext, request: Request) -> Response:
    return rejected_csv(request, context.subscriber_import)


@endpoint("api.import_start", "POST", permission="imports:edit", summary="Import what a dry run has looked at",
          answer=ImportOut, status=202)  # fmt: skip
def start(context: ImportContext, request: Request) -> ImportOut:
    row = context.subscriber_import
    try:
        started = service.start(request.dbsession, row)
    except service.ImportRefused as refusal:
        raise ApiProblem(409, refusal.message) from None
    except service.MappingRefused as refusal:
        raise ApiProblem(409, next(iter(refusal.errors.values()))) from None
    if not started:
        raise ApiProblem(409, _("This import has been started already."))
    _started(request, row)
    return _out(request, row)


@endpoint("api.import_cancel", "POST", permission="imports:edit",
          summary="Stop an import; what was imported stays and can be rolled back", answer=ImportOut)  # fmt: skip
def cancel(context: ImportContext, request: Request) -> ImportOut:
    row = context.subscriber_import
    try:
        service.cancel(request.dbsession, row)
    except service.ImportRefused as refusal:
        raise ApiProblem(409, refusal.message) from None
    note(request, "import.cancelled", row, name=row.file_name)
    return _out(request, row)


@endpoint("api.import_rollback", "POST", permission="imports:edit",
          summary="Take an import back: who was created goes, who was changed is as before", answer=ImportOut,
          status=202)  # fmt: skip
def rollback(context: ImportContext, request: Request) -> ImportOut:
    row = context.subscriber_import
    try:
        undo.begin(request, row)
    except service.ImportRefused as refusal:
        raise ApiProblem(409, refusal.message) from None
    except TooManyJobs:
        raise ApiProblem(429, _("Too many jobs of this project wait already. Try again in some minutes.")) from None
    note(request, "import.rolled_back", row, name=row.file_name)
    return _out(request, row)


def _out(request: Request, row: SubscriberImport) -> ImportOut:
    path = request.route_path("api.import_rejected", import_id=row.id)
    job = checking.job_of(request, row)
    check = None
    if row.checked or job is not None:
        counts = {name: n for name, n in row.checked.items() if isinstance(n, int)}
        check = CheckOut(
            state=job.state if job is not None else "done", counts=counts, error=job.error if job is not None else ""
        )
    return import_out(
        row,
        list_ids=[one.id for one in service.lists_of(request.dbsession, row)],
        rejected_url=request.registry.mailhub.public_url.rstrip("/") + path,
        check=check,
    )
