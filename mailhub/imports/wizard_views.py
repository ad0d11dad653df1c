"""Pages of the wizard: the file, how we read it, its columns, the rules, the check."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from mailhub.background.service import TooManyJobs
from mailhub.imports import checking, queries, service, steps
from mailhub.imports.batches import FileGone
from mailhub.imports.head import SHOWN, Head
from mailhub.imports.reading import CSV, DELIMITERS, ENCODINGS, KINDS, NotACsv
from mailhub.imports.rejected import SKIP_REASONS, left_out, reason_name
from mailhub.imports.resources import ImportContext
from mailhub.imports.rules import Rules
from mailhub.imports.tasks import run_import
from mailhub.imports.views import import_url
from mailhub.lists import queries as lists
from mailhub.lists.tags import tags_of
from mailhub.models import SubscriberImport
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.web import forms, htmx
from mailhub.web.i18n import _, translate

EDIT = "imports:edit"
View = Callable[[ImportContext, Request], Any]


def of_draft(view: View) -> View:
    """A step is a draft's: an import that has begun shows itself instead; for a file that is gone another is wanted."""

    @wraps(view)
    def guarded(context: ImportContext, request: Request) -> Any:
        row = context.subscriber_import
        if not service.is_waiting(row):
            return htmx.redirect(request, import_url(request, row))
        try:
            return view(context, request)
        except FileGone:
            return _gone(request, row)

    return guarded


@view_config(route_name="imports.new", request_method="GET", renderer="imports/new.html", permission=EDIT)
def new(context: ProjectContext, request: Request) -> dict[str, Any]:
    return _upload_page(context, request, {})


def _upload_page(context: ProjectContext, request: Request, errors: dict[str, Any]) -> dict[str, Any]:
    return {
        "errors": errors,
        "list_id": request.params.get("list_id") or request.GET.get("list", ""),
        "instead": _instead(context, request),
        "has_lists": bool(lists.list_choices(request.dbsession, project_id=context.project.id)),
        "max_bytes": request.registry.mailhub.upload_max_bytes,
    }


def _instead(context: ProjectContext, request: Request) -> SubscriberImport | None:
    """The draft whose file another one is to replace: `?instead=`."""
    given = str(request.params.get("instead", ""))
    if not given.isascii() or not given.isdigit() or len(given) > 18:
        return None
    found: SubscriberImport | None = request.dbsession.get(SubscriberImport, (context.project.id, int(given)))
    return found if found is not None and service.is_waiting(found) else None


@view_config(route_name="imports.new", request_method="POST", renderer="imports/new.html", permission=EDIT)
def upload(context: ProjectContext, request: Request) -> Any:
    errors: dict[str, Any] = {}
    wanted = str(request.POST.get("list_id", ""))
    chosen = queries.list_in_use(request.dbsession, context.project.id, wanted) if wanted else None
    if wanted and chosen is None:
        errors[""] = _("Choose a list.")
    given = request.POST.get("file")
    if getattr(given, "file", None) is None or not given.filename:
        errors["file"] = _("Choose a file.")
    arrived = None
    if not errors:
        try:
            arrived = service.receive(request.registry.mailhub, given.file)
        except (NotACsv, service.UploadTooLarge) as refusal:
            errors["file"] = refusal.message
    if arrived is None:
        request.response.status_int = 422
        return _upload_page(context, request, errors)
    row = service.create_import(
        request.dbsession,
        project_id=context.project.id,
        list_id=chosen.id if chosen is not None else None,
        file_name=given.filename,
        upload=arrived,
        user_id=request.user.id if request.user is not None else None,
    )
    before = _instead(context, request)
    if before is not None:
        service.take_over(request.dbsession, row, before)
        service.discard(request.dbsession, request.registry.mailhub, before)
    return htmx.redirect(request, import_url(request, row, "imports.reading"))


# How we read it


@view_config(route_name="imports.reading", request_method="GET", renderer="imports/reading.html", permission=EDIT)
@of_draft
def reading(context: ImportContext, request: Request) -> Any:
    row = context.subscriber_import
    head = steps.head_of(request, row)
    return _reading_page(request, row, head, {})


@view_config(route_name="imports.reading", request_method="POST", renderer="imports/reading.html", permission=EDIT)
@of_draft
def read_like_this(context: ImportContext, request: Request) -> Any:
    """Keep the reading; `look` shows the file once more."""
    row = context.subscriber_import
    form = forms.read(request, steps.ReadingForm)
    head = steps.head_of(request, row)
    try:
        if form.value is not None:
            head = steps.head_of(request, row, steps.reading_of(form.value, row))
    except NotACsv as refusal:
        form.refuse("sheet" if "sheet" in form.values else "", refusal.message)
    if form.value is None:
        request.response.status_int = 422
        return _reading_page(request, row, head, form.errors)
    service.save_reading(request.dbsession, row, head)
    step = "imports.reading" if form.value.action == "look" else "imports.columns"
    return htmx.redirect(request, import_url(request, row, step))


