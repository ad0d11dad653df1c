"""Charts drawn by the server: geometry here, markup in templates/macros/chart.html. No script, no library.

The plot is an SVG that stretches with its box (its strokes do not), the labels are HTML, so that text keeps its size
on a phone. Every chart has a title, one sentence with the finding, and its numbers as a table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

#: The plot's own units; the SVG stretches them to the box.
WIDTH = HEIGHT = 1000
MAX_SERIES = 5
#: The width of the bars over one label.
MAX_GROUP = 140
SMALLEST, LARGEST = 1e-9, 1e15


@dataclass(frozen=True, slots=True)
class Series:
    """One line or one set of bars: a name, and a value a label. None is a gap (no data), not a zero.

    `before` is the place of the series with which this one is compared, 0 for the first: it is drawn paler and dotted,
    in that one's colour.
    """

    name: str
    values: Sequence[float | None]
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle in the plot's units."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Drawn:
    """A series as geometry. `runs` are unbroken stretches of the line; `dots` points without a neighbour.

    `number` is that of its colour; `pale` says that it stands for an earlier time.
    """

    name: str
    number: int
    pale: bool = False
    runs: tuple[str, ...] = ()
    areas: tuple[str, ...] = ()
    dots: tuple[tuple[float, float], ...] = ()
    bars: tuple[Bar, ...] = ()


@dataclass(frozen=True, slots=True)
class Tick:
    """A label of an axis. `at` is its place in the plot's units; for x also `anchor` (start, middle, end)."""

    at: float
    label: str = ""
    value: float = 0


@dataclass(frozen=True, slots=True)
class Chart:
    """What `ui.chart` draws. `finding` is one sentence: what a person should see in it."""

    id: str
    title: str
    finding: str
    label_name: str
    labels: tuple[str, ...]
    series: tuple[Series, ...]
    kind: str
    drawn: tuple[Drawn, ...]
    y_ticks: tuple[Tick, ...]
    x_ticks: tuple[Tick, ...]
    empty: bool

    @property
    def rows(self) -> tuple[tuple[str, tuple[float | None, ...]], ...]:
        """The table under the chart: one row a label."""
        return tuple((label, tuple(s.values[i] for s in self.series)) for i, label in enumerate(self.labels))


@dataclass(frozen=True, slots=True)
class Sparkline:
    """A line without axes, 80 × 20, for a table cell. `label` says it in words."""

    points: str
    label: str
    flat: bool = field(default=False)


def line_chart(
    id: str, title: str, finding: str, labels: Sequence[str], series: Sequence[Series], *, label_name: str = ""
) -> Chart:
    """Lines over time; the first has an area under it. All series have one value a label. Raises ValueError if not."""
    return _chart("line", id, title, finding, labels, series, label_name)


def bar_chart(
    id: str, title: str, finding: str, labels: Sequence[str], series: Sequence[Series], *, label_name: str = ""
) -> Chart:
    """Bars side by side, standing on zero."""
    return _chart("bar", id, title, finding, labels, series, label_name)


def sparkline(values: Sequence[float | None], label: str) -> Sparkline:
    """A small line; gaps are taken as zero."""
    numbers = [_number(value) for value in values]
    top = max(numbers, default=0)
    if not numbers or top <= 0:
        return Sparkline("0,19 80,19", label, flat=True)
    step = 80 / max(len(numbers) - 1, 1)
    points = [f"{_short(index * step):g},{_short(19 - 18 * value / top):g}" for index, value in enumerate(numbers)]
    if len(points) == 1:
        points.append(f"80,{points[0].split(',')[1]}")
    return Sparkline(" ".join(points), label)


def nice_scale(top: float, steps: int = 4) -> list[float]:
    """Tick values from 0 to at least `top`, by 1, 2, 2.5 or 5 times a power of ten; counts stay whole."""
    if not math.isfinite(top) or top <= 0:
        return [0, 1]
    raw = max(top / steps, 1) if top >= 1 else top / steps
    power = 10.0 ** math.floor(math.log10(raw))
    # No 2.5 for small counts: half a letter is not a tick.
    factors = (1, 2, 5, 10) if power == 1 else (1, 2, 2.5, 5, 10)
    step = next(factor * power for factor in factors if factor * power >= raw * (1 - 1e-9))
    count = max(1, math.ceil(top / step - 1e-9))
    return [round(index * step, 12) for index in range(count + 1)]


