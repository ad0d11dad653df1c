"""Addresses out of what somebody has pasted or uploaded: a list, a column, a CSV of another service."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from mailhub.mail.address import InvalidAddress, parse_address

#: Wrong lines that are shown as they were.
MOST_SHOWN = 5
_BETWEEN = re.compile(r"[\s,;\t|]+")
_AROUND = "<>\"'()[]"


@dataclass
class Read:
    """Addresses in lower case, each once, in their order; how many lines had none that is right, and the first ones."""

    keys: list[str] = field(default_factory=list)
    wrong: int = 0
    shown: list[str] = field(default_factory=list)


def is_text(head: bytes) -> bool:
    """Whether a file that begins so has lines that can be read: no spreadsheet, no UTF-16."""
    return b"\0" not in head


def read(lines: Iterable[str], *, from_start: bool = True) -> Read:
    """The addresses of the lines: all of a line are taken. Blank lines and a header (`from_start`) are no fault."""
    found = Read()
    seen: set[str] = set()
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        keys = [key for part in _BETWEEN.split(line) if "@" in part and (key := _key(part)) is not None]
        for key in keys:
            if key not in seen:
                seen.add(key)
                found.keys.append(key)
        if not keys and (number > 0 or not from_start or "@" in line):
            found.wrong += 1
            if len(found.shown) < MOST_SHOWN:
                found.shown.append(line.strip()[:80])
    return found


def _key(part: str) -> str | None:
    try:
        return parse_address(part.strip(_AROUND)).key
    except InvalidAddress:
        return None
