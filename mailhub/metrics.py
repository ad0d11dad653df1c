"""Counters, gauges and timers of this process, and their text for Prometheus.

    SENT = metrics.counter("mailhub_letters_total", "Letters by result", "result")
    SENT.add(1, result="sent")
    with metrics.timed(RENDER_SECONDS): ...

Labels are from small closed sets (a route's name, a queue, a result), never ids or addresses.
Thread-safe; each process counts for itself, and the scraper adds them up.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar

__all__ = ["Counter", "Gauge", "Registry", "Timer", "counter", "gauge", "registry", "serve", "text", "timed", "timer"]

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of a timer's buckets, in seconds."""

Labels = tuple[str, ...]
_M = TypeVar("_M", bound="Metric")


class Metric:
    """A named series of numbers, one for each combination of label values."""

    kind = "untyped"

    def __init__(self, name: str, doc: str, labels: Labels) -> None:
        self.name, self.doc, self.labels = name, doc, labels
        self._lock = threading.Lock()

    def lines(self) -> Iterator[str]:
        raise NotImplementedError

    def _key(self, given: dict[str, str]) -> Labels:
        if set(given) != set(self.labels):
            raise ValueError(f"{self.name} has the labels {self.labels}, not {tuple(given)}")
        return tuple(str(given[label]) for label in self.labels)

    def _shown(self, key: Labels, *more: tuple[str, str]) -> str:
        pairs = [*zip(self.labels, key, strict=True), *more]
        escaped = (f'{name}="{_escaped(value)}"' for name, value in pairs)
        return "{" + ",".join(escaped) + "}" if pairs else ""


class Counter(Metric):
    """A number that only grows."""

    kind = "counter"

    def __init__(self, name: str, doc: str, labels: Labels) -> None:
        super().__init__(name, doc, labels)
        self._values: dict[Labels, float] = {}

    def add(self, amount: float = 1, **labels: str) -> None:
        key = self._key(labels)
        with self._lock:
            self._values[key] = self._values.get(key, 0) + amount

    def value(self, **labels: str) -> float:
        with self._lock:
            return self._values.get(self._key(labels), 0)

    def lines(self) -> Iterator[str]:
        with self._lock:
            values = sorted(self._values.items())
        for key, value in values:
            yield f"{self.name}{self._shown(key)} {value:g}"


class Gauge(Counter):
    """A number that goes up and down."""

    kind = "gauge"

    def set(self, value: float, **labels: str) -> None:
        key = self._key(labels)
        with self._lock:
            self._values[key] = value


class Timer(Metric):
    """Durations in seconds, as a histogram."""

    kind = "histogram"

    def __init__(self, name: str, doc: str, labels: Labels) -> None:
        super().__init__(name, doc, labels)
        self._buckets: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def observe(self, seconds: float, **labels: str) -> None:
        key = self._key(labels)
        with self._lock:
            counts = self._buckets.setdefault(key, [0] * (len(SECONDS) + 1))
            counts[bisect_left(SECONDS, seconds)] += 1
            self._sums[key] = self._sums.get(key, 0.0) + seconds

    def lines(self) -> Iterator[str]:
        with self._lock:
            series = [(key, list(counts), self._sums[key]) for key, counts in sorted(self._buckets.items())]
        for key, counts, total in series:
            so_far = 0
            for bound, count in zip([*(f"{b:g}" for b in SECONDS), "+Inf"], counts, strict=True):
                so_far += count
                yield f"{self.name}_bucket{self._shown(key, ('le', bound))} {so_far}"
            yield f"{self.name}_sum{self._shown(key)} {total:g}"
            yield f"{self.name}_count{self._shown(key)} {so_far}"


class Registry:
    """All metrics of a process by name; a name is declared once."""

    def __init__(self) -> None:
        self._metrics: dict[str, Metric] = {}
        self._refreshers: list[Callable[[], None]] = []

    def add(self, metric: _M) -> _M:
        if metric.name in self._metrics:
            raise ValueError(f"the metric {metric.name} is declared twice")
        self._metrics[metric.name] = metric
        return metric

    def before_text(self, refresh: Callable[[], None]) -> None:
        """Calls `refresh` before each scrape, to set gauges that are looked up (a queue's length)."""
        self._refreshers.append(refresh)

    def text(self) -> str:
        """The exposition format 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats/"""
        for refresh in self._refreshers:
            refresh()
        lines = []
        for metric in sorted(self._metrics.values(), key=lambda m: m.name):
            lines += [f"# HELP {metric.name} {metric.doc}", f"# TYPE {metric.name} {metric.kind}", *metric.lines()]
        return "\n".join(lines) + "\n"


registry = Registry()
text = registry.text


def counter(name: str, doc: str, *labels: str) -> Counter:
    return registry.add(Counter(name, doc, labels))


def gauge(name: str, doc: str, *labels: str) -> Gauge:
    return registry.add(Gauge(name, doc, labels))


def timer(name: str, doc: str, *labels: str) -> Timer:
    return registry.add(Timer(name, doc, labels))


@contextmanager
def timed(metric: Timer, **labels: str) -> Iterator[None]:
    """Observes how long the block took, also when it raised."""
    started = time.perf_counter()
    try:
        yield
    finally:
        metric.observe(time.perf_counter() - started, **labels)


def serve(port: int) -> ThreadingHTTPServer:
    """Answers GET /metrics on a loopback port of its own, from a daemon thread: the internal listener."""
    server = ThreadingHTTPServer(("127.0.0.1", port), _Page)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        known = self.path == "/metrics"
        body = text().encode() if known else b"only /metrics is here\n"
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8" if known else "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """A scrape every few seconds is not worth a line."""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
