"""The project's stop list: looked through, added to, taken from."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

from pyramid.request import Request
from pyramid.view import view_config

from mailhub.background import service as background
from mailhub.models import Suppression
from mailhub.security.audit import note
from mailhub.security.context import ProjectContext
from mailhub.suppression import queries, service, tasks
from mailhub.suppression.forms import (
    EXPIRIES,
    GIVEN,
    NEEDS_CONFIRMATION,
    REASON_NAMES,
    AddForm,
    RemoveForm,
    end_of,
)
from mailhub.suppression.reading import is_text, read
from mailhub.suppression.resources import EntryContext
from mailhub.web import forms, htmx, paging
from mailhub.web.i18n import _

#: What is larger goes to a worker.
AT_ONCE_BYTES = 100_000


@view_config(route_name="suppression.index", request_method="GET", renderer="suppression/index.html",
             permission="subscribers:view")  # fmt: skip
@view_config(route_name="suppression.index", request_method="GET", renderer="suppression/_entry_rows.html",
             permission="subscribers:view", hx_target="entry-rows")  # fmt: skip
def index(context: ProjectContext, request: Request) -> dict[str, Any]:
    prefix = request.GET.get("q", "").strip()[:254]
    reason = request.GET.get("reason", "")
    reason = reason if reason in queries.REASONS else ""
    given = request.GET.get("after")
    after = paging.read_cursor(given, str) if prefix else paging.read_cursor(given, int)
    place: dict[str, Any] = {"after" if prefix else "before": after[0]} if after is not None else {}
    rows = queries.entries(
        request.dbsession, context.project.id, prefix=prefix, reason=reason, limit=paging.PAGE_SIZE + 1, **place
    )
    page = paging.page_of(rows, paging.PAGE_SIZE, lambda row: (row.email if prefix else row.entry.id,))
    counts = queries.counts(request.dbsession, context.project.id)
    jobs = background.latest(request.dbsession, context.project.id, tasks.KIND, most=3)
    return {
        "rows": page.rows,
        "counts": counts,
        "total": sum(counts.values()),
        "wanted": {"q": prefix, "reason": reason},
        "reason_names": REASON_NAMES,
        "next": paging.next_url(request, page),
        "first": paging.first_url(request),
        "jobs": jobs,
        "working": any(job.state in background.OPEN for job in jobs),
        "now": datetime.now(UTC),
    }


@view_config(route_name="suppression.new", request_method="GET", renderer="suppression/new.html",
             permission="subscribers:edit")  # fmt: skip
def new(context: ProjectContext, request: Request) -> dict[str, Any]:
    return _new_page(request, {"reason": "manual", "days": "0", "addresses": request.GET.get("email", "")[:254]}, {})


@view_config(route_name="suppression.new", request_method="POST", renderer="suppression/new.html",
             permission="subscribers:edit")  # fmt: skip
def add(context: ProjectContext, request: Request) -> Any:
    """A short list at once; a long one, or a file, by a worker."""
    upload: Any = request.POST.get("file")
    request.POST.pop("file", None)
    form = forms.read(request, AddForm)
    if form.value is None:
        return _wrong(request, form)
    given = form.value
    entry = service.Entry(
        given.reason, given.note, user_id=request.user.id, expires_at=end_of(given.days, datetime.now(UTC))
    )
    stream: Any = None
    # Without a file browsers send an empty part, which is bytes.
    if getattr(upload, "filename", None):
        stream = upload.file
        size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        if size > request.registry.mailhub.upload_max_bytes:
            form.refuse("file", _("The file is too large."))
            return _wrong(request, form)
        if not is_text(stream.read(4096)):
            form.refuse("file", _("This is no text in UTF-8. Save the table as CSV and choose that file."))
            return _wrong(request, form)
        stream.seek(0)
    elif len(given.addresses) > AT_ONCE_BYTES:
        stream = io.BytesIO(given.addresses.encode())
    there = request.route_path("suppression.index", project=context.project.slug)
    if stream is not None:
        try:
            tasks.ask(request, context.project.id, stream, entry)
        except background.TooManyJobs:
            form.refuse("", _("Too many jobs of this project wait already. Try again when some are done."))
            return _wrong(request, form)
        request.notice(_("The addresses are being put on the stop list."))
        return htmx.redirect(request, there)
    found = read(given.addresses.splitlines())
    if not found.keys:
        form.refuse("addresses", _("No e-mail address was found."))
        return _wrong(request, form)
    if found.wrong:
        form.refuse(
            "addresses",
            _("These lines are no e-mail addresses: ${lines}. Nothing was changed.",
              mapping={"lines": ", ".join(found.shown)}),
        )  # fmt: skip
        return _wrong(request, form)
    changed = service.suppress_many(request.dbsession, context.project.id, found.keys, entry)
    note(request, "suppression.added", reason=given.reason, addresses=len(changed))
    if changed:
        request.notice(_("Put on the stop list: ${n}.", mapping={"n": len(changed)}))
    else:
        request.notice(_("The stop list says this already; nothing was changed."), "info")
    return htmx.redirect(request, there)


@view_config(route_name="suppression.remove", request_method="GET", renderer="suppression/remove.html",
             permission="subscribers:edit")  # fmt: skip
def ask(context: EntryContext, request: Request) -> dict[str, Any]:
    return _question(context, {}, {})


@view_config(route_name="suppression.remove", request_method="POST", renderer="suppression/remove.html",
             permission="subscribers:edit")  # fmt: skip
def remove(context: EntryContext, request: Request) -> Any:
    form = forms.read(request, RemoveForm)
    entry = context.row.entry
    if form.value is not None and entry.reason in NEEDS_CONFIRMATION and not form.value.sure:
        form.refuse("sure", _("Say that you are sure."))
    if form.value is None:
        request.response.status_int = 422
        return _question(context, form.values, form.errors)
    lift(request, entry, form.value.note)
    request.notice(_("The entry was taken off the stop list."))
    return htmx.redirect(request, request.route_path("suppression.index", project=context.project.slug))


def lift(request: Request, entry: Suppression, why: str) -> None:
    """Take the entry off, with a line in the journal: what every door does."""
    service.lift(request.dbsession, project_id=entry.project_id, suppression_id=entry.id)
    note(request, "suppression.removed", entry, reason=entry.reason, why=why)


def _new_page(request: Request, values: dict[str, Any], errors: dict[str, Any]) -> dict[str, Any]:
    return {
        "values": values,
        "errors": errors,
        "reasons": [(reason, REASON_NAMES[reason]) for reason in GIVEN],
        "expiries": EXPIRIES,
        "max_bytes": request.registry.mailhub.upload_max_bytes,
    }


def _wrong(request: Request, form: forms.FormResult[AddForm]) -> dict[str, Any]:
    request.response.status_int = 422
    return _new_page(request, form.values, form.errors)


def _question(context: EntryContext, values: dict[str, Any], errors: dict[str, Any]) -> dict[str, Any]:
    return {
        "row": context.row,
        "reason_names": REASON_NAMES,
        "needs_confirmation": context.row.entry.reason in NEEDS_CONFIRMATION,
        "values": values,
        "errors": errors,
    }
