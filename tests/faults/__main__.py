"""Fire drills: `python -m tests.faults NAME [--people N] [--json FILE]`; `all` holds every one."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from tests.conftest import Live
from tests.faults.drills import DRILLS, Figures
from tests.faults.stand import Stand, database_of_its_own
from tests.sink import Sink


def hold(name: str, people: int) -> Figures:
    """Hold one drill on a database, a sink and workers of its own."""
    broker = os.environ.get("MAILHUB_DRILL_BROKER", "embedded")
    with tempfile.TemporaryDirectory(prefix="mailhub-drill-") as folder, database_of_its_own(Path(folder)) as url:
        live = Live(url, Path(folder))
        try:
            settings = {"mailhub.delivery.retry_schedule": "1s 1s 2s 2s 3s 3s 3s 3s"}
            with Sink(delay_seconds=0.002) as sink, Stand(live, sink, broker_url=broker, **settings) as stand:
                return DRILLS[name](stand, people)
        finally:
            live.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("name", choices=[*DRILLS, "all"])
    parser.add_argument("--people", type=int, default=3000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    results: dict[str, Figures] = {}
    for name in DRILLS if given.name == "all" else [given.name]:
        try:
            results[name] = hold(name, given.people)
        except AssertionError as failure:
            results[name] = {"passed": False, "failure": str(failure)}
        figures = " ".join(f"{key}={value}" for key, value in results[name].items() if key != "passed")
        print(f"{name}: {figures}\n{'PASS' if results[name]['passed'] else 'FAIL'}", flush=True)
    if given.json:
        given.json.write_text(json.dumps(results if given.name == "all" else results[given.name], indent=2) + "\n")
    return 0 if all(figures["passed"] for figures in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
