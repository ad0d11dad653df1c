"""The relay of the drills, in a process of its own: an SMTP server that is fast, records every letter, and misbehaves.

    python -m tests.faults.relay_server FILE '{"port": 0}'

It prints its port as JSON and obeys one JSON object a line on standard input, until that ends: `rules`, `delay`
(seconds before the answer to a letter), `listen` (false refuses and breaks connections). What it does with a letter is
appended to FILE before it is answered: time, connection, how, recipient, Message-ID, bytes, separated by tabs. `how` is
`taken`, `reset` or `silent` (the whole letter came, but never an answer), `refused`, or `clear` (a MAIL without TLS
where TLS is wanted).

A rule is an object: `verb` (connect, ehlo, starttls, mail, rcpt, data, body), `address` (a regular expression for the
recipient; no matter before RCPT), `chance` (1), and either `reply` (a list, one is chosen) or `act`: silence, reset,
slow (a byte a second), endless (lines that go on for ever), long (a line of a megabyte), nuls.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import socket
import ssl
import struct
import sys
import time
from dataclasses import dataclass, field
from typing import Any

MESSAGE_ID = re.compile(rb"^message-id:\s*<([^>\r\n]*)>", re.IGNORECASE | re.MULTILINE)
ADDRESS = re.compile(rb"<([^>]*)>")
END = b"\r\n.\r\n"
USUAL = {"connect": "220 relay", "mail": "250 ok", "rcpt": "250 ok", "data": "354 go on", "body": "250 taken"}


@dataclass
class Rule:
    """What is done at a verb instead of the usual."""

    verb: str
    address: str = ""
    chance: float = 1.0
    reply: list[str] = field(default_factory=list)
    act: str = ""

    def fits(self, verb: str, address: str) -> bool:
        if self.verb != verb or (self.address and not re.search(self.address, address)):
            return False
        return self.chance >= 1 or random.random() < self.chance


class Relay:
    """What the sessions share."""

    def __init__(self, path: str, options: dict[str, Any]) -> None:
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self.rules: list[Rule] = []
        self.delay = 0.0
        self.port = 0
        self.certificate: list[str] = []
        self.tls = ""
        self.server: asyncio.Server | None = None
        self.sessions: set[Session] = set()
        self.accepted = 0
        self.obey(options)

    def obey(self, order: dict[str, Any]) -> None:
        if "rules" in order:
            self.rules = [Rule(**rule) for rule in order["rules"]]
        self.delay = order.get("delay", self.delay)
        self.port = order.get("port", self.port)
        self.tls = order.get("tls", self.tls)
        self.certificate = order.get("certificate", self.certificate)

    def rule(self, verb: str, address: str = "") -> Rule | None:
        for rule in self.rules:
            if rule.fits(verb, address):
                return rule
        return None

    def record(self, session: Session, how: str, message_id: str = "", size: int = 0) -> None:
        line = f"{time.time():.6f}\t{session.number}\t{how}\t{session.recipient}\t{message_id}\t{size}\n"
        os.write(self.file, line.encode())

    async def listen(self) -> None:
        if self.server is None:
            loop = asyncio.get_running_loop()
            self.server = await loop.create_server(lambda: Session(self), "127.0.0.1", self.port, backlog=1024)
            self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self.server is not None:
            self.server.close()
            self.server = None
        for session in list(self.sessions):
            session.reset()
        await asyncio.sleep(0.01)


class Session(asyncio.Protocol):
    """One connection. `dumb`: nothing is read or answered any more."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.buffer = bytearray()
        self.in_body = self.ready = self.dumb = self.waiting = self.secure = False
        self.searched = 0
        self.recipient = ""
        self.number = 0
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        if self.secure:
            return
        self.relay.accepted += 1
        self.number = self.relay.accepted
        self.relay.sessions.add(self)
        self.answer("connect")

    def connection_lost(self, _error: Exception | None) -> None:
        self.dumb = True
        self.relay.sessions.discard(self)
        if self.task is not None:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        if self.dumb:
            return
        self.buffer += data
        self.work()

    def work(self) -> None:
        """Go through what has come, until more is needed or an answer has to wait."""
        while self.buffer and not (self.dumb or self.waiting):
            if self.in_body:
                if not self.body():
                    return
                continue
            end = self.buffer.find(b"\n")
            if end < 0:
                return
            line = bytes(self.buffer[:end])
            del self.buffer[: end + 1]
            self.command(line)

    def command(self, line: bytes) -> None:
        verb = line[:4].upper()
        if verb == b"EHLO":
            if not self.misbehaves("ehlo", "250 relay"):
                tls = self.relay.tls in ("offered", "injected") and not self.secure
                self.write("250-relay\r\n250-PIPELINING\r\n250-SIZE 50000000\r\n"
                           + ("250-STARTTLS\r\n" if tls else "") + "250 8BITMIME\r\n")  # fmt: skip
        elif verb == b"MAIL":
            self.recipient, self.ready = "", False
            if self.relay.tls and not self.secure:
                self.relay.record(self, "clear")
            self.answer("mail")
        elif verb == b"RCPT":
            found = ADDRESS.search(line)
            self.recipient = found[1].decode("utf-8", "replace") if found else ""
            self.ready = self.answer("rcpt")
        elif verb == b"DATA":
            if not self.ready:
                self.write("554 5.5.1 no valid recipients\r\n")
            else:
                self.in_body = self.answer("data")
                self.searched = 0
        elif verb == b"STAR" and self.relay.tls:
            self.start_tls()
        elif verb == b"QUIT":
            self.write("221 bye\r\n")
            self.transport.close()
            self.dumb = True
        else:
            self.write("250 ok\r\n")

    def body(self) -> bool:
        """Take the letter if all of it is there."""
        if self.buffer.startswith(b".\r\n"):
            del self.buffer[:3]
            self.in_body = False
            self.write("554 5.6.0 empty\r\n")
            return True
        end = self.buffer.find(END, max(0, self.searched - len(END)))
        if end < 0:
            self.searched = len(self.buffer)
            return False
        found = MESSAGE_ID.search(self.buffer, 0, min(end, 16384))
        message_id = found[1].decode("utf-8", "replace") if found else ""
        del self.buffer[: end + len(END)]
        self.in_body = False
        if self.relay.delay:
            self.waiting = True
            asyncio.get_running_loop().call_later(self.relay.delay, self.late, message_id, end)
        else:
            self.taken(message_id, end)
        return True

    def late(self, message_id: str, size: int) -> None:
        self.waiting = False
        if not self.dumb:
            self.taken(message_id, size)
            self.work()

    def taken(self, message_id: str, size: int) -> None:
        rule = self.relay.rule("body", self.recipient)
        how = "taken"
        if rule is not None:
            how = "refused" if rule.reply else {"nuls": "taken", "reset": "reset"}.get(rule.act, "silent")
        self.relay.record(self, how, message_id, size)
        if rule is None:
            self.write("250 taken\r\n")
        else:
            self.misbehave(rule, "250 taken")

    def answer(self, verb: str) -> bool:
        """Answer as usual, or as a rule wants it; gives whether it was as usual."""
        if self.misbehaves(verb, USUAL[verb]):
            return False
        self.write(USUAL[verb] + "\r\n")
        return True

    def misbehaves(self, verb: str, usual: str) -> bool:
        rule = self.relay.rule(verb, self.recipient)
        if rule is None:
            return False
        self.misbehave(rule, usual)
        return rule.act != "nuls"

    def misbehave(self, rule: Rule, usual: str) -> None:
        if rule.reply:
            reply = random.choice(rule.reply)
            self.write(reply + "\r\n")
            if reply.startswith("421"):
                self.dumb = True
                self.transport.close()
        elif rule.act == "nuls":
            self.transport.write(usual.encode() + b" \0\0 \xff\xfe\x80\r\n")
        elif rule.act == "reset":
            self.reset()
        else:
            self.dumb = True
            if rule.act == "long":
                self.transport.write(b"250 " + b"a" * 1_000_000 + b"\r\n")
            elif rule.act in ("slow", "endless"):
                self.task = asyncio.get_running_loop().create_task(self.drip(rule.act, usual))

    async def drip(self, act: str, usual: str) -> None:
        if act == "endless":
            while True:
                self.transport.write(f"{usual[:3]}-and so on\r\n".encode() * 20)
                await asyncio.sleep(0.02)
        for byte in (usual + " and so on" * 50 + "\r\n").encode():
            self.transport.write(bytes([byte]))
            await asyncio.sleep(1)

    def start_tls(self) -> None:
        if self.misbehaves("starttls", "220 go on"):
            return
        if self.relay.tls == "injected":
            self.transport.write(b"220 go on\r\n250 ok\r\n250 injected\r\n")
        else:
            self.transport.write(b"220 go on\r\n")
        self.buffer.clear()
        self.waiting = self.secure = True
        self.task = asyncio.get_running_loop().create_task(self.encrypt())

    async def encrypt(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.relay.certificate)
        try:
            upgraded = await asyncio.get_running_loop().start_tls(self.transport, self, context, server_side=True)
        except (OSError, ssl.SSLError):
            upgraded = None
        self.task = None
        self.waiting = False
        if upgraded is None:
            self.dumb = True
            self.transport.abort()
            self.relay.sessions.discard(self)
            return
        self.transport = upgraded
        self.work()

    def reset(self) -> None:
        """End the connection with RST, as a machine does that has lost it."""
        self.dumb = True
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def write(self, text: str) -> None:
        self.transport.write(text.encode())


async def main(path: str, options: dict[str, Any]) -> None:
    relay = Relay(path, options)
    await relay.listen()
    print(json.dumps({"port": relay.port}), flush=True)
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader(limit=1 << 22)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        order = json.loads(line)
        relay.obey(order)
        if "listen" in order:
            await (relay.listen() if order["listen"] else relay.stop())
        print(json.dumps({"open": len(relay.sessions), "accepted": relay.accepted}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
