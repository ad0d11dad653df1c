"""A relay for tests: an SMTP server on a free port that records every letter and answers as its script says.

`script(verb, address, attempt)` is asked at `mail`, `rcpt`, `data` and `body` and gives a reply like
"450 4.2.0 later", or one of the actions: "drop" (hang up), "silence" (never answer), None (all is well).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

Script = Callable[[str, str, int], "str | None"]
_ADDRESS = re.compile(rb"<([^>]*)>")
_MESSAGE_ID = re.compile(rb"^message-id:\s*<([^>\r\n]*)>", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Caught:
    """A letter that was taken (answered with 250, or dropped just before that)."""

    sender: str
    recipient: str
    data: bytes
    at: float
    message_id: str


class Sink:
    """Use as a context manager. `stop_listening` and `listen` are a relay that goes and comes back on its port."""

    def __init__(self, script: Script | None = None, *, delay_seconds: float = 0, pipelining: bool = True) -> None:
        self.script = script
        self.delay_seconds = delay_seconds
        self.pipelining = pipelining
        self.port = 0
        self.letters: list[Caught] = []
        self.connections = 0
        self.envelopes: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sink", daemon=True)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    def __enter__(self) -> Sink:
        self._thread.start()
        self.listen()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop_listening()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def recipients(self) -> Counter[str]:
        """How many letters each address got."""
        return Counter(letter.recipient for letter in self.letters)

    def wait_for(self, n: int, seconds: float = 60) -> None:
        """Until so many letters are there."""
        deadline = time.monotonic() + seconds
        while len(self.letters) < n:
            if time.monotonic() > deadline:
                raise AssertionError(f"{len(self.letters)} of {n} letters after {seconds} s")
            time.sleep(0.005)

    def listen(self) -> None:
        self._call(self._listen())

    def stop_listening(self) -> None:
        """Refuse connections, and break those that are open."""
        self._call(self._stop())

    def _call(self, coroutine: object) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)  # type: ignore[arg-type]

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._session, "127.0.0.1", self.port, limit=1 << 22)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0.01)

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._talk(reader, writer)
        self._writers.discard(writer)
        writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sender = recipient = ""
        has_sender = ready = False
        writer.write(b"220 sink\r\n")
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"EHLO":
                pipelining = b"250-PIPELINING\r\n" if self.pipelining else b""
                writer.write(b"250-sink\r\n" + pipelining + b"250-SIZE 50000000\r\n250 8BITMIME\r\n")
            elif verb == b"MAIL":
                sender, recipient, ready = _address(line), "", False
                reply = await self._answer(writer, "mail", sender, "250 ok")
                if not reply:
                    return
                has_sender = reply.startswith("2")
            elif verb == b"RCPT" and not has_sender:
                writer.write(b"503 5.5.1 MAIL first\r\n")
            elif verb == b"RCPT":
                recipient = _address(line)
                self.envelopes[recipient] += 1
                ready = await self._answer(writer, "rcpt", recipient, "250 ok") == "250 ok"
            elif verb == b"DATA":
                if not ready:
                    writer.write(b"554 no valid recipients\r\n")
                    continue
                if await self._answer(writer, "data", recipient, "354 go on") != "354 go on":
                    continue
                data = await reader.readuntil(b"\r\n.\r\n")
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                if not await self._body(writer, sender, recipient, data[:-3]):
                    return
            elif verb == b"QUIT":
                writer.write(b"221 bye\r\n")
                return
            else:
                writer.write(b"250 ok\r\n")

    async def _body(self, writer: asyncio.StreamWriter, sender: str, recipient: str, data: bytes) -> bool:
        reply = self.script("body", recipient, self.envelopes[recipient]) if self.script else None
        if reply in (None, "drop") or (reply or "").startswith("2"):
            found = _MESSAGE_ID.search(data)
            message_id = found[1].decode() if found else ""
            self.letters.append(Caught(sender, recipient, data.replace(b"\r\n..", b"\r\n."), time.time(), message_id))
        if reply == "drop":
            writer.transport.abort()
            return False
        if reply == "silence":
            await asyncio.sleep(3600)
        writer.write(f"{reply or '250 taken'}\r\n".encode())
        return True

    async def _answer(self, writer: asyncio.StreamWriter, stage: str, address: str, usual: str) -> str:
        reply = (self.script(stage, address, self.envelopes[address]) if self.script else None) or usual
        if reply == "drop":
            writer.transport.abort()
            return ""
        if reply == "silence":
            await asyncio.sleep(3600)
        writer.write(f"{reply}\r\n".encode())
        return reply


def _address(line: bytes) -> str:
    found = _ADDRESS.search(line)
    return found[1].decode() if found else ""