def _reading_page(request: Request, row: SubscriberImport, head: Head, errors: dict[str, Any]) -> dict[str, Any]:
    values = {
        "encoding": head.reading.encoding,
        "delimiter": "tab" if head.reading.delimiter == "\t" else head.reading.delimiter,
        "sheet": head.reading.sheet,
    }
    names = [("tab" if mark == "\t" else mark, translate(request, name)) for mark, name in DELIMITERS.items()]
    return {
        "subscriber_import": row,
        "steps": _steps(request, row, "reading"),
        "head": head,
        "values": values,
        "errors": errors,
        "encodings": ENCODINGS,
        "delimiters": names,
        "kind": KINDS.get(head.reading.kind, "CSV"),
        "is_text": head.reading.kind in ("", CSV) or bool(head.reading.encoding),
        "shown": SHOWN,
    }


# Columns


@view_config(route_name="imports.columns", request_method="GET", renderer="imports/columns.html", permission=EDIT)
@of_draft
def columns(context: ImportContext, request: Request) -> Any:
    row = context.subscriber_import
    head = steps.head_of(request, row)
    return _columns_page(request, row, head, steps.choices_of(request, row, head), {})


@view_config(route_name="imports.columns", request_method="POST", renderer="imports/columns.html", permission=EDIT)
@of_draft
def map_columns(context: ImportContext, request: Request) -> Any:
    row = context.subscriber_import
    head = steps.head_of(request, row)
    given = {name: str(value) for name, value in request.POST.items() if name.startswith("column_")}
    choices = steps.choices_of(request, row, head, given)
    mapping, made = steps.mapping_of(choices)
    try:
        service.save_mapping(request.dbsession, row, mapping, made)
    except service.MappingRefused as refusal:
        request.response.status_int = 422
        return _columns_page(request, row, head, choices, steps.column_errors(head, refusal.errors))
    return htmx.redirect(request, import_url(request, row, "imports.rules"))


def _columns_page(
    request: Request, row: SubscriberImport, head: Head, choices: list[steps.Choice], errors: dict[str, Any]
) -> dict[str, Any]:
    return {
        "subscriber_import": row,
        "steps": _steps(request, row, "columns"),
        "head": head,
        "choices": choices,
        "errors": errors,
    }


# Rules


@view_config(route_name="imports.rules", request_method="GET", renderer="imports/rules.html", permission=EDIT)
@of_draft
def rules(context: ImportContext, request: Request) -> Any:
    row = context.subscriber_import
    page = _rules_page(request, row, steps.rules_values(request, row), {})
    if len(page["lists"]) == 1 and not page["values"]["lists"]:
        page["values"]["lists"] = [str(page["lists"][0][0])]
    return page


@view_config(route_name="imports.rules", request_method="POST", renderer="imports/rules.html", permission=EDIT)
@of_draft
def decide(context: ImportContext, request: Request) -> Any:
    row = context.subscriber_import
    form = forms.read(request, steps.RulesForm)
    asked = form.value
    chosen = [queries.list_in_use(request.dbsession, row.project_id, one) for one in (asked.lists if asked else [])]
    if not chosen or None in chosen:
        form.refuse("lists", _("Choose a list."))
    if not form.values.get("consent"):
        form.refuse("consent", _("Import only people who have agreed to get these letters."))
    if form.value is None or asked is None:
        request.response.status_int = 422
        return _rules_page(request, row, form.values, form.errors)
    service.save_rules(
        request.dbsession,
        row,
        list_ids=[one.id for one in chosen if one is not None],
        rules=steps.rules_of(asked),
        statement=translate(request, service.CONSENT),
    )
    _begin(request, row)
    return htmx.redirect(request, import_url(request, row, "imports.check"))


def _begin(request: Request, row: SubscriberImport) -> None:
    """Have the file checked; where that cannot be now, the next page has a button for it."""
    try:
        checking.begin(request, row)
    except (TooManyJobs, service.NotReady) as refusal:
        busy = _("Too many jobs of this project wait already. Try again in some minutes.")
        request.notice(refusal.message if isinstance(refusal, service.NotReady) else busy, "bad")


def _rules_page(
    request: Request, row: SubscriberImport, values: dict[str, Any], errors: dict[str, Any]
) -> dict[str, Any]:
    return {
        "subscriber_import": row,
        "steps": _steps(request, row, "rules"),
        "values": values,
        "errors": errors,
        "lists": lists.list_choices(request.dbsession, project_id=row.project_id),
        "known_tags": [tag.name for tag in tags_of(request.dbsession, row.project_id)][:12],
        "consent": service.CONSENT,
        "letters_per_minute": request.registry.mailhub.import_letters_per_minute,
    }


# The check


