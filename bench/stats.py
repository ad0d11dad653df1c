"""Statistics over millions of events: the seed's queries, ours, and every query of every page, in one run.

    python -m bench.stats --events 2000000 --json figures.json
    python -m bench.stats --events 100000000 --home /data/bench

Makes up 90 days of 60 projects, first with 2 M events beside the seed's tables, then (for more) with as many as were
asked for, in an embedded PostgreSQL of its own or in the server of $BENCH_DATABASE_URL, a role of which may create
databases. With --home what was made is kept, and used again by the next run. Exit 1: a bound was missed, by so much.
docs/benchmarks.md says what each figure means.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.history import load, measure, seed, store
from bench.history.queries import Kind
from bench.history.store import Store
from mailhub import migrations
from mailhub.db import make_engine
from mailhub.reporting.verify import verify

SMALL = 2_000_000
PARTS = ("verify", "seed", "series", "queries")
Figures = dict[str, Any]
#: Figure → what it may be at most (milliseconds, differences, times).
AT_MOST = {
    "ours_ms": 10,
    "ours_ratio_to_small": 1.5,
    "slowest_page_query_ms": 50,
    "slowest_report_ms": 5000,
    "verify_differences": 0,
    "queries_without_binds": 0,
}
#: The same the other way round; fewer events than SMALL are no match for ours.
AT_LEAST = {"seed_second_over_ours": 20}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.stats", formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__
    )
    parser.add_argument("--events", type=int, default=SMALL)
    parser.add_argument("--parts", default=",".join(PARTS), help=f"what is measured: {', '.join(PARTS)}")
    parser.add_argument("--home", type=Path, help="keep what is made there, and use what is there already")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="connections that load at a time")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    parts = given.parts.split(",")
    if unknown := [name for name in parts if name not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}")
    if given.events < 10_000:
        parser.error("--events: 10,000 at least, so that every project has some")
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, "
          f"load {os.getloadavg()[0]:.1f}")  # fmt: skip
    with contextlib.ExitStack() as stack:
        home = given.home or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailhub-bench-")))
        server = stack.enter_context(store.opened(home.resolve()))
        try:
            figures = run(server, given.events, parts, given.jobs)
        except store.NoRoom as missing:
            print(f"bench.stats: {missing}")
            return 1
    missed = misses(figures)
    figures["bounds_missed"] = len(missed)
    show(figures)
    print("\n".join(["", *missed]) if missed else "\nevery bound is kept")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 1 if missed else 0


def run(server: Store, events: int, parts: Sequence[str], jobs: int) -> Figures:
    """Build what is missing and measure; raises NoRoom."""
    figures: Figures = {"load_average_before": round(os.getloadavg()[0], 1)}
    small = min(events, SMALL)
    sizes = [small, *([events] if events > small else [])]
    missing = [size for size in sizes if not store.has_history(server, name_of(size))]
    print(store.make_room(server, missing, small if "seed" in parts and small in missing else 0), flush=True)
    urls = [history(server, size, jobs, figures) for size in sizes]
    small_url, url = urls[0], urls[-1]
    figures |= {"events": store.events_of(url), "seed_events": store.events_of(small_url)}
    figures["disk_bytes"] = store.disk_bytes(url)
    figures["bytes_per_event"] = round(figures["disk_bytes"] / figures["events"])
    if "verify" in parts:
        figures |= verified(small_url)
    if "seed" in parts:
        figures |= seeded(small_url)
    if "series" in parts:
        figures |= series(urls)
    if {"seed", "series"} <= set(parts):
        figures["seed_first_over_ours"] = round(figures["seed_first_ms"] / figures["ours_ms"], 1)
        figures["seed_second_over_ours"] = round(figures["seed_second_ms"] / figures["ours_ms"], 1)
    if "queries" in parts:
        figures |= pages(url)
    figures["load_average_after"] = round(os.getloadavg()[0], 1)
    return figures


def name_of(size: int) -> str:
    return f"mailhub_bench_{size}"


def history(server: Store, size: int, jobs: int, figures: Figures) -> str:
    """The URL of a history of this size, made where it is missing."""
    name = name_of(size)
    if store.has_history(server, name):
        url = server.database(name)
        migrations.upgrade(url)
        print(f"history of {store.events_of(url):,} events: there already", flush=True)
        return url
    print(f"history of {size:,} events:", flush=True)
    url = store.make_database(server, name)
    until = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    done = load.build(url, size, until, jobs=jobs, say=lambda line: print(line, flush=True))
    figures["load_seconds"] = round(done.seconds, 1)
    figures["rows_per_second_loaded"] = round(done.events / done.seconds)
    print(f"  {done.events:,} events in {done.seconds:.0f} s, {store.gigabytes(store.disk_bytes(url))}", flush=True)
    return url


def verified(url: str) -> Figures:
    """Whether the rollups say what the raw events say: `mailhub stats verify`."""
    began = time.monotonic()
    engine = make_engine(url, name="bench", statement_timeout_seconds=0)
    found = verify(engine)
    engine.dispose()
    for one in found[:10]:
        print(f"  {one}")
    return {"verify_differences": len(found), "verify_seconds": round(time.monotonic() - began, 1)}


def seeded(url: str) -> Figures:
    """The seed's two queries on the smaller history."""
    if not store.has_schema(url, "seed"):
        seed.build(url)
    first, second, letters = measure.seed_times(url)
    return {
        "seed_first_ms": first.median_ms, "seed_first_p95_ms": first.p95_ms, "seed_first_ids": letters,
        "seed_second_ms": second.median_ms, "seed_second_p95_ms": second.p95_ms,
    }  # fmt: skip


