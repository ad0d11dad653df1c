"""What a row says of a person, under a mapping of columns; or the reason why the row cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from mailhub.imports.rows import Row
from mailhub.imports.seen import Seen
from mailhub.imports.standing import Standing, standing_of
from mailhub.imports.values import BadValue, read_ip, read_moment
from mailhub.mail.address import Address, check_address
from mailhub.web import spreadsheet

#: What a column may be mapped to, besides the name of a field. A colon is in no field's name.
EMAIL, NAME = "email", "name"
FIRST_NAME, MIDDLE_NAME, LAST_NAME = ":first_name", ":middle_name", ":last_name"
TAGS = ":tags"
CONSENT_AT, CONSENT_SOURCE, CONSENT_IP = ":consent_at", ":consent_source", ":consent_ip"
STATUS = ":status"
OWN_TARGETS = frozenset(
    {EMAIL, NAME, FIRST_NAME, MIDDLE_NAME, LAST_NAME, TAGS, CONSENT_AT, CONSENT_SOURCE, CONSENT_IP, STATUS}
)
#: Several columns may say whether somebody has left: of the person, and of a list. Other targets have one column.
SEVERAL = frozenset({STATUS})

MAX_NAME = 300
MAX_TAGS, MAX_TAG = 50, 100
MAX_SOURCE = 500

#: A field's value from its cell (never empty); raises BadValue.
ReadValue = Callable[[str], Any]


class Person(NamedTuple):
    """A row that can be used. `name` is None where the file says nothing; `fields` are JSON values by field name."""

    line: int
    address: Address
    name: str | None
    fields: dict[str, Any]
    tags: tuple[str, ...] = ()
    consent_at: datetime | None = None
    consent_source: str = ""
    consent_ip: str | None = None
    #: Headers whose cells could not be read and were left out, where the reader may leave them out.
    left_out: tuple[str, ...] = ()


class PersonReader:
    """Reads rows of a file into people.

    `mapping` is header → target ("" for a column that is passed over), `read` the reader of each field with a type
    (see values.reader); a field without one is text. Without `strict` a value that cannot be read is left out instead
    of costing the row. With `asks` people who have not confirmed yet may come in: they are asked. Reasons:
    `row_<fault>`, `row_columns`, mail.address's codes, `gone_<standing>`, `duplicate:<line of the first>`,
    `value:<header>`.
    """

    def __init__(
        self,
        headers: Sequence[str],
        mapping: Mapping[str, str],
        read: Mapping[str, ReadValue] | None = None,
        *,
        strict: bool = True,
        asks: bool = False,
        seen: Seen | None = None,
    ) -> None:
        self.seen = seen if seen is not None else Seen()
        self._columns = len(headers)
        self._strict = strict
        self._standings = [number for number, header in enumerate(headers) if mapping.get(header) == STATUS]
        self._come_in = {Standing.ACTIVE, Standing.UNKNOWN, *([Standing.UNCONFIRMED] if asks else ())}
        at = {target: number for number, header in enumerate(headers) if (target := mapping.get(header, ""))}
        at.pop(STATUS, None)
        self._email = at.pop(EMAIL)
        names = [at.pop(target, None) for target in (NAME, FIRST_NAME, MIDDLE_NAME, LAST_NAME)]
        self._names = [number for number in names if number is not None]
        self._tags, self._at = at.pop(TAGS, None), at.pop(CONSENT_AT, None)
        self._source, self._ip = at.pop(CONSENT_SOURCE, None), at.pop(CONSENT_IP, None)
        self._extras = any(number is not None for number in (self._tags, self._at, self._source, self._ip))
        readers = read or {}
        self._fields = [(number, target, readers.get(target)) for target, number in at.items()]
        self._headers = list(headers)

    def __call__(self, row: Row) -> Person | str:
        if row.fault:
            return f"row_{row.fault}"
        cells = row.cells
        count = len(cells)
        if count > self._columns and any(cell.strip() for cell in cells[self._columns :]):
            return "row_columns"
        address = check_address(plain(cells[self._email]) if self._email < count else "")
        if not isinstance(address, Address):
            return address.reason_code
        for number in self._standings:
            if number < count and (standing := standing_of(cells[number])) not in self._come_in:
                return f"gone_{standing.value}"
        first = self.seen.first_line(address.key, row.line)
        if first:
            return f"duplicate:{first}"
        parts = [plain(cells[number]) for number in self._names if number < count]
        name = " ".join(" ".join(parts).split())[:MAX_NAME] or None
        values: dict[str, Any] = {}
        bad: list[str] = []
        for number, target, read in self._fields:
            if number < count and (text := plain(cells[number])):
                if read is None:
                    values[target] = text
                    continue
                try:
                    values[target] = read(text)
                except BadValue:
                    bad.append(self._headers[number])
        if bad and self._strict:
            return f"value:{bad[0]}"
        if not self._extras:
            return Person(row.line, address, name, values, left_out=tuple(bad))
        return self._with_extras(Person(row.line, address, name, values), cells, bad)

    def _with_extras(self, person: Person, cells: list[str], bad: list[str]) -> Person | str:
        """The same with tags and the record of consent."""

        def cell(number: int | None) -> str:
            return plain(cells[number]) if number is not None and number < len(cells) else ""

        consent_at, consent_ip = None, None
        try:
            consent_at = read_moment(text) if (text := cell(self._at)) else None
        except BadValue:
            bad.append(self._headers[self._at or 0])
        try:
            consent_ip = read_ip(text) if (text := cell(self._ip)) else None
        except BadValue:
            bad.append(self._headers[self._ip or 0])
        if bad and self._strict:
            return f"value:{bad[0]}"
        return person._replace(
            tags=split_tags(cell(self._tags)),
            consent_at=consent_at,
            consent_source=cell(self._source)[:MAX_SOURCE],
            consent_ip=consent_ip,
            left_out=tuple(bad),
        )


def split_tags(cell: str) -> tuple[str, ...]:
    """Tags in a cell: by semicolons or vertical bars where there are any, else by commas; each once, in order."""
    for mark in (";", "|", ","):
        if mark in cell:
            break
    found = (" ".join(part.split())[:MAX_TAG] for part in cell.split(mark))
    return tuple(dict.fromkeys(tag for tag in found if tag))[:MAX_TAGS]


def plain(cell: str) -> str:
    """A cell without spaces around it and without the apostrophe of a formula-safe export."""
    cell = cell.strip()
    return spreadsheet.plain(cell).strip() if cell[:1] == "'" else cell
