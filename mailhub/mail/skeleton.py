"""The bytes of a campaign's letter, made once, with gaps for what each recipient's letter has of its own.

The fixed text is in its transfer encoding already (quoted.py); for a part that is mostly not ASCII, base64, it is utf-8
and the whole part is encoded at once. A letter is then: evaluate the distinct merge expressions, encode each value
once, put everything in its place, join. What goes into a gap can't leave it: values of a body are quoted-printable or
base64, the endings of addresses are base64url, and the header's own values come from headers.py with its checks.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from operator import itemgetter
from typing import Any

from jinja2.runtime import Context

from mailhub.mail.headers import UnsafeHeader, header_names, text_header
from mailhub.mail.mime import assert_wire_safe, base64_lines
from mailhub.mail.quoted import SHORT, Quoted, quoted, with_crlf
from mailhub.mail.scan import escape_attribute
from mailhub.mail.segments import Address, Block, Link, Piece, Pixel, Value, as_html, as_text
from mailhub.mail.template import MAX_OUTPUT, Template, Values, for_header, too_long

PIXEL_START = '<img src="'
PIXEL_END = '" width="1" height="1" alt="" style="display:block;border:0">'
#: The longest ending of an address, and what may stand in one.
ENDING = 28
_ENDING_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

# The fixed order of a letter's own pieces; links, values, blocks and base64 parts follow.
_TO, _DATE, _MESSAGE_ID, _SUBJECT, _UNSUBSCRIBE, _WEB_VERSION, _PREFERENCES, _OPEN, _CLICKS = range(9)
# A value of which nothing has to be encoded or escaped anywhere.
_special = re.compile("[&<>'\"]").search
_PLAIN = r"!#$%()*+,./0-9:;?@A-Z\[\]^_a-z{|}~-"
_same_everywhere = re.compile(rf"(?:[{_PLAIN}]+ )*[{_PLAIN}]+|").fullmatch


@dataclass(frozen=True, slots=True)
class Addresses:
    """What the addresses of all recipients begin with; each has an ending of its own (`Endings`), in base64url.

    Without `open` there is no pixel. `links` are by position, one for each tracked link of the letter. Without
    `preferences` its place is taken by `unsubscribe`.

    `whole`: `open` and `links` are whole addresses, the same for everybody, so that a hit says nothing of a person; an
    empty one among the links, and all of them where there are none, are as their author wrote them: not tracked.
    """

    unsubscribe: str
    web_version: str
    open: str
    links: Sequence[str]
    preferences: str = ""
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Endings:
    """What the addresses of one recipient end in, at most ENDING characters of base64url each."""

    unsubscribe: bytes
    web_version: bytes
    open: bytes
    links: Sequence[bytes]
    preferences: bytes = b""


class Skeleton:
    """One version of a campaign for one set of `Addresses`."""

    def __init__(
        self,
        *,
        constant: bytes,
        unsubscribe: tuple[bytes, bytes],
        subject: Sequence[Piece],
        html: Sequence[Piece],
        text: Sequence[Piece],
        values: Values,
        addresses: Addresses,
        plain: Sequence[str | Template] = (),
    ) -> None:
        """`plain` are the links as their author wrote them: a text, or a template where it has merge fields."""
        self._subject, self._values = subject, values
        self._plain = _Plain(addresses.links, plain) if addresses.whole else None
        if self._plain is not None:
            html = self._plain.settled(html, addresses.open, is_html=True)
            text = self._plain.settled(text, "", is_html=False)
        self._constant_subject = b""
        if all(isinstance(piece, str) for piece in subject):
            self._constant_subject = text_header("Subject", "".join(map(str, subject)))
        self._links = [escape_attribute(link) for link in addresses.links], addresses.links
        self._pixel_start = PIXEL_START + escape_attribute(addresses.open) if addresses.open else ""
        self._values_at = _CLICKS + (0 if addresses.whole else len(addresses.links))
        generic = {piece.index for piece in (*html, *text) if isinstance(piece, Value) and piece.name not in _OWN}
        self._used = sorted(generic)
        self._blocks: list[tuple[Block | Address, int, Callable[[str], bytes]]] = []
        self._encoded: list[_Base64Part] = []
        parts = (("plain", text, 1, _is_foreign(text)), ("html", html, 0, _is_foreign(html)))
        self._as_text, self._as_html = (_as_utf8 if foreign else quoted for *_, foreign in parts)
        self._same_encoding = self._as_text is self._as_html
        self._next = self._values_at + 2 * len(self._used)
        blocks = sum(isinstance(piece, Block | Address) for piece in (*html, *text))
        self._parts_at = self._next + blocks

        ours = [name for name in header_names(unsubscribe[0] + unsubscribe[1]) if name]
        self._names = [name for name in header_names(constant) if name]
        self._names += ["to", "subject", "date", "message-id", *ours, "mime-version", "content-type"]
        self._proved = False

        boundary = "=_" + sha256(repr((subject, html, text)).encode("utf-8", "replace")).hexdigest()[:30]
        letter = _Letter()
        letter.fixed(constant)
        for number in (_TO, _SUBJECT, _DATE, _MESSAGE_ID):
            letter.gap(number)
        letter.fixed(unsubscribe[0])
        letter.gap(_UNSUBSCRIBE)
        letter.fixed(unsubscribe[1])
        letter.fixed(b"MIME-Version: 1.0\r\nContent-Type: multipart/alternative;\r\n")
        letter.fixed(f' boundary="{boundary}"\r\n\r\n'.encode())
        for subtype, pieces, which, foreign in parts:
            encoding = "base64" if foreign else "quoted-printable"
            letter.fixed(
                f"--{boundary}\r\nContent-Type: text/{subtype}; charset=utf-8\r\n"
                f"Content-Transfer-Encoding: {encoding}\r\n\r\n".encode()
            )
            flat = self._flat(pieces, addresses, which)
            if foreign:
                letter.gap(self._parts_at + len(self._encoded))
                self._encoded.append(_Base64Part(flat))
            else:
                _quote(letter, flat)
                letter.fixed(b"\r\n")
        letter.fixed(f"--{boundary}--\r\n".encode())
        self._letter, self._pick = letter.finish()
        self._gaps = len(letter.gaps) + sum(part.gaps for part in self._encoded)

    def fill(self, context: dict[str, Any], endings: Endings, *, to: bytes, date: bytes, message_id: bytes) -> bytes:
        """The letter for one recipient; `to`, `date` and `message_id` are finished header fields. Raises RenderFailed
        when the values can't be filled in, UnsafeHeader when they can't stand in the subject.

        The first letter is read again as a whole: what holds for the fixed text of one holds for all.
        """
        preferences = endings.preferences or endings.unsubscribe
        endings_together = b"".join(
            (endings.unsubscribe, endings.web_version, preferences, endings.open, *endings.links)
        )
        if endings_together.translate(None, _ENDING_LETTERS):
            raise ValueError("an ending is base64url")
        values, prepared = self._values.evaluate(context)
        pieces: list[bytes] = [
            to, date, message_id, self._constant_subject or self._subject_of(values, prepared),
            endings.unsubscribe, endings.web_version, preferences, endings.open, *endings.links,
        ]  # fmt: skip
        as_text_part: list[bytes] = []
        size = 0
        for index in self._used:
            value = values[index]
            plain = value if type(value) is str else as_text(value)
            if len(plain) <= SHORT and _same_everywhere(plain):
                encoded = plain.encode("ascii")
                pieces.append(encoded)
                as_text_part.append(encoded)
            else:
                size += len(plain)
                encoded = self._as_text(plain)
                as_text_part.append(encoded)
                if value is not plain or _special(plain):
                    encoded = self._as_html(as_html(value))
                elif not self._same_encoding:
                    encoded = self._as_html(plain)
                pieces.append(encoded)
        pieces += as_text_part
        if self._blocks:
            size += self._add_blocks(pieces, prepared, endings)
        if size * self._gaps > MAX_OUTPUT:
            self._check_size(pieces)
        for part in self._encoded:
            pieces.append(part.encode(pieces))
        whole = self._letter.copy()
        whole[1::2] = self._pick(pieces)
        letter = b"".join(whole)
        if not self._proved:
            self._prove(letter)
        return letter

    def _prove(self, letter: bytes) -> None:
        found = [name for name in header_names(letter) if name]
        if found != self._names:
            raise UnsafeHeader("name", ", ".join(sorted(set(found) ^ set(self._names)))[:100])
        assert_wire_safe(letter)
        self._proved = True

    def _subject_of(self, values: list[Any], context: Context) -> bytes:
        pieces: list[str] = []
        for piece in self._subject:
            if isinstance(piece, str):
                pieces.append(piece)
            elif isinstance(piece, Value):
                pieces.append(for_header(values[piece.index]))
            elif isinstance(piece, Block):
                pieces.append(piece.render(context, (), ""))
        return text_header("Subject", " ".join("".join(pieces).split()))

    def _add_blocks(self, pieces: list[bytes], context: Context, endings: Endings) -> int:
        size = 0
        links: Sequence[Sequence[str]]
        if self._plain is None:
            links = [_Links(starts, endings.links) for starts in self._links]
        else:
            links = self._plain.of(context, is_html=True), self._plain.of(context, is_html=False)
        pixel = f"{self._pixel_start}{endings.open.decode('ascii')}{PIXEL_END}" if self._pixel_start else ""
        for block, which, encode in self._blocks:
            text = block.render(context, links[which], "" if which else pixel)
            size += len(text)
            pieces.append(encode(text))
        return size

    def _check_size(self, pieces: list[bytes]) -> None:
        """Few values are long enough to come here: a letter's size is bounded before it is put together."""
        if sum(part.size(pieces) for part in self._encoded) > MAX_OUTPUT:
            raise too_long()
        padded = [*pieces, *[b""] * len(self._encoded)]
        if sum(map(len, self._pick(padded))) > 3 * MAX_OUTPUT:
            raise too_long()

    def _flat(self, pieces: Sequence[Piece], addresses: Addresses, which: int) -> list[tuple[str, int, int]]:
        """The pieces as (text in front, number of the gap, its width), the last with the number -1.

        `which` is 0 for HTML and 1 for text; a width of 0 is that of any value.
        """
        flat: list[tuple[str, int, int]] = []
        held = ""
        own = {
            name: (getattr(addresses, attribute) or addresses.unsubscribe, number)
            for name, (attribute, number) in _OWN.items()
        }
        for piece in pieces:
            match piece:
                case str():
                    held += piece
                case Link(position):
                    flat.append((held + self._links[which][position], _CLICKS + position, ENDING))
                    held = ""
                case Pixel() if addresses.open and not which:
                    flat.append((held + self._pixel_start, _OPEN, ENDING))
                    held = PIXEL_END
                case Value(_, name) if name in own:
                    start, number = own[name]
                    flat.append((held + (start if which else escape_attribute(start)), number, ENDING))
                    held = ""
                case Value(index):
                    place = self._values_at + which * len(self._used) + self._used.index(index)
                    flat.append((held, place, 0))
                    held = ""
                case Block() | Address():
                    flat.append((held, self._next, 0))
                    held = ""
                    self._blocks.append((piece, which, self._as_text if which else self._as_html))
                    self._next += 1
        # The line break before the next boundary belongs to the boundary.
        flat.append((held.removesuffix("\n"), -1, 0))
        return flat


