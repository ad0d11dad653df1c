"""XLSX (ECMA-376, SpreadsheetML) written row by row: memory stays flat, and the rows may come from a file.

A row is one line of XML, so that a half-written file of rows can be cut back to a place and gone on with; the archive
is made of it at the end. Texts are inline strings: a spreadsheet calculates none of them.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import IO, Any
from xml.sax.saxutils import escape

#: What a sheet holds (Excel's own limit), the head included; further rows go to a sheet of their own.
MAX_ROWS = 1_048_576
#: What a cell holds; a longer text ends in an ellipsis. A CSV has it whole.
MAX_TEXT = 32_767
#: Days are counted from here: 1900 was no leap year, but Lotus 1-2-3 thought so (ECMA-376-1, 18.17.4.1).
_EPOCH = datetime(1899, 12, 30, tzinfo=UTC)
_DATE, _MOMENT = 1, 2
# What XML 1.0 can't hold, and what would be read as such a character's name (ECMA-376-1, 22.4.2.4).
_UNSPEAKABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff\r]|_(?=x[0-9A-Fa-f]{4}_)")

_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_STYLES = (
    f'{_HEAD}<styleSheet xmlns="{_MAIN}"><numFmts count="1"><numFmt numFmtId="164" '
    'formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss"/></numFmts>'
    '<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font><font><b/><sz val="11"/>'
    '<name val="Calibri"/></font></fonts><fills count="2"><fill><patternFill patternType="none"/></fill><fill>'
    '<patternFill patternType="gray125"/></fill></fills><borders count="1"><border><left/><right/><top/><bottom/>'
    '<diagonal/></border></borders><cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/>'
    '</cellStyleXfs><cellXfs count="4"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="14" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/></cellXfs></styleSheet>'
)


def row(values: Sequence[Any], *, style: int = 0) -> bytes:
    """One row as a line of XML. Texts, numbers, truths, dates and moments (in UTC) have their types; None is empty."""
    return ("<row>" + "".join(_cell(value, style) for value in values) + "</row>\n").encode()


def head(names: Sequence[str]) -> bytes:
    """The first row, in bold."""
    return row(names, style=3)


def _cell(value: Any, style: int) -> str:
    if value is None or value == "":
        return "<c/>"
    if isinstance(value, bool):
        return f'<c t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        # A number has 15 digits in a spreadsheet: a longer one is kept as it is spelled.
        return f"<c><v>{value!r}</v></c>" if abs(value) < 10**15 else _text(str(value), style)
    if isinstance(value, datetime):
        days = (value.astimezone(UTC) - _EPOCH).total_seconds() / 86_400
        return f'<c s="{_MOMENT}"><v>{days:.9f}</v></c>' if days >= 61 else _text(value.isoformat(), style)
    if isinstance(value, date):
        number = (value - _EPOCH.date()).days
        return f'<c s="{_DATE}"><v>{number}</v></c>' if number >= 61 else _text(value.isoformat(), style)
    return _text(str(value), style)


def _text(text: str, style: int) -> str:
    if len(text) > MAX_TEXT:
        text = text[: MAX_TEXT - 1] + "…"
    spelled = escape(_UNSPEAKABLE.sub(_named, text)).replace("\n", "&#10;")
    styled = f' s="{style}"' if style else ""
    return f'<c t="inlineStr"{styled}><is><t xml:space="preserve">{spelled}</t></is></c>'


def _named(found: re.Match[str]) -> str:
    return f"_x{ord(found[0]):04X}_"


def write(target: IO[bytes], first: bytes, rows: IO[bytes], *, name: str = "Sheet") -> None:
    """The archive: `first` is the head's row, repeated on each sheet; `rows` are lines made by `row`."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=4) as archive:
        sheets = 0
        lines = iter(rows)
        more = True
        while more:
            sheets += 1
            with archive.open(f"xl/worksheets/sheet{sheets}.xml", "w", force_zip64=True) as sheet:
                more = _sheet(sheet, first, lines)
        for path, text in _parts(sheets, name):
            archive.writestr(path, text)


def _sheet(sheet: IO[bytes], first: bytes, lines: Iterator[bytes]) -> bool:
    """Fill a sheet; True where there may be rows for another."""
    sheet.write(
        f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" '.encode()
    )
    sheet.write(b'topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetData>\n')
    sheet.write(first)
    n, gathered = 1, []
    full = False
    for line in lines:
        gathered.append(line)
        n += 1
        if len(gathered) == 1_000:
            sheet.write(b"".join(gathered))
            gathered.clear()
        if n == MAX_ROWS:
            full = True
            break
    sheet.write(b"".join(gathered))
    sheet.write(b"</sheetData></worksheet>")
    return full


def _parts(sheets: int, name: str) -> Iterator[tuple[str, str]]:
    numbers = range(1, sheets + 1)
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    yield (
        "[Content_Types].xml",
        f'{_HEAD}<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
        f'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" '
        f'ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{kind}.styles+xml"/>'
        + "".join(
            f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{kind}.worksheet+xml"/>' for n in numbers
        )
        + "</Types>",
    )
    yield (
        "_rels/.rels",
        f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" '
        f'Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    )
    yield (
        "xl/workbook.xml",
        f'{_HEAD}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>'
        + "".join(
            f'<sheet name="{escape(name)}{f" {n}" if n > 1 else ""}" sheetId="{n}" r:id="rId{n}"/>' for n in numbers
        )
        + "</sheets></workbook>",
    )
    yield (
        "xl/_rels/workbook.xml.rels",
        f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">'
        + "".join(
            f'<Relationship Id="rId{n}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{n}.xml"/>' for n in numbers
        )
        + f'<Relationship Id="rId{sheets + 1}" Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>',
    )
    yield "xl/styles.xml", _STYLES
