"""Rows of a CSV file, streamed: Python's csv for what a row means, our own limits for what a file may do to us.

Python's reader lets an unterminated quote swallow the rest of the file, raises for a long cell and takes a NUL
(walls.md, T22). Here such a row is given back as broken with its line, and reading goes on with the next line.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

MAX_ROW = 64 * 1024
MAX_COLUMNS = 200
MAX_CELL = 10_000
#: A quoted cell may span so many lines; a quote that is open for longer is broken.
MAX_LINES = 200
#: In a file full of open quotes fewer lines are looked through for each: reading stays linear.
MIN_LINES = 8
#: How often an unfinished row is parsed again as lines are added.
MAX_TRIES = 12
#: So much of a row is shown where it is rejected.
RAW_KEPT = 1_000


class Row(NamedTuple):
    """A row: `line` is where it begins in the file (from 1), `end` where it ends.

    `fault` is "" or why the row cannot be used: too_long, too_many_columns, cell_too_long, nul, encoding, quote.
    """

    line: int
    end: int
    cells: list[str]
    raw: str
    fault: str = ""


class RowReader:
    """Iterates over the rows of a text file. Empty lines are passed over. Memory: one row, whatever the file holds.

    `columns` is how many cells the header has: a quoted row over several lines with another number of cells has an
    odd quote somewhere, so its first line is given back as broken and the others are read again by themselves.
    """

    def __init__(self, text: io.TextIOBase, delimiter: str, *, columns: int = 0) -> None:
        self._text = text
        self._delimiter = delimiter
        self.columns = columns
        self._again: deque[tuple[int, str, bool]] = deque()
        self._line = 0
        self._patience = MAX_LINES

    def __iter__(self) -> Iterator[Row]:
        delimiter = self._delimiter
        while (given := self._next_line()) is not None:
            line, text, whole = given
            if not whole:
                yield Row(line, line, [], text[:RAW_KEPT], "too_long")
                continue
            text = text.rstrip("\n")
            if not text or text.isspace():
                continue
            if '"' in text:
                yield self._quoted(line, text)
                continue
            cells = text.split(delimiter)
            yield Row(line, line, cells, text[:RAW_KEPT], fault_of(text, cells))

    def _next_line(self) -> tuple[int, str, bool] | None:
        """(number, text, whether it was read whole); the rest of a line that is too long is thrown away."""
        if self._again:
            return self._again.popleft()
        text = self._text.readline(MAX_ROW + 1)
        if not text:
            return None
        self._line += 1
        whole = len(text) <= MAX_ROW
        if not whole and not text.endswith("\n"):
            while (rest := self._text.readline(MAX_ROW)) and not rest.endswith("\n"):
                pass
        return self._line, text, whole

    def _quoted(self, line: int, text: str) -> Row:
        """A row with quotes, which may go on over the next lines."""
        cells, open_quote = parse(text, self._delimiter)
        if cells is not None:
            return Row(line, line, cells, text[:RAW_KEPT], fault_of(text, cells))
        broken = Row(line, line, [], text[:RAW_KEPT], "quote")
        if not open_quote:
            return broken
        taken: list[tuple[int, str, bool]] = []
        joined, size, tries = [text], len(text), 0
        while len(taken) < self._patience and tries < MAX_TRIES and (given := self._next_line()) is not None:
            taken.append(given)
            size += len(given[1])
            if not given[2] or size > MAX_ROW:
                break
            joined.append(given[1].rstrip("\n"))
            if given[1].count('"') % 2 == 0:
                continue  # an even number of quotes cannot close the open one
            tries += 1
            whole = "\n".join(joined)
            cells, open_quote = parse(whole, self._delimiter)
            if cells is not None and (not self.columns or len(cells) == self.columns):
                self._patience = MAX_LINES
                return Row(line, given[0], cells, whole[:RAW_KEPT], fault_of(whole, cells))
            if cells is not None or not open_quote:
                break
        self._again.extendleft(reversed(taken))
        self._patience = max(MIN_LINES, self._patience // 2)
        return broken


def parse(text: str, delimiter: str) -> tuple[list[str] | None, bool]:
    """(cells, False), or (None, whether a quote is still open at the end)."""
    try:
        cells = next(csv.reader([text], delimiter=delimiter, strict=True))
    except (csv.Error, StopIteration) as failure:
        return None, "unexpected end of data" in str(failure)
    return cells, False


def fault_of(text: str, cells: list[str]) -> str:
    """What is wrong with a row whose cells were found; "" if nothing."""
    if "\0" in text:
        return "nul"
    if "\ufffd" in text:
        return "encoding"
    if len(cells) > MAX_COLUMNS:
        return "too_many_columns"
    if len(text) > MAX_CELL and any(len(cell) > MAX_CELL for cell in cells):
        return "cell_too_long"
    return ""
