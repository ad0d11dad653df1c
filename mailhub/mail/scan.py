"""The tags of an HTML source with the places of their attributes, so that it can be changed without re-serialising it.

Merge expressions are opaque, whatever they contain. The contents of conditional comments (`<!--[if mso]>`) are
scanned, because Outlook shows the links in them; other comments and raw text elements are not. Linear in the size of
the source on any input; what a browser would not see as a tag any more (an unclosed quote) ends the scan.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

from mailhub.mail.merge import MASK, expressions, mask

RAW_TEXT = frozenset({"script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes"})

_NEXT = re.compile(rf"<!--|<(/?)([A-Za-z][^\s/>{MASK}]*)|<[!?/]")
_BLANK = re.compile(rf"[\s/{MASK}]*")
_NAME = re.compile(rf"[^\s/>{MASK}][^\s/>={MASK}]*")
_EQUALS = re.compile(r"\s*=\s*")
_SPECIAL = re.compile("[&<>\"']")
_UNQUOTED = re.compile(r"[^\s>]+")
_REFERENCE = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


@dataclass(frozen=True, slots=True)
class Attribute:
    """`value` as written, without its quotes; source[start:end] is the value with them. No value: start == end."""

    name: str
    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Tag:
    """source[start:end] is the tag; names are in lower case."""

    name: str
    closing: bool
    start: int
    end: int
    attributes: tuple[Attribute, ...]

    def get(self, name: str) -> str | None:
        """The unescaped value of the first attribute of this name; None without one."""
        for attribute in self.attributes:
            if attribute.name == name:
                return unescape(attribute.value)
        return None


def tags(source: str) -> Iterator[Tag]:
    """Every tag in the order of the source."""
    masked = mask(source)
    position = 0
    while found := _NEXT.search(masked, position):
        start = found.start()
        if found.group() == "<!--":
            position = _after_comment(masked, start)
        elif not found.group(2):
            position = _after(masked, ">", found.end())
        else:
            tag = _tag(source, masked, found)
            if tag is None:
                return
            yield tag
            position = tag.end
            if tag.name in RAW_TEXT and not tag.closing:
                closer = re.compile(f"</{tag.name}", re.IGNORECASE).search(masked, position)
                position = closer.start() if closer else -1
        if position < 0:
            return


def unescape(value: str) -> str:
    """Character references of an attribute value decoded, merge expressions left as they are.

    Only references that end in a semicolon: `?a=1&copy=2` is a query, not a copyright sign (HTML, 13.2.5.73).
    """
    pieces: list[str] = []
    position = 0
    for start, end in (*expressions(value), (len(value), len(value))):
        pieces += (_REFERENCE.sub(lambda ref: html.unescape(ref.group()), value[position:start]), value[start:end])
        position = end
    return "".join(pieces)


def escape_attribute(value: str) -> str:
    """The value for use between double quotes; merge expressions are left as they are."""
    if not _SPECIAL.search(value):
        return value
    pieces: list[str] = []
    position = 0
    for start, end in (*expressions(value), (len(value), len(value))):
        pieces += (html.escape(value[position:start], quote=True), value[start:end])
        position = end
    return "".join(pieces)


def line_of(source: str, position: int) -> int:
    """The line, counted from 1, in which a position of the source is."""
    return source.count("\n", 0, position) + 1


def after_body_start(source: str) -> int:
    """Where the content of the letter begins: behind `<body>`, else behind the head, else at the start."""
    place = 0
    for tag in tags(source):
        if tag.name == "body" and not tag.closing:
            return tag.end
        if (tag.name == "head" and tag.closing) or (tag.name == "html" and not tag.closing):
            place = tag.end
    return place


def before_body_end(source: str) -> int:
    """Where the content of the letter ends: before the last `</body>`, else before `</html>`, else at the end."""
    place: dict[str, int] = {}
    for tag in tags(source):
        if tag.closing:
            place[tag.name] = tag.start
    return place.get("body", place.get("html", len(source)))


def _tag(source: str, masked: str, found: re.Match[str]) -> Tag | None:
    """The tag that begins at the match, or None when the source ends inside it."""
    attributes: list[Attribute] = []
    position = found.end()
    while True:
        position = _end(_BLANK, masked, position)
        if position >= len(masked):
            return None
        if masked[position] == ">":
            name, closing = found.group(2).lower(), bool(found.group(1))
            return Tag(name, closing, found.start(), position + 1, tuple(attributes))
        named = _NAME.match(masked, position)
        if named is None:  # A lone "=" and its like.
            position += 1
            continue
        position = named.end()
        equals = _EQUALS.match(masked, position)
        if equals is None:
            attributes.append(Attribute(named.group().lower(), "", position, position))
            continue
        start = equals.end()
        quote = masked[start : start + 1]
        if quote in ('"', "'") and quote:
            end = masked.find(quote, start + 1)
            if end < 0:
                return None
            value, position = source[start + 1 : end], end + 1
        else:
            position = _end(_UNQUOTED, masked, start)
            value = source[start:position]
        attributes.append(Attribute(named.group().lower(), value, start, position))


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return found.end() if found else position


def _after_comment(masked: str, start: int) -> int:
    if masked.startswith(("<!-->", "<!--->"), start):
        return masked.index(">", start) + 1
    if masked.startswith("<!--[if", start):
        return _after(masked, "]>", start)
    return _after(masked, "-->", start)


def _after(masked: str, what: str, start: int) -> int:
    place = masked.find(what, start)
    return place + len(what) if place >= 0 else -1
