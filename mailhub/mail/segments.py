"""A letter's sources cut into what is the same for everybody and what is filled in.

Every merge expression of a letter is evaluated once, by one compiled template for all of its parts; a condition or
loop is rendered as a whole. All in the sandbox of template.py, with the lint, bounds and escaping of whole templates.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import nodes
from jinja2.runtime import Context
from markupsafe import escape

from mailhub.mail.document import LINK_SLOT, PIXEL_SLOT
from mailhub.mail.lint import lint, parse
from mailhub.mail.merge import OWN_URL_NAMES
from mailhub.mail.scan import escape_attribute
from mailhub.mail.template import Kind, Template, TemplateRefused, Values, block_of, guard_operations, values_of
from mailhub.mail.text import squeeze

_SLOT = re.compile(f"({LINK_SLOT}[0-9]{{3}}|{PIXEL_SLOT})")
_BLANK_END = re.compile(r"\n[ \t\n]*$")
_BLANK_START = re.compile(r"^[ \t]*\n[ \t\n]*|^[ \t]*$")


@dataclass(frozen=True, slots=True)
class Value:
    """A merge expression: `index` into the letter's values; `name` for an own URL that is used as it is, else ""."""

    index: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """The address of the tracked link at `position`."""

    position: int


@dataclass(frozen=True, slots=True)
class Pixel:
    """The place of the pixel."""


@dataclass(frozen=True, slots=True)
class Block:
    """Conditions and loops. `before` and `after` are the white space of a plain text around them."""

    template: Template
    before: str
    after: str

    def render(self, context: Context, links: Sequence[str], pixel: str) -> str:
        """The block for one recipient, in a plain text without the empty lines of what is left out."""
        text = _filled(self.template.render_with(context), links, pixel)
        return squeeze(self.before + text + self.after) if self.before or self.after else text


@dataclass(frozen=True, slots=True)
class Address:
    """A link's address as its author wrote it, with merge fields: not tracked, filled in for one recipient."""

    template: Template
    is_html: bool

    def render(self, context: Context, links: Sequence[str], pixel: str) -> str:
        """The address, escaped for its attribute in HTML. `links` and `pixel` are those of blocks."""
        url = self.template.render_with(context)
        return escape_attribute(url) if self.is_html else url


Piece = str | Value | Link | Pixel | Block | Address
_Rough = str | Value | list[nodes.Node]


class Cutter:
    """Cuts the parts of one letter, then gives what evaluates the expressions of all of them together."""

    def __init__(self, known: Collection[str] | None) -> None:
        self._known = known
        self._places: dict[str, int] = {}
        self._expressions: list[nodes.Expr] = []

    def cut(self, source: str, kind: Kind) -> list[Piece]:
        """The pieces of a source in order, no text among them empty; raises TemplateRefused."""
        if problems := lint(source, self._known):
            raise TemplateRefused(problems)
        tree = parse(source)
        guard_operations(tree)
        rough = self._rough(tree)
        pieces: list[Piece] = []
        for place, piece in enumerate(rough):
            if isinstance(piece, Value):
                pieces.append(piece)
            elif isinstance(piece, str):
                pieces += _with_places(piece)
            else:
                before = after = ""
                if kind == "text":
                    before, after = _take_blanks(rough, place, pieces)
                pieces.append(Block(block_of(piece, kind), before, after))
        return pieces

    def values(self) -> Values:
        """Evaluates all expressions that were cut so far."""
        return values_of(self._expressions)

    def _rough(self, tree: nodes.Template) -> list[_Rough]:
        rough: list[_Rough] = []
        for node in tree.body:
            if not isinstance(node, nodes.Output):
                # Conditions with nothing but white space between them are one, so that it is seen whole.
                last, before = ([None, None, *rough])[-1], ([None, None, *rough])[-2]
                if isinstance(last, list):
                    last.append(node)
                elif isinstance(before, list) and isinstance(last, str) and not last.strip():
                    before += [nodes.Output([nodes.TemplateData(last)], lineno=1), node]
                    del rough[-1]
                else:
                    rough.append([node])
                continue
            for part in node.nodes:
                if not isinstance(part, nodes.TemplateData):
                    rough.append(self._value(part))
                elif rough and isinstance(rough[-1], str):
                    rough[-1] += part.data
                elif part.data:
                    rough.append(part.data)
        return rough

    def _value(self, node: nodes.Expr) -> Value:
        # Nodes have no hash of their own; what they are written as, with the types of constants, is their identity.
        written = repr(node)
        if written not in self._places:
            self._places[written] = len(self._expressions)
            self._expressions.append(node)
        return Value(self._places[written], _own_name(node))


def as_text(value: Any) -> str:
    """What a text template writes for a value, with line breaks as `\n` whatever the value has."""
    return "" if value is None else _newlines(str(value))


def as_html(value: Any) -> str:
    """What an HTML template writes for a value: escaped, unless a filter has done it; line breaks as in `as_text`."""
    return "" if value is None else _newlines(str(escape(value)))


def _newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _own_name(node: nodes.Expr) -> str:
    match node:
        case nodes.Name(name=str() as name):
            pass
        case nodes.Getattr(node=nodes.Name(name="subscriber"), attr=str() as name):
            pass
        case _:
            return ""
    return name if name in OWN_URL_NAMES else ""


def _with_places(text: str) -> list[Piece]:
    pieces: list[Piece] = []
    for part in _SLOT.split(text):
        if part == PIXEL_SLOT:
            pieces.append(Pixel())
        elif _SLOT.fullmatch(part):
            pieces.append(Link(int(part[1:])))
        elif part:
            pieces.append(part)
    return pieces


def _take_blanks(rough: list[_Rough], place: int, pieces: list[Piece]) -> tuple[str, str]:
    """Takes the white space around a block out of its neighbours: of what is cut already, and of what comes next."""
    before = after = ""
    if pieces and isinstance(text := pieces[-1], str) and (found := _BLANK_END.search(text)):
        before = found.group()
        pieces[-1:] = [text[: found.start()]] if found.start() else []
    following = rough[place + 1] if place + 1 < len(rough) else ""
    if isinstance(following, str) and (found := _BLANK_START.match(following)):
        after = found.group()
        rough[place + 1 : place + 2] = [following[found.end() :]]
    return before, after


def _filled(text: str, links: Sequence[str], pixel: str) -> str:
    """The slots in a rendered block replaced. A value that looks like one becomes a link of this very letter."""
    if LINK_SLOT not in text and PIXEL_SLOT not in text:
        return text
    first, *pieces = text.replace(PIXEL_SLOT, pixel).split(LINK_SLOT)
    filled = [first]
    for piece in pieces:
        number = piece[:3]
        if number.isascii() and number.isdigit() and int(number) < len(links):
            filled += (links[int(number)], piece[3:])
        else:
            filled.append(piece)
    return "".join(filled)
