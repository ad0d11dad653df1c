"""Sheets of an XLSX workbook (ECMA-376), row by row: the XML is read through a window, whatever the size of the sheet.

No library: openpyxl (3.1.5) has had no release since 2024-06 and keeps all shared strings as objects; python-calamine
builds the whole sheet in memory. A list of people needs cells and their texts, which is little of the format.
"""

from __future__ import annotations

import posixpath
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from mailhub.imports.archive import HARMLESS, MAX_SHEET, Archive
from mailhub.imports.cells import (
    DATE,
    ELAPSED,
    GENERAL,
    MAX_ROWS,
    MOMENT,
    PADDED,
    TIME,
    CellRow,
    kind_of_format,
    number_text,
    padded_text,
    serial_text,
    unescaped,
)
from mailhub.imports.reading import NotACsv
from mailhub.imports.rows import MAX_CELL, Row
from mailhub.imports.sheet_xml import Attributes, XmlReader, attribute

#: XML of few columns with the same words in every row is packed very tightly.
RATIO = 400
MAX_STYLES = 65_536
MAX_SHEETS = 255
#: A text is cut here, one character behind the limit that the row will miss.
_CUT = MAX_CELL + 1


@dataclass(frozen=True)
class Workbook:
    """What is known of a workbook before a sheet is read: visible sheets by name, in order, and how numbers look."""

    sheets: dict[str, str]
    shared: str
    formats: tuple[tuple[str, int], ...]
    since_1904: bool


def open_workbook(archive: Archive) -> Workbook:
    """Raises NotACsv("broken_workbook")."""
    main = next(iter(_related(archive, "", "officeDocument").values()), "xl/workbook.xml")
    sheets: list[tuple[str, str]] = []
    since_1904 = False

    def start(name: str, attributes: Attributes) -> None:
        nonlocal since_1904
        if name == "sheet" and attribute(attributes, "state") in ("", "visible") and len(sheets) < MAX_SHEETS:
            sheets.append((attribute(attributes, "name"), attributes.get("r:id") or attribute(attributes, "id")))
        elif name == "workbookPr":
            since_1904 = attribute(attributes, "date1904") in ("1", "true")

    _read(archive, main, start)
    parts = _related(archive, main, "worksheet")
    found = {name: parts[key] for name, key in reversed(sheets) if key in parts}
    styles = next(iter(_related(archive, main, "styles").values()), "")
    return Workbook(
        sheets=dict(reversed(found.items())),
        shared=next(iter(_related(archive, main, "sharedStrings").values()), ""),
        formats=_formats(archive, styles),
        since_1904=since_1904,
    )


def _read(archive: Archive, name: str, start: Callable[[str, Attributes], None]) -> None:
    with archive.member(name, limit=HARMLESS) as stream:
        XmlReader(stream, start, _pass, _pass).whole()


def _pass(*_anything: Any) -> None:
    pass


def _related(archive: Archive, part: str, kind: str) -> dict[str, str]:
    """id → name of the parts of this kind that a part refers to (ECMA-376, part 2, 9.3)."""
    folder, name = posixpath.split(part)
    relations = posixpath.join(folder, "_rels", f"{name}.rels")
    found: dict[str, str] = {}

    def start(name: str, attributes: Attributes) -> None:
        if name == "Relationship" and attribute(attributes, "Type").endswith(f"/{kind}"):
            target = attribute(attributes, "Target")
            full = target[1:] if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))
            found[attribute(attributes, "Id")] = full

    if relations in archive.names:
        _read(archive, relations, start)
    return found


def _formats(archive: Archive, name: str) -> tuple[tuple[str, int], ...]:
    """How numbers look, by the style that a cell names."""
    if not name or name not in archive.names:
        return ()
    codes: dict[str, str] = {}
    styles: list[tuple[str, int]] = []
    inside = False

    def start(name: str, attributes: Attributes) -> None:
        nonlocal inside
        if name == "numFmt" and len(codes) < MAX_STYLES:
            codes[attribute(attributes, "numFmtId")] = attribute(attributes, "formatCode")
        elif name in ("cellXfs", "cellStyleXfs"):
            inside = name == "cellXfs"
        elif name == "xf" and inside and len(styles) < MAX_STYLES:
            number = attribute(attributes, "numFmtId")
            built_in = int(number) if number.isascii() and number.isdigit() and len(number) < 9 else 0
            styles.append(kind_of_format(built_in, codes.get(number)))

    _read(archive, name, start)
    return tuple(styles)


