"""How a file begins under a reading: its headers, its first rows, and what else it could be."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from mailhub.imports.opening import read_rows
from mailhub.imports.reading import CSV, Alternative, NotACsv, Reading
from mailhub.imports.rows import MAX_COLUMNS, Row, open_lines
from mailhub.imports.sniff import sniff_delimiter, sniff_encoding
from mailhub.mail.address import InvalidAddress, check_address

#: Rows from which columns are guessed, and rows that are shown.
LOOKED_AT, SHOWN = 200, 20

_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)


@dataclass(frozen=True)
class Head:
    """How a file begins. `headers` are unique; `first_line` is the line of the first person.

    `rows` are at most LOOKED_AT rows behind the header, of which SHOWN are for people. `found` is what we would read
    the file as; `sheets` are a workbook's, `alternatives` the encodings in which a text could be as well, likely ones
    first.
    """

    reading: Reading
    headers: list[str]
    has_header: bool
    rows: list[Row]
    first_line: int
    found: Reading | None = None
    sheets: tuple[str, ...] = ()
    alternatives: tuple[Alternative, ...] = ()

    @property
    def columns(self) -> int:
        return len(self.headers)


def look(path: Path, reading: Reading | None = None) -> Head:
    """How the file begins under this reading; what it leaves empty is found out. Raises NotACsv."""
    wanted = reading if reading is not None else Reading()
    encoding = wanted.encoding or sniff_encoding(path)
    delimiter = wanted.delimiter
    if not delimiter:
        _counting, text = open_lines(path, encoding)
        with text:
            sample = [text.readline(64 * 1024) for _n in range(51)]
        said = _SEPARATOR_LINE.fullmatch(sample[0].strip())
        delimiter = said.group(1) if said else sniff_delimiter(iter(sample))
        delimiter = delimiter if delimiter in ",;\t|" else ","
    return read_head(path, replace(wanted, encoding=encoding, delimiter=delimiter, kind=CSV))


def read_head(path: Path, reading: Reading) -> Head:
    """The first rows under a reading that leaves nothing open. Raises NotACsv("empty") where there are none."""
    rows = list(islice(read_rows(path, reading), LOOKED_AT + 2))
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
