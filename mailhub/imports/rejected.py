"""Rows that an import did not take: their reasons in words, a page of them, all of them as a CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pyramid.request import Request
from pyramid.response import Response
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from mailhub.imports.columns import LISTED
from mailhub.imports.merge import SKIPPED
from mailhub.imports.standing import Standing
from mailhub.lists.forms import ADDRESS_FAULTS
from mailhub.models import ImportRejectedRow, SubscriberImport
from mailhub.web.i18n import _, translate
from mailhub.web.paging import Page, page_of, read_cursor
from mailhub.web.sheets import answer

#: Where `subscriber_import.grade` keeps how many rows were left out, and why.
KEPT = "left_out"

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
    f"gone_{Standing.UNSUBSCRIBED}": _("The file itself says: has left, or must not be written to."),
    f"gone_{Standing.BOUNCED}": _("The file itself says: letters to this address come back."),
    f"gone_{Standing.COMPLAINED}": _("The file itself says: has complained about spam."),
    f"gone_{Standing.UNCONFIRMED}": _("The file itself says: has not confirmed. Import them as people to be asked."),
    "value": _("What stands under “${line}” is no value of that field."),
}
SKIP_REASONS: dict[str, Any] = {
    "suppressed": _("on the stop list"),
    "unsubscribed": _("unsubscribed before"),
    "bounced": _("the address bounced"),
    "complained": _("complained about spam"),
    "known": _("known already"),
}


def sentence(request: Request, reason: str) -> str:
    """The reason in the reader's language; of a row that was left alone too."""
    code, _colon, line = reason.partition(":")
    text = REASONS.get(code) or SKIP_REASONS.get(code.removeprefix(SKIPPED))
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


@dataclass(frozen=True)
class LeftOut:
    """Rows of an import or a check that brought nobody in: `refused` by the code of the reason, the most frequent one
    first; `skipped` by a key of SKIP_REASONS. People who are known already are not listed by row.
    """

    refused: dict[str, int]
    skipped: dict[str, int]


def left_out(dbsession: Session, row: SubscriberImport) -> LeftOut:
    """As it was counted at the end of the import or the check; of one that was stopped it is counted now."""
    kept = row.grade.get(KEPT)
    if kept is None:
        return count_left_out(dbsession, row.project_id, row.id)
    return LeftOut(dict(kept["refused"]), dict(kept["skipped"]))


def keep_left_out(dbsession: Session, row: SubscriberImport) -> None:
    """Count them once, at the end, beside the grade. After `mailhub.import.keep_days` only the numbers are left."""
    found = count_left_out(dbsession, row.project_id, row.id)
    # As pairs: JSONB does not keep the order of keys.
    row.grade = row.grade | {KEPT: {"refused": list(found.refused.items()), "skipped": list(found.skipped.items())}}


def count_left_out(dbsession: Session, project_id: int, import_id: int) -> LeftOut:
    """Two statements over the import's rows."""
    return LeftOut(_refused(dbsession, project_id, import_id), _skipped(dbsession, project_id, import_id))


def _skipped(dbsession: Session, project_id: int, import_id: int) -> dict[str, int]:
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


def _refused(dbsession: Session, project_id: int, import_id: int) -> dict[str, int]:
    code = func.split_part(ImportRejectedRow.reason, ":", 1)
    counted = (
        select(code, func.count())
        .where(
            ImportRejectedRow.project_id == project_id,
            ImportRejectedRow.import_id == import_id,
            ~ImportRejectedRow.reason.startswith(SKIPPED, autoescape=True),
        )
        .group_by(code)
        .order_by(func.count().desc(), code)
    )
    return dict(iter(dbsession.execute(counted)))


def reason_name(request: Request, code: str) -> str:
    """A reason without its line, for a sum."""
    if code == "duplicate":
        return translate(request, _("The same address is in the file already."))
    if code == "value":
        return translate(request, _("A value is none of its field."))
    return sentence(request, code)


def rejected_csv(request: Request, row: SubscriberImport) -> Response:
    """All rows that were refused or left alone, in the file's own columns behind line, reason and explanation.

    A cell that a spreadsheet would take for a formula gets an apostrophe, which our import takes away again.
    """
    return answer(f"rejected-{row.id}.csv", _lines(request, row))


def _lines(request: Request, row: SubscriberImport) -> Iterator[Sequence[str]]:
    yield [*LISTED, *(row.headers or ["row"])]
    after = 0
    while True:
        wanted = (
            select(ImportRejectedRow.line, ImportRejectedRow.reason, ImportRejectedRow.raw, ImportRejectedRow.cells)
            .where(
                ImportRejectedRow.project_id == row.project_id,
                ImportRejectedRow.import_id == row.id,
                ImportRejectedRow.line > after,
            )
            .order_by(ImportRejectedRow.line)
            .limit(5_000)
        )
        found = request.dbsession.execute(wanted).all()
        for line, reason, raw, cells in found:
            code = reason.partition(":")[0]
            # A row that could not be split, or is too long to be kept whole, stands in the first column.
            yield [str(line), code, sentence(request, reason), *(cells if cells is not None else [raw])]
        if not found:
            return
        after = found[-1].line
