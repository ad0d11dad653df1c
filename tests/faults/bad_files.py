"""Files that nobody should upload: a corpus in every format and encoding, and what chance makes of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from tests.imports.books import ods, ods_members, xlsx, xlsx_members, zipped

TEXTS = (
    "email,name,city\na@b.ru,Анна Щукина,Уфа\nc@d.ru,Борис,\"Омск, юг\"\n",
    "Почта;ФИО;Дата рождения;Сумма\r\na@b.ru;Пётр \"Петя\" Ёлкин;27.11.1985;12,5\r\n\r\nc@d.ru;;;\r\n",
    "email\tteg\nмимо@почта\tx\n\n  \na@пример.рф\ty\n",
    'sep=;\nemail;note\n"a@b.ru";"two\nlines ""quoted"""\nc@d.ru;x\n',
    "a@b.ru|Müller\nc@d.com|Lefèvre\n",
    "email\ra@b.ru\rc@d.ru\r",
    "name,email,consent date,ip,tags\nAnna,A@B.RU,2026-11-27 10:00,192.0.2.1,\"a,b\"\n",
)  # fmt: skip
ENCODINGS = (
    "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1251", "koi8-r", "cp866", "iso8859-5",
    "cp1252",
    "mac-cyrillic", "gb18030",
)  # fmt: skip
#: What is put into files in odd places.
PIECES = (
    b"\0", b'"', b'""', b"\n", b"\r", b"\r\n", b"\n\r", b",", b";", b"\t", b"|", b"\xef\xbb\xbf", b"\xff\xfe",
    b"\xfe\xff",
    b"\xff", b"\x80", b"\xd0", b"@", b"'=", b"\x1a", b"\x0c", b"\x85", "\u2028".encode(), "\ufffd".encode(), b'"\n"',
    b',"',
    b"<", b"&a;", b"<!DOCTYPE a [", b"]]>", b"<row>", b"</row>", b' r="9999999999"', b't="s"', b"-1", b"1e309",
    b"PK\x03\x04",
)  # fmt: skip
MARKUP = (
    b"<row><c><v>1</v></c></row>", b'<c r="XFD1" t="inlineStr"><is><t>x</t></is></c>', b'<c t="s"><v>123456</v></c>',
    b"<c t='b'><v>7</v></c>", b"<c s='9'><v>1e400</v></c>", b'<table:table-row table:number-rows-repeated="99999999">',
    b'<table:table-cell table:number-columns-repeated="99999999"><text:p>x</text:p></table:table-cell>',
    b"<office:annotation>", b"</table:table>", b'<table:table table:name="People">', b"<si/>", b"<t>_x0000_</t>",
)  # fmt: skip

Random = random.Random


def make(seed: int, number: int) -> bytes:
    """The file of this number: always the same."""
    rng = Random(f"{seed}/{number}")
    make_one = rng.choices(tuple(_MAKERS), weights=tuple(_MAKERS.values()))[0]
    return make_one(rng)


def table(rng: Random) -> list[list[str]]:
    """A table of people in which something may be odd already."""
    alphabet = rng.choice(("abc", "абв", 'a",;\n', "\0\ufffd\U0001f389"))
    width = rng.choice((1, 2, 3, 5))
    rows = [[f"column {n}" for n in range(width)]]
    for number in range(rng.randrange(8)):
        cells = ["".join(rng.choices(alphabet, k=rng.randrange(12))) for _cell in range(width)]
        cells[rng.randrange(width)] = rng.choice((f"user{number}@b.ru", f"USER{number}@B.RU", "nobody", ""))
        rows.append(cells)
    return rows


def text(rng: Random) -> bytes:
    """A text of the corpus in one of the encodings, or two of them behind one another."""
    chosen = rng.choice(TEXTS) * rng.choice((1, 1, 3))
    data = chosen.encode(rng.choice(ENCODINGS), "replace")
    return data + text(rng) if rng.random() < 0.1 else data


def damaged(data: bytes, rng: Random, pieces: Sequence[bytes] = PIECES, times: int = 6) -> bytes:
    """The same bytes with pieces put in, taken out, doubled, changed."""
    changed = bytearray(data)
    for _time in range(rng.randrange(1, times)):
        at = rng.randrange(len(changed) + 1)
        deed = rng.random()
        if deed < 0.45:
            changed[at:at] = rng.choice(pieces) * rng.choice((1, 1, 1, 2, 300))
        elif deed < 0.6:
            del changed[at : at + rng.randrange(1, 40)]
        elif deed < 0.75:
            changed[at:at] = changed[at : at + rng.randrange(1, 80)] * rng.choice((1, 2, 50))
        elif deed < 0.9 and at < len(changed):
            changed[at] = rng.randrange(256)
        else:
            del changed[at:]
    return bytes(changed)


def damaged_text(rng: Random) -> bytes:
    return damaged(text(rng), rng)


