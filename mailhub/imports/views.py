"""Pages of imports: all of them, the upload, its columns, its progress and result."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import Field
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from mailhub.imports import queries, service
from mailhub.imports.columns import guess_mapping
from mailhub.imports.head import Head, look, read_head
from mailhub.imports.person import EMAIL, NAME
from mailhub.imports.reading import DELIMITERS, ENCODINGS, NotACsv, Reading
from mailhub.imports.rejected import SKIP_REASONS, rejected_csv, rejected_rows, sentence, skipped_counts
from mailhub.imports.resources import ImportContext
from mailhub.imports.tasks import run_import
from mailhub.lists import queries as lists
from mailhub.lists.fields import clean_field_name, known_fields
from mailhub.lists.forms import RowIdText
from mailhub.models import ImportState, MailingList, SubscriberImport
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.web import forms, htmx
from mailhub.web.i18n import _
from mailhub.web.paging import first_url, next_url

#: What a column's select says for "leave it out" and "make it a field of that name".
IGNORE, FIELD = "", "field:"


class ColumnsForm(forms.Form):
    """How a file is read and what becomes of it; the view reads `column_<n>`. The action `look` only shows it anew."""

    encoding: str = Field(max_length=20)
    delimiter: str = Field(max_length=3)
    list_id: RowIdText
    existing: str = Field(default="update", pattern="^(update|skip)$")
    consent: str = Field(default="", max_length=1)
    action: str = Field(default="start", pattern="^(start|look|discard)$")


@view_config(route_name="imports.index", request_method="GET", renderer="imports/index.html",
             permission="imports:view")  # fmt: skip
def index(context: ProjectContext, request: Request) -> dict[str, Any]:
    page = queries.imports(request.dbsession, project_id=context.project.id, after=request.GET.get("after"))
    return {"page": page, "next": next_url(request, page), "first": first_url(request)}


@view_config(route_name="imports.new", request_method="GET", renderer="imports/new.html",
             permission="imports:edit")  # fmt: skip
def new(context: ProjectContext, request: Request) -> dict[str, Any]:
    return _upload_page(context, request, {"list_id": request.GET.get("list", "")}, {})


def _upload_page(
    context: ProjectContext, request: Request, values: dict[str, Any], errors: dict[str, Any]
) -> dict[str, Any]:
    return {
        "values": values,
        "errors": errors,
        "choices": lists.list_choices(request.dbsession, project_id=context.project.id),
        "max_bytes": request.registry.mailhub.upload_max_bytes,
    }


@view_config(route_name="imports.new", request_method="POST", renderer="imports/new.html",
             permission="imports:edit")  # fmt: skip
def upload(context: ProjectContext, request: Request) -> Any:
    values = {"list_id": str(request.POST.get("list_id", ""))}
    errors: dict[str, Any] = {}
    mailing_list = chosen_list(request, values["list_id"])
    if mailing_list is None:
        errors["list_id"] = _("Choose a list.")
    given = request.POST.get("file")
    if getattr(given, "file", None) is None or not given.filename:
        errors["file"] = _("Choose a file.")
    arrived = None
    if not errors:
        try:
            arrived = service.receive(request.registry.mailhub, given.file)
        except (NotACsv, service.UploadTooLarge) as refusal:
            errors["file"] = refusal.message
    if mailing_list is None or arrived is None:
        request.response.status_int = 422
        return _upload_page(context, request, values, errors)
    row = service.create_import(
        request.dbsession,
        project_id=context.project.id,
        list_id=mailing_list.id,
        file_name=given.filename,
        upload=arrived,
        user_id=request.user.id if request.user is not None else None,
    )
    return htmx.redirect(request, import_url(request, row, "imports.columns"))


def chosen_list(request: Request, given: str) -> MailingList | None:
    """The list with this id, if it is one of the project's that are in use."""
    if not given.isascii() or not given.isdigit() or len(given) > 18:
        return None
    found: MailingList | None = request.dbsession.get(MailingList, (request.project.id, int(given)))
    return found if found is not None and found.archived_at is None else None


@view_config(route_name="imports.columns", request_method="GET", renderer="imports/columns.html",
             permission="imports:edit")  # fmt: skip