#: The own URLs that a letter shows, by name: the attribute of `Addresses`, and the number of their ending.
_OWN = {
    "unsubscribe_url": ("unsubscribe", _UNSUBSCRIBE),
    "preferences_url": ("preferences", _PREFERENCES),
    "web_version_url": ("web_version", _WEB_VERSION),
}


class _Links(Sequence[str]):
    """A recipient's addresses of links, put together only where one is looked at."""

    def __init__(self, starts: Sequence[str], endings: Sequence[bytes]) -> None:
        self._starts, self._endings = starts, endings

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, position: Any) -> Any:
        return self._starts[position] + self._endings[position].decode("ascii")


class _Plain:
    """The links of letters that are the same for everybody: whole addresses, or what their author wrote."""

    def __init__(self, whole: Sequence[str], plain: Sequence[str | Template]) -> None:
        self._links: list[str | Template] = [
            (whole[position] if whole else "") or link for position, link in enumerate(plain)
        ]

    def settled(self, pieces: Sequence[Piece], pixel: str, *, is_html: bool) -> list[Piece]:
        """The pieces with links and pixel as text; what needs its recipient is a piece of its own."""
        settled: list[Piece] = []
        for piece in pieces:
            match piece:
                case Link(position):
                    link = self._links[position]
                    if isinstance(link, str):
                        settled.append(escape_attribute(link) if is_html else link)
                    else:
                        settled.append(Address(link, is_html))
                case Pixel():
                    if pixel:
                        settled.append(f"{PIXEL_START}{escape_attribute(pixel)}{PIXEL_END}")
                case _:
                    settled.append(piece)
        return settled

    def of(self, context: Context, *, is_html: bool) -> Sequence[str]:
        """A recipient's links, put together only where one is looked at."""
        return _PlainLinks(self._links, context, is_html)


