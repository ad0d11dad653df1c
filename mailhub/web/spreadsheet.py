"""CSV that spreadsheets open as it is meant: UTF-8 that Excel knows as such, and no text that is calculated."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

#: Tells Excel that this is UTF-8.
MARK = "\ufeff"
#: What a spreadsheet would take for the beginning of a formula (OWASP, "CSV Injection"); wide forms are read alike.
FORMULA = frozenset("=+-@|%\t\r＝＋－＠")


def cell(value: Any) -> Any:
    """A value as it goes into a cell: texts like formulas get an apostrophe, None is empty, times are ISO."""
    if value is None:
        return ""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, str):
        return "'" + value if value[:1] in FORMULA and value else value
    return value


def lines(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as lines of CSV, without the mark."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    for row in rows:
        writer.writerow([cell(value) for value in row])
    return out.getvalue()
