"""Every page of statistics and every report as a browser gets it: the real site and reports process on a large history.

    python -m bench.pages --events 2000000 --json figures.json
    python -m bench.pages --events 100000000 --home /data/bench

The pages are found by introspection: routes of the site named `stats.…`, and those of the reports process. Each is
fetched one after the other over a kept connection, 30 times after two that do not count. Exit 1: a page was refused, or
nothing is known of what its URL names. The history is that of bench.stats, and so are --home and $BENCH_DATABASE_URL.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import platform
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from bench import stats
from bench.history import site, store, subject
from bench.history.subject import Subject
from bench.history.timing import Timed, timed
from tests.flows.world import Door, doors

RUNS = 30
#: Doors that lead to no page of numbers: files, what passes on, signing in.
NO_PAGES = ("accounts.", "health.", "api.", "ui.", "admin.home", "stats.shared", "stats.share")
#: Milliseconds from which a page is said to be slow.
SLOW_MS = 200
#: What a placeholder may stand for besides ids; each gives a page of its own.
WORDS = {"report": ("volume", "bounces", "complaints", "movers", "suspects")}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.pages", formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__
    )
    parser.add_argument("--events", type=int, default=stats.SMALL)
    parser.add_argument("--home", type=Path, help="keep the history there, and use one that is there already")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="connections that load at a time")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, "
          f"load {os.getloadavg()[0]:.1f}")  # fmt: skip
    figures: dict[str, Any] = {"load_average_before": round(os.getloadavg()[0], 1)}
    with contextlib.ExitStack() as stack:
        home = given.home or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailhub-bench-")))
        server = stack.enter_context(store.opened(home.resolve()))
        try:
            if not store.has_history(server, stats.name_of(given.events)):
                print(store.make_room(server, [given.events], 0))
            url = stats.history(server, given.events, given.jobs, figures)
        except store.NoRoom as missing:
            print(f"bench.pages: {missing}")
            return 1
        faults = measure(url, home.resolve() / "site", figures)
    for fault in faults:
        print(f"  {fault}")
    figures["pages_refused"] = len(faults)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 1 if faults else 0


def measure(url: str, home: Path, figures: dict[str, Any]) -> list[str]:
    """Time every page; gives a sentence for each that could not be had."""
    about = subject.find(url)
    faults: list[str] = []
    found: list[tuple[str, Timed, int]] = []
    with site.serving(url, home, about.project_id) as running:
        for name, registry in site.registries(url, home).items():
            connection = http.client.HTTPConnection("127.0.0.1", running[name].port, timeout=120)
            for door in pages(registry, name):
                for what, path in _paths(door, about, name):
                    if path is None:
                        faults.append(f"{name}, {door.route}: nothing is known of {what}")
                        continue
                    status, size = running[name].get(connection, path)
                    if status != 200:
                        faults.append(f"{name}, {door.route}: {path} answers {status}")
                        continue
                    taken = timed(partial(running[name].get, connection, path), runs=RUNS)
                    found.append((f"{door.route}{what}", taken, size))
            registry.engine.dispose()
            registry.reading_engine.dispose()
    show(found)
    for key, taken, _size in found:
        figures[f"{key}_p50_ms"], figures[f"{key}_p95_ms"] = taken.median_ms, taken.p95_ms
    figures["load_average_after"] = round(os.getloadavg()[0], 1)
    return faults


def pages(registry: Any, process: str) -> list[Door]:
    """The doors of the application behind which are pages of numbers."""
    wanted = "stats." if process == "site" else ""
    return [
        door for door in doors(registry)
        if door.method == "GET" and not door.target and door.route.startswith(wanted)
        and not door.route.startswith(NO_PAGES) and not door.pattern.endswith((".csv", "/file"))
        and not door.pattern.startswith(("/api/", "/__", "/_ui", "/metrics", "/static"))
    ]  # fmt: skip


def _paths(door: Door, about: Subject, process: str) -> Iterator[tuple[str, str | None]]:
    """(what, path): one for each word that a placeholder may be; without a path: `what` is a placeholder not known."""
    values = {
        "project": about.slug,
        "project_id": str(about.project_id),
        "campaign_id": str(about.campaign_id),
        "list_id": str(about.list_id),
        "subscriber_id": str(about.subscriber_id),
        "message_id": str(about.message_id),
    }
    words = door.names & WORDS.keys()
    missing = door.names - values.keys() - words
    # Of people and imports the history has none but the one who looks.
    if process == "reports" and missing <= {"user_id", "import_id", "job_id"} and missing:
        return
    if missing:
        yield ", ".join(sorted(missing)), None
    elif words:
        (word,) = words
        for value in WORDS[word]:
            yield f"_{value}", door.url(values | {word: value})
    else:
        yield "", door.url(values)


def show(found: list[tuple[str, Timed, int]]) -> None:
    """The table, the slowest page first."""
    print("\npage: median and 95th percentile in ms, kB")
    for key, taken, size in sorted(found, key=lambda one: -one[1].p95_ms):
        slow = f"  above {SLOW_MS} ms" if taken.p95_ms > SLOW_MS else ""
        print(f"  {key:<34}{taken.median_ms:>9.1f}{taken.p95_ms:>9.1f}{size / 1000:>9.1f}{slow}")


if __name__ == "__main__":
    raise SystemExit(main())
