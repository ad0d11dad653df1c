"""How a file of unknown origin is to be read: its encoding and its delimiter, or why it is no list of people.

charset-normalizer is right for 16 of 34 short Cyrillic rows (mail.md, 0.10); a count of letter frequencies over the
few code pages that Russian programs write is right for nearly all, so that is what is done here.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from mailhub.imports.reading import DELIMITERS, NotACsv

SAMPLE_BYTES = 256 * 1024

#: Letters of running Russian text, in thousandths; the rest of the alphabet counts 1.
_RUSSIAN = dict(
    zip(
        "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэф",
        (110, 84, 80, 74, 67, 63, 55, 47, 45, 44, 35, 32, 30, 28, 26, 20, 19, 17, 17, 16, 16, 14, 12, 10, 9, 7, 6, 5,
         4, 3, 3),
        strict=True,
    )
)  # fmt: skip

_CYRILLIC_WORD = re.compile("[а-яёА-ЯЁ]{3,}")
_VOWELS = re.compile("[аеёиоуыэюяАЕЁИОУЫЭЮЯ]")

_MAGIC: Sequence[tuple[bytes, str]] = (
    (b"\x89PNG", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF8", "image"),
    (b"BM", "image"),
    (b"II*\x00", "image"),
    (b"MM\x00*", "image"),
    (b"PK\x03\x04", "archive"),
    (b"PK\x05\x06", "archive"),
    (b"\xd0\xcf\x11\xe0", "old_workbook"),
    (b"%PDF", "pdf"),
    (b"\x1f\x8b", "archive"),
    (b"Rar!", "archive"),
    (b"7z\xbc\xaf", "archive"),
    (b"\x7fELF", "binary"),
    (b"MZ", "binary"),
)
def sniff_encoding(path: Path) -> str:
    """One of ENCODINGS. The whole file is looked at for UTF-8, its beginning for the rest. Raises NotACsv."""
    with path.open("rb") as file:
        head = file.read(SAMPLE_BYTES)
        if not head.strip(b"\xef\xbb\xbf\xff\xfe \t\r\n\0"):
            raise NotACsv("empty")
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        if head.startswith(codecs.BOM_UTF8):
            return "utf-8"
        for magic, reason in _MAGIC:
            if head.startswith(magic) and _looks_binary(head[:4096]):
                raise NotACsv(reason)
        if head[:4] == b"RIFF" and head[8:12] in (b"WEBP", b"WAVE", b"AVI "):
            raise NotACsv("image")
        if head.lstrip()[:5].lower() in (b"<svg ", b"<!doc", b"<html"):
            raise NotACsv("binary")
        if (wide := _utf16_without_mark(head)) is not None:
            return wide
        if _looks_binary(head):
            raise NotACsv("binary")
        file.seek(0)
        good, bad, first = _utf8_census(file)
    if bad == 0 or good > 20 * bad:
        # A few broken letters in a file that is UTF-8 otherwise: their rows are listed, the others come in.
        return "utf-8"
    # What is known of the encoding is in the bytes above 127, which may begin late in the file.
    return guess_cyrillic(first)


def _looks_binary(head: bytes) -> bool:
    """Control characters that no text has. A NUL here and there is a fault of a row, not of the file."""
    odd = sum(head.count(byte) for byte in (*range(8), *range(14, 27), *range(28, 32), 127))
    return odd > len(head) / 50


def _utf16_without_mark(head: bytes) -> str | None:
    """UTF-16 whose writer left the mark away: every other byte of ASCII rows is NUL."""
    even, odd = head[0:4096:2], head[1:4096:2]
    if len(head) < 4 or max(even.count(0), odd.count(0)) < len(even) * 0.3:
        return None
    if odd.count(0) > 5 * even.count(0):
        return "utf-16-le"
    if even.count(0) > 5 * odd.count(0):
        return "utf-16-be"
    return None


def _utf8_census(file: BinaryIO) -> tuple[int, int, bytes]:
    """(letters beyond ASCII that are good UTF-8, faults, the first SAMPLE_BYTES of lines with bytes above 127)."""
    good = bad = 0
    sample = bytearray()
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while chunk := file.read(1024 * 1024):
        if chunk.isascii():
            bad += decoder.decode(chunk).count("\ufffd")
            continue
        text = decoder.decode(chunk)
        faults = text.count("\ufffd")
        bad += faults
        good += len(text) - len(text.encode("ascii", "ignore")) - faults
        if len(sample) < SAMPLE_BYTES:
            sample += b"\n".join(line for line in chunk.split(b"\n") if not line.isascii())[:SAMPLE_BYTES]
    return good, bad + decoder.decode(b"", final=True).count("\ufffd"), bytes(sample)


def guess_cyrillic(sample: bytes) -> str:
    """The code page in which the sample reads most like people's names and words; Windows-1251 in doubt."""
    scores = {codec: _score(sample, codec) for codec in ("cp1251", "koi8-r", "cp866", "cp1252")}
    return max(scores, key=lambda codec: scores[codec])


def _score(sample: bytes, codec: str) -> float:
    text = sample.decode(codec, "replace")
    score = 0.0
    before = " "
    for char, count in Counter(char for char in text if ord(char) > 127).items():
        lower = char.lower()
        if lower in _RUSSIAN:
            score += count * _RUSSIAN[lower] * (1.0 if char == lower else 0.6)
        elif "а" <= lower <= "я" or lower == "ё":
            score += count * (1.0 if char == lower else 0.5)
        elif codec == "cp1252" and lower in "äöüßéèêàâçñáíóúåøæœîïôû":
            score += count * 20.0
        elif char in "«»—–№„“”…\u00a0":
            score += count * 3.0
        else:
            # Frames, signs and letters of other alphabets: not what a list of people is made of.
            score -= count * 60.0
    for word in _CYRILLIC_WORD.findall(text):
        if not _VOWELS.search(word):
            score -= 60.0 * len(word)  # `МАРИЯ` of one page is `нбтйс` in another
    for char in text:
        if char > "\x7f" and before > "\x7f" and before.islower() and char.isupper():
            score -= 60.0  # a capital inside a word: the wrong half of a code page
        if char > "\x7f" and before.isascii() and before.isalpha():
            # A capital after a Latin letter is the wrong page; an umlaut after one is Western Europe.
            score += 60.0 if codec == "cp1252" and char.isalpha() else -40.0
        before = char
    return score


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
