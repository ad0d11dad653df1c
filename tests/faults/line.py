"""A line between the workers and PostgreSQL that loses commits: some do not arrive, of some the answer does not.

    python -m tests.faults.line LISTEN_FOLDER SERVER_FOLDER FILE '{"commits": 20, "chunks": 400}'

About every so many commits (and pieces of any other talk) is an accident; each is a line of FILE.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.engine import make_url

ROOT = Path(__file__).resolve().parents[2]
SOCKET = ".s.PGSQL.5432"


class Line:
    """What the connections share: when the next accident is."""

    def __init__(self, server: str, path: str, every: dict[str, int]) -> None:
        self.server, self.every = server, every
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self.left = {name: self.next(name) for name in every}

    def next(self, name: str) -> int:
        return random.randint(self.every[name] // 2, self.every[name] * 3 // 2)

    def accident(self, data: bytes) -> str:
        """`request` or `answer` when this piece, or what comes back for it, is lost; else empty."""
        name = "commits" if b"COMMIT" in data else "chunks"
        self.left[name] -= 1
        if self.left[name] > 0:
            return ""
        self.left[name] = self.next(name)
        lost = random.choice(("request", "answer"))
        os.write(self.file, f"{name} {lost}\n".encode())
        return lost

    async def client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back_reader, back_writer = await asyncio.open_unix_connection(self.server)
        except OSError:
            writer.close()
            return
        mute = asyncio.Event()
        answers = asyncio.create_task(self.carry(back_reader, writer, mute))
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                lost = self.accident(data)
                if lost == "request":
                    break
                if lost:
                    mute.set()
                back_writer.write(data)
                await back_writer.drain()
                if lost:
                    # The server has done its work when it has answered; the answer goes nowhere.
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(asyncio.shield(answers), 10)
                    break
        answers.cancel()
        back_writer.close()
        writer.transport.abort()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, mute: asyncio.Event) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if mute.is_set():
                    return
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


@contextlib.contextmanager
def lossy(path: Path, url: str, **every: int) -> Iterator[str]:
    """The line's URL, while it lives."""
    server = make_url(url)
    folder = tempfile.mkdtemp(prefix="mh-line-")
    command = [sys.executable, "-m", "tests.faults.line", folder, str(server.query["host"]), str(path)]
    process = subprocess.Popen([*command, json.dumps(every)], cwd=ROOT)
    try:
        deadline = time.monotonic() + 30
        while not (Path(folder) / SOCKET).exists():
            assert time.monotonic() < deadline, "the line does not listen"
            time.sleep(0.02)
        yield server.set(query={"host": folder}).render_as_string(hide_password=False)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


async def main(listen: str, server: str, path: str, every: dict[str, int]) -> None:
    line = Line(f"{server}/{SOCKET}", path, every)
    running = await asyncio.start_unix_server(line.client, f"{listen}/{SOCKET}")
    async with running:
        await running.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4], json.loads(sys.argv[4])))  # type: ignore[call-arg]
