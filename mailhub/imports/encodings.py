"""The encoding of a text of unknown origin: marks, UTF-16 and UTF-8 by their form, code pages by how people write.

A name of two or three words must be enough. charset-normalizer is right for 16 of 34 short Cyrillic rows (mail.md,
0.10), because it compares frequencies of letters, of which a name has six. Here each code page is asked how many bits
the words would cost under it: pairs of letters of Russian, accents between Latin letters, capitals where they stand.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import BinaryIO

from mailhub.imports.reading import Alternative, NotACsv
from mailhub.imports.sniff import looks_binary

#: Bits that a pair of letters costs (row: first, column: second; a space is the end of a word), 9 for very rare ones.
#: Counted over 8,400 words of our own Russian catalogue and 700 names and towns.
_ALPHABET = " абвгдежзийклмнопрстуфхцчшщъыьэюяё"
_PAIRS = (
    "9554645754945544353566895799996979", "2974756757654439544488696699999779", "6379993985965972949939869998379989",
    "1499874994965984965889999999569989", "4499953994984951939959999999999999", "4396993893976642539659999999779976",
    "2973555869544537734497878879999998", "4469922994959635999949999999999996", "3194946794997544969959999999769969",
    "3886755866544437743498677699999849", "1999959999964995995399965999999999", "3297995993995972945449989999989999",
    "4389793693957873898959998999839546", "3297993993999672496959999999689958", "3389853992979952997568978999569967",
    "3962556668654549645497896999999979", "8399994992986992829859999899799988", "5276673793969752896559789799569868",
    "4496993994934663576269996999549947", "3395983994958872545979996999639978", "3756535449553559644497594669999599",
    "9299993992999992949999999999959993", "2299995993995992949979999999999999", "5394992993939993939999949999999499",
    "6299992992969959999379999999979993", "6399992992944653999979999999999994", "9499992992999999999979999999999991",
    "6666662666666666666666666666666663", "2945963699453569667399496599999999", "1996794967959359996599979499999936",
    "9999949999993999999099999999999999", "3939929999945599959299993949999999", "1966984959946539957499997779999699",
    "3992949999995439957299999999999999",
)  # fmt: skip
_BITS = {
    first + second: int(bits)
    for first, row in zip(_ALPHABET, _PAIRS, strict=True)
    for second, bits in zip(_ALPHABET, row, strict=True)
}
#: Of other Cyrillic alphabets; of these, only the Ukrainian and Belarusian ones are at home here.
_OTHER_CYRILLIC = frozenset("іїєґўјљњћђџѕӏәғқңөұүһ")
_UKRAINIAN = frozenset(_ALPHABET + "іїєґў")
_CYRILLIC = frozenset(_ALPHABET.strip()) | _OTHER_CYRILLIC

#: What the accents of languages cost in Latin words, by the code pages that have them.
_WESTERN = dict.fromkeys("éèêëàâäçñóòôöíìîïúùûüáãåøæß", 5) | dict.fromkeys("œõ", 7) | dict.fromkeys("ðþýÿ", 9)
_CENTRAL = dict.fromkeys("ąćęłńóśźżáčďéěíňřšťúůýžőűöüä", 5) | dict.fromkeys("ăâîşţđŕľĺôçë", 7)
_TURKISH = dict.fromkeys(_WESTERN, 7) | dict.fromkeys("ğışçöü", 4)
#: What must stand behind an accent: `ñ` before a consonant is `ń` of another page, `ê` at the end is `ę`.
_BEHIND = {"ñ": frozenset("aeiouáéíóúü"), "œ": frozenset("ui"), "ê": frozenset("abcdefghijklmnopqrstuvwxyz")}
_SIGNS = dict.fromkeys("«»–—", 6) | dict.fromkeys("„“”№\u00a0", 7) | dict.fromkeys("‘’…·•©®™°§€", 8)
_OPENING, _CLOSING = frozenset("«„“‘"), frozenset("»“”’…")

#: Code page → (bits that it costs to be so rare, what its accents cost).
_PAGES: dict[str, tuple[float, dict[str, int]]] = {
    "cp1251": (0.0, {}),
    "cp1252": (0.5, _WESTERN),
    "koi8-r": (1.0, {}),
    "cp866": (1.0, {}),
    "cp1250": (2.0, _CENTRAL),
    "cp1254": (2.0, _TURKISH),
    "iso8859-5": (3.0, {}),
    "iso8859-2": (4.0, _CENTRAL),
    "mac-cyrillic": (4.0, {}),
    "koi8-u": (4.0, {}),
}
#: Countries in whose files a page is at home, by the ends of the addresses in them, and what that is worth.
_COUNTRIES = (
    (re.compile(rb"\.(?:ru|su|by|kz|ua|kg|uz)\b"), frozenset({"cp1251", "koi8-r", "cp866", "iso8859-5", "koi8-u"})),
    (re.compile(rb"\.(?:pl|cz|sk|hu|ro|hr|si)\b"), frozenset({"cp1250", "iso8859-2"})),
    (re.compile(rb"\.tr\b"), frozenset({"cp1254"})),
)
_AT_HOME = 6.0

_WORD = re.compile(r"[^\W\d_]+")
_SIGN = re.compile(r"[^\x00-\x7f](?<![^\W\d_])")
_UNLIKELY, _VERY_UNLIKELY = 12.0, 20.0

SAMPLE_BYTES = 256 * 1024
#: So much of what is not ASCII is weighed.
_WEIGHED = 3 * 1024
_EXAMPLE = 60

Opener = Callable[[], AbstractContextManager[BinaryIO]]


def sniff_encoding(opened: Opener) -> str:
    """A key of ENCODINGS. The whole file is looked at for UTF-8, its beginning for the rest. Raises NotACsv."""
    with opened() as file:
        head = file.read(SAMPLE_BYTES)
        _refuse_what_is_no_text(head, file)
        if (marked := _marked(head)) is not None:
            return marked
        if (wide := _utf16_without_mark(head)) is not None:
            return wide
        if looks_binary(head):
            raise NotACsv("binary")
        good, bad, sample = _utf8_census(head, file)
    if bad == 0 or good > 20 * bad:
        # A few broken letters in a file that is UTF-8 otherwise: their rows are listed, the others come in.
        return "utf-8"
    return likely_pages(sample)[0]


def _refuse_what_is_no_text(head: bytes, file: BinaryIO) -> None:
    if head.strip(b"\xef\xbb\xbf\xff\xfe \t\r\n\0"):
        return
    if not head or not file.read(1):
        raise NotACsv("empty")
    if head.count(0) > len(head) / 2:
        raise NotACsv("binary")


def _marked(head: bytes) -> str | None:
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8" if head.startswith(codecs.BOM_UTF8) else None


def _utf16_without_mark(head: bytes) -> str | None:
    """UTF-16 whose writer left the mark away: every other byte is of one of few pages, mostly NUL."""
    head = head[: 4096 & ~1]
    even, odd = head[0::2], head[1::2]
    if len(head) < 4:
        return None
    # Latin is in page 0, Cyrillic in page 4, dashes and quotes in page 32.
    pages = [sum(map(half.count, (0, 4, 32))) / len(half) for half in (even, odd)]
    nuls = [half.count(0) for half in (even, odd)]
    if nuls[1] > 5 * nuls[0] and pages[1] > 0.9:
        return "utf-16-le"
    if nuls[0] > 5 * nuls[1] and pages[0] > 0.9:
        return "utf-16-be"
    return None


def _utf8_census(head: bytes, file: BinaryIO) -> tuple[int, int, bytes]:
    """(letters beyond ASCII that are good UTF-8, faults, the beginning of the lines that are not ASCII).

    What is known of a code page is in the bytes above 127, which may begin late in the file.
    """
    good = bad = 0
    sample = bytearray()
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    chunk = head
    while chunk:
        text = decoder.decode(chunk)
        if not chunk.isascii() or not text.isascii():
            faults = text.count("\ufffd")
            bad += faults
            good += len(text) - len(text.encode("ascii", "ignore")) - faults
            if len(sample) < SAMPLE_BYTES:
                sample += _not_ascii(chunk)
        chunk = file.read(1024 * 1024)
    return good, bad + decoder.decode(b"", final=True).count("\ufffd"), bytes(sample)


def _not_ascii(data: bytes) -> bytes:
    return b"\n".join(line for line in data.split(b"\n") if not line.isascii())[:SAMPLE_BYTES]


def likely_pages(sample: bytes) -> list[str]:
    """The code pages, those first in which the sample reads most like people's names and words."""
    sample = sample[:_WEIGHED]
    costs = {page: rare + bits_of(sample, page) for page, (rare, _accents) in _PAGES.items()}
    for ending, pages in _COUNTRIES:
        if ending.search(sample):
            costs = {page: cost - _AT_HOME * (page in pages) for page, cost in costs.items()}
    return sorted(costs, key=lambda page: costs[page])


