"""The files of jobs, in `mailhub.home`/reports: written slice by slice, cut back to what is known to be whole."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mailhub.settings import Settings
from mailhub.web import spreadsheet

_ROWS = 2_000


def folder(settings: Settings) -> Path:
    """Where the files are. Nobody else may look into it: they can hold addresses."""
    path = settings.home / "reports"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def path_of(settings: Settings, name: str) -> Path:
    """The file of a job. Names are made by `new_name` only; anything else is a fault of ours. Raises ValueError."""
    if len(name) != 36 or not name.endswith(".csv") or not name[:32].isalnum():
        raise ValueError("not a name of ours")
    return folder(settings) / name


def new_name() -> str:
    return f"{secrets.token_hex(16)}.csv"


class Taken(Exception):
    """Another worker still has the file open: it was held up for longer than its lease."""


class Sheet:
    """A job's file, open for its next slices, for one worker at a time. Raises OSError when the disk is full."""

    def __init__(self, path: Path, columns: Sequence[str], size: int) -> None:
        """`size` bytes are whole; what a killed worker has written behind them is cut off. Raises Taken."""
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        try:
            self._lock()
            self._file.truncate(size)
            self._file.seek(size)
            if size == 0:
                self._file.write((spreadsheet.MARK + spreadsheet.lines([columns])).encode())
        except BaseException:
            self._file.close()
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Taken from None

    def write(self, rows: Iterable[Sequence[Any]]) -> int:
        """Add rows; gives how many."""
        count, batch = 0, []
        for row in rows:
            batch.append(row)
            if len(batch) == _ROWS:
                self._file.write(spreadsheet.lines(batch).encode())
                count, batch = count + len(batch), []
        self._file.write(spreadsheet.lines(batch).encode())
        return count + len(batch)

    def keep(self) -> int:
        """Wait until the disk has it; gives the size, which from now on is whole."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
