"""Readers by the thousand: one process, one loop, connections that are kept alive as nginx keeps them.

    python -c "from bench.hits.client import main; main()" PORT CONNECTIONS SECONDS HITS < paths > figures.json

Each line of the input is a path. Every connection has one request on its way; a path is asked for again only when all
have been. Ends after so many hits, or so many seconds (0: no limit), with every request answered.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

PATIENCE_SECONDS = 60.0
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"


@dataclass
class Reader:
    """One connection and what it waits for."""

    socket: socket.socket
    asked_at: float = 0.0
    path: int = -1
    got: bytearray = field(default_factory=bytearray)


@dataclass
class Tally:
    """What came of it. `acknowledged`: times that each path was answered well."""

    statuses: Counter[str] = field(default_factory=Counter)
    broken: int = 0
    seconds: list[float] = field(default_factory=list)
    acknowledged: Counter[int] = field(default_factory=Counter)
    unanswered: Counter[int] = field(default_factory=Counter)


def run(port: int, paths: list[bytes], connections: int, seconds: float, hits: int) -> dict[str, object]:
    """Ask until it is enough; gives the figures."""
    rest = b" HTTP/1.1\r\nHost: localhost\r\nUser-Agent: " + AGENT.encode() + b"\r\n\r\n"
    requests = [b"GET " + path + rest for path in paths]
    poll, readers, tally = select.epoll(), {}, Tally()
    asked, began = 0, time.perf_counter()
    until = began + seconds if seconds else float("inf")

    def connect() -> None:
        one = socket.create_connection(("127.0.0.1", port), timeout=10)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one.setblocking(False)
        poll.register(one.fileno(), select.EPOLLIN)
        readers[one.fileno()] = Reader(one)

    def ask(reader: Reader) -> None:
        nonlocal asked
        reader.path, reader.asked_at = asked % len(requests), time.perf_counter()
        reader.got.clear()
        asked += 1
        reader.socket.send(requests[reader.path])

    for _connection in range(connections):
        connect()
    for reader in list(readers.values()):
        ask(reader)
    waiting = len(readers)
    while waiting:
        ready = poll.poll(PATIENCE_SECONDS)
        if not ready:
            break
        for descriptor, _event in ready:
            reader = readers[descriptor]
            try:
                received = reader.socket.recv(8192)
            except ConnectionError:
                received = b""
            now = time.perf_counter()
            if received:
                reader.got += received
                if not _whole(reader.got):
                    continue
                status = bytes(reader.got[9:12]).decode("ascii", "replace")
                tally.statuses[status] += 1
                tally.seconds.append(now - reader.asked_at)
                if status in ("200", "302"):
                    tally.acknowledged[reader.path] += 1
            else:
                tally.broken += 1
                tally.unanswered[reader.path] += 1
                poll.unregister(descriptor)
                readers.pop(descriptor).socket.close()
                waiting -= 1
                continue
            if now < until and (not hits or asked < hits):
                ask(reader)
            else:
                waiting -= 1
    elapsed = time.perf_counter() - began
    tally.seconds.sort()
    n = len(tally.seconds)
    return {
        "answers": n,
        "acknowledged": sum(tally.acknowledged.values()),
        "statuses": dict(tally.statuses),
        "broken": tally.broken,
        "elapsed": elapsed,
        "p50_ms": round(tally.seconds[n // 2] * 1000, 2) if n else 0,
        "p99_ms": round(tally.seconds[n * 99 // 100] * 1000, 2) if n else 0,
        "longest_ms": round(tally.seconds[-1] * 1000, 1) if n else 0,
        "letters": len(tally.acknowledged),
    }


def _whole(answer: bytearray) -> bool:
    """Whether the answer is there to its last byte."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return False
    at = answer.find(b"Content-Length: ", 0, end)
    length = int(answer[at + 16 : answer.index(b"\r", at)]) if at >= 0 else 0
    return len(answer) >= end + 4 + length


def main() -> None:
    port, connections, seconds, hits = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    paths = sys.stdin.buffer.read().split()
    json.dump(run(port, paths, connections, seconds, hits), sys.stdout)
