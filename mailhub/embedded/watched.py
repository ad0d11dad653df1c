"""A child process under watch: its output with a prefix, its restarts with a growing pause, its end."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from mailhub.embedded import child

__all__ = ["Output", "Watched", "ended_how"]

_PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before the first, second, … restart in a row."""

_STEADY_SECONDS = 30.0
"""A child that ran this long is well: its next crash is a first one again."""

_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95)


class Output:
    """One log for all: each line starts with the name of who wrote it, coloured on a terminal."""

    def __init__(self, stream: IO[str], width: int = 13) -> None:
        self._stream, self._width = stream, width
        self._coloured = stream.isatty() and not os.environ.get("NO_COLOR")
        self._names: dict[str, int] = {}

    def line(self, name: str, text: str) -> None:
        prefix = f"{name:<{self._width}} | "
        if self._coloured:
            colour = self._names.setdefault(name, _COLOURS[len(self._names) % len(_COLOURS)])
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        self.plain(prefix + text)

    def plain(self, text: str) -> None:
        # A text that the terminal's encoding lacks must not end everything.
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        self._stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
        self._stream.flush()


@dataclass
class Watched:
    """What is started, how it is stopped, and what happened to it."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    stop_signal: signal.Signals = signal.SIGTERM
    patience: float = 20.0  # seconds between the stop signal and SIGKILL
    ready: Callable[[], bool] = field(default=lambda: True)
    once: bool = False  # it is meant to end by itself

    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    is_ready: bool = field(default=False, init=False)
    crashes: int = field(default=0, init=False)
    restart_at: float | None = field(default=None, init=False)
    _started: float = field(default=0.0, init=False)
    _rest: bytearray = field(default_factory=bytearray, init=False)

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None else None

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, selector: selectors.BaseSelector) -> None:
        self._rest.clear()
        self.restart_at, self._started = None, time.monotonic()
        self.process = child.start(
            self.command, death_signal=signal.SIGKILL, environ=self.environ, output=subprocess.PIPE
        )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        selector.register(self.process.stdout, selectors.EVENT_READ, self)

    def pump(self, stream: IO[bytes], selector: selectors.BaseSelector, output: Output) -> None:
        """Writes the lines that have come. A line without an end is cut at 64 kB."""
        try:
            data = os.read(stream.fileno(), 65536)
        except BlockingIOError:
            return
        if not data:
            selector.unregister(stream)
            stream.close()
        self._rest += data
        *lines, rest = self._rest.split(b"\n")
        if rest and (not data or len(rest) > 65536):
            lines.append(rest)
            rest = bytearray()
        self._rest = bytearray(rest)
        for line in lines:
            output.line(self.name, line.decode("utf-8", "replace").rstrip("\r"))

    def crashed(self) -> float:
        """Notes the end that nobody asked for; gives the seconds until the restart."""
        if time.monotonic() - self._started > _STEADY_SECONDS:
            self.crashes = 0
        pause = _PAUSES[min(self.crashes, len(_PAUSES) - 1)]
        self.crashes += 1
        self.restart_at = time.monotonic() + pause
        return pause

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.running:
            self.process.send_signal(number)


def ended_how(code: int) -> str:
    """`ended with code 3` or `was killed by SIGKILL`."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
