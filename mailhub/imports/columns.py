"""The columns of a file: what their headers mean, in English and Russian, and how its first rows look."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from mailhub.imports.rows import Row, RowReader, open_lines
from mailhub.imports.sniff import NotACsv, Reading, sniff_delimiter, sniff_encoding
from mailhub.lists.fields import clean_field_name
from mailhub.mail.address import InvalidAddress, check_address

EMAIL, NAME = "email", "name"
#: Rows that are looked at for an address column, and rows that are shown.
LOOKED_AT, SHOWN = 50, 10


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_EMAIL_HEADERS = _words(
    "email emailaddress mail address mailaddress почта эпочта элпочта электроннаяпочта емейл емайл имейл мейл мыло "
    "адрес адресэлектроннойпочты адреспочты адресemail emailадрес subscriberemail useremail contactemail "
    "электронныйадрес"
)
_NAME_HEADERS = _words(
    "name fullname firstnamelastname subscribername contactname username имя фио полноеимя имяфамилия имяифамилия "
    "фамилияимя фамилияимяотчество подписчик клиент контакт"
)
_GIVEN_NAME_HEADERS = _words("firstname givenname")
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_LETTERS = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Head:
    """How a file begins. `headers` are unique; `first_line` is the line of the first person."""

    reading: Reading
    headers: list[str]
    has_header: bool
    rows: list[Row]
    first_line: int

    @property
    def columns(self) -> int:
        return len(self.headers)


def look(path: Path, *, encoding: str = "", delimiter: str = "") -> Head:
    """How the file is read, by our guess where encoding or delimiter are not given. Raises NotACsv."""
    guessed = sniff_encoding(path)
    encoding = encoding or guessed
    if not delimiter:
        _counting, text = open_lines(path, encoding)
        with text:
            sample = [text.readline(64 * 1024) for _n in range(51)]
        said = _SEPARATOR_LINE.fullmatch(sample[0].strip())
        delimiter = said.group(1) if said else sniff_delimiter(iter(sample))
        delimiter = delimiter if delimiter in ",;\t|" else ","
    return read_head(path, Reading(encoding, delimiter))


def read_head(path: Path, reading: Reading) -> Head:
    """The first rows under this reading. Raises NotACsv("empty") where there are none."""
    _counting, text = open_lines(path, reading.encoding)
    with text:
        rows = list(islice(RowReader(text, reading.delimiter), LOOKED_AT + 2))
    if rows and rows[0].line == 1 and _SEPARATOR_LINE.fullmatch(rows[0].raw.strip()):
        rows = rows[1:]
    if not rows:
        raise NotACsv("empty")
    first = rows[0]
    if first.fault and not first.cells:
        return Head(reading, _unique([first.raw[:60]]), True, rows[1:], first.end + 1)
    has_header = not any(_is_address(cell) for cell in first.cells)
    if has_header:
        return Head(reading, _unique(first.cells), True, rows[1:], first.end + 1)
    return Head(reading, _unique([""] * len(first.cells)), False, rows, first.line)


def _unique(cells: list[str]) -> list[str]:
    """Headers by which columns can be told apart: an empty one is named by its number, a second one is numbered."""
    headers: list[str] = []
    for number, cell in enumerate(cells[:200], start=1):
        name = " ".join(cell.replace("\0", " ").split())[:200] or f"Column {number}"
        header, copy = name, 2
        while header in headers:
            header, copy = f"{name} ({copy})", copy + 1
        headers.append(header)
    return headers


def _is_address(cell: str) -> bool:
    return "@" in cell and not isinstance(check_address(cell.strip()), InvalidAddress)


def guess_mapping(head: Head) -> dict[str, str]:
    """header → email, name or the clean name of a field, for every column; no `email` where no column has addresses."""
    meaning = {header: _LETTERS.sub("", header).lower().replace("ё", "е") for header in head.headers}
    email = _address_column(head, meaning)
    names = [header for header in head.headers if meaning[header] in _NAME_HEADERS]
    if not names:
        names = [header for header in head.headers if meaning[header] in _GIVEN_NAME_HEADERS][:1]
        if any("фамилия" in text or "lastname" in text for text in meaning.values()):
            names = []  # the parts of a name stay two fields: half a name is not the name
    mapping: dict[str, str] = {}
    taken: set[str] = set()
    for header in head.headers:
        if header == email:
            mapping[header] = EMAIL
        elif names and header == names[0]:
            mapping[header] = NAME
        else:
            field = clean_field_name(header)
            mapping[header] = field if field and field not in taken else ""
            taken.add(field)
    return mapping


def _address_column(head: Head, meaning: Mapping[str, str]) -> str | None:
    """By header, if what stands under it is not against it; else the column that is full of addresses."""
    shares = [_address_share(head, index) for index in range(head.columns)]
    named = [index for index, header in enumerate(head.headers) if meaning[header] in _EMAIL_HEADERS]
    if named:
        # "Адрес" may be where a person lives: the one with the addresses is meant.
        best = max(named, key=lambda index: (shares[index] or 0.0, -index))
        if shares[best] or not any((share or 0.0) >= 0.5 for share in shares):
            return head.headers[best]
    full = [index for index, share in enumerate(shares) if share is not None and share >= 0.5]
    return head.headers[max(full, key=lambda index: (shares[index] or 0.0, -index))] if full else None


def _address_share(head: Head, index: int) -> float | None:
    """Which share of the filled cells of a column are addresses; None where none is filled."""
    cells = [row.cells[index] for row in head.rows if index < len(row.cells) and row.cells[index].strip()]
    return sum(map(_is_address, cells)) / len(cells) if cells else None


def has_addresses(head: Head) -> bool:
    """Whether the guess finds an address column at all."""
    return EMAIL in guess_mapping(head).values()
