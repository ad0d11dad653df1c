"""A file opened as rows, whatever its format: text, text in a ZIP archive, or a sheet of a workbook."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from mailhub.imports import ods, xlsx
from mailhub.imports.archive import Archive, CountingFile
from mailhub.imports.reading import ODS, XLSX, Reading
from mailhub.imports.rows import Row, RowReader

_BUFFER = 256 * 1024


def read_rows(
    path: Path, reading: Reading, *, columns: int = 0, progress: Callable[[int], None] | None = None
) -> Generator[Row, None, None]:
    """All rows of a file under a reading that leaves nothing open. Raises NotACsv, perhaps in the middle.

    `columns` is how many cells the header has (see RowReader). `progress` is told how many of the file's bytes, as
    it lies on disk, have been read so far: at most its size.
    """
    size = path.stat().st_size
    if reading.kind in (XLSX, ODS):
        with Archive(path, broken="broken_workbook") as archive:
            for row in workbook_rows(archive, reading):
                if progress is not None:
                    progress(min(archive.file.done, size))
                yield row
        return
    with open_text(path, reading) as (counting, text):
        rows = RowReader(text, reading.delimiter, columns=columns)
        if progress is None:
            yield from rows
            return
        for row in rows:
            # An archive's table of contents and its beginning are read more than once.
            progress(min(counting.done, size))
            yield row


def workbook_rows(archive: Archive, reading: Reading) -> Iterator[Row]:
    """The filled rows of the reading's sheet."""
    if reading.kind == ODS:
        return ods.sheet_rows(archive, reading.sheet)
    return xlsx.sheet_rows(archive, xlsx.open_workbook(archive), reading.sheet)


@contextmanager
def open_bytes(path: Path, member: str) -> Iterator[tuple[CountingFile, BinaryIO]]:
    """The bytes of a text, in an archive or not; and the file on disk, which knows how much of it has been read."""
    if member:
        with Archive(path) as archive, archive.member(member) as stream:
            yield archive.file, cast(BinaryIO, io.BufferedReader(stream, _BUFFER))
        return
    counting = CountingFile(path.open("rb"))
    with io.BufferedReader(cast(Any, counting), _BUFFER) as buffered:
        yield counting, cast(BinaryIO, buffered)


@contextmanager
def open_text(path: Path, reading: Reading) -> Iterator[tuple[CountingFile, io.TextIOWrapper]]:
    """The file as text; letters that the encoding does not know become U+FFFD."""
    with open_bytes(path, reading.member) as (counting, buffered):
        begin = cast(io.BufferedReader, buffered).peek(4)[:4]
        codec = codec_of(reading.encoding, begin)
        text = io.TextIOWrapper(cast(Any, buffered), encoding=codec, errors="replace", newline=None)
        try:
            yield counting, text
        finally:
            text.detach()


def codec_of(encoding: str, begin: bytes) -> str:
    """Python's codec: a mark at the beginning is no part of the first header, and need not be there."""
    if encoding == "utf-8":
        return "utf-8-sig"
    if encoding == "utf-16" and not begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16-le"
    if encoding == "utf-32" and not begin.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32-le"
    if encoding == "utf-16-le" and begin.startswith(codecs.BOM_UTF16_LE):
        return "utf-16"
    if encoding == "utf-16-be" and begin.startswith(codecs.BOM_UTF16_BE):
        return "utf-16"
    return encoding
