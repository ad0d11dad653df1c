"""CSV files that people open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date, datetime

from pyramid.response import Response

Cell = str | int | float | date | datetime | None
#: What a spreadsheet would take for the beginning of a formula (OWASP, CSV injection), its full-width forms too.
FORMULA = frozenset("=+-@|%\t\r\n＝＋－＠")


def csv_response(name: str, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Response:
    """A file `name` to keep: UTF-8 with a mark, so that spreadsheets read it; dates as ISO 8601, no value is empty.

    `name` is ASCII and without quotes. Texts that a spreadsheet would calculate get an apostrophe.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([_cell(cell) for cell in row] for row in rows)
    response = Response("\ufeff" + out.getvalue(), content_type="text/csv", charset="utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "no-store"
    return response


def _cell(cell: Cell) -> str | int | float:
    if cell is None:
        return ""
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, str):
        return "'" + cell if cell[:1] in FORMULA and cell else cell
    return round(cell, 6) if isinstance(cell, float) else cell
