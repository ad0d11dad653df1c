"""The development mailbox: an SMTP server that accepts every letter and keeps the last 50,000 for its pages.

A letter is on the disk before its 250: letters that come together share one commit. Started by `mailhub up`, or by
`python -m mailhub.embedded.mailbox PORT FILE`. Some local parts, alone or with a `+tag`, choose their answer, so that
bounces can be seen without a mail server that refuses: `REPLIES`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from mailhub.embedded.letters import LETTERS_KEPT, Letter, LetterWriter

__all__ = ["LETTERS_KEPT", "REPLIES", "SmtpServer", "serve"]

SIZE_LIMIT = 50 * 1024 * 1024
_LINE_LIMIT = 4096
_PATH = re.compile(r"(?:FROM|TO):\s*(?:<([^<>\s]*)>|([^<>\s]+))((?:\s+[^<>\s]+)*)", re.IGNORECASE)

REPLIES = {
    "bounce": ("RCPT", "550 5.1.1 no such user here"),
    "hardbounce": ("RCPT", "550 5.1.1 no such user here"),
    "full": ("RCPT", "452 4.2.2 mailbox full"),
    "defer": ("RCPT", "451 4.7.1 try again later"),
    "soft": ("RCPT", "451 4.2.0 greylisted, try again later"),  # the first time; then it accepts
    "blocked": ("DATA", "550 5.7.1 message looks like spam"),
    "slow": ("DATA", "250 2.0.0 taken after five seconds"),
    "hangup": ("DATA", "421 4.3.2 closing the connection"),
}
"""Local part → the command that gets the answer, and the answer."""

_SLOW_SECONDS = 5.0


class SmtpServer:
    """What the connections share: the writer, and who was greylisted already."""

    def __init__(self, writer: LetterWriter) -> None:
        self.writer = writer
        self.greylisted: set[str] = set()

    def __call__(self) -> asyncio.Protocol:
        return _Connection(self)


class _Connection(asyncio.Protocol):
    """One SMTP dialogue (RFC 5321), with PIPELINING (RFC 2920): commands are answered in order from one buffer."""

    def __init__(self, server: SmtpServer) -> None:
        self.server = server
        self.loop = asyncio.get_running_loop()
        self.buffer = bytearray()
        self.scanned = 0  # bytes of the buffer in which the end of the letter was looked for already
        self.in_data = False
        self.waiting = False  # for the letter to be on the disk
        self.sender: str | None = None
        self.recipients: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._reply("220 mailbox.mailhub.test ESMTP")

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.waiting and len(self.buffer) > SIZE_LIMIT:
            self.transport.pause_reading()
        self._go_on()

    def _go_on(self) -> None:
        while not self.waiting and not self.transport.is_closing():
            if not (self._take_letter() if self.in_data else self._take_line()):
                return

    def _take_line(self) -> bool:
        end = self.buffer.find(b"\n")
        if end < 0:
            if len(self.buffer) > _LINE_LIMIT:
                self._close("500 5.5.2 line too long")
            return False
        line = bytes(self.buffer[:end]).rstrip(b"\r").decode("utf-8", "surrogateescape")
        del self.buffer[: end + 1]
        verb, _, rest = line.partition(" ")
        command: Callable[[str], None] | None = getattr(self, f"smtp_{verb.lower()}", None)
        if command is None or not verb.isalpha():
            self._reply("502 5.5.1 command not known")
        else:
            command(rest.strip())
        return True

    def smtp_ehlo(self, _rest: str) -> None:
        self._reset()
        words = ("PIPELINING", f"SIZE {SIZE_LIMIT}", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8")
        self._reply(
            "\r\n".join(["250-mailbox.mailhub.test", *(f"250-{word}" for word in words[:-1]), f"250 {words[-1]}"])
        )

    def smtp_helo(self, _rest: str) -> None:
        self._reset()
        self._reply("250 mailbox.mailhub.test")

    def smtp_mail(self, rest: str) -> None:
        match = _PATH.fullmatch(rest)
        if match is None or not rest.upper().startswith("FROM"):
            self._reply("501 5.5.4 MAIL FROM:<address>")
        elif (size := re.search(r"\bSIZE=(\d{1,18})", match[3], re.IGNORECASE)) and int(size[1]) > SIZE_LIMIT:
            self._reply("552 5.3.4 message too big")
        else:
            self._reset()
            self.sender = match[1] or match[2] or ""
            self._reply("250 2.1.0 ok")

    def smtp_rcpt(self, rest: str) -> None:
        match = _PATH.fullmatch(rest)
        if self.sender is None:
            self._reply("503 5.5.1 MAIL first")
        elif match is None or "@" not in (match[1] or match[2] or "") or not rest.upper().startswith("TO"):
            self._reply("501 5.1.3 RCPT TO:<address>")
        elif reply := self._chosen("RCPT", match[1] or match[2]):
            self._reply(reply)
        else:
            self.recipients.append(match[1] or match[2])
            self._reply("250 2.1.5 ok")

    def smtp_data(self, _rest: str) -> None:
        if not self.recipients:
            self._reply("503 5.5.1 RCPT first")
            return
        self.in_data = True
        # The letter may end at once: with this in front, the end is always CRLF "." CRLF.
        self.buffer[:0] = b"\r\n"
        self.scanned = 0
        self._reply("354 end with CRLF.CRLF")

    def smtp_rset(self, _rest: str) -> None:
        self._reset()
        self._reply("250 2.0.0 ok")

    def smtp_noop(self, _rest: str) -> None:
        self._reply("250 2.0.0 ok")

    def smtp_vrfy(self, _rest: str) -> None:
        self._reply("252 2.1.5 cannot verify, will accept")

    def smtp_quit(self, _rest: str) -> None:
        self._close("221 2.0.0 bye")

    def _take_letter(self) -> bool:
        end = self.buffer.find(b"\r\n.\r\n", max(0, self.scanned - 4))
        if end < 0:
            self.scanned = len(self.buffer)
            if self.scanned > SIZE_LIMIT:
                self._close("552 5.3.4 message too big")
            return False
        raw = bytes(self.buffer[: end + 2]).replace(b"\r\n.", b"\r\n")[2:]  # RFC 5321 §4.5.2
        del self.buffer[: end + 5]
        self.in_data = False
        sender, recipients = self.sender or "", self.recipients
        self._reset()
        reply = self._chosen("DATA", *recipients)
        if reply and reply.startswith("421"):
            self._close(reply)
        elif reply and not reply.startswith("250"):
            self._reply(reply)
        else:
            self.waiting = True
            letter = Letter(sender=sender, recipients=tuple(recipients), raw=raw)
            if reply:
                self.loop.call_later(_SLOW_SECONDS, self.server.writer.put, letter, self._stored)
            else:
                self.server.writer.put(letter, self._stored)
        return True

    def _stored(self, letter_id: int | None) -> None:
        """Called in the loop when the letter is on the disk, or could not be written."""
        self.waiting = False
        self._reply("451 4.3.0 cannot store now" if letter_id is None else f"250 2.0.0 kept as {letter_id}")
        with contextlib.suppress(RuntimeError):
            self.transport.resume_reading()
        self._go_on()

    def _chosen(self, command: str, *addresses: str) -> str | None:
        for address in addresses:
            local = address.partition("@")[0].partition("+")[0].lower()
            when, reply = REPLIES.get(local, ("", ""))
            if when != command:
                continue
            if local == "soft":
                if address.lower() in self.server.greylisted:
                    continue
                self.server.greylisted.add(address.lower())
            return reply
        return None

    def _reset(self) -> None:
        self.sender, self.recipients = None, []

    def _reply(self, line: str) -> None:
        if not self.transport.is_closing():
            self.transport.write(line.encode() + b"\r\n")

    def _close(self, line: str) -> None:
        self._reply(line)
        self.transport.close()


async def serve(port: int, path: Path, *, host: str = "127.0.0.1") -> None:
    """Listens until SIGINT or SIGTERM, and says so on a line of its own."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    writer = LetterWriter(path, loop)
    server = await loop.create_server(SmtpServer(writer), host, port, backlog=200)
    try:
        print(f"mailbox.listening port={port} file={path}", flush=True)  # noqa: T201 (its log, which `mailhub up` reads)
        await stop.wait()
    finally:
        server.close()
        writer.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
