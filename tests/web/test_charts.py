"""mailhub.web.charts: geometry without surprises."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhub.web.charts import Chart, Series, bar_chart, line_chart, nice_scale, sparkline
from tests.web.rendering import asking, render


def line(*values: float | None, labels: int | None = None) -> Chart:
    names = [str(index) for index in range(len(values) if labels is None else labels)]
    return line_chart("c", "Title", "Finding.", names, (Series("Sent", values),), label_name="Day")


def test_a_line_stands_on_zero_and_fills_the_plot() -> None:
    chart = line(0, 5, 10)
    assert chart.drawn[0].runs == ("0,1000 500,500 1000,0",)
    assert chart.drawn[0].areas == ("0,1000 0,1000 500,500 1000,0 1000,1000",)
    assert [(tick.value, tick.at) for tick in chart.y_ticks] == [(0, 1000), (5, 500), (10, 0)]


def test_no_points_one_point_and_zeros_have_a_plot() -> None:
    for chart in (line(), line(7), line(0, 0, 0), line(None, None)):
        assert next(tick.at for tick in chart.y_ticks) == 1000
        assert "nan" not in repr(chart).lower()
        assert "inf" not in repr(chart).lower()
    assert line(7).drawn[0].dots
    assert not line(7).drawn[0].runs
    assert line().empty
    assert line(0).empty
    assert not line(7).empty


def test_a_gap_breaks_the_line() -> None:
    chart = line(1, 2, None, 4, 5, None, 3)
    assert len(chart.drawn[0].runs) == 2
    assert len(chart.drawn[0].dots) == 1


@pytest.mark.parametrize(
    ("top", "ticks"),
    [
        (0, [0, 1]),
        (1, [0, 1]),
        (3, [0, 1, 2, 3]),
        (4, [0, 1, 2, 3, 4]),
        (10, [0, 5, 10]),
        (980, [0, 250, 500, 750, 1000]),
        (25000, [0, 10000, 20000, 30000]),
        (0.31, [0, 0.1, 0.2, 0.3, 0.4]),
        (math.nan, [0, 1]),
        (math.inf, [0, 1]),
        (-5, [0, 1]),
    ],
)
def test_axes_have_round_numbers(top: float, ticks: list[float]) -> None:
    assert nice_scale(top) == ticks


@given(st.floats(min_value=1e-6, max_value=1e15))
def test_every_axis_reaches_its_top_in_few_steps(top: float) -> None:
    ticks = nice_scale(top)
    assert ticks[0] == 0
    assert ticks[-1] >= top * (1 - 1e-6)
    assert 2 <= len(ticks) <= 7
    assert ticks == sorted(set(ticks))


@given(
    st.lists(st.none() | st.floats(allow_nan=True, allow_infinity=True) | st.integers(-5, 10**12), max_size=40),
    st.sampled_from([line_chart, bar_chart]),
)
def test_whatever_the_numbers_the_geometry_stays_in_the_plot(values: list[Any], draw: Any) -> None:
    chart = draw("c", "T", "F", [str(i) for i in range(len(values))], (Series("a", values), Series("b", values)))
    points = [float(n) for one in chart.drawn for run in (*one.runs, *one.areas) for n in re.split("[ ,]", run)]
    points += [n for one in chart.drawn for bar in one.bars for n in (bar.x, bar.y, bar.x + bar.width, bar.height)]
    points += [tick.at for tick in (*chart.y_ticks, *chart.x_ticks)]
    assert all(-0.2 <= point <= 1000.2 for point in points)


def test_bars_do_not_overlap() -> None:
    chart = bar_chart("c", "T", "F", list("abc"), (Series("x", [1, 2, 3]), Series("y", [3, 2, 1])))
    bars = sorted((bar.x, bar.x + bar.width) for one in chart.drawn for bar in one.bars)
    assert all(left[1] <= right[0] + 0.2 for left, right in itertools.pairwise(bars))


@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 13, 30, 31, 49, 90, 97])
def test_few_labels_are_shown_with_the_first_and_the_last(count: int) -> None:
    labels = [tick.label for tick in line(*([1] * count)).x_ticks]
    assert len(labels) <= 7
    assert len(set(labels)) == len(labels)
    if count:
        assert labels[0] == "0"
        assert labels[-1] == str(count - 1)


def test_series_and_labels_must_fit() -> None:
    with pytest.raises(ValueError, match="one value a label"):
        line(1, 2, labels=3)
    with pytest.raises(ValueError, match="1 to 5"):
        line_chart("c", "T", "F", [], ())


def test_a_sparkline_of_nothing_is_flat() -> None:
    assert sparkline([], "no letters").flat
    assert sparkline([0, None, 0], "no letters").flat
    assert sparkline([4], "x").points == "0,1 80,1"
    assert sparkline([1, None, 2], "x").points == "0,10 40,19 80,1"


def test_a_chart_is_told_in_words_and_as_a_table() -> None:
    chart = line_chart("c", "Opens <b>", "Peak of 9.", ["Mon", "Tue"], (Series("Opens", [9, None]),), label_name="Day")
    with asking() as request:
        html = render(request, "{{ ui.chart(x) }}", x=chart)
    assert '<title id="c-t">Opens &lt;b&gt;</title>' in html
    assert '<desc id="c-d">Peak of 9.</desc>' in html
    assert '<th scope="row">Tue</th><td class="num">—</td>' in html
    assert "style=" not in html


def test_a_series_of_an_earlier_time_has_the_colour_of_its_own_and_is_pale() -> None:
    drawn = line_chart("c", "t", "f", ["a", "b"], [
        Series("now", [1, 2]), Series("clicks", [0, 1]), Series("before", [2, 1], before=0),
        Series("clicks before", [1, 1], before=1),
    ]).drawn  # fmt: skip
    assert [(one.number, one.pale) for one in drawn] == [(1, False), (2, False), (1, True), (2, True)]
    assert [bool(one.areas) for one in drawn] == [True, False, False, False]


def test_a_series_is_compared_with_one_that_is_there() -> None:
    with pytest.raises(ValueError, match="compared"):
        line_chart("c", "t", "f", ["a"], [Series("now", [1]), Series("before", [1], before=2)])
