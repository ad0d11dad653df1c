"""Run a piece of work in a forked child with limits on processor time, memory and the clock.

For the first rendering of something a stranger wrote. The child inherits the parent's memory, does its work, writes
the result into a pipe and leaves by `os._exit`: no clean-up handlers, no flushing of inherited buffers.
"""

import contextlib
import os
import resource
import select
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path

_DONE, _REFUSED = b"+", b"-"


class GuardedFailure(Exception):
    """The work raised; `message` is the exception's text."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class GuardTimeout(Exception):
    """The work ran over one of its limits and was ended."""


def run_guarded(
    work: Callable[[], bytes],
    *,
    cpu_seconds: int = 2,
    wall_seconds: float = 3.0,
    memory_bytes: int = 512 * 1024 * 1024,
    result_bytes: int = 8 * 1024 * 1024,
) -> bytes:
    """What `work()` returns, computed in a child; raises GuardedFailure or GuardTimeout.

    `memory_bytes` is on top of what the process has mapped already, because the child begins with all of that.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # From 3.12 on Python warns of fork in a process with threads. The child runs only our own work and leaves by
        # `_exit`; a lock that it might miss ends it at the wall clock, as any other work that hangs.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.close(reading)
        _child(work, writing, cpu_seconds, memory_bytes)
    os.close(writing)
    try:
        answer = _read_all(reading, time.monotonic() + wall_seconds, result_bytes + 1)
    finally:
        os.close(reading)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)
    if answer[:1] == _DONE:
        return answer[1:]
    if answer[:1] == _REFUSED:
        raise GuardedFailure(answer[1:].decode("utf-8", "replace"))
    raise GuardTimeout


def _child(work: Callable[[], bytes], writing: int, cpu_seconds: int, memory_bytes: int) -> None:
    """Never returns. An answer without its closing byte counts as none, so a killed child can't be misread."""
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with contextlib.suppress(OSError, ValueError):
            limit = _mapped_bytes() + memory_bytes
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        try:
            answer = _DONE + work()
        except Exception as error:
            answer = _REFUSED + str(error).encode("utf-8", "replace")
        view = memoryview(len(answer).to_bytes(8, "big") + answer)
        while view:
            view = view[os.write(writing, view) :]
    finally:
        os._exit(0)


def _read_all(reading: int, deadline: float, limit: int) -> bytes:
    received = bytearray()
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([reading], [], [], left)[0]:
            break
        piece = os.read(reading, 1 << 16)
        if not piece:
            break
        received += piece
        if len(received) > limit + 8:
            raise GuardTimeout
    whole = len(received) >= 8 and len(received) - 8 == int.from_bytes(received[:8], "big")
    return bytes(received[8:]) if whole else b""


def _mapped_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()
