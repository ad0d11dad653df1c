"""What a file is, by its content: what is refused and how it is said; ZIP archives that hold one text."""

from __future__ import annotations

import io
import struct
import zipfile

import pytest

from mailhub.imports.archive import MAX_UNPACKED
from mailhub.imports.head import look
from mailhub.imports.opening import read_rows
from mailhub.imports.reading import CSV, ODS, REFUSALS, XLSX, NotACsv, Reading
from tests.imports.books import ODS_TYPE, ods, ods_members, xlsx, xlsx_members, zipped

CSV_BYTES = "Почта;Имя\r\na@b.ru;Анна\r\n".encode("cp1251")


def kept(tmp_path, data):
    path = tmp_path / "people.csv"
    path.write_bytes(data)
    return path


def reason_of(path):
    """Why a file is refused, at once or while it is read."""
    try:
        for _row in read_rows(path, look(path).reading):
            pass
    except NotACsv as refusal:
        return refusal.reason
    return ""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("people.csv", CSV_BYTES),
        ("Люди/список.tsv", "Почта\tИмя\na@b.ru\tАнна\n".encode("utf-16")),
        ("../../../etc/cron.d/people", CSV_BYTES),
        ("/etc/passwd", CSV_BYTES),
        ("C:\\autoexec.bat", CSV_BYTES),
    ],
)
def test_the_one_text_in_an_archive_is_read_whatever_its_name(tmp_path, monkeypatch, name, text):
    monkeypatch.chdir(tmp_path)
    path = kept(tmp_path, zipped({"__MACOSX/._people.csv": "x", name: text}))
    head = look(path)
    assert (head.headers, [row.cells for row in head.rows]) == (["Почта", "Имя"], [["a@b.ru", "Анна"]])
    assert head.reading.member in (name, name.replace("\\", "/"))
    assert list(tmp_path.iterdir()) == [path]
    done: list[int] = []
    assert len(list(read_rows(path, head.reading, progress=done.append))) == 2
    assert 0 < done[-1] <= path.stat().st_size


def test_the_reading_is_kept_as_json(tmp_path):
    reading = look(kept(tmp_path, zipped({"people.csv": CSV_BYTES}))).reading
    assert reading == Reading("cp1251", ";", CSV, "", "people.csv")
    assert reading.as_json() == {"encoding": "cp1251", "delimiter": ";", "kind": "csv", "member": "people.csv"}
    assert Reading.from_json({**reading.as_json(), "more": 1, "sheet": None}) == reading


@pytest.mark.parametrize(("make", "kind"), [(xlsx, XLSX), (ods, ODS)])
def test_workbook_is_known_whatever_it_is_called(tmp_path, make, kind):
    assert look(kept(tmp_path, make([["email"], ["a@b.ru"]]))).reading.kind == kind


def encrypted(data):
    """The same archive with the flag of encryption at each member."""
    changed = bytearray(data)
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = changed.find(mark)
        while at >= 0:
            changed[at + place] |= 1
            at = changed.find(mark, at + 1)
    return bytes(changed)


def lying(data, size):
    """The same archive, whose directory gives another unpacked size for every member."""
    changed = bytearray(data)
    at = changed.find(b"PK\x01\x02")
    while at >= 0:
        changed[at + 24 : at + 28] = struct.pack("<I", size)
        at = changed.find(b"PK\x01\x02", at + 1)
    return bytes(changed)


def many_members(count):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(count):
            archive.writestr(f"{number:>100}", b"")
    return out.getvalue()


def ole(name):
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + name.encode("utf-16-le") + bytes(600)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\n \r\n", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        ("\ufeff".encode("utf-16-le"), "empty"),
        (xlsx([[""]]), "empty"),
        (ods([[""]]), "empty"),
        (zipped({"people.csv": b""}), "empty"),
        (ole("Workbook"), "old_workbook"),
        (ole("EncryptedPackage"), "password"),
        (ole("WordDocument"), "document"),
        (ole("Something"), "binary"),
        (zipped(xlsx_members({"S": ""}) | {"xl/workbook.bin": b"x"}), "binary_workbook"),
        (zipped({"[Content_Types].xml": "", "word/document.xml": ""}), "document"),
        (zipped({"mimetype": "application/vnd.oasis.opendocument.text"}), "document"),
        (zipped(ods_members({"S": ""}) | {"META-INF/manifest.xml": "<manifest:encryption-data/>"}), "password"),
        (zipped({"mimetype": ODS_TYPE}), "broken_workbook"),
        (zipped({"[Content_Types].xml": "", "xl/x": ""}), "broken_workbook"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "pdf"),
        (b"<!DOCTYPE html><html><table>", "html"),
        (b"\r\n <html xmlns:x='urn:schemas-microsoft-com:office:excel'>", "html"),
        (b"MIME-Version: 1.0\nX-Document-Type: Workbook\n", "html"),
        (b"<?xml version='1.0'?><Workbook/>", "xml"),
        (b"{\\rtf1\\ansi", "document"),
        (b"\x1f\x8b\x08\x00" + bytes(50), "archive"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(50), "archive"),
        (zipped({"a.csv": CSV_BYTES, "b.csv": CSV_BYTES}), "archive_members"),
        (zipped({}), "archive_members"),
        (zipped({"folder/": b""}), "archive_members"),
        (zipped({"people.xlsx": xlsx([["a@b.ru"]])}), "archive_kind"),
        (zipped({"inner.zip": zipped({"people.csv": CSV_BYTES})}), "archive_kind"),
        (zipped({"page.csv": "<html>"}), "archive_kind"),
        (encrypted(zipped({"people.csv": CSV_BYTES})), "password"),
        (zipped({"people.csv": b"a" * 30_000_000}), "bomb"),
        (lying(zipped({"people.csv": b"a@b.ru\n" * 4_000_000}), 100), "archive_broken"),
        (lying(zipped({"people.csv": CSV_BYTES}), MAX_UNPACKED + 1), "too_large"),
        (zipped({"people.csv": CSV_BYTES})[:-30], "archive_broken"),
        (zipped({"people.csv": CSV_BYTES}).replace(CSV_BYTES[:0] + b"PK\x01\x02", b"PK\x01\x03"), "archive_broken"),
        (many_members(9_000), "bomb"),
        (zipped(ods_members({"S": "<table:table-row>" + " " * 90_000_000})), "bomb"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(tmp_path, data, reason):
    assert reason_of(kept(tmp_path, data)) == reason


@pytest.mark.parametrize("begin", [b"MZ", b"BM", b"GIF89a", b"Rar!", b"PK", b"II*", b"RIFF"])
def test_a_text_that_begins_like_something_else_is_a_text(tmp_path, begin):
    head = look(kept(tmp_path, begin + b",email\nx,a@b.ru\n"))
    assert head.headers[1] == "email"


def test_one_broken_byte_never_breaks_us(tmp_path):
    good = xlsx([["email", "name"], *([f"user{n}@b.ru", "Анна"] for n in range(30))])
    for change in range(0, 1200, 5):
        data = bytearray(good)
        data[change * 131 % len(data)] ^= 1 << (change % 8)
        assert reason_of(kept(tmp_path, bytes(data))) in {"", *REFUSALS}