def bits_of(sample: bytes, page: str) -> float:
    """How unlikely the sample is as text in this code page; only what is not ASCII costs anything."""
    accents = _PAGES[page][1]
    text = sample.decode(page, "replace")
    bits = 0.0
    for word in _WORD.findall(text):
        if not word.isascii():
            bits += _bits_of_word(word, accents)
    for match in _SIGN.finditer(text):
        bits += _bits_of_sign(match[0], text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1])
    return bits


def _bits_of_sign(sign: str, before: str, behind: str) -> float:
    """Quotes open before a word and close behind it; other signs keep away from letters."""
    if sign not in _SIGNS:
        return _VERY_UNLIKELY if sign < "\xa0" or sign == "\ufffd" else 14.0
    bits = float(_SIGNS[sign])
    if before.isalpha() and behind.isalpha():
        return bits + (2.0 if sign in "’–—" else _UNLIKELY)
    if (before.isalpha() and sign not in _CLOSING) or (behind.isalpha() and sign not in _OPENING):
        bits += 6.0
    return bits


def _bits_of_word(word: str, accents: dict[str, int]) -> float:
    lower = word.replace("İ", "i").lower()
    bits = _bits_of_case(word)
    before, before_is_cyrillic = " ", None
    for number, letter in enumerate(lower, start=1):
        is_cyrillic = letter in _CYRILLIC
        if before_is_cyrillic is not None and is_cyrillic != before_is_cyrillic:
            bits += _UNLIKELY  # a word is of one alphabet
        if is_cyrillic:
            bits += _BITS.get((before if before_is_cyrillic else " ") + letter, 6 if letter in _UKRAINIAN else 9)
        elif letter > "\x7f":
            bits += accents.get(letter, 14) + (4 if before > "\x7f" else 0)
            if letter in _BEHIND and lower[number : number + 1] not in _BEHIND[letter]:
                bits += 6
        before, before_is_cyrillic = letter, is_cyrillic
    if before_is_cyrillic:
        bits += _BITS.get(before + " ", 6)
    return bits


