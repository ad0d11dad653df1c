"""How long a call takes when it has been made before: the median and the 95th percentile."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Timed:
    """Milliseconds of `runs` calls."""

    median_ms: float
    p95_ms: float
    runs: int


def timed(call: Callable[[], Any], *, runs: int = 30, patience_seconds: float = 20) -> Timed:
    """After two calls that do not count, `runs` calls; fewer (three at least) where they take too long together."""
    return timed_in_turn([call], runs=runs, patience_seconds=patience_seconds)[0]


def timed_in_turn(
    calls: Sequence[Callable[[], Any]], *, runs: int = 30, patience_seconds: float = 20
) -> list[Timed]:
    """The same for several calls that take turns, so that a busy moment of the machine hits all of them."""
    found: list[list[float]] = [[] for _call in calls]
    began = time.monotonic()
    for call in calls:
        took = _milliseconds(call)
        if took < 1000:
            call()
    while len(found[0]) < runs and (len(found[0]) < 3 or time.monotonic() - began < patience_seconds):
        for place, call in enumerate(calls):
            found[place].append(_milliseconds(call))
    return [_summary(one) for one in found]


def _milliseconds(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def _summary(found: list[float]) -> Timed:
    ordered = sorted(found)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    return Timed(round(statistics.median(ordered), 3), round(p95, 3), len(ordered))