class _PlainLinks(Sequence[str]):
    def __init__(self, links: Sequence[str | Template], context: Context, is_html: bool) -> None:
        self._links, self._context, self._is_html = links, context, is_html

    def __len__(self) -> int:
        return len(self._links)

    def __getitem__(self, position: Any) -> Any:
        link = self._links[position]
        url = link if isinstance(link, str) else link.render_with(self._context)
        return escape_attribute(url) if self._is_html else url


class _Letter:
    """Fixed bytes and gaps in turn."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.gaps: list[int] = []
        self._held: list[bytes] = []

    def fixed(self, data: bytes) -> None:
        self._held.append(data)

    def gap(self, number: int) -> None:
        self.pieces.append(b"".join(self._held))
        self.gaps.append(number)
        self._held = []

    def finish(self) -> tuple[list[bytes], Callable[[list[bytes]], tuple[bytes, ...]]]:
        """A list with an empty place for each gap at the odd positions, and what picks the gaps' contents."""
        whole: list[bytes] = []
        for piece in (*self.pieces, b"".join(self._held)):
            whole += (piece, b"")
        return whole[:-1], _picker(self.gaps)


class _Base64Part:
    """A part that is put together as utf-8 and encoded as a whole."""

    def __init__(self, flat: list[tuple[str, int, int]]) -> None:
        letter = _Letter()
        for text, number, _ in flat:
            letter.fixed(with_crlf(text).encode("utf-8", "replace"))
            if number >= 0:
                letter.gap(number)
        self.gaps = len(letter.gaps)
        self._whole, self._pick = letter.finish()

    def encode(self, pieces: list[bytes]) -> bytes:
        whole = self._whole.copy()
        whole[1::2] = self._pick(pieces)
        return base64_lines(b"".join(whole))

    def size(self, pieces: list[bytes]) -> int:
        return sum(map(len, self._pick(pieces)))


def _picker(numbers: list[int]) -> Callable[[list[bytes]], tuple[bytes, ...]]:
    if len(numbers) > 1:
        return itemgetter(*numbers)
    return lambda pieces: tuple(pieces[number] for number in numbers)


def _quote(letter: _Letter, flat: list[tuple[str, int, int]]) -> None:
    part = Quoted()
    for text, number, width in flat:
        part.text(text, closed=width > 0)
        if number >= 0:
            part.gap(number, width) if width else part.gap(number)
    part.end()
    for piece, number in zip(part.pieces, part.gaps, strict=False):
        letter.fixed(piece)
        letter.gap(number)
    letter.fixed(part.pieces[-1])


def _is_foreign(pieces: Sequence[Piece]) -> bool:
    """Whether base64 is the smaller encoding for the fixed text: more than a sixth of it is not ASCII."""
    raw = "".join(piece for piece in pieces if isinstance(piece, str)).encode("utf-8", "replace")
    return sum(byte > 127 for byte in raw) * 6 > len(raw)


def _as_utf8(text: str) -> bytes:
    return with_crlf(text).encode("utf-8", "replace")
