"""CSV that spreadsheets open as it is meant: UTF-8 that Excel knows as such, and no text that is calculated."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

#: Tells Excel that this is UTF-8.
MARK = "\ufeff"
#: What a spreadsheet would take for the beginning of a formula (OWASP, "CSV Injection"); wide forms are read alike.
FORMULA = frozenset("=+-@|%\t\r\n＝＋－＠")
# A text that begins with apostrophes before such a sign gets one more, so that `plain` can tell them apart.
_GUARDED = re.compile(f"'*[{re.escape(''.join(sorted(FORMULA)))}]")


def cell(value: Any) -> Any:
    """A value as it goes into a cell: texts like formulas get an apostrophe, None is empty, times are ISO."""
    if value is None:
        return ""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "'" + value if _GUARDED.match(value) else value
    return value


def typed(value: Any) -> Any:
    """A value as it goes into a cell that knows its type, where no text is a formula. Only apostrophes before such a
    sign get one more: people edit a CSV of ours and save it as a workbook, so that `plain` is asked of both.
    """
    return "'" + value if isinstance(value, str) and value[:1] == "'" and _GUARDED.match(value) else value


def plain(text: str) -> str:
    """What stood in a cell before `cell` or `typed`: for those who read such a file back."""
    return text[1:] if text[:1] == "'" and _GUARDED.match(text) else text


def lines(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as lines of CSV, without the mark."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    for row in rows:
        writer.writerow([cell(value) for value in row])
    return out.getvalue()
