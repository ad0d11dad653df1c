"""What every number report shows: columns, lines, totals, a chart. The page, the CSV and the JSON are made of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mailhub.web import charts, spreadsheet

#: A page with more rows helps nobody: the filters narrow it, the CSV has all.
ROWS = 200
Kind = Literal["text", "number", "share", "points", "day", "provider", "event", "code", "time"]
_NUMBERS = ("number", "share", "points")


@dataclass(frozen=True)
class Column:
    """A column: its name in the CSV, its label on the page, how its values are written.

    `share` is 0.314 for 31.4 %, `points` the difference of two shares.
    """

    key: str
    label: Any
    kind: Kind = "text"

    @property
    def is_number(self) -> bool:
        return self.kind in _NUMBERS


@dataclass(frozen=True)
class Line:
    """A row. `url` is where its first text leads to, `sub` a second line under it."""

    values: Mapping[str, Any]
    url: str = ""
    sub: str = ""
    archived: bool = False


@dataclass(frozen=True)
class Sheet:
    """A report that is ready to be shown. `total` is a line under the table, `note` a sentence about its numbers."""

    columns: Sequence[Column]
    lines: Sequence[Line]
    total: Mapping[str, Any] | None = None
    chart: charts.Chart | None = None
    sort: str = ""
    tiles: Sequence[tuple[Any, Any, str]] = ()
    note: Any = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shown(self) -> Sequence[Line]:
        return self.lines[:ROWS]

    def as_csv(self) -> str:
        """All of it, for a spreadsheet: shares as fractions of one."""
        head = [column.key for column in self.columns]
        rows = ([_plain(line.values.get(key)) for key in head] for line in self.lines)
        return spreadsheet.MARK + spreadsheet.lines([head, *rows])

    def as_dicts(self) -> list[dict[str, Any]]:
        """All of it, for JSON."""
        return [{column.key: _plain(line.values.get(column.key)) for column in self.columns} for line in self.lines]


def sorted_lines(lines: Iterable[Line], columns: Sequence[Column], sort: str, default: str) -> tuple[list[Line], str]:
    """The lines in the order `sort` ("sent", "-sent"), and the order itself: the default for one that there is not.

    What has no value stands last either way. The order is looked up among the columns.
    """
    known = {column.key for column in columns}
    sort = sort if sort.removeprefix("-") in known else default
    key, down = sort.removeprefix("-"), sort.startswith("-")
    valued = [line for line in lines if line.values.get(key) is not None]
    rest = [line for line in lines if line.values.get(key) is None]
    return sorted(valued, key=lambda line: _order(line.values[key]), reverse=down) + rest, sort


def share(part: float, whole: float) -> float | None:
    """A rate, None where there is nothing to divide by."""
    return part / whole if whole > 0 else None


def _order(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _plain(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value
