"""The post office, measured: a campaign end to end by real workers, and its parts by themselves.

    python -m bench.delivery --recipients 20000 --json figures.json
    python -m bench.delivery --parts campaign,far --recipients 100000 --connections 20

PostgreSQL (which waits for its disk), the relay (postfix's smtp-sink), the workers and this program share the machine.
The letter has 11 kB of HTML and a text part, 80 merge-field uses and 40 tracked links; each is recorded by itself, with
durable positions. docs/benchmarks.md says what each figure means.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.office import alone, campaign, forget, limits, scale, stops
from bench.office.campaign import Asked, Figures, NotHere


@dataclass(frozen=True)
class Part:
    """A part of the benchmark. `usual`: it is done unless others are asked for."""

    measure: Callable[[Path, Asked], Figures]
    usual: bool
    says: str


PARTS = {
    "campaign": Part(campaign.campaign, True, "end to end, beside smtp-source and EmailMessage + smtplib"),
    "dkim": Part(campaign.dkim, True, "the same, signed with RSA-2048"),
    "far": Part(campaign.far_away, True, "the same, 50 ms round trip, 40 connections"),
    "single": Part(campaign.single, True, "single letters by the API while a campaign runs"),
    "letters": Part(alone.letters, True, "making letters, one process"),
    "fan_out": Part(scale.fan_outs, False, "fan-out of 1 M people (10 M with --large)"),
    "claim": Part(scale.claim_costs, False, "a claim at 10 k and 1 M people (10 M with --large)"),
    "stops": Part(stops.stops, False, "what stop lists cost an audience's count and a chunk"),
    "forget": Part(forget.forget, False, "retention, and an erasure's walk through letters and events"),
    "limits": Part(limits.limits, False, "200 letters/s over eight processes"),
}


def main() -> int:
    usual = ",".join(name for name, part in PARTS.items() if part.usual)
    parser = argparse.ArgumentParser(
        prog="python -m bench.delivery", formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__,
        epilog="parts:\n" + "\n".join(f"  {name:<10}{part.says}" for name, part in PARTS.items()),
    )  # fmt: skip
    parser.add_argument("--recipients", type=int, default=20_000)
    parser.add_argument("--processes", type=int, default=2, help="of the bulk worker")
    parser.add_argument("--connections", type=int, default=10, help="mailhub.relay.default.max_connections")
    parser.add_argument("--parts", default=usual, help=f"separated by commas, or `all`; usually {usual}")
    parser.add_argument("--large", action="store_true", help="10 M people too, in fan_out and claim")
    parser.add_argument("--broker", choices=["embedded", "rabbitmq"], default="embedded")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    wanted = list(PARTS) if given.parts == "all" else given.parts.split(",")
    if unknown := [name for name in wanted if name not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}")
    asked = Asked(given.recipients, given.processes, given.connections, given.large, given.broker)
    figures: dict[str, Any] = {"load_average_before": round(os.getloadavg()[0], 1)}
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, "
          f"load {figures['load_average_before']}")  # fmt: skip
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailhub-bench-")))
        for name in wanted:
            began = time.monotonic()
            try:
                found = PARTS[name].measure(folder, asked)
            except NotHere as missing:
                print(f"\n{name}: left out: {missing}", flush=True)
                continue
            show(name, found, time.monotonic() - began)
            figures |= found
    left_out = [name for name in PARTS if name not in wanted]
    if left_out:
        print(f"\nleft out: {', '.join(left_out)} (--parts {','.join(left_out)}, or --parts all)")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


def show(name: str, figures: Figures, seconds: float) -> None:
    """A part of the table."""
    print(f"\n{name}: {PARTS[name].says} ({seconds:.0f} s)")
    for figure, value in figures.items():
        shown = f"{value:,}" if isinstance(value, int | float) else value
        print(f"  {figure:<34}{shown:>16}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
