"""CSV files that spreadsheets open: formula-safe cells, a mark for UTF-8, written to a file before they are sent."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterable, Sequence

from pyramid.response import FileIter, Response

#: What a spreadsheet would take for the beginning of a formula (walls.md, T10).
FORMULA = frozenset("=+-@|%\t\r\n＝＋－＠")
#: Larger files are kept on disk while they are sent.
_IN_MEMORY_BYTES = 1024 * 1024

Cell = str | int | float | None


def safe(cell: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return "'" + cell if cell[:1] in FORMULA and cell else cell


def line(cells: Sequence[Cell]) -> str:
    """One row with its line end. Texts are made safe, None is an empty cell, numbers stay numbers."""
    row = [safe(cell) if isinstance(cell, str) else cell for cell in cells]
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(row)
    return text.getvalue()


def answer(file_name: str, rows: Iterable[Sequence[Cell]]) -> Response:
    """A CSV to save as `file_name`.

    All rows are read before the answer leaves the view: memory stays flat, and the transaction need not outlive it.
    """
    spool = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115, the response reads it to the end
    # A mark, so that spreadsheets read UTF-8.
    spool.write("\ufeff".encode())
    for row in rows:
        spool.write(line(row).encode("utf-8", "replace"))
    spool.seek(0)
    response = Response(content_type="text/csv", charset="utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{file_name}"'
    response.headers["Cache-Control"] = "no-store"
    # Unlike a generator it closes the file too where nobody reads it, as with HEAD.
    response.app_iter = FileIter(spool, 64 * 1024)
    return response