def _bits_of_case(word: str) -> float:
    """`анна`, `Анна` and `АННА` are what people write; each capital behind a small letter is unlikely."""
    if word.islower():
        return 0.0
    if len(word) == 1 or (word[0].isupper() and word[1:].islower()):
        return 1.0
    if word.isupper():
        return 2.0 + 0.3 * len(word)
    return 2.0 + 6.0 * sum(one.islower() and two.isupper() for one, two in pairwise(word))


def alternatives(opened: Opener, chosen: str) -> tuple[Alternative, ...]:
    """The encodings in which a text could be, with words of its own under each: the chosen one first."""
    with opened() as file:
        head = file.read(SAMPLE_BYTES)
    wide = _marked(head) or _utf16_without_mark(head)
    if wide is not None and wide.startswith("utf-"):
        likely = [wide] if wide != "utf-8" else ["utf-8", "cp1251", "cp1252"]
        sample = head[:_WEIGHED]
    else:
        sample = _not_ascii(head)[:_WEIGHED]
        likely = ["utf-8", *likely_pages(sample)]
    order = dict.fromkeys([chosen, *likely])
    found: dict[str, Alternative] = {}
    for encoding in order:
        example = _example(sample, encoding)
        # Pages that differ nowhere in this file are one choice.
        if "\ufffd" not in example or encoding == chosen:
            found.setdefault(example, Alternative(encoding, example))
    return tuple(found.values())


def _example(sample: bytes, encoding: str) -> str:
    text = sample.decode(encoding, "replace")
    words = dict.fromkeys(word for word in _WORD.findall(text) if not word.isascii())
    return " ".join(words)[:_EXAMPLE]