def noise(rng: Random) -> bytes:
    """Nothing but separators, quotes and letters, or nothing but chance."""
    if rng.random() < 0.3:
        return rng.randbytes(rng.randrange(600))
    return b"".join(rng.choices((b"a", b"@b.ru", *PIECES[:10]), k=rng.randrange(400)))


def wide(rng: Random) -> bytes:
    """Rows beyond the limits: of columns, of a cell, of a row."""
    filling = rng.choice((b",", b"x", b'"', b"a,", b'"",', "ё".encode())) * rng.choice((199, 201, 10_001, 70_000))
    return b"email,name\na@b.ru,x\n" + filling + rng.choice((b"\n", b'"\n', b"")) + b"c@d.ru,y\n"


def open_quotes(rng: Random) -> bytes:
    """Quotes that are never closed, or by the wrong line, many of them."""
    lines = (b'"a@b.ru,x', b"c@d.ru,y", b'x","y', b'e@f.ru,"z"', b'""', b'"', b"")
    return b"email,name\n" + b"\n".join(rng.choices(lines, k=rng.choice((5, 50, 700))))


def damaged_archive(rng: Random) -> bytes:
    """An archive whose bytes are wrong somewhere."""
    return damaged(rng.choice((_xlsx, _ods, _zip))(rng), rng, times=4)


def damaged_parts(rng: Random) -> bytes:
    """A whole archive, with parts of a workbook that are not what they should be."""
    rows = "".join(f"<row><c t='s'><v>{n}</v></c><c><v>{n * 1.5}</v></c></row>" for n in range(4))
    shared = [f"<si><t>user{n}@b.ru</t></si>" for n in range(4)]
    line = "<table:table-row><table:table-cell><text:p>a@b.ru</text:p></table:table-cell></table:table-row>"
    members = rng.choice((xlsx_members({"People": rows}, shared=shared, formats=["yyyy", "0000"]),
                          ods_members({"People": line * 3})))  # fmt: skip
    for name in rng.sample(sorted(members), k=rng.choice((1, 1, 2))):
        part = members[name]
        part = part.encode() if isinstance(part, str) else part
        members[name] = damaged(part, rng, PIECES + MARKUP * 3)
        if rng.random() < 0.1:
            del members[name]
    return zipped(members, stored=rng.random() < 0.3)


def bomb(rng: Random) -> bytes:
    """Much out of little."""
    size = rng.choice((1_000_000, 6_000_000))
    deep = "<a>" * 50_000
    laughs = (
        '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><worksheet><row><c><v>&b;</v></c></row></worksheet>'
    )
    repeated = (
        '<table:table-row table:number-rows-repeated="1048576"><table:table-cell table:number-columns-repeated="16384">'
        "<text:p>x</text:p></table:table-cell></table:table-row>"
    )
    return rng.choice((
        lambda: zipped({"a.csv": b"a@b.ru\n" * (size // 7)}),
        lambda: zipped({"a.csv": bytes(size)}),
        lambda: zipped({"../../a.csv": TEXTS[0], "b.csv": TEXTS[0]}),
        lambda: zipped({"/etc/passwd": TEXTS[0]}),
        lambda: zipped({"a.zip": zipped({"a.csv": TEXTS[0]})}),
        lambda: zipped(xlsx_members({"People": deep})),
        lambda: zipped(xlsx_members({"People": "<row/>" * (size // 6)})),
        lambda: zipped(xlsx_members({"People": ""}) | {"xl/worksheets/sheet1.xml": laughs}),
        lambda: zipped(xlsx_members({"People": ""}, shared=["<si><t>" + "x" * size])),
        lambda: zipped(xlsx_members({"People": "".join(f"<e{n}/>" for n in range(20_000))})),
        lambda: zipped(ods_members({"People": repeated})),
        lambda: b"a@b.ru," + b"x" * size,
        lambda: b"email\n" + b"," * size + b"\na@b.ru\n",
        lambda: bytes(size),
        lambda: b'"' * size,
        lambda: b"\n" * size,
    ))()  # fmt: skip


def _xlsx(rng: Random) -> bytes:
    return xlsx([[cell.replace("\0", "").replace("\ufffd", "") for cell in row] for row in table(rng)])


def _ods(rng: Random) -> bytes:
    return ods([[cell.replace("\0", "") for cell in row] for row in table(rng)])


def _zip(rng: Random) -> bytes:
    return zipped({rng.choice(("a.csv", "../a.csv", "x/Список.tsv")): damaged_text(rng)})


_MAKERS: dict[Callable[[Random], bytes], float] = {
    text: 10, damaged_text: 40, noise: 12, wide: 2, open_quotes: 6, _xlsx: 4, _ods: 4, _zip: 6, damaged_archive: 8,
    damaged_parts: 12, bomb: 0.1,
}  # fmt: skip
