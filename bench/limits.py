"""The brakes alone: calls a second on one bucket, and how exactly a limit holds over several processes.

    python -m bench.limits --seconds 60 --json figures.json

Processes of this machine share one PostgreSQL, as workers do; they take letters and count them, nothing is sent.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url

from mailhub.delivery import buckets, turns
from mailhub.delivery.throttle import Throttle, relay_key
from mailhub.settings import read_settings
from tests.faults.stand import database_of_its_own

RATE = 200.0
KEYS = ("campaign:1:1", "lane:default:gmail", "project:1", "relay:default")


def connect(url: str) -> psycopg.Connection[Any]:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True)


def calls(url: str, seconds: float, keys: tuple[str, ...], results: Queue[Any]) -> None:
    """Take a letter again and again; the number of calls."""
    with connect(url) as connection:
        buckets.take(connection, keys, 1)
        ends_at, n = time.monotonic() + seconds, 0
        while time.monotonic() < ends_at:
            buckets.take(connection, keys, 1)
            n += 1
    results.put(n)


def claims(url: str, seconds: float, projects: list[int], results: Queue[Any]) -> None:
    """Claim for the project whose turn it is, again and again; the number of claims."""
    statement = f"""
        SELECT p.id FROM project AS p LEFT JOIN project_turn AS t ON t.project_id = p.id
        WHERE p.id = ANY(%s) ORDER BY {turns.ORDER} LIMIT 1
    """
    with connect(url) as connection:
        ends_at, n = time.monotonic() + seconds, 0
        while time.monotonic() < ends_at:
            with connection.transaction():
                row = connection.execute(statement, (projects,)).fetchone()
                turns.charge(connection, row[0] if row is not None else 0, 500)
            n += 1
    results.put(n)


def letters(url: str, seconds: float, results: Queue[Any]) -> None:
    """Spend what the relay's limit allows; the moments at which letters were "sent", and the statements it took."""
    throttle = Throttle(read_settings({}, {"MAILHUB_SECRET_KEY": "x" * 40}))
    allowance = throttle.allowance(relay_key("default"))
    sent: list[float] = []
    asked = 0
    with connect(url) as connection:
        ends_at = time.monotonic() + seconds
        while (now := time.monotonic()) < ends_at:
            n = allowance.at_hand(now)
            if not n:
                asked += 1
                n = allowance.refill(connection, 50, now)
            if n:
                allowance.spend(1)
                sent.append(time.monotonic())
            else:
                time.sleep(max(0.001, min(allowance.wait_until - now, ends_at - now)))
        allowance.give_back(connection)
    results.put((sent, asked))


def together(body: Callable[..., None], processes: int, *args: Any) -> list[Any]:
    """The results of so many processes that run at the same time."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    running = [context.Process(target=body, args=(*args, results)) for _n in range(processes)]
    for one in running:
        one.start()
    found = [results.get() for _one in running]
    for one in running:
        one.join()
    return found


def speeds(connection: psycopg.Connection[Any], url: str) -> dict[str, float]:
    """Calls of `take` and claims by turns a second, by one process and by several."""
    figures: dict[str, float] = {}
    buckets.set_rates(connection, dict.fromkeys(KEYS, 1e9))
    for processes in (1, 4, 8):
        for name, keys in (("1_bucket", KEYS[-1:]), ("4_buckets", KEYS)):
            found = together(calls, processes, url, 3.0, keys)
            figures[f"take_{name}_{processes}_processes_per_second"] = round(sum(found) / 3)
    connection.execute(
        "INSERT INTO project (slug, name, domain) SELECT 'p' || n, 'p', 'p.test' FROM generate_series(1, 20) AS n"
    )
    ids = [row[0] for row in connection.execute("SELECT id FROM project WHERE slug LIKE 'p%'").fetchall()]
    for processes in (1, 4):
        found = together(claims, processes, url, 3.0, ids)
        figures[f"turns_{processes}_processes_per_second"] = round(sum(found) / 3)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.limits", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--only-limit", action="store_true", help="leave out calls and turns a second")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    figures: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailhub-bench-")))
        url = stack.enter_context(database_of_its_own(folder))
        with connect(url) as connection:
            if not given.only_limit:
                figures |= speeds(connection, url)
            connection.execute("TRUNCATE rate_bucket")
            buckets.set_rates(connection, {relay_key("default"): RATE})
            found = together(letters, given.processes, url, given.seconds + 3)
    moments = sorted(at for sent, _asked in found for at in sent)
    # From two seconds after the first letter on: all have started, and the bucket's first burst is over.
    begins = moments[0] + 2
    measured = [at for at in moments if begins <= at < moments[-1]]
    figures["limit_per_second"] = RATE
    figures["held_per_second"] = round(len(measured) / (measured[-1] - begins), 2)
    per_second = [sum(1 for at in measured if begins + n <= at < begins + n + 1) for n in range(int(given.seconds))]
    figures["fewest_in_a_second"], figures["most_in_a_second"] = min(per_second), max(per_second)
    figures["statements_per_second"] = round(sum(asked for _sent, asked in found) / (given.seconds + 3), 1)
    for name, value in figures.items():
        print(f"{name:<44}{value:>14,}")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
