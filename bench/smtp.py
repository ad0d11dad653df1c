"""Our SMTP client beside postfix's smtp-source and smtplib: letters a second and CPU a letter.

    python -m bench.smtp --letters 20000 --connections 4 --json figures.json

All three send letters of the same size over as many connections to postfix's smtp-sink (where it is missing, to our
own sink, which is the slower end then), one after the other on a machine that the sink shares. CPU is the client's
alone. `send` is what other measurements use.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import selectors
import shutil
import smtplib
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mailhub.delivery.connection import Answered, Connection, Ended, Envelope, GoAhead, Ready, wire_body
from mailhub.setting_values import Relay, Timeouts
from mailhub.setting_values import relay as parse_relay
from tests.sink import Sink

SBIN = os.environ.get("PATH", "") + ":/usr/sbin"


@dataclass(frozen=True)
class Figures:
    """`per_second` letters of wall time, `cpu_us` microseconds of the client's processor a letter."""

    per_second: float
    cpu_us: float


def letter(size: int) -> bytes:
    """A letter of about this size in base64 lines, as ours are."""
    head = b"From: news@p.test\r\nTo: p@mail.test\r\nSubject: Hello\r\nMessage-ID: <1@p.test>\r\n\r\n"
    return head + (b"PGh0bWw+" * 9 + b"PGh0\r\n") * ((size - len(head)) // 78)


@contextlib.contextmanager
def smtp_sink(port: int) -> Iterator[str]:
    """The address of a server that takes everything."""
    program = shutil.which("smtp-sink", path=SBIN)
    if program is None:
        with Sink() as sink:
            yield f"127.0.0.1:{sink.port}"
        return
    user = ["-u", "nobody"] if os.getuid() == 0 else []
    process = subprocess.Popen([program, *user, f"127.0.0.1:{port}", "500"], stderr=subprocess.DEVNULL)
    try:
        for _turn in range(100):
            with contextlib.suppress(OSError), smtplib.SMTP("127.0.0.1", port, timeout=1):
                break
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(5)


def send(relay: Relay, letters: int, connections: int, body: bytes, *, is_checked: bool = False) -> Figures:
    """Send so many letters with our client. `is_checked`: dots and line ends were seen to beforehand (`wire_body`)."""
    data = wire_body(body) if is_checked else body
    selector = selectors.DefaultSelector()
    began, cpu_began = time.monotonic(), time.thread_time()
    opened = [Connection(relay, Timeouts(), now=began) for _n in range(connections)]
    for connection in opened:
        selector.register(connection.fileno(), connection.events(), connection)
    offered = answered = 0
    watched = {id(connection): connection.events() for connection in opened}
    while answered < letters:
        for key, mask in selector.select(5):
            connection, now = key.data, time.monotonic()
            pending = connection.handle(mask, now)
            while pending:
                later = []
                for happening in pending:
                    if isinstance(happening, Ended):
                        raise SystemExit(f"the relay: {happening.reason}")
                    if isinstance(happening, Answered):
                        answered += 1
                    if offered < letters and connection.can_offer and isinstance(happening, (GoAhead, Ready, Answered)):
                        envelope = Envelope("bounce@p.test", f"p{offered}@mail.test", len(body))
                        later += connection.offer(envelope, offered, now)
                        offered += 1
                    if isinstance(happening, GoAhead):
                        later += connection.body(data, now)
                pending = later
            if watched[id(connection)] != connection.events():
                watched[id(connection)] = connection.events()
                selector.modify(key.fd, connection.events(), connection)
    seconds, cpu = time.monotonic() - began, time.thread_time() - cpu_began
    selector.close()
    for connection in opened:
        connection.close(time.monotonic())
    return Figures(round(letters / seconds, 1), round(cpu / letters * 1e6, 1))


def smtp_source(address: str, letters: int, connections: int, size: int) -> Figures | None:
    """postfix's load generator; None where it is missing."""
    program = shutil.which("smtp-source", path=SBIN)
    if program is None:
        return None
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [program, "-d", "-s", str(connections), "-m", str(letters), "-l", str(size), address]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Figures(round(letters / seconds, 1), round(cpu / letters * 1e6, 1))


def smtplib_client(address: str, letters: int, connections: int, body: bytes) -> Figures:
    """The standard library, a thread a connection."""
    host, _, port = address.partition(":")

    def run(n: int) -> None:
        with smtplib.SMTP(host, int(port)) as smtp:
            for number in range(n):
                smtp.sendmail("bounce@p.test", f"p{number}@mail.test", body)

    began, cpu_began = time.monotonic(), time.process_time()
    threads = [threading.Thread(target=run, args=(letters // connections,)) for _n in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = letters // connections * connections
    cpu = time.process_time() - cpu_began
    return Figures(round(done / (time.monotonic() - began), 1), round(cpu / done * 1e6, 1))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.smtp", description=__doc__)
    parser.add_argument("--letters", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--size", type=int, default=25_000)
    parser.add_argument("--port", type=int, default=20251)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    body = letter(given.size)
    with smtp_sink(given.port) as address:
        relay = parse_relay("sink", f"smtp://{address}", {})
        few = max(given.connections, given.letters // 10)
        found = {
            "ours": send(relay, given.letters, given.connections, body),
            "ours_checked": send(relay, given.letters, given.connections, body, is_checked=True),
            "smtp_source": smtp_source(address, given.letters, given.connections, len(body)),
            "smtplib": smtplib_client(address, few, given.connections, body),
        }
    figures: dict[str, float] = {}
    for name, figure in found.items():
        if figure is not None:
            figures[f"{name}_per_second"], figures[f"{name}_cpu_us"] = figure.per_second, figure.cpu_us
    for name, value in figures.items():
        print(f"{name:<28}{value:>14,}")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