def columns(context: ImportContext, request: Request) -> Any:
    row = context.subscriber_import
    if not service.is_waiting(row):
        return htmx.redirect(request, import_url(request, row))
    path = service.path_of(request.registry.mailhub, row.stored_name)
    try:
        head = read_head(path, Reading(row.encoding, row.delimiter, "csv"))
    except (NotACsv, FileNotFoundError):
        return _gone(request, row)
    values = {"list_id": str(row.list_id), "existing": "update", "encoding": row.encoding, "delimiter": row.delimiter}
    return _columns_page(context, request, head, values, {})


@view_config(route_name="imports.columns", request_method="POST", renderer="imports/columns.html",
             permission="imports:edit")  # fmt: skip
def decide(context: ImportContext, request: Request) -> Any:
    """Start the import; or only show the file under another reading; or forget it."""
    row = context.subscriber_import
    if not service.is_waiting(row):
        return htmx.redirect(request, import_url(request, row))
    given: dict[str, str] | None = {
        name: str(value) for name, value in request.POST.items() if name.startswith("column_")
    }
    for name in given or {}:
        del request.POST[name]
    form = forms.read(request, ColumnsForm)
    if form.value is not None and form.value.action == "discard":
        service.discard(request.dbsession, request.registry.mailhub, row)
        request.notice(_("The file has been thrown away; nothing was imported."))
        return htmx.redirect(request, request.route_path("imports.index", project=context.project.slug))
    reading = _reading(form.values, row)
    path = service.path_of(request.registry.mailhub, row.stored_name)
    try:
        head = look(path, reading)
    except (NotACsv, FileNotFoundError):
        return _gone(request, row)
    same = reading == Reading(row.encoding, row.delimiter, "csv")
    chosen = dict(form.values) | {"encoding": reading.encoding, "delimiter": reading.delimiter}
    if form.value is not None and form.value.action == "look":
        row.encoding, row.delimiter = reading.encoding, reading.delimiter
        return _columns_page(context, request, head, chosen, {}, given if same else None)
    mailing_list = chosen_list(request, str(form.values.get("list_id", "")))
    if mailing_list is None:
        form.refuse("list_id", _("Choose a list."))
    if not form.values.get("consent"):
        form.refuse("consent", _("Import only people who have agreed to get these letters."))
    if not same:
        # The columns on the page were those of another reading: they are shown once more before anything starts.
        form.refuse("", _("The file is read differently now. Look at its columns once more."))
        given = None
    mapping = _mapping(head, given or {})
    if form.value is None or mailing_list is None:
        request.response.status_int = 422
        return _columns_page(context, request, head, chosen, form.errors, given)
    row.list_id = mailing_list.id
    request.dbsession.flush()
    try:
        service.start_import(
            request.dbsession, row, head=head, mapping=mapping, update_existing=form.value.existing == "update"
        )
    except service.MappingRefused as refusal:
        errors = _column_errors(head, refusal.errors)
        request.response.status_int = 422
        return _columns_page(context, request, head, chosen, errors, given)
    note(request, "import.started", row, name=row.file_name, list_id=mailing_list.id, consent=str(service.CONSENT))
    request.enqueue(run_import, context.project.id, row.id)
    return htmx.redirect(request, import_url(request, row))


def _reading(values: dict[str, Any], row: SubscriberImport) -> Reading:
    encoding = values.get("encoding", row.encoding)
    delimiter = {"tab": "\t"}.get(values.get("delimiter", ""), values.get("delimiter", row.delimiter))
    return Reading(
        encoding if encoding in ENCODINGS else row.encoding,
        delimiter if delimiter in DELIMITERS else row.delimiter,
        "csv",
    )


def _mapping(head: Head, given: dict[str, str]) -> dict[str, str]:
    """header → what it means, from the selects of the page."""
    mapping = {}
    for number, header in enumerate(head.headers):
        meant = given.get(f"column_{number}", IGNORE)
        mapping[header] = meant.removeprefix(FIELD) if meant.startswith(FIELD) else meant
    return mapping