def _chart(
    kind: str,
    id: str,
    title: str,
    finding: str,
    labels: Sequence[str],
    series: Sequence[Series],
    label_name: str,
) -> Chart:
    if not series or len(series) > MAX_SERIES:
        raise ValueError(f"a chart has 1 to {MAX_SERIES} series, not {len(series)}")
    if any(len(one.values) != len(labels) for one in series):
        raise ValueError("every series has one value a label")
    if any(one.before is not None and not 0 <= one.before < len(series) for one in series):
        raise ValueError("a series is compared with one of the chart")
    top = max((_number(value) for one in series for value in one.values), default=0)
    scale = nice_scale(top)
    ceiling = scale[-1]
    draw = _line if kind == "line" else _bars
    total = len(series) if kind == "bar" else sum(one.before is None for one in series)
    drawn = tuple(draw(one, index, total, ceiling) for index, one in enumerate(series))
    places = [
        _x(index, len(labels)) if kind == "line" else (index + 0.5) * WIDTH / len(labels) for index in _thin(labels)
    ]
    return Chart(
        id=id,
        title=title,
        finding=finding,
        label_name=label_name,
        labels=tuple(labels),
        series=tuple(series),
        kind=kind,
        drawn=drawn,
        y_ticks=tuple(Tick(_y(value, ceiling), value=value) for value in scale),
        x_ticks=tuple(Tick(_short(at), labels[index]) for at, index in zip(places, _thin(labels), strict=True)),
        empty=top <= 0,
    )


def _line(series: Series, index: int, total: int, ceiling: float) -> Drawn:
    count = len(series.values)
    runs: list[list[tuple[float, float]]] = [[]]
    for at, value in enumerate(series.values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((_x(at, count), _y(_number(value), ceiling)))
    lines = [run for run in runs if len(run) > 1]
    areas = [_points([(run[0][0], HEIGHT), *run, (run[-1][0], HEIGHT)]) for run in lines if index == 0 and total <= 3]
    return Drawn(
        name=series.name,
        number=_colour(series, index),
        pale=series.before is not None,
        runs=tuple(_points(run) for run in lines),
        areas=tuple(areas),
        dots=tuple(run[0] for run in runs if len(run) == 1),
    )


def _bars(series: Series, index: int, total: int, ceiling: float) -> Drawn:
    slot = WIDTH / max(len(series.values), 1)
    # A single day is a bar, not a wall.
    group = min(slot * 0.72, MAX_GROUP)
    width = group / total
    bars = []
    for at, value in enumerate(series.values):
        height = HEIGHT - _y(_number(value), ceiling)
        left = at * slot + (slot - group) / 2 + index * width
        bars.append(Bar(_short(left), _short(HEIGHT - height), _short(width), _short(height)))
    return Drawn(
        name=series.name, number=_colour(series, index), pale=series.before is not None, bars=tuple(bars)
    )


def _colour(series: Series, index: int) -> int:
    return (index if series.before is None else series.before) + 1


def _thin(labels: Sequence[str], most: int = 7) -> list[int]:
    """Which labels to show: at most seven, evenly, with the first and the last."""
    last = len(labels) - 1
    if last < most:
        return list(range(last + 1))
    step = next((step for step in range(1, last + 1) if last % step == 0 and last // step < most), last)
    if last // step < 3:
        return sorted({round(index * last / (most - 1)) for index in range(most)})
    return list(range(0, last + 1, step))


def _x(index: int, count: int) -> float:
    return _short(index * WIDTH / (count - 1)) if count > 1 else WIDTH / 2


def _y(value: float, ceiling: float) -> float:
    return _short(HEIGHT - HEIGHT * value / ceiling)


def _points(run: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{_short(x):g},{_short(y):g}" for x, y in run)


def _number(value: float | None) -> float:
    """A value that can be drawn: gaps, NaN, what is below zero or next to nothing stand on the axis."""
    if value is None or not math.isfinite(value) or value < SMALLEST:
        return 0
    return min(float(value), LARGEST)


def _short(value: float) -> float:
    return round(value, 1)


#: What templates may call themselves: `line_chart(id, title, finding, labels, [series(name, values, before=0)])`.
CHARTS = {"sparkline": sparkline, "line_chart": line_chart, "bar_chart": bar_chart, "series": Series}
