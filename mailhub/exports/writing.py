"""Rows into files: lines of CSV that no spreadsheet calculates, or of XLSX; both can be cut back and gone on with."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

from mailhub.background import service as background
from mailhub.exports import xlsx
from mailhub.exports.wanted import Format
from mailhub.settings import Settings
from mailhub.web import spreadsheet


def head(format_: Format, columns: Sequence[str]) -> bytes:
    """What a file of rows begins with; of XLSX nothing, as the head is put in when the archive is made."""
    return (spreadsheet.MARK + spreadsheet.lines([columns])).encode() if format_ == Format.CSV else b""


def lines(format_: Format, rows: Iterable[Sequence[Any]]) -> bytes:
    """Rows as bytes to be appended."""
    if format_ == Format.CSV:
        return spreadsheet.lines(rows).encode("utf-8", "replace")
    return b"".join(xlsx.row([spreadsheet.typed(value) for value in row]) for row in rows)


class Parts:
    """The half-made files of an export, in a folder of their own beside the finished ones.

    `numbers` says whose rows they are, `rows` has what is written. Only bytes that a committed slice knows of count.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        folder = background.folder(settings) / "parts"
        folder.mkdir(mode=0o700, exist_ok=True)
        self.finished = background.path_of(settings, name)
        stem = name.partition(".")[0]
        self.numbers = folder / f"{stem}.numbers"
        self.rows = folder / f"{stem}.rows"

    def open_rows(self, size: int) -> IO[bytes]:
        """The file of rows, cut back to its first `size` bytes, at its end."""
        file = os.fdopen(os.open(self.rows, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        file.truncate(size)
        file.seek(size)
        return file

    def finish(self, format_: Format, columns: Sequence[str], name: str) -> int:
        """Make the finished file; gives its size. May be done twice."""
        if self.rows.exists():
            if format_ == Format.CSV:
                self.rows.replace(self.finished)
            else:
                with _private(self.finished) as file, self.rows.open("rb") as rows:
                    xlsx.write(file, xlsx.head(columns), rows, name=name)
                    _keep(file)
        self.forget()
        return self.finished.stat().st_size

    def forget(self) -> None:
        """Take the half-made files away."""
        self.numbers.unlink(missing_ok=True)
        self.rows.unlink(missing_ok=True)


def _private(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "w+b")


def keep(file: IO[bytes]) -> int:
    """Wait until the disk has the bytes; gives how many there are."""
    _keep(file)
    return file.tell()


def _keep(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def small(format_: Format, columns: Sequence[str], rows: Sequence[Sequence[Any]], name: str) -> bytes:
    """A whole file in memory, for a few rows."""
    if format_ == Format.CSV:
        return head(format_, columns) + lines(format_, rows)
    target = io.BytesIO()
    xlsx.write(target, xlsx.head(columns), io.BytesIO(lines(format_, rows)), name=name)
    return target.getvalue()
