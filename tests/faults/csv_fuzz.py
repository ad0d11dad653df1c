"""Whatever is uploaded: each row is accepted or listed with a reason, nothing is raised, memory stays bounded.

Alone: `python -m tests.faults.csv_fuzz --cases N --seed S [--case NUMBER]`; the last one shows a case's file and rows.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from mailhub.imports.columns import guess_columns, guess_mapping
from mailhub.imports.head import Head, look
from mailhub.imports.opening import codec_of, read_rows
from mailhub.imports.person import EMAIL, PersonReader
from mailhub.imports.reading import CSV, REFUSALS, NotACsv, Reading
from mailhub.imports.rows import RAW_KEPT, Row
from mailhub.imports.values import reader
from mailhub.mail.address import MESSAGES
from mailhub.mail.quality import Quality
from tests.faults.bad_files import make
from tests.faults.drills import drill
from tests.faults.ledger import Figures
from tests.faults.stand import Stand

PROCESSES = 2
#: Above what the imports alone have taken.
MAX_GROWTH_BYTES = 200 * 1024 * 1024
#: Of processor time, for one file.
MAX_SECONDS = 20.0
#: Rows that one case is followed for; a sheet can repeat a row a million times.
FOLLOWED = 30_000
FAULTS = {"", "too_long", "too_many_columns", "cell_too_long", "nul", "encoding", "quote"}
REASONS = {*(f"row_{fault}" for fault in FAULTS), "row_columns", *MESSAGES, "duplicate", "value"}


@dataclass
class Found:
    """What came of many cases. `wrong` are descriptions of cases that broke a promise; `refused` is by reason."""

    cases: int = 0
    accepted: int = 0
    listed: int = 0
    longest_seconds: float = 0.0
    growth_bytes: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


class PromiseBroken(Exception):
    """A row is neither accepted nor listed, or something is out of its bounds."""


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise PromiseBroken(what)


def fuzz(folder: Path, seed: int, numbers: range) -> Found:
    """Go through the cases of these numbers."""
    found = Found()
    before = _peak_bytes()
    path = folder / f"case-{seed}-{numbers.start}"
    for number in numbers:
        path.write_bytes(make(seed, number))
        began = time.process_time()
        try:
            _follow(path, found)
        except Exception as failure:  # whatever it is, it should not have been raised
            found.wrong.append(f"case {number}: {type(failure).__name__}: {failure}")
        found.longest_seconds = max(found.longest_seconds, time.process_time() - began)
        found.cases += 1
    found.growth_bytes = _peak_bytes() - before
    return found


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _follow(path: Path, found: Found) -> None:
    """One file through everything that the wizard and the running import do with it."""
    try:
        head = look(path)
        _expect(
            Reading.from_json(json.loads(json.dumps(head.reading.as_json()))) == head.reading, "the reading is not kept"
        )
        columns = guess_columns(head)
        mapping = guess_mapping(head)
        if EMAIL not in mapping.values():
            mapping = {head.headers[0]: EMAIL}
        read = {one.target: value for one in columns
                if (value := reader(one.guess.type, choices=one.guess.choices, order=one.guess.order))}  # fmt: skip
        _people(path, head, PersonReader(head.headers, mapping, read), found)
    except NotACsv as refusal:
        _expect(refusal.reason in REFUSALS, f"unknown refusal {refusal.reason}")
        found.refused[refusal.reason] += 1


def _people(path: Path, head: Head, read_person: PersonReader, found: Found) -> None:
    size = path.stat().st_size
    quality = Quality()
    covered: list[tuple[int, int]] = []
    end = 0

    def progress(done: int) -> None:
        _expect(0 <= done <= size, "progress beyond the file")

    for row in read_rows(path, head.reading, columns=head.columns, progress=progress):
        _check_row(row, end)
        covered.append((row.line, row.end))
        end = row.end
        if len(covered) > FOLLOWED:
            return
        if row.line < head.first_line:
            continue
        person = read_person(row)
        if isinstance(person, str):
            _expect(person.partition(":")[0] in REASONS, f"unknown reason {person}")
            found.listed += 1
            quality.add_invalid()
        else:
            json.dumps([person.name, person.fields, person.tags])
            quality.add(person.address)
            found.accepted += 1
    json.dumps(quality.grade().as_json())
    if head.reading.kind == CSV and not head.reading.member and size < 200_000:
        _check_lines(path, head, covered)


def _check_row(row: Row, end: int) -> None:
    _expect(end < row.line <= row.end, f"line {row.line} to {row.end} behind {end}")
    _expect(row.fault in FAULTS, f"unknown fault {row.fault}")
    _expect(len(row.raw) <= RAW_KEPT, "a long raw row")
    _expect(bool(row.fault) or len(row.cells) <= 200, "too many cells without a fault")
    _expect(bool(row.fault) or all(len(cell) <= 10_000 and "\0" not in cell for cell in row.cells), "a bad cell")


def _check_lines(path: Path, head: Head, covered: list[tuple[int, int]]) -> None:
    """Each line with something in it is in exactly one row."""
    data = path.read_bytes()
    text = data.decode(codec_of(head.reading.encoding, data[:4]), "replace")
    filled = {
        number for number, line in enumerate(re.split("\r\n|\r|\n", text), start=1) if line and not line.isspace()
    }
    rows = [line for first, last in covered for line in range(first, last + 1)]
    _expect(len(rows) == len(set(rows)), "a line is in two rows")
    _expect(filled <= set(rows), f"lines lost: {sorted(filled - set(rows))[:5]}")


@drill(people=100_000, needs_stand=False)
def csv_fuzz(stand: Stand) -> Figures:
    """Damaged, malicious and odd files in every format and encoding: each row is accepted or listed, nothing raised."""
    each = -(-stand.people // PROCESSES)
    command = [sys.executable, "-m", "tests.faults.csv_fuzz", "--cases", str(each)]
    running = [
        subprocess.Popen([*command, "--seed", str(seed)], stdout=subprocess.PIPE, text=True)
        for seed in range(PROCESSES)
    ]
    results = [json.loads(process.communicate()[0]) for process in running]
    return summed(results)


def summed(results: list[dict[str, object]]) -> Figures:
    """The figures of several processes."""
    found = [Found(**result) for result in results]  # type: ignore[arg-type]
    wrong = [text for one in found for text in one.wrong]
    figures: Figures = {
        "cases": sum(one.cases for one in found),
        "accepted": sum(one.accepted for one in found),
        "listed": sum(one.listed for one in found),
        "refused": sum(sum(one.refused.values()) for one in found),
        "wrong": len(wrong),
        "growth_bytes": max(one.growth_bytes for one in found),
        "longest_seconds": round(max(one.longest_seconds for one in found), 2),
    }
    if wrong:
        figures["first_wrong"] = wrong[0]
    figures["passed"] = (
        not wrong and figures["growth_bytes"] <= MAX_GROWTH_BYTES and figures["longest_seconds"] <= MAX_SECONDS
        and figures["accepted"] > 0 and figures["listed"] > 0
    )  # fmt: skip
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mailhub-fuzz-") as name:
        folder = Path(name)
        if given.case is not None:
            print(make(given.seed, given.case)[:4000])
            print(fuzz(folder, given.seed, range(given.case, given.case + 1)))
            return 0
        print(json.dumps(vars(fuzz(folder, given.seed, range(given.cases)))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
