"""Readers by the thousand: one process, one loop, connections that are kept alive as nginx keeps them.

    readers = Readers([port], paths, connections=32, hits=60_000)
    …
    tally = readers.wait()

They ask for the paths in their order, again and again; several servers share the
connections. Every connection has one request on its way, and is made again
when it breaks. They end after so many hits, after so many seconds, or when they are told to `finish`, and wait for what
they have asked for.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import select
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

#: A connection that waits longer for its answer is given up.
PATIENCE_SECONDS = 60.0
AGENT = b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
_REST = b" HTTP/1.1\r\nHost: localhost\r\nUser-Agent: " + AGENT + b"\r\n\r\n"


@dataclass
class Tally:
    """What came of it. By path, as its number: how often it was answered well, and how often not at all."""

    statuses: Counter[str] = field(default_factory=Counter)
    acknowledged: Counter[int] = field(default_factory=Counter)
    unanswered: Counter[int] = field(default_factory=Counter)
    elapsed: float = 0.0
    cpu_seconds: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    longest_ms: float = 0.0

    @property
    def answers(self) -> int:
        return sum(self.statuses.values())

    @property
    def failures(self) -> int:
        """Answers of the class 5xx."""
        return sum(n for status, n in self.statuses.items() if status.startswith("5"))


class Readers:
    """The process, from outside."""

    def __init__(
        self, ports: Sequence[int], paths: Sequence[str], *, connections: int = 32, hits: int = 0, seconds: float = 0
    ) -> None:
        arguments = [str(given) for given in (",".join(map(str, ports)), connections, seconds, hits)]
        command = [sys.executable, "-c", "from tests.faults.readers import main; main()", *arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None
        self._process.stdin.write("\n".join(paths).encode())
        self._process.stdin.close()

    def finish(self) -> None:
        """Ask for nothing more."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> Tally:
        """What came of it."""
        assert self._process.stdout is not None
        with self._process.stdout as output:
            said = json.load(output)
        self._process.wait(60)
        for name in ("acknowledged", "unanswered"):
            said[name] = Counter({int(path): n for path, n in said[name].items()})
        return Tally(**{**said, "statuses": Counter(said["statuses"])})


@dataclass
class _Connection:
    socket: socket.socket
    asked_at: float = 0.0
    path: int = -1
    got: bytearray = field(default_factory=bytearray)


class _Loop:
    """All of it, from inside."""

    def __init__(self, ports: list[int], paths: list[bytes], connections: int, seconds: float, hits: int) -> None:
        self.ports, self.hits = itertools.cycle(ports), hits
        self.requests = [b"GET " + path + _REST for path in paths]
        self.poll = select.epoll()
        self.open: dict[int, _Connection] = {}
        self.wanted = connections
        self.tally = Tally()
        self.seconds: list[float] = []
        self.asked = 0
        self.until = time.perf_counter() + seconds if seconds else float("inf")

    def run(self) -> None:
        began = time.perf_counter()
        while True:
            while self._goes_on() and len(self.open) < self.wanted and self._connect():
                pass
            if not self.open:
                if not self._goes_on():
                    break
                time.sleep(0.05)  # the server is away
            for descriptor, _event in self.poll.poll(1.0):
                self._heard(self.open[descriptor])
            self._give_up_late()
        self.tally.elapsed = time.perf_counter() - began
        self.seconds.sort()
        if n := len(self.seconds):
            places = (n // 2, n * 99 // 100, n - 1)
            found = (round(self.seconds[place] * 1000, 2) for place in places)
            self.tally.p50_ms, self.tally.p99_ms, self.tally.longest_ms = found
        self.tally.cpu_seconds = time.process_time()

    def stop(self, *_signal: Any) -> None:
        self.until = 0.0

    def _goes_on(self) -> bool:
        return time.perf_counter() < self.until and (not self.hits or self.asked < self.hits)

    def _connect(self) -> bool:
        try:
            made = socket.create_connection(("127.0.0.1", next(self.ports)), timeout=10)
        except OSError:
            return False
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setblocking(False)
        self.poll.register(made.fileno(), select.EPOLLIN)
        self.open[made.fileno()] = connection = _Connection(made)
        self._ask(connection)
        return True

    def _ask(self, connection: _Connection) -> None:
        connection.path, connection.asked_at = self.asked % len(self.requests), time.perf_counter()
        connection.got.clear()
        self.asked += 1
        try:
            connection.socket.send(self.requests[connection.path])
        except OSError:
            self._broken(connection)

    def _heard(self, connection: _Connection) -> None:
        try:
            received = connection.socket.recv(8192)
        except OSError:
            received = b""
        if not received:
            return self._broken(connection)
        connection.got += received
        if not _whole(connection.got):
            return None
        status = bytes(connection.got[9:12]).decode("ascii", "replace")
        self.tally.statuses[status] += 1
        self.seconds.append(time.perf_counter() - connection.asked_at)
        if status in ("200", "302"):
            self.tally.acknowledged[connection.path] += 1
        if self._goes_on():
            return self._ask(connection)
        return self._drop(connection)

    def _give_up_late(self) -> None:
        before = time.perf_counter() - PATIENCE_SECONDS
        for connection in [one for one in self.open.values() if one.asked_at < before]:
            self._broken(connection)

    def _broken(self, connection: _Connection) -> None:
        self.tally.unanswered[connection.path] += 1
        self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        del self.open[connection.socket.fileno()]
        self.poll.unregister(connection.socket.fileno())
        connection.socket.close()


def _whole(answer: bytearray) -> bool:
    """Whether the answer is there to its last byte."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return False
    at = answer.find(b"Content-Length: ", 0, end)
    length = int(answer[at + 16 : answer.index(b"\r", at)]) if at >= 0 else 0
    return len(answer) >= end + 4 + length


def main() -> None:
    ports = [int(port) for port in sys.argv[1].split(",")]
    connections, seconds, hits = int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    loop = _Loop(ports, sys.stdin.buffer.read().split(), connections, seconds, hits)
    signal.signal(signal.SIGTERM, loop.stop)
    with contextlib.closing(loop.poll):
        loop.run()
    json.dump(vars(loop.tally), sys.stdout)
