"""A table as an answer: a CSV that spreadsheets open, written to a file before it is sent."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from itertools import islice

from pyramid.response import FileIter, Response

from mailhub.web import spreadsheet

#: Larger files are kept on disk while they are sent.
_IN_MEMORY_BYTES = 1024 * 1024
#: Rows that are written together.
_TOGETHER = 500

Cell = str | int | float | None


def answer(file_name: str, rows: Iterable[Sequence[Cell]]) -> Response:
    """A CSV to save as `file_name`.

    All rows are read before the answer leaves the view: memory stays flat, and the transaction need not outlive it.
    """
    spool = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115, the response reads it to the end
    spool.write(spreadsheet.MARK.encode())
    left = iter(rows)
    while some := list(islice(left, _TOGETHER)):
        spool.write(spreadsheet.lines(some).encode("utf-8", "replace"))
    spool.seek(0)
    response = Response(content_type="text/csv", charset="utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{file_name}"'
    response.headers["Cache-Control"] = "no-store"
    # Unlike a generator it closes the file too where nobody reads it, as with HEAD.
    response.app_iter = FileIter(spool, 64 * 1024)
    return response
