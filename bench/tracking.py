"""Opens and clicks, measured: through the real tracking server, until each of them is an event.

    python -m bench.tracking --hits 60000 --letters 100000 --json figures.json
    python -m bench.tracking --outage 20

PostgreSQL (which waits for its disk), the server with its section of production.ini, and the readers share the machine.
With --outage the database is away for so long in the middle: frozen for the first half, killed for the second. Readers
go on all the time. docs/benchmarks.md says what each figure means.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.hits.server import Place
from bench.office import processes
from tests.faults.workers import peak_rss_bytes

Figures = dict[str, Any]
CLIENT = [sys.executable, "-c", "from bench.hits.client import main; main()"]
#: Before and after an outage, in seconds.
AROUND_SECONDS = 10.0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.tracking", formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__
    )
    parser.add_argument("--hits", type=int, default=60_000)
    parser.add_argument("--letters", type=int, default=100_000, help="whose hits they are, two each")
    parser.add_argument("--connections", type=int, default=32, help="readers at a time")
    parser.add_argument("--threads", type=int, default=0, help="of the server; else as in production.ini")
    parser.add_argument("--outage", type=float, default=0, help="seconds without a database in the middle")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, "
          f"load {os.getloadavg()[0]:.1f}")  # fmt: skip
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailhub-bench-")))
        place = Place(folder)
        stack.callback(place.close)
        paths = place.letters(given.letters)
        place.start_server(port=given.port, threads=given.threads)
        figures = measure(place, paths, given)
    for name, value in figures.items():
        print(f"  {name:<34}{f'{value:,}' if isinstance(value, int | float) else value:>16}", flush=True)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if figures["hits_lost"] == figures["hits_doubled"] == figures["answers_5xx"] == 0 else 1


def measure(place: Place, paths: list[str], given: argparse.Namespace) -> Figures:
    """The figures of one run."""
    assert place.server is not None
    groups = {"tracking": [place.server.pid]}
    before, began = processes.spent(groups), time.monotonic()
    database_before = _database_seconds(place)
    seconds, hits = (given.outage + 2 * AROUND_SECONDS, 0) if given.outage else (0.0, given.hits)
    arguments = [str(place.port), str(given.connections), str(seconds), str(hits)]
    with subprocess.Popen([*CLIENT, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write("\n".join(paths).encode())
        client.stdin.close()
        if given.outage:
            _outage(place, given.outage)
        answered = json.loads(client.stdout.read())
    expected = answered["acknowledged"]
    with contextlib.suppress(AssertionError):
        place.until(lambda: place.hits() >= expected, 120)
    stored_after = time.monotonic() - began
    after, events = processes.spent(groups), place.hits()
    by_group = processes.microseconds_per_letter(before, after, max(1, expected))
    return {
        "hits_per_second": round(events / stored_after, 1),
        "answers_per_second": round(answered["answers"] / answered["elapsed"], 1),
        "answers": answered["answers"],
        "answers_5xx": sum(n for status, n in answered["statuses"].items() if status.startswith("5")),
        "answers_refused": sum(n for status, n in answered["statuses"].items() if status not in ("200", "302")),
        "connections_broken": answered["broken"],
        "letters": answered["letters"],
        "events": events,
        "hits_lost": max(0, expected - events),
        "hits_doubled": max(0, events - expected),
        "stored_behind_seconds": round(stored_after - answered["elapsed"], 2),
        "p50_ms": answered["p50_ms"],
        "p99_ms": answered["p99_ms"],
        "longest_ms": answered["longest_ms"],
        "hits_per_sync": round(expected / max(1.0, place.metric("mailhub_hit_spool_syncs_total")), 1),
        "tracking_cpu_us": by_group["tracking"],
        "database_cpu_us": round((_database_seconds(place) - database_before) / max(1, expected) * 1e6, 1),
        "peak_rss_bytes": peak_rss_bytes([place.server.pid]),
    }


def _outage(place: Place, seconds: float) -> None:
    time.sleep(AROUND_SECONDS)
    with place.frozen_database():
        time.sleep(seconds / 2)
    place.kill_database()
    time.sleep(seconds / 2)
    place.start_database()


def _database_seconds(place: Place) -> float:
    assert place.postgres.process is not None
    return processes.spent({"database": [place.postgres.process.pid]}).groups["database"]


if __name__ == "__main__":
    raise SystemExit(main())
