"""Quoted-printable with gaps: what is the same in all letters is encoded once, what goes into the gaps for each letter.

RFC 2045 §6.7. A soft line break (`=` CRLF) may stand between any two characters, so the fixed text is broken as if
every gap held a value as long as it may be (`SHORT`, or what the caller knows), and a longer value brings soft breaks
of its own. Lines have at most 76 characters whatever the values are, and a value can't begin a line of its own making:
its line breaks are those of the text it stands in, everything else outside of printable ASCII is `=XX`.

White space that follows other white space, and tabs, are `=XX` as well: the body is then in DKIM's relaxed form
(RFC 6376 §3.4.4) without being looked at again.
"""

import binascii
import re

#: A value without a line break of its own has at most so many characters when it is encoded.
SHORT = 40
_LINE = 75
_NEWLINES = re.compile(r"\r\n?|\n")
_fits = re.compile(r"(?: ?(?:[!-<>-~]+ )*[!-<>-~]+)?").fullmatch


class Quoted:
    """Collects the encoded text and its gaps: `pieces[n]` stands in front of `gaps[n]`, the last one at the end."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.gaps: list[int] = []
        self._line: list[bytes] = []
        self._column = 0

    def text(self, text: str, *, closed: bool = False) -> None:
        """Fixed text; its line breaks are `\\n`. `closed` when something that is never empty follows at once."""
        data = text.encode("utf-8", "replace")
        for position, byte in enumerate(data):
            if byte == 10:
                self._line.append(b"\r\n")
                self._column = 0
            elif byte == 32:
                # White space at the end of a line is lost on the way, and a value behind it may be empty.
                following = data[position + 1 : position + 2] or (b"" if closed else b"\n")
                lonely = following not in (b"\n", b" ", b"\t") and (position or not self._line)
                self._add(b" " if lonely else b"=20")
            elif 32 < byte < 127 and byte != 61:
                self._add(bytes((byte,)))
            else:
                self._add(b"=%02X" % byte)

    def gap(self, number: int, width: int = SHORT) -> None:
        """The place of a value, named by the caller's number, that takes at most `width` characters of a line."""
        if self._column + width > _LINE:
            self._break()
        self.pieces.append(b"".join(self._line))
        self.gaps.append(number)
        self._line = []
        self._column += width

    def end(self) -> None:
        """Nothing follows any more."""
        self.pieces.append(b"".join(self._line))
        self._line = []

    def _add(self, encoded: bytes) -> None:
        if self._column + len(encoded) > _LINE:
            self._break()
        self._line.append(encoded)
        self._column += len(encoded)

    def _break(self) -> None:
        self._line.append(b"=\r\n")
        self._column = 0


def quoted(text: str) -> bytes:
    """A value for a gap of width SHORT."""
    if len(text) <= SHORT and _fits(text):
        return text.encode("ascii")
    raw = with_crlf(text).encode("utf-8", "replace")
    # b2a_qp takes the form of its line ends from the first one of the data.
    encoded = binascii.b2a_qp(b"\r\n" + raw, quotetabs=b"  " in raw or b"\t" in raw)
    if len(encoded) <= SHORT + 2 and encoded.rfind(b"\r\n") == 0:
        return encoded[2:]
    # The lines of a long value begin after a soft break, and end with one unless the last is short.
    last = len(encoded) - encoded.rfind(b"\r\n") - 2
    if last > _LINE:
        # b2a_qp fills the line when nothing follows: its last character goes to a line of its own.
        end = 3 if encoded[-3:-2] == b"=" else 1
        return b"=" + encoded[:-end] + b"=\r\n" + encoded[-end:]
    return b"=" + encoded + (b"=\r\n" if last > SHORT else b"")


def with_crlf(text: str) -> str:
    """The text with each of its line breaks (CRLF, CR or LF) as CRLF."""
    return _NEWLINES.sub("\r\n", text) if "\n" in text or "\r" in text else text