def _column_errors(head: Head, errors: dict[str, Any]) -> dict[str, Any]:
    numbers = {header: f"column_{number}" for number, header in enumerate(head.headers)}
    return {numbers.get(header, ""): text for header, text in errors.items()}


def _gone(request: Request, row: SubscriberImport) -> Any:
    request.notice(_("The uploaded file is not there any more. Upload it again."), "bad")
    return htmx.redirect(request, request.route_path("imports.new", project=request.project.slug))


def _columns_page(
    context: ImportContext,
    request: Request,
    head: Head,
    values: dict[str, Any],
    errors: dict[str, Any],
    given: dict[str, str] | None = None,
) -> dict[str, Any]:
    guessed = guess_mapping(head)
    known = known_fields(request.dbsession, project_id=context.project.id)
    columns = []
    for number, header in enumerate(head.headers):
        target = guessed[header]
        own = target if target not in (EMAIL, NAME, "") else clean_field_name(header)
        choice = given.get(f"column_{number}", IGNORE) if given is not None else _choice(target)
        samples = [row.cells[number][:80] for row in head.rows[:3] if number < len(row.cells) and row.cells[number]]
        columns.append({"number": number, "header": header, "own": own, "choice": choice, "samples": samples})
    return {
        "subscriber_import": context.subscriber_import,
        "head": head,
        "columns": columns,
        "known": known,
        "known_names": {one.name for one in known},
        "values": values,
        "errors": errors,
        "encodings": ENCODINGS,
        "delimiters": DELIMITERS,
        "choices": lists.list_choices(request.dbsession, project_id=context.project.id),
        "consent": service.CONSENT,
    }


def _choice(target: str) -> str:
    return target if target in (EMAIL, NAME, IGNORE) else FIELD + target


@view_config(route_name="imports.show", request_method="GET", renderer="imports/show.html", permission="imports:view")
def show(context: ImportContext, request: Request) -> Any:
    row = context.subscriber_import
    if service.is_waiting(row) and request.has_permission("imports:edit"):
        return htmx.redirect(request, import_url(request, row, "imports.columns"))
    return _import_page(context, request)


@view_config(route_name="imports.show", request_method="GET", hx_target="import-progress",
             renderer="imports/_progress.html", permission="imports:view")  # fmt: skip
def progress(context: ImportContext, request: Request) -> Any:
    row = context.subscriber_import
    if row.state in (ImportState.DONE, ImportState.FAILED):
        # The result has more than the progress had: the page is loaded once more as a whole.
        return Response(status=204, headers={"HX-Redirect": import_url(request, row)})
    version = _version(row)
    if htmx.unchanged(request, version):
        return htmx.not_modified(version)
    return _import_page(context, request)


def _version(row: SubscriberImport) -> str:
    return f"{row.state}-{row.rows_total}"


def _import_page(context: ImportContext, request: Request) -> dict[str, Any]:
    row = context.subscriber_import
    over = row.state in (ImportState.DONE, ImportState.FAILED)
    page = rejected_rows(request.dbsession, project_id=row.project_id, import_id=row.id, after=request.GET.get("after"))
    ended = row.finished_at or datetime.now(UTC)
    seconds = (ended - row.started_at).total_seconds() if row.started_at else 0.0
    return {
        "subscriber_import": row,
        "mailing_list": request.dbsession.get(MailingList, (row.project_id, row.list_id)),
        "version": _version(row),
        "seconds": seconds,
        "rate": row.rows_total / seconds if seconds > 0.5 else None,
        "page": page,
        "sentence": sentence,
        "skip_reasons": SKIP_REASONS,
        "skipped": skipped_counts(request.dbsession, project_id=row.project_id, import_id=row.id) if over else {},
        "next": next_url(request, page),
        "first": first_url(request),
    }


@view_config(route_name="imports.rejected", request_method="GET", permission="imports:view")
def rejected(context: ImportContext, request: Request) -> Response:
    row = context.subscriber_import
    return rejected_csv(request, row)


def import_url(request: Request, row: SubscriberImport, route: str = "imports.show") -> str:
    return str(request.route_path(route, project=request.project.slug, import_id=row.id))
