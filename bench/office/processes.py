"""Where the processor's time goes: by group of processes, from /proc."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Spent:
    """Seconds of CPU until now: of each group with all its children, living or gone, and of the whole machine."""

    groups: dict[str, float]
    machine: float


def spent(groups: Mapping[str, Sequence[int]]) -> Spent:
    """`groups`: name → pids of first processes; their children are found."""
    parents: dict[int, list[int]] = {}
    seconds: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The command's name may hold spaces and brackets; the fields begin behind its last bracket.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
                seconds[int(entry.name)] = sum(int(fields[place]) for place in (11, 12, 13, 14)) / _TICKS
    found = {}
    for name, pids in groups.items():
        mine, todo = set[int](), list(pids)
        while todo:
            pid = todo.pop()
            if pid not in mine:
                mine.add(pid)
                todo.extend(parents.get(pid, []))
        found[name] = sum(seconds.get(pid, 0.0) for pid in mine)
    return Spent(found, _busy())


def microseconds_per_letter(before: Spent, after: Spent, letters: int) -> dict[str, float]:
    """What each group has spent on a letter, and `other`: the rest of the machine, kernel threads and strangers."""
    spent_by = {name: after.groups[name] - before.groups[name] for name in after.groups}
    spent_by["other"] = max(0.0, after.machine - before.machine - sum(spent_by.values()))
    return {name: round(seconds / letters * 1e6, 1) for name, seconds in spent_by.items()}


def _busy() -> float:
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, _steal = fields
    return (user + nice + system + irq + softirq) / _TICKS


def forget_peak(pid: int) -> None:
    """Begin the process's peak of memory anew (proc(5), clear_refs 5)."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")
