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
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.office import processes
from tests.faults.readers import Readers
from tests.faults.stand import Stand
from tests.faults.tracking_server import Letters, TrackingServer, events, frozen_database, sent_letters
from tests.faults.workers import peak_rss_bytes

Figures = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.tracking", formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__
    )
    parser.add_argument("--hits", type=int, default=60_000)
    parser.add_argument("--letters", type=int, default=100_000, help="whose hits they are, two each")
    parser.add_argument("--connections", type=int, default=32, help="readers at a time")
    parser.add_argument("--servers", type=int, default=2, help="tracking servers; one of them stores for all")
    parser.add_argument("--threads", type=int, default=0, help="of the server; else as in production.ini")
    parser.add_argument("--outage", type=float, default=0, help="seconds without a database in the middle")
    parser.add_argument("--around", type=float, default=10, help="seconds before and after an outage")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, "
          f"load {os.getloadavg()[0]:.1f}")  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="mailhub-bench-") as folder, Stand(Path(folder), relays=()) as stand:
        letters = sent_letters(stand, given.letters)
        with contextlib.ExitStack() as stack:
            servers = [
                stack.enter_context(TrackingServer(stand, number, threads=given.threads))
                for number in range(given.servers)
            ]
            figures = measure(stand, servers, letters, given)
    for name, value in figures.items():
        print(f"  {name:<34}{f'{value:,}' if isinstance(value, int | float) else value:>16}", flush=True)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if figures["hits_lost"] == figures["hits_doubled"] == figures["answers_5xx"] == 0 else 1


def measure(stand: Stand, servers: list[TrackingServer], letters: Letters, given: argparse.Namespace) -> Figures:
    """The figures of one run."""
    groups = {"tracking": [server.process.pid for server in servers if server.process is not None]}
    # Not before the links are copied: an outage in the first second is another question.
    stand.until(lambda: _sum(servers, "mailhub_links_copied_total") > 0, 60, "the copy of the links")
    before, database_before, began = processes.spent(groups), _database_seconds(stand), time.monotonic()
    seconds, hits = (given.outage + 2 * given.around, 0) if given.outage else (0.0, given.hits)
    readers = Readers(
        [one.port for one in servers], letters.paths, connections=given.connections, hits=hits, seconds=seconds
    )
    if given.outage:
        _outage(stand, given.outage, given.around)
    tally = readers.wait()
    expected = tally.acknowledged.total()
    with contextlib.suppress(AssertionError):
        stand.until(lambda: _stored(stand) >= expected, 120, "all hits are events")
    seconds = time.monotonic() - began
    after, stored = processes.spent(groups), events(stand)
    acknowledged = letters.events(tally.acknowledged)
    by_group = processes.microseconds_per_letter(before, after, max(1, expected))
    return {
        "hits_per_second": round(stored.total() / seconds, 1),
        "answers_per_second": round(tally.answers / tally.elapsed, 1),
        "answers": tally.answers,
        "answers_5xx": tally.failures,
        "answers_refused": tally.answers - expected,
        "connections_broken": tally.unanswered.total(),
        "letters": len({key[1:3] for key in acknowledged}),
        "events": stored.total(),
        "hits_lost": (acknowledged - stored).total(),
        "hits_doubled": (stored - acknowledged).total(),
        "stored_behind_seconds": round(seconds - tally.elapsed, 2),
        "p50_ms": tally.p50_ms,
        "p99_ms": tally.p99_ms,
        "longest_ms": tally.longest_ms,
        "hits_per_sync": round(expected / max(1.0, _sum(servers, "mailhub_hit_spool_syncs_total")), 1),
        "tracking_cpu_us": by_group["tracking"],
        "readers_cpu_us": round(tally.cpu_seconds / max(1, tally.answers) * 1e6, 1),
        "database_cpu_us": round((_database_seconds(stand) - database_before) / max(1, expected) * 1e6, 1),
        "peak_rss_bytes": peak_rss_bytes(groups["tracking"]),
    }


def _outage(stand: Stand, seconds: float, around: float) -> None:
    time.sleep(around)
    with frozen_database(stand):
        time.sleep(seconds / 2)
    stand.stop_database()
    time.sleep(seconds / 2)
    stand.start_database()


def _sum(servers: list[TrackingServer], name: str) -> float:
    return sum(server.metric(name) for server in servers)


def _stored(stand: Stand) -> int:
    return int(stand.query("SELECT count(*) FROM message_event WHERE type IN ('OPENED', 'REDIRECTED')")[0][0])


def _database_seconds(stand: Stand) -> float:
    assert stand.postgres is not None
    assert stand.postgres.process is not None
    return processes.spent({"database": [stand.postgres.process.pid]}).groups["database"]


if __name__ == "__main__":
    raise SystemExit(main())
