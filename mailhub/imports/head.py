"""How a file begins under a reading: its headers, its first rows, and what else it could be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from mailhub.imports import ods, xlsx
from mailhub.imports.archive import Archive
from mailhub.imports.encodings import alternatives, sniff_encoding
from mailhub.imports.opening import open_bytes, open_text, read_rows
from mailhub.imports.reading import CSV, DELIMITERS, ODS, Alternative, NotACsv, Reading
from mailhub.imports.rows import MAX_COLUMNS, Row
from mailhub.imports.sniff import ZIP, kind_of_file, kind_of_member, sniff_delimiter
from mailhub.mail.address import InvalidAddress, check_address

#: Rows from which columns are guessed, and rows that are shown.
LOOKED_AT, SHOWN = 200, 20

_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)


@dataclass(frozen=True)
class Head:
    """How a file begins. `headers` are unique; `first_line` is the line of the first person.

    `rows` are at most LOOKED_AT rows behind the header, of which SHOWN are for people. `sheets` are a workbook's;
    `alternatives` are the encodings in which a text could be, with an example of each, the chosen one first.
    """

    reading: Reading
    headers: list[str]
    has_header: bool
    rows: list[Row]
    first_line: int
    sheets: tuple[str, ...] = ()
    alternatives: tuple[Alternative, ...] = ()

    @property
    def columns(self) -> int:
        return len(self.headers)


def look(path: Path, reading: Reading | None = None) -> Head:
    """How the file begins under this reading; what it leaves empty is found out. Raises NotACsv.

    What the file is stands in the file, so that `kind` and `member` of the given reading are not asked for.
    """
    wanted = reading if reading is not None else Reading()
    kind = kind_of_file(path)
    if kind in (CSV, ZIP):
        return _look_at_text(path, wanted, is_archive=kind == ZIP)
    with Archive(path, broken="broken_workbook") as archive:
        sheets = ods.sheet_names(archive) if kind == ODS else tuple(xlsx.open_workbook(archive).sheets)
    if wanted.sheet and wanted.sheet not in sheets:
        raise NotACsv("no_sheet")
    for sheet in (wanted.sheet,) if wanted.sheet else sheets:
        try:
            return replace(read_head(path, Reading(kind=kind, sheet=sheet)), sheets=sheets)
        except NotACsv as refusal:
            if refusal.reason != "empty":
                raise
    raise NotACsv("empty")


def _look_at_text(path: Path, wanted: Reading, *, is_archive: bool) -> Head:
    member = ""
    if is_archive:
        with Archive(path) as archive:
            member = archive.only_member()
            with archive.member(member) as stream:
                kind_of_member(stream.read(4096))

    def opened() -> AbstractContextManager[BinaryIO]:
        return _bytes_only(path, member)

    encoding = wanted.encoding or sniff_encoding(opened)
    found = Reading(encoding, wanted.delimiter, CSV, member=member)
    if not wanted.delimiter:
        with open_text(path, found) as (_counting, text):
            sample = [text.readline(64 * 1024) for _n in range(51)]
        said = _SEPARATOR_LINE.fullmatch(sample[0].strip())
        delimiter = said.group(1) if said and said.group(1) in DELIMITERS else sniff_delimiter(iter(sample))
        found = replace(found, delimiter=delimiter)
    return replace(read_head(path, found), alternatives=alternatives(opened, encoding))


@contextmanager
def _bytes_only(path: Path, member: str) -> Iterator[BinaryIO]:
    with open_bytes(path, member) as (_counting, stream):
        yield stream


def read_head(path: Path, reading: Reading) -> Head:
    """The first rows under a reading that leaves nothing open. Raises NotACsv("empty") where there are none."""
    with closing(read_rows(path, reading)) as all_rows:
        rows = list(islice(all_rows, LOOKED_AT + 2))
    if rows and rows[0].line == 1 and _SEPARATOR_LINE.fullmatch(rows[0].raw.strip()):
        rows = rows[1:]
    if not rows:
        raise NotACsv("empty")
    first = rows[0]
    if first.fault and not first.cells:
        return Head(reading, unique([first.raw[:60]]), True, rows[1:], first.end + 1)
    has_header = not any(is_address(cell) for cell in first.cells)
    if has_header:
        return Head(reading, unique(first.cells), True, rows[1:], first.end + 1)
    return Head(reading, unique([""] * len(first.cells)), False, rows, first.line)


def unique(cells: list[str]) -> list[str]:
    """Headers by which columns can be told apart: an empty one is named by its number, a second one is numbered."""
    headers: list[str] = []
    for number, cell in enumerate(cells[:MAX_COLUMNS], start=1):
        name = " ".join(cell.replace("\0", " ").split())[:200] or f"Column {number}"
        header, copy = name, 2
        while header in headers:
            header, copy = f"{name} ({copy})", copy + 1
        headers.append(header)
    return headers


def is_address(cell: str) -> bool:
    return "@" in cell and not isinstance(check_address(cell.strip()), InvalidAddress)
