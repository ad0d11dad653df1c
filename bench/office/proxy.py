"""A long line on loopback: what comes in at one end comes out at the other after half a round trip.

    python -m bench.office.proxy TARGET_PORT DELAY_SECONDS

Prints its own port. Bytes are passed on as they were read, each piece at its own time, so that it delays and does not
slow down.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: More than this on the way, and the sender is asked to wait: the window of a long line is finite too.
WINDOW_BYTES = 8_000_000


class End(asyncio.Protocol):
    """One end of the line. `pieces` wait for their time to leave at the other end."""

    def __init__(self, delay: float, target: int | None, other: End | None = None) -> None:
        self.delay, self.target, self.other = delay, target, other
        self.loop = asyncio.get_running_loop()
        self.pieces: deque[tuple[float, bytes]] = deque()
        self.waiting_bytes = 0
        self.paused = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        if self.target is not None:
            self.loop.create_task(self.connect())

    async def connect(self) -> None:
        assert self.target is not None
        try:
            _transport, made = await self.loop.create_connection(lambda: End(self.delay, None, self),
                                                                 "127.0.0.1", self.target)  # fmt: skip
        except OSError:
            assert self.transport is not None
            self.transport.abort()
            return
        self.other = made
        if self.pieces:
            self.loop.call_at(self.pieces[0][0], self.leave)

    def data_received(self, data: bytes) -> None:
        self.put(data)

    def eof_received(self) -> bool:
        self.put(b"")
        return True

    def connection_lost(self, _error: Exception | None) -> None:
        self.put(b"")

    def put(self, data: bytes) -> None:
        at = self.loop.time() + self.delay
        self.pieces.append((at, data))
        self.waiting_bytes += len(data)
        if len(self.pieces) == 1 and self.other is not None:
            self.loop.call_at(at, self.leave)
        if self.waiting_bytes > WINDOW_BYTES and not self.paused and self.transport is not None:
            self.paused = True
            self.transport.pause_reading()

    def leave(self) -> None:
        """Everything whose time has come leaves in one write."""
        now = self.loop.time() + 0.0005
        due = []
        ended = False
        while self.pieces and self.pieces[0][0] <= now:
            data = self.pieces.popleft()[1]
            self.waiting_bytes -= len(data)
            due.append(data)
            ended = ended or not data
        out = self.other.transport if self.other is not None else None
        if out is not None and not out.is_closing():
            if whole := b"".join(due):
                out.write(whole)
            if ended:
                out.close()
        if self.paused and self.waiting_bytes < WINDOW_BYTES // 2 and self.transport is not None:
            self.paused = False
            self.transport.resume_reading()
        if self.pieces:
            self.loop.call_at(self.pieces[0][0], self.leave)


@contextlib.contextmanager
def far(port: int, round_trip_seconds: float) -> Iterator[tuple[int, int]]:
    """(port, pid) of a proxy to a local port, in a process of its own."""
    command = [sys.executable, "-m", "bench.office.proxy", str(port), str(round_trip_seconds / 2)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline()), process.pid
    finally:
        process.kill()
        process.communicate()


async def main(target: int, delay: float) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: End(delay, target), "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
