"""Rows that an import did not take: their reasons in words, a page of them, all of them as a CSV."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator
from typing import Any

from pyramid.request import Request
from pyramid.response import FileIter, Response
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from mailhub.imports.merge import SKIPPED
from mailhub.lists.forms import ADDRESS_FAULTS
from mailhub.models import ImportRejectedRow, SubscriberImport
from mailhub.web.i18n import _, translate
from mailhub.web.paging import Page, page_of, read_cursor
from mailhub.web.sheets import safe

#: Reason code → a sentence. `duplicate` stands in the table as `duplicate:<line of the first row>`.
REASONS: dict[str, Any] = {
    **ADDRESS_FAULTS,
    "row_too_long": _("The row is longer than 64 kB."),
    "row_too_many_columns": _("The row has more than 200 columns."),
    "row_cell_too_long": _("A cell has more than 10,000 characters."),
    "row_nul": _("The row contains a NUL character."),
    "row_encoding": _("The row contains bytes that are not text in this encoding."),
    "row_quote": _("A quotation mark is open or stands in the wrong place."),
    "row_columns": _("The row has more cells than the header."),
    "duplicate": _("The same address is in line ${line} already."),
}
SKIP_REASONS: dict[str, Any] = {
    "suppressed": _("on the stop list"),
    "unsubscribed": _("unsubscribed before"),
    "bounced": _("the address bounced"),
    "complained": _("complained about spam"),
    "known": _("known already"),
}


def sentence(request: Request, reason: str) -> str:
    """The reason in the reader's language."""
    code, _colon, line = reason.partition(":")
    text = REASONS.get(code)
    return translate(request, text, line=line) if text is not None else code


def rejected_rows(
    dbsession: Session, *, project_id: int, import_id: int, after: str | None = None, limit: int = 50
) -> Page[ImportRejectedRow]:
    """A page of rejected rows by their lines."""
    wanted = _rejected(project_id, import_id).order_by(ImportRejectedRow.line).limit(limit + 1)
    given = read_cursor(after, int)
    if given is not None:
        wanted = wanted.where(ImportRejectedRow.line > given[0])
    return page_of(dbsession.scalars(wanted).all(), limit, lambda row: (row.line,))


def _rejected(project_id: int, import_id: int) -> Select[Any]:
    return select(ImportRejectedRow).where(
        ImportRejectedRow.project_id == project_id,
        ImportRejectedRow.import_id == import_id,
        ~ImportRejectedRow.reason.startswith(SKIPPED, autoescape=True),
    )


def skipped_counts(dbsession: Session, *, project_id: int, import_id: int) -> dict[str, int]:
    """How many rows were left alone, by reason (a key of SKIP_REASONS). People known already are not listed by row."""
    counted = (
        select(ImportRejectedRow.reason, func.count())
        .where(
            ImportRejectedRow.project_id == project_id,
            ImportRejectedRow.import_id == import_id,
            ImportRejectedRow.reason.startswith(SKIPPED, autoescape=True),
        )
        .group_by(ImportRejectedRow.reason)
        .order_by(ImportRejectedRow.reason)
    )
    return {reason.removeprefix(SKIPPED): n for reason, n in dbsession.execute(counted)}


def rejected_csv(request: Request, row: SubscriberImport) -> Response:
    """All rejected rows, streamed: line, reason, explanation, the row as it stood in the file.

    A cell that a spreadsheet would take for a formula gets an apostrophe, which our import takes away again.
    """
    response = Response(content_type="text/csv", charset="utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="rejected-{row.id}.csv"'
    response.headers["Cache-Control"] = "no-store"
    # What is iterated is read after the transaction has ended: the rows are taken page by page before.
    response.app_iter = _spooled(_lines(request, row))
    return response


def _lines(request: Request, row: SubscriberImport) -> Iterator[str]:
    # A mark, so that spreadsheets read UTF-8.
    yield "\ufeff" + _csv_line(["line", "reason", "explanation", "row"])
    after = None
    while True:
        page = rejected_rows(request.dbsession, project_id=row.project_id, import_id=row.id, after=after, limit=5_000)
        for one in page.rows:
            code = one.reason.partition(":")[0]
            yield _csv_line([str(one.line), code, sentence(request, one.reason), safe(one.raw)])
            request.dbsession.expunge(one)
        if page.next is None:
            return
        after = page.next


def _spooled(lines: Iterator[str]) -> FileIter:
    """Written to a temporary file first: memory stays flat, and the transaction need not outlive the view."""
    spool = tempfile.SpooledTemporaryFile(max_size=1024 * 1024)  # noqa: SIM115, the response reads it to the end
    for line in lines:
        spool.write(line.encode())
    spool.seek(0)
    # Unlike a generator it closes the file too where nobody reads it, as with HEAD.
    return FileIter(spool, 64 * 1024)


def _csv_line(cells: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue()
