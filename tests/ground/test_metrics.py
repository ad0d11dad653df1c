"""mailhub.metrics: counters, gauges, timers and their text."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from mailhub import metrics
from mailhub.metrics import Counter, Gauge, Registry, Timer


def test_a_counter_counts_by_label() -> None:
    registry = Registry()
    sent = registry.add(Counter("sent_total", "Letters", ("result",)))
    sent.add(result="sent")
    sent.add(2, result="failed")
    assert sent.value(result="failed") == 2
    assert registry.text().splitlines() == [
        "# HELP sent_total Letters",
        "# TYPE sent_total counter",
        'sent_total{result="failed"} 2',
        'sent_total{result="sent"} 1',
    ]


def test_label_values_are_escaped() -> None:
    registry = Registry()
    registry.add(Gauge("g", "G", ("name",))).set(1.5, name='a"b\\c\nd')
    assert 'g{name="a\\"b\\\\c\\nd"} 1.5' in registry.text()


def test_unknown_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="has the labels"):
        Counter("c", "C", ("queue",)).add(other="x")


def test_a_name_is_declared_once() -> None:
    registry = Registry()
    registry.add(Counter("c", "C", ()))
    with pytest.raises(ValueError, match="twice"):
        registry.add(Counter("c", "C", ()))


def test_a_timer_is_a_cumulative_histogram() -> None:
    registry = Registry()
    timer = registry.add(Timer("t", "T", ()))
    for seconds in (0.004, 0.3, 100.0):
        timer.observe(seconds)
    text = registry.text()
    assert 't_bucket{le="0.005"} 1' in text
    assert 't_bucket{le="0.5"} 2' in text
    assert 't_bucket{le="+Inf"} 3' in text
    assert "t_count 3" in text


def test_timed_observes_failures_too() -> None:
    timer = Timer("t", "T", ())
    with pytest.raises(ZeroDivisionError), metrics.timed(timer):
        raise ZeroDivisionError
    assert "t_count 1" in list(timer.lines())


def test_gauges_are_looked_up_before_each_scrape() -> None:
    registry = Registry()
    length = registry.add(Gauge("queue_length", "Q", ()))
    registry.before_text(lambda: length.set(7))
    assert "queue_length 7" in registry.text()


def test_the_internal_listener_answers_on_loopback() -> None:
    server = metrics.serve(0)
    try:
        host, port = server.server_address[:2]
        assert host == "127.0.0.1"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/")
        refused.value.close()
    finally:
        server.shutdown()
        server.server_close()