class SharedStrings:
    """Texts that cells refer to by number, read no further than somebody asks; kept as bytes, not as objects."""

    def __init__(self, archive: Archive, name: str, stack: ExitStack) -> None:
        self._bytes = bytearray()
        self._ends = array("Q")
        self._parts: list[str] = []
        self._size = 0
        self._inside = self._phonetic = False
        self._pieces: Iterator[None] = iter(())
        if name and name in archive.names:
            stream = stack.enter_context(archive.member(name, ratio=RATIO))
            self._pieces = XmlReader(stream, self._start, self._end, self._text).pieces()

    def __getitem__(self, number: int) -> str:
        """Raises NotACsv("broken_workbook") where there is no such text."""
        ends = self._ends
        while number >= len(ends):
            if next(self._pieces, self) is self:
                raise NotACsv("broken_workbook")
        begin = ends[number - 1] if number else 0
        return self._bytes[begin : ends[number]].decode("utf-8", "replace")

    def _start(self, name: str, _attributes: Attributes) -> None:
        if name == "t":
            self._inside = not self._phonetic
        elif name == "si":
            self._parts, self._size = [], 0
        elif name == "rPh":
            self._phonetic = True

    def _end(self, name: str) -> None:
        if name == "t":
            self._inside = False
        elif name == "rPh":
            self._phonetic = False
        elif name == "si":
            self._bytes += unescaped("".join(self._parts)).encode("utf-8", "replace")
            self._ends.append(len(self._bytes))

    def _text(self, data: str) -> None:
        if self._inside and self._size < _CUT:
            self._parts.append(data[:_CUT])
            self._size += len(data)


class _Sheet:
    """Handlers of a sheet's XML, which collect its rows."""

    def __init__(self, workbook: Workbook, shared: SharedStrings) -> None:
        self.rows: list[Row] = []
        self._shared = shared
        self._formats = workbook.formats
        self._since_1904 = workbook.since_1904
        self._row = CellRow(0)
        self._line = 0
        self._place = 0
        self._type = self._style = ""
        self._inside = self._phonetic = False
        self._parts: list[str] = []
        self._size = 0

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "c":
            reference = attributes.get("r")
            self._place = self._place + 1 if reference is None else place_of(reference, self._place + 1)
            self._type = attributes.get("t", "n")
            self._style = attributes.get("s", "")
            self._parts, self._size = [], 0
        elif name == "v" or name == "t":
            self._inside = not self._phonetic
        elif name == "row":
            given = attributes.get("r", "")
            line = int(given) if given.isascii() and given.isdigit() and len(given) < 9 else 0
            # Rows come in order; a number that goes back or leaves the sheet is not believed.
            self._line = line if self._line < line <= MAX_ROWS else self._line + 1
            self._row, self._place = CellRow(self._line), -1
        elif name == "rPh":
            self._phonetic = True

    def end(self, name: str) -> None:
        if name == "v" or name == "t":
            self._inside = False
        elif name == "c":
            if self._parts:
                text = self._shown("".join(self._parts))
                if text:
                    self._row.put(self._place, text)
        elif name == "row":
            if (row := self._row.row()) is not None:
                self.rows.append(row)
        elif name == "rPh":
            self._phonetic = False

    def text(self, data: str) -> None:
        if self._inside and self._size < _CUT:
            self._parts.append(data[:_CUT])
            self._size += len(data)

    def _shown(self, text: str) -> str:
        kind = self._type
        if kind == "s":
            text = text.strip()
            if not (text.isascii() and text.isdigit() and len(text) < 9):
                raise NotACsv("broken_workbook")
            return self._shared[int(text)]
        if kind == "n":
            return self._number(text)
        if kind == "b":
            return "TRUE" if text.strip() in ("1", "true") else "FALSE"
        if kind == "d":
            return text.strip().removesuffix("T00:00:00").replace("T", " ")
        return unescaped(text)

    def _number(self, text: str) -> str:
        style = self._style
        shape, digits = GENERAL, 0
        if style and style.isascii() and style.isdigit() and len(style) < 9 and int(style) < len(self._formats):
            shape, digits = self._formats[int(style)]
        if shape in (DATE, TIME, ELAPSED, MOMENT):
            return serial_text(text, shape, since_1904=self._since_1904)
        if shape == PADDED:
            return padded_text(text, digits)
        return text if text.isdigit() and text.isascii() and len(text) < 16 else number_text(text)


def place_of(reference: str, otherwise: int) -> int:
    """The column of `BC12`, counted from 0."""
    place = 0
    for char in reference[:4]:
        if "A" <= char <= "Z":
            place = place * 26 + ord(char) - 64
        elif "a" <= char <= "z":
            place = place * 26 + ord(char) - 96
        else:
            break
    return place - 1 if place else otherwise


def sheet_rows(archive: Archive, workbook: Workbook, sheet: str) -> Iterator[Row]:
    """The filled rows of a sheet. Raises NotACsv: `no_sheet`, or in the middle where the file is damaged."""
    part = workbook.sheets.get(sheet)
    if part is None:
        raise NotACsv("no_sheet")
    with ExitStack() as stack:
        shared = SharedStrings(archive, workbook.shared, stack)
        stream = stack.enter_context(archive.member(part, limit=MAX_SHEET, ratio=RATIO))
        found = _Sheet(workbook, shared)
        for _piece in XmlReader(stream, found.start, found.end, found.text).pieces():
            if found.rows:
                yield from found.rows
                found.rows.clear()
