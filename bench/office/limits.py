"""How exactly a relay's limit is kept over many processes."""

from __future__ import annotations

from pathlib import Path

from bench.office.campaign import Asked, Figures
from tests.faults.__main__ import hold
from tests.faults.drills import load


def limits(_folder: Path, asked: Asked) -> Figures:
    """The drill `limit`: 200 letters a second over eight processes, for a minute."""
    found = hold(load()["limit"], asked.broker, None, None)
    return {
        "limited_to_200_per_second": found["letters_per_second"],
        "limited_fastest_second": found["fastest_second"],
        "limited_slowest_second": found["slowest_second"],
    }
