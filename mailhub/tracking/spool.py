"""Files of hits: written and on the disk before a request is answered, read later by whoever stores events.

A process appends to a file of its own, `hits-<time>-<random>.spool` in the folder `spool` of `mailhub.home`, and holds
its flock: a file that can be locked has no writer any more, and never gets one again. Requests that come together are
written together and wait for one fdatasync (group commit): the disk's syncs do not bound the hits.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mailhub import metrics

#: A file of this size is closed and the next one begun, so that what is stored can be deleted.
ROTATE_BYTES = 16_000_000
#: A file with hits is closed at this age, so that addresses do not lie about for long.
ROTATE_SECONDS = 3600.0
#: After a failure (the disk is full) the next try is this much later.
RETRY_SECONDS = 1.0
ENDING = ".spool"
BAD_ENDING = ".bad"

_syncs = metrics.counter("mailhub_hit_spool_syncs_total", "Times that hits were written to the disk, several at once.")


class SpoolFailed(OSError):
    """The hit is not on the disk."""


@dataclass(slots=True)
class _Waiting:
    """A line on its way to the disk, and the gate at which its request waits."""

    line: bytes
    gate: threading.Lock
    failure: OSError | None = None


@dataclass(slots=True)
class _File:
    path: Path
    descriptor: int
    opened_at: float
    size: int = 0


def folder_of(home: Path) -> Path:
    """The spools of a home; made by the first writer."""
    return home / "spool"


class Spool:
    """The writer of a process; safe for its threads.

    A thread of its own writes for all who wait: with 32 readers at once that costs a quarter less of the processor than
    when the first of a batch writes for the others.
    """

    def __init__(self, folder: Path, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        self.folder = folder
        self.rotate_bytes = rotate_bytes
        self._joining = threading.Lock()  # who waits, and the thread
        self._writing = threading.Lock()  # the file
        self._waiting: list[_Waiting] = []
        self._news = threading.Event()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._file: _File | None = None
        self._retry_at = 0.0

    def add(self, line: bytes) -> None:
        """Come back when the line is on the disk; raises SpoolFailed when it is not."""
        gate = threading.Lock()
        gate.acquire()
        mine = _Waiting(line, gate)
        with self._joining:
            self._waiting.append(mine)
            first = len(self._waiting) == 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tracking spool", daemon=True)
                self._thread.start()
        if first:
            self._news.set()
        gate.acquire()
        if mine.failure is not None:
            raise SpoolFailed(str(mine.failure)) from mine.failure

    def durable(self, path: Path) -> int | None:
        """How many bytes of this file may be stored: what is on the disk. None for a file of somebody else."""
        file = self._file
        return file.size if file is not None and file.path == path else None

    def close_old(self, *, now: float | None = None) -> None:
        """Close a file with hits that has been open for ROTATE_SECONDS; the next hit begins another."""
        with self._writing:
            file = self._file
            if file is not None and file.size and (now or time.monotonic()) - file.opened_at >= ROTATE_SECONDS:
                self._close_file()

    def close(self) -> None:
        """Write what waits and let the file go. A hit that comes later begins another one."""
        with self._joining:
            thread, self._closing = self._thread, True
        if thread is not None:
            self._news.set()
            thread.join()
        with self._writing:
            self._close_file()
        self._closing = False

    def _run(self) -> None:
        while True:
            self._news.wait()
            self._news.clear()
            with self._joining:
                batch, self._waiting = self._waiting, []
                if not batch and self._closing:
                    self._thread = None
                    return
            if batch:
                self._write_batch(batch)
            if self._closing:
                self._news.set()

    def _write_batch(self, batch: Sequence[_Waiting]) -> None:
        failure: OSError | None = None
        try:
            with self._writing:
                self._write(b"".join(one.line for one in batch))
        except OSError as error:
            failure = error
        except Exception as error:  # nobody may wait for ever
            failure = OSError(f"{type(error).__name__}: {error}")
        for one in batch:
            one.failure = failure
            one.gate.release()

    def _write(self, data: bytes) -> None:
        if time.monotonic() < self._retry_at:
            raise OSError("the spool could not be written a moment ago")
        try:
            file = self._file = self._file or self._open()
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(file.descriptor, rest) :]
            os.fdatasync(file.descriptor)
        except OSError:
            self._retry_at = time.monotonic() + RETRY_SECONDS
            self._give_up()
            raise
        _syncs.add()
        file.size += len(data)
        if file.size >= self.rotate_bytes:
            self._close_file()

    def _open(self) -> _File:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = new_name("hits")
        path, nascent = self.folder / (name + ENDING), self.folder / (name + ".new")
        descriptor = os.open(nascent, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # Locked before it has its name: nobody may take it for a file without a writer.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            nascent.rename(path)
            _sync_folder(self.folder)
        except OSError:
            os.close(descriptor)
            nascent.unlink(missing_ok=True)
            raise
        return _File(path, descriptor, time.monotonic())

    def _give_up(self) -> None:
        """After a failed write: take off what may have arrived, and never append to this file again.

        Not to the same one: somebody may have read past its good end already.
        """
        file = self._file
        if file is None:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(file.descriptor, file.size)
        self._close_file()
        if not file.size:
            with contextlib.suppress(OSError):
                file.path.unlink()

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file.descriptor)
            self._file = None


def _sync_folder(folder: Path) -> None:
    """A new file's name is durable with its folder only."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def new_name(kind: str) -> str:
    """A name without its ending; never used before or again, because what is stored is remembered by it."""
    return f"{kind}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(8)}"


def files(folder: Path) -> list[Path]:
    """The spools, oldest first."""
    return sorted(folder.glob("*" + ENDING)) if folder.is_dir() else []


def bad_files(folder: Path) -> list[Path]:
    """What was set aside: lines that could not be stored. Renamed to `.spool` they are tried again."""
    return sorted(folder.glob("*" + BAD_ENDING)) if folder.is_dir() else []


@contextlib.contextmanager
def without_writer(path: Path) -> Iterator[bool]:
    """Whether nobody writes to the file any more; if so, it is ours as long as the block lasts."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def read_lines(path: Path, start: int, *, end: int | None = None, most: int = 1000) -> tuple[list[bytes], int]:
    """Up to `most` whole lines from an offset, without their line feeds, and the offset behind them.

    `end` is where to stop. What has no line feed yet is being written, or was torn when its writer was killed.
    """
    lines: list[bytes] = []
    with path.open("rb") as file:
        file.seek(start)
        while len(lines) < most:
            line = file.readline()
            if not line.endswith(b"\n") or (end is not None and start + len(line) > end):
                break
            lines.append(line[:-1])
            start += len(line)
    return lines, start
