"""Fire drills: `python -m tests.faults NAME [--people N] [--turns N] [--broker B] [--json FILE]`; `all` holds all."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.faults.broker import rabbitmq_is_installed
from tests.faults.drills import Drill, load
from tests.faults.ledger import Figures
from tests.faults.stand import Stand


def hold(drill: Drill, broker: str, people: int | None, turns: int | None) -> Figures:
    """Hold one drill on a database, a broker, relays and workers of its own."""
    if drill.needs_rabbitmq and rabbitmq_is_installed():
        broker = "rabbitmq"
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailhub-drill-")))
        options = dict(drill.options)
        if drill.around is not None:
            options |= drill.around(stack)
        stand = Stand(folder, broker=broker, **options)
        if drill.needs_stand:
            stack.enter_context(stand)
        stand.people, stand.turns = people or drill.people, turns or drill.turns
        began = time.monotonic()
        try:
            figures = drill.hold(stand)
        except Exception as failure:
            traceback.print_exc()
            figures = {"passed": False, "failure": str(failure).partition("\n")[0]}
        return {"broker": broker, **figures, "seconds": round(time.monotonic() - began, 1)}


def main() -> int:
    drills = load()
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("name", choices=[*drills, "all"], metavar="NAME", help=", ".join([*drills, "all"]))
    parser.add_argument("--people", type=int, help="how many letters; else as many as the drill wants")
    parser.add_argument("--turns", type=int, help="how often something is killed")
    parser.add_argument("--broker", choices=["embedded", "rabbitmq"])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    broker = given.broker or os.environ.get("MAILHUB_DRILL_BROKER", "embedded")
    results: dict[str, Figures] = {}
    for name in drills if given.name == "all" else [given.name]:
        print(f"{name}: {drills[name].says}", flush=True)
        results[name] = hold(drills[name], broker, given.people, given.turns)
        figures = " ".join(f"{key}={value}" for key, value in results[name].items() if key != "passed")
        print(f"{name}: {figures}\n{'PASS' if results[name]['passed'] else 'FAIL'}", flush=True)
    if given.json:
        given.json.write_text(json.dumps(results if given.name == "all" else results[given.name], indent=2) + "\n")
    return 0 if all(figures["passed"] for figures in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