def series(urls: list[str]) -> Figures:
    """Our series in the smaller and in the larger history."""
    found = measure.series_times(urls)
    figures: Figures = {"ours_ms": found[-1].median_ms, "ours_p95_ms": found[-1].p95_ms}
    if len(found) > 1:
        figures |= {
            "ours_small_ms": found[0].median_ms,
            "ours_ratio_to_small": round(found[-1].median_ms / found[0].median_ms, 2),
        }
    return figures


def pages(url: str) -> Figures:
    """Every statement of every page and report; prints the slowest of each kind."""
    found, faults = measure.page_times(url)
    figures: Figures = {"queries_without_binds": len(faults)}
    for fault in faults:
        print(f"  {fault}")
    for kind in Kind:
        mine = [one for one in found if one.asked.kind is kind]
        print(f"\n{kind} queries, {len(mine)}, the slowest: median and 95th percentile in ms, runs, rows")
        for one in mine[:12]:
            taken = one.timed
            print(f"  {one.asked.name:<28}{taken.median_ms:>10.2f}{taken.p95_ms:>10.2f}{taken.runs:>5}{one.rows:>7}"
                  f"{'  raw rows' if one.asked.reads_raw_rows else ''}")  # fmt: skip
        figures[f"{kind}_queries"] = len(mine)
        if mine:
            name = {Kind.PAGE: "page_query", Kind.REPORT: "report", Kind.JOB: "job"}[kind]
            figures[f"slowest_{name}_ms"] = mine[0].timed.median_ms
            figures[f"slowest_{name}"] = mine[0].asked.name
    return figures


def misses(figures: Figures) -> list[str]:
    """A sentence for each bound that is not kept."""
    found = []
    for name, bound in AT_MOST.items():
        if name in figures and figures[name] > bound:
            found.append(f"missed: {name} is {figures[name]:,}, {bound:,} at most")
    for name, bound in AT_LEAST.items():
        if name in figures and figures[name] < bound and figures["seed_events"] >= SMALL:
            found.append(f"missed: {name} is {figures[name]:,}, {bound:,} at least")
    return found


def show(figures: Figures) -> None:
    """The table."""
    print()
    for figure, value in figures.items():
        shown = f"{value:,}" if isinstance(value, int | float) else value
        print(f"  {figure:<30}{shown:>26}")


if __name__ == "__main__":
    raise SystemExit(main())
