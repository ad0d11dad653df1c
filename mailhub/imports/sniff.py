"""What a file of unknown origin is, by what is in it and not by its name; and the delimiter of a text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from mailhub.imports.archive import Archive
from mailhub.imports.ods import MIMETYPE
from mailhub.imports.reading import CSV, DELIMITERS, ODS, XLSX, NotACsv

ZIP = "zip"
#: An OLE container's directory says what is in it; it stands near the beginning or the end.
_OLE_LOOKED_THROUGH = 1024 * 1024
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")

_MAGIC: Sequence[tuple[bytes, str]] = (
    (b"\x89PNG", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF8", "image"),
    (b"BM", "image"),
    (b"II*\x00", "image"),
    (b"MM\x00*", "image"),
    (b"%PDF-", "pdf"),
    (b"{\\rtf", "document"),
    (b"\x1f\x8b", "archive"),
    (b"BZh", "archive"),
    (b"\xfd7zXZ\x00", "archive"),
    (b"\x28\xb5\x2f\xfd", "archive"),
    (b"Rar!\x1a\x07", "archive"),
    (b"7z\xbc\xaf\x27\x1c", "archive"),
    (b"\x7fELF", "binary"),
    (b"MZ", "binary"),
    (b"SQLite format 3\x00", "binary"),
)
#: Text as far as its bytes go, but no table.
_MARKUP: Sequence[tuple[bytes, str]] = (
    (b"<!doctype html", "html"),
    (b"<html", "html"),
    (b"<table", "html"),
    (b"<head", "html"),
    (b"<meta", "html"),
    (b"<svg", "image"),
    (b"<?xml", "xml"),
    (b"mime-version:", "html"),
)
#: These begin like a text could; they are what they seem only where control characters follow.
_NEED_PROOF = (b"BM", b"MZ", b"GIF8", b"BZh")


def kind_of_file(path: Path) -> str:
    """CSV, XLSX, ODS or ZIP. Raises NotACsv where it is something else that we know."""
    with path.open("rb") as file:
        head = file.read(4096)
    if not head.strip(b"\xef\xbb\xbf\xff\xfe \t\r\n\0"):
        return CSV  # the encoding's look at the whole file says whether it is empty
    if head.startswith(_OLE):
        raise NotACsv(_kind_of_ole(path))
    if head.startswith(_ZIP):
        return _kind_of_zip(path)
    for magic, reason in _MAGIC:
        if head.startswith(magic) and (magic not in _NEED_PROOF or looks_binary(head)):
            raise NotACsv(reason)
    if head[:4] == b"RIFF" and looks_binary(head):
        raise NotACsv("image" if head[8:12] == b"WEBP" else "binary")
    begin = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for magic, reason in _MARKUP:
        if begin.startswith(magic):
            raise NotACsv("html" if reason == "xml" and b"<html" in begin else reason)
    return CSV


def looks_binary(head: bytes) -> bool:
    """Control characters that no text has. A NUL here and there is a fault of a row, not of the file."""
    odd = sum(head.count(byte) for byte in (*range(8), *range(14, 27), *range(28, 32), 127))
    return odd > len(head) / 50


def _kind_of_ole(path: Path) -> str:
    """Old Office files and encrypted new ones are containers of the same kind; names are UTF-16 ([MS-CFB])."""
    with path.open("rb") as file:
        found = file.read(_OLE_LOOKED_THROUGH)
        file.seek(0, 2)
        file.seek(max(len(found), file.tell() - _OLE_LOOKED_THROUGH))
        found += file.read(_OLE_LOOKED_THROUGH)
    for name, reason in (
        ("EncryptedPackage", "password"),
        ("Workbook", "old_workbook"),
        ("Book", "old_workbook"),
        ("WordDocument", "document"),
        ("PowerPoint Document", "document"),
    ):
        if name.encode("utf-16-le") in found:
            return reason
    return "binary"


def _kind_of_zip(path: Path) -> str:
    with Archive(path) as archive:
        names = set(archive.names)
        if "mimetype" in names:
            kind = archive.text("mimetype", 1024).strip()
            if kind in (MIMETYPE, MIMETYPE + b"-template"):
                if b"encryption-data" in archive.text("META-INF/manifest.xml"):
                    raise NotACsv("password")
                return ODS
            if kind.startswith(b"application/"):
                raise NotACsv("document")
        if "[Content_Types].xml" in names:
            folders = {name.partition("/")[0] for name in names}
            if "xl/workbook.bin" in names:
                raise NotACsv("binary_workbook")
            if "xl" in folders or not folders & {"word", "ppt", "visio"}:
                return XLSX
            raise NotACsv("document")
    return ZIP


def kind_of_member(head: bytes) -> None:
    """Raises NotACsv where the one file of an archive is no text."""
    nested = head.startswith((*_ZIP, _OLE)) or any(
        head.startswith(magic) and (magic not in _NEED_PROOF or looks_binary(head)) for magic, _reason in _MAGIC
    )
    markup = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(tuple(magic for magic, _reason in _MARKUP))
    if nested or markup:
        raise NotACsv("archive_kind")


def sniff_delimiter(lines: Iterator[str]) -> str:
    """The delimiter that splits the first rows most evenly; a comma where there is one column only."""
    sample = [line for line in lines if line.strip()][:50]
    best, best_score = ",", 0.0
    for delimiter in DELIMITERS:
        counts = Counter(_columns(line, delimiter) for line in sample)
        columns, rows = counts.most_common(1)[0] if counts else (1, 0)
        if sample:
            header = _columns(sample[0], delimiter)
            if header > 1:
                columns = header
                rows = counts[header]
        if columns < 2:
            continue
        # Evenness first; among the even, more columns.
        score = rows / len(sample) * 100 + min(columns, 20)
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _columns(line: str, delimiter: str) -> int:
    """Columns of a line, delimiters inside quotes not counted."""
    if '"' not in line:
        return line.count(delimiter) + 1
    return sum(part.count(delimiter) for part in line.split('"')[::2]) + 1
