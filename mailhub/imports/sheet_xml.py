"""XML of a workbook, through expat in small pieces: no DTD, no entity, no depth, no token without end.

Expat keeps an unfinished token, every open element and every name that it has seen: without these limits a workbook of
some kilobytes would fill the memory (billion laughs are only the best known of these files).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from xml.parsers import expat

from mailhub.imports.archive import Unpacked
from mailhub.imports.reading import NotACsv

PIECE = 64 * 1024
MAX_DEPTH = 64
MAX_TOKEN = 1024 * 1024
MAX_NAMES = 4_000

Attributes = dict[str, str]


class XmlReader:
    """Feeds a stream to handlers of elements and text. Names come without their prefix.

    `start(name, attributes)`, `end(name)`, `text(data)`: text comes in pieces.
    """

    def __init__(
        self,
        stream: Unpacked,
        start: Callable[[str, Attributes], None],
        end: Callable[[str], None],
        text: Callable[[str], None],
    ) -> None:
        self._stream = stream
        self._fed = 0
        self._depth = 0
        #: Names as they stand in the file → without prefix.
        self._names: dict[str, str] = {}
        self._start, self._end = start, end
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._started
        parser.EndElementHandler = self._ended
        parser.CharacterDataHandler = text
        parser.StartDoctypeDeclHandler = _refuse
        parser.EntityDeclHandler = _refuse
        self._parser = parser

    def pieces(self) -> Iterator[None]:
        """Read piece by piece; after each one what the handlers have collected can be taken. Raises NotACsv."""
        parser = self._parser
        try:
            while data := self._stream.read(PIECE):
                self._fed += len(data)
                parser.Parse(data, False)
                if self._fed - max(parser.CurrentByteIndex, 0) > MAX_TOKEN or len(parser.intern) > MAX_NAMES:
                    raise NotACsv("broken_workbook")
                yield
            parser.Parse(b"", True)
        except (expat.ExpatError, UnicodeError, ValueError, LookupError):
            raise NotACsv("broken_workbook") from None
        yield

    def whole(self) -> None:
        """Read to the end."""
        for _piece in self.pieces():
            pass

    def _started(self, name: str, attributes: Attributes) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise NotACsv("broken_workbook")
        known = self._names.get(name)
        if known is None:
            known = self._names.setdefault(name, name.rpartition(":")[2])
        self._start(known, attributes)

    def _ended(self, name: str) -> None:
        self._depth -= 1
        self._end(self._names[name])


def attribute(attributes: Attributes, name: str) -> str:
    """An attribute whatever its prefix; empty where there is none."""
    found = attributes.get(name)
    if found is not None:
        return found
    return next((value for key, value in attributes.items() if key.rpartition(":")[2] == name), "")


def _refuse(*_declared: Any) -> None:
    raise NotACsv("broken_workbook")
