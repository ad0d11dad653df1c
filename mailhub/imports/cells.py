"""Cells of workbooks as the text that a person sees, and rows made of them."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Final

from mailhub.imports.rows import MAX_CELL, MAX_COLUMNS, MAX_ROW, RAW_KEPT, Row

#: Rows that Excel and LibreOffice have at most; a number beyond is not believed.
MAX_ROWS: Final = 1_048_576

GENERAL, DATE, TIME, ELAPSED, MOMENT, PADDED = "general", "date", "time", "elapsed", "moment", "padded"

#: Formats of numbers that need no code in the file (ECMA-376, part 1, 18.8.30); 27 to 36 and 50 to 58 are East Asian.
_BUILT_IN = {
    **dict.fromkeys((*range(14, 18), *range(27, 32), 36, *range(50, 55), 57, 58), DATE),
    **dict.fromkeys((*range(18, 22), *range(32, 36), *range(45, 48), 55, 56), TIME),
    22: MOMENT,
    46: ELAPSED,
}
_NOT_CODE = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.IGNORECASE)
_ZEROS = re.compile(r"0{2,20}")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")


def kind_of_format(number: int, code: str | None) -> tuple[str, int]:
    """(what numbers are under it, digits of PADDED) of a number format."""
    if code is None:
        return _BUILT_IN.get(number, GENERAL), 0
    if _ZEROS.fullmatch(code):
        return PADDED, len(code)  # post codes and personnel numbers
    letters = set(_NOT_CODE.sub("", code.partition(";")[0]).lower())
    has_day = bool(letters & {"y", "d"}) or ("m" in letters and not letters & {"h", "s"})
    has_hour = bool(letters & {"h", "s"})
    if letters & {"0", "#", "?"} and not has_hour:
        return GENERAL, 0
    if has_day:
        return (MOMENT if has_hour else DATE), 0
    if not has_hour:
        return GENERAL, 0
    return (ELAPSED if "[" in letters else TIME), 0


def number_text(text: str) -> str:
    """`12.0` is 12, and what a machine adds behind the fifteenth digit is dropped as Excel does."""
    try:
        value = float(text)
    except ValueError:
        return text.strip()
    if not math.isfinite(value) or abs(value) >= 1e21:
        return text.strip()
    if value == int(value):
        return str(int(value))
    short = f"{value:.15g}"
    return short if "e" not in short else f"{value:.20f}".rstrip("0")


def padded_text(text: str, digits: int) -> str:
    shown = number_text(text)
    return shown.zfill(digits) if shown.isdigit() else shown


def serial_text(text: str, kind: str, *, since_1904: bool) -> str:
    """A moment that a workbook has as a number of days: `2026-11-27`, `2026-11-27 14:30`, `14:30`."""
    try:
        serial = float(text)
    except ValueError:
        return text.strip()
    if not 0 <= serial < 2_958_466:
        return number_text(text)
    if kind in (TIME, ELAPSED) or (serial < 1 and kind == MOMENT):
        seconds = round(serial * 86_400)
        if kind != ELAPSED:
            seconds %= 86_400
        hours, rest = divmod(seconds, 3_600)
        return f"{hours:02}:{rest // 60:02}" + (f":{rest % 60:02}" if rest % 60 else "")
    if since_1904:
        epoch = datetime(1904, 1, 1, tzinfo=UTC)
    else:
        # Excel has a 29 February 1900, so that days before it are one later than those behind it.
        epoch = datetime(1899, 12, 31 if serial < 60 else 30, tzinfo=UTC)
    moment = epoch + timedelta(seconds=round(serial * 86_400))
    return moment_text(moment)


def moment_text(moment: datetime) -> str:
    """A date, with its time where there is one."""
    day = moment.date().isoformat()
    if not (moment.hour or moment.minute or moment.second):
        return day
    return f"{day} {moment.hour:02}:{moment.minute:02}" + (f":{moment.second:02}" if moment.second else "")


def unescaped(text: str) -> str:
    """`_x000D_` is how a workbook writes a character that XML cannot have (ECMA-376, part 1, 22.9.2.19)."""
    if "_x" not in text:
        return text
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)) if not 0xD800 <= int(match[1], 16) < 0xE000 else "\ufffd",
                        text)  # fmt: skip


class CellRow:
    """A row of a workbook while it is read: cells by their place, within the limits of rows.Row."""

    __slots__ = ("cells", "fault", "line", "size")

    def __init__(self, line: int) -> None:
        self.line = line
        self.cells: list[str] = []
        self.size = 0
        self.fault = ""

    def put(self, place: int, text: str) -> None:
        """A filled cell; `place` counts from 0, in any order."""
        cells = self.cells
        if place >= MAX_COLUMNS:
            self.fault = self.fault or "too_many_columns"
            return
        if len(text) > MAX_CELL:
            self.fault, text = self.fault or "cell_too_long", text[:MAX_CELL]
        self.size += len(text) + 1
        if self.size > MAX_ROW:
            self.fault = self.fault or "too_long"
            return
        while len(cells) < place:
            cells.append("")
        if len(cells) == place:
            cells.append(text)
        else:
            cells[place] = text

    def row(self) -> Row | None:
        """None where no cell is filled."""
        cells, fault = self.cells, self.fault
        joined = ",".join(cells)
        if not fault and not joined.strip(", \t\r\n"):
            return None
        if not fault and "\0" in joined:
            fault = "nul"
        if '"' in joined or "\n" in joined or joined.count(",") >= len(cells):
            joined = ",".join(map(_quoted, cells))
        return Row(self.line, self.line, cells, joined[:RAW_KEPT], fault)


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(mark in cell for mark in '",\n') else cell