@view_config(route_name="imports.check", request_method="GET", renderer="imports/check.html", permission=EDIT)
@of_draft
def check(context: ImportContext, request: Request) -> Any:
    return _check_page(request, context.subscriber_import)


@view_config(route_name="imports.check", request_method="GET", hx_target="import-check",
             renderer="imports/_check.html", permission=EDIT)  # fmt: skip
@of_draft
def check_progress(context: ImportContext, request: Request) -> Any:
    row = context.subscriber_import
    job = checking.job_of(request, row)
    if not checking.is_running(job):
        return Response(status=204, headers={"HX-Redirect": import_url(request, row, "imports.check")})
    version = f"{job.state}-{job.done}" if job is not None else ""
    if htmx.unchanged(request, version):
        return htmx.not_modified(version)
    return _check_page(request, row)


def _check_page(request: Request, row: SubscriberImport) -> Any:
    """The check's result, or how far it has come; or, where something has changed since, a button for another."""
    try:
        service.ready(request.dbsession, row)
    except service.NotReady as refusal:
        request.notice(refusal.message, "bad")
        return htmx.redirect(request, import_url(request, row, f"imports.{refusal.step}"))
    job = checking.job_of(request, row)
    digest = service.settings_digest(request.dbsession, row)
    current = row.checked.get("of") == digest
    going = not current and checking.is_running(job) and job is not None and job.parameters.get("of") == digest
    return {
        "subscriber_import": row,
        "steps": _steps(request, row, "check"),
        "lists": service.lists_of(request.dbsession, row),
        "rules": Rules.from_json(row.rules),
        "job": job,
        "going": going,
        "current": current,
        "version": f"{job.state}-{job.done}" if job is not None else "",
        "counts": row.checked,
        "grade": row.grade,
        "left_out": left_out(request.dbsession, row) if current else None,
        "rows_kept": True,
        "reason_name": reason_name,
        "file_gone": service.FILE_GONE,
        "skip_reasons": SKIP_REASONS,
        "letters_per_minute": request.registry.mailhub.import_letters_per_minute,
    }


@view_config(route_name="imports.check", request_method="POST", renderer="imports/check.html", permission=EDIT)
@of_draft
def start(context: ImportContext, request: Request) -> Any:
    """Start the import; or check the file once more."""
    row = context.subscriber_import
    if request.POST.get("action") == "again":
        row.checked = {}
        _begin(request, row)
        return htmx.redirect(request, import_url(request, row, "imports.check"))
    try:
        started = service.start(request.dbsession, row)
    except service.NotReady as refusal:
        request.notice(refusal.message, "bad")
        return htmx.redirect(request, import_url(request, row, f"imports.{refusal.step}"))
    except service.MappingRefused as refusal:
        request.notice(next(iter(refusal.errors.values())), "bad")
        return htmx.redirect(request, import_url(request, row, "imports.columns"))
    if started:
        note(request, "import.started", row, name=row.file_name, list_id=row.list_id, consent=str(service.CONSENT))
        request.enqueue(run_import, row.project_id, row.id)
    return htmx.redirect(request, import_url(request, row))


@view_config(route_name="imports.discard", request_method="POST", permission=EDIT)
@of_draft
def discard(context: ImportContext, request: Request) -> Response:
    """Throw an upload away that was never started."""
    row = context.subscriber_import
    service.discard(request.dbsession, request.registry.mailhub, row)
    request.notice(_("The file has been thrown away; nothing was imported."))
    return htmx.redirect(request, request.route_path("imports.index", project=context.project.slug))


def _gone(request: Request, row: SubscriberImport) -> Response:
    request.notice(service.FILE_GONE.get(row.error, service.FILE_GONE["file_gone"]), "bad")
    again = request.route_path("imports.new", project=request.project.slug, _query={"instead": row.id})
    return htmx.redirect(request, again)


def _steps(request: Request, row: SubscriberImport, current: str) -> list[tuple[Any, str | None, str]]:
    """The steps' links: to the next ones where those before are through."""
    names = {
        "reading": _("How we read it"), "columns": _("Columns"), "rules": _("Rules"), "check": _("Check")
    }  # fmt: skip
    is_mapped, has_rules = bool(row.mapping), row.consent_text_id is not None
    through = {"reading": is_mapped or current != "reading", "columns": is_mapped, "rules": has_rules, "check": False}
    open_ = {"reading": True, "columns": True, "rules": is_mapped, "check": is_mapped and has_rules}
    file_url = request.route_path("imports.new", project=request.project.slug, _query={"instead": row.id})
    items: list[tuple[Any, str | None, str]] = [(_("File"), file_url, "done")]
    for step in steps.STEPS:
        state = "current" if step == current else "done" if through[step] else ""
        url = import_url(request, row, f"imports.{step}") if open_[step] or step == current else None
        items.append((names[step], url, state))
    items.append((_("Result"), None, ""))
    return items
