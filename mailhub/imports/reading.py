"""How a file is read: the value that stands with an import, and the ways in which a file can be refused.

The interface of this room's reading layer, for the wizard, the API and the running import:

* `head.look(path, reading=None) -> Head`: how the file begins; what `reading` leaves empty is found out;
* `opening.read_rows(path, reading, columns=…, progress=…)`: all rows, streamed, whatever the format;
* `columns.guess_columns(head)`, `columns.guess_mapping(head)`: what the columns mean;
* `person.PersonReader(headers, mapping, …)`: what a row says of a person, or why it cannot be used;
* `mail.quality.Quality`: counts addresses, invalid rows and duplicates; `.grade()` with `.as_json()` for the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from mailhub.web.i18n import _

CSV, XLSX, ODS = "csv", "xlsx", "ods"
#: What a file turned out to be; a CSV with tabs is called TSV.
KINDS = {CSV: "CSV", XLSX: "XLSX (Excel)", ODS: "ODS (OpenDocument)"}

#: What a user may choose; label by codec.
ENCODINGS = {
    "utf-8": "UTF-8",
    "cp1251": "Windows-1251",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16 LE",
    "utf-16-be": "UTF-16 BE",
    "utf-32": "UTF-32",
    "koi8-r": "KOI8-R",
    "koi8-u": "KOI8-U",
    "cp866": "CP866 (DOS)",
    "iso8859-5": "ISO-8859-5",
    "mac-cyrillic": "MacCyrillic",
    "cp1252": "Windows-1252, Latin-1",
    "cp1250": "Windows-1250",
    "iso8859-2": "ISO-8859-2, Latin-2",
    "cp1254": "Windows-1254",
    # These are never guessed.
    "cp1253": "Windows-1253",
    "cp1257": "Windows-1257",
    "mac-roman": "Mac Roman",
    "gb18030": "GB18030",
    "big5": "Big5",
    "cp932": "Shift JIS",
    "cp949": "EUC-KR",
}
DELIMITERS = {",": _("comma"), ";": _("semicolon"), "\t": _("tab"), "|": _("vertical bar")}

#: Why a file is refused as a whole, by a stable reason.
REFUSALS = {
    "empty": _("The file is empty. Choose a file with one person a row."),
    "image": _("This is a picture, not a list of people. Choose a CSV, XLSX or ODS file."),
    "pdf": _("This is a PDF. Export the list from your program as CSV or XLSX."),
    "html": _("This is a web page, not a list of people. Some programs save one under the name of a workbook: open it"
              " there and save it as XLSX or CSV."),
    "xml": _("This is an XML file. Open it in your program and save it as XLSX or CSV."),
    "old_workbook": _("This is a workbook of an old Excel (.xls). Open it in your program and save it as XLSX or CSV."),
    "binary_workbook": _("This is a binary workbook (.xlsb). Open it in your program and save it as XLSX or CSV."),
    "document": _("This is a text document or a presentation. Choose a CSV, XLSX or ODS file."),
    "password": _("This file is protected by a password. Save it without one."),
    "broken_workbook": _("This workbook is damaged and cannot be read. Open it in your program and save it once more."),
    "no_sheet": _("The workbook has no sheet of this name."),
    "archive": _("This is an archive of a kind we cannot open. Unpack it and choose the file in it."),
    "archive_broken": _("This ZIP archive is damaged. Make it once more, or choose the file in it."),
    "archive_members": _("A ZIP archive must hold exactly one CSV or TSV file. Unpack it and choose the file itself."),
    "archive_kind": _("The file in this ZIP archive is no CSV or TSV. Unpack it and choose the file itself."),
    "too_large": _("Unpacked, this file is larger than 200 MB. Split it and import the parts."),
    "bomb": _("This file is packed more tightly than any list of people. It was not opened."),
    "binary": _("This is not a text file. Choose a CSV, XLSX or ODS file."),
    "no_address": _("No column of this file holds e-mail addresses. Name the column “email” or check the file."),
}  # fmt: skip


class NotACsv(Exception):
    """The file is refused as a whole; `reason` is a key of REFUSALS, `message` says it to a user (translatable)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.message = REFUSALS[reason]


@dataclass(frozen=True)
class Reading:
    """How a file is read. What is empty is found out by `head.look`, whose answer leaves nothing open.

    `encoding` (a key of ENCODINGS) and `delimiter` (of DELIMITERS) concern text only and stay empty for workbooks;
    `sheet` is a workbook's; `member` is the name of the one file in a ZIP archive, else empty.
    """

    encoding: str = ""
    delimiter: str = ""
    kind: str = ""
    sheet: str = ""
    member: str = ""

    def as_json(self) -> dict[str, str]:
        """For the import's row: what is not empty."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Reading:
        """What `as_json` gave; other keys are passed over, and other values than text."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: text for name, text in value.items() if name in known and isinstance(text, str)})


@dataclass(frozen=True)
class Alternative:
    """Another encoding in which the file could be read, with the same words of the file under it."""

    encoding: str
    example: str

    @property
    def label(self) -> str:
        return ENCODINGS[self.encoding]
