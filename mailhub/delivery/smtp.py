"""One SMTP connection: bytes of a letter in, the relay's answer out (RFC 5321, 2920, 3207, 4954).

MAIL, RCPT and DATA go in one write where PIPELINING is offered, else one by one. Replies are bounded in length, lines
and time. What is not an answer to the letter is an exception that says whether the relay may have taken it.
"""

from __future__ import annotations

import base64
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Literal

from mailhub.settings import Relay

Stage = Literal["mail", "rcpt", "data", "body"]

#: RFC 5321 §4.5.3.1.5 asks for 512 octets; long texts of real servers stay far below these.
MAX_LINE, MAX_LINES = 2048, 100


@dataclass(frozen=True)
class Timeouts:
    """Seconds that a whole verb may take: the minima of RFC 5321 §4.5.3.2, the connection itself apart."""

    connect: float = 15
    banner: float = 300
    command: float = 300
    data: float = 120
    block: float = 180
    end: float = 600


@dataclass(frozen=True)
class Answer:
    """The relay's last word about a letter. `stage`: mail, rcpt, data or body. `text` is hostile, without NULs."""

    code: int
    text: str
    stage: Stage

    @property
    def taken(self) -> bool:
        return self.stage == "body" and 200 <= self.code < 300


class RelayDown(Exception):
    """The relay takes no letter now: no connection, no greeting, no TLS, no sign-in."""


class ConnectionLost(Exception):
    """The connection ended before the letter's body: the relay does not have the letter."""


class InDoubt(Exception):
    """The connection ended after the letter's body began: nobody knows whether the relay has it."""


class UnsafeLetter(ValueError):
    """The letter or an address could say something to the relay itself (SMTP smuggling). A bug of ours."""


class Connection:
    """A session with a relay. Used by one thread; after any exception it must be thrown away."""

    def __init__(self, relay: Relay, timeouts: Timeouts) -> None:
        """Connect, greet, encrypt and sign in as the relay's URL says; raises RelayDown."""
        self._timeouts = timeouts
        self._buffer = b""
        self._features: dict[str, str] = {}
        self.letters = 0
        self.opened_at = self.used_at = time.monotonic()
        try:
            self._socket = socket.create_connection((relay.host, relay.port), timeouts.connect)
        except OSError as failure:
            raise RelayDown(f"{relay.host}:{relay.port}: {failure.strerror or failure}") from None
        try:
            self._open(relay)
        except (OSError, ConnectionLost, UnsafeLetter) as failure:
            self.drop()
            raise RelayDown(str(failure) or type(failure).__name__) from None
        except RelayDown:
            self.drop()
            raise

    def send(self, return_path: str, recipient: str, letter: bytes) -> Answer:
        """Hand over one letter; raises ConnectionLost or InDoubt. `letter` has CRLF line ends and no bare CR or LF."""
        check_wire(return_path, recipient, letter)
        self.letters += 1
        answer = self._envelope(return_path, recipient, letter)
        if answer is None:
            answer = self._body(letter)
        self.used_at = time.monotonic()
        return answer

    def is_stale(self) -> bool:
        """Whether the relay has hung up, or said something while nobody asked (a 421 before it closes)."""
        try:
            self._socket.settimeout(0)
            self._socket.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except (OSError, ValueError):
            # ValueError: an encrypted socket can't be peeked at; what it says is noticed at the next letter.
            return not isinstance(self._socket, ssl.SSLSocket)
        return True

    def quit(self) -> None:
        """End the session politely, without waiting for long."""
        try:
            self._write(b"QUIT\r\n", 2)
            self._reply(2)
        except (ConnectionLost, OSError):
            pass
        self.drop()

    def drop(self) -> None:
        self._socket.close()

    def _open(self, relay: Relay) -> None:
        if relay.scheme == "smtps":
            self._encrypt(relay.host)
        code, text = self._reply(self._timeouts.banner)
        if code != 220:
            raise RelayDown(f"{code} {text}")
        self._greet()
        if relay.scheme == "smtp+starttls":
            if "STARTTLS" not in self._features:
                raise RelayDown("the relay does not offer STARTTLS; nothing is sent in clear")
            self._command("STARTTLS", 220)
            if self._buffer:
                raise RelayDown("the relay sent clear text after STARTTLS")  # injection, CVE-2011-0411
            self._encrypt(relay.host)
            self._greet()
        if relay.username:
            self._sign_in(relay)

    def _encrypt(self, host: str) -> None:
        self._socket.settimeout(self._timeouts.command)
        self._socket = ssl.create_default_context().wrap_socket(self._socket, server_hostname=host)

    def _greet(self) -> None:
        code, text = self._ask(f"EHLO {self._own_name()}", self._timeouts.command)
        if code != 250:
            raise RelayDown(f"{code} {text}")
        words = (line.strip().split(" ", 1) for line in text.split("\n")[1:])
        self._features = {word[0].upper(): word[1] if len(word) > 1 else "" for word in words}

    def _own_name(self) -> str:
        name = socket.gethostname()
        if "." in name:
            return name
        address = self._socket.getsockname()[0]
        return f"[IPv6:{address}]" if ":" in address else f"[{address}]"

    def _sign_in(self, relay: Relay) -> None:
        offered = self._features.get("AUTH", "").upper().split()
        if "PLAIN" in offered or not offered:
            secret = base64.b64encode(f"\0{relay.username}\0{relay.password}".encode()).decode()
            self._command(f"AUTH PLAIN {secret}", 235)
        elif "LOGIN" in offered:
            self._command("AUTH LOGIN", 334)
            self._command(base64.b64encode(relay.username.encode()).decode(), 334)
            self._command(base64.b64encode(relay.password.encode()).decode(), 235)
        else:
            raise RelayDown(f"the relay offers no way of signing in that we know: {' '.join(offered)}")

    def _command(self, line: str, wanted: int) -> None:
        code, text = self._ask(line, self._timeouts.command)
        if code != wanted:
            raise RelayDown(f"{code} {text}")

    def _ask(self, line: str, seconds: float) -> tuple[int, str]:
        self._write(line.encode("utf-8") + b"\r\n", seconds)
        return self._reply(seconds)

    def _envelope(self, return_path: str, recipient: str, letter: bytes) -> Answer | None:
        """MAIL, RCPT, DATA. An answer where one of them was refused, None when the relay waits for the letter."""
        options = f" SIZE={len(letter)}" if "SIZE" in self._features else ""
        if "8BITMIME" in self._features and not letter.isascii():
            options += " BODY=8BITMIME"
        verbs: list[tuple[Stage, str, int]] = [
            ("mail", f"MAIL FROM:<{return_path}>{options}", 250),
            ("rcpt", f"RCPT TO:<{recipient}>", 250),
            ("data", "DATA", 354),
        ]
        together = "PIPELINING" in self._features
        if together:
            self._write(
                "".join(f"{line}\r\n" for _stage, line, _wanted in verbs).encode("utf-8"), self._timeouts.command
            )
        refused: Answer | None = None
        for stage, line, wanted in verbs:
            if not together:
                if refused is not None:
                    break
                self._write(f"{line}\r\n".encode(), self._timeouts.command)
            code, text = self._reply(self._timeouts.data if stage == "data" else self._timeouts.command)
            if code == 421 and stage == "mail":
                raise ConnectionLost(f"421 {text}")
            if code == wanted or (stage == "rcpt" and code == 251):
                continue
            refused = refused or Answer(code, text, stage)
            if code == 421:
                # The relay closes now; the letter has its answer, the connection is of no more use.
                self.letters = 1 << 30
                return refused
        if refused is None:
            return None
        self._end_refused(data_is_open=together and code == 354)
        return refused

    def _end_refused(self, *, data_is_open: bool) -> None:
        """Bring the session back to where the next letter can begin (RFC 2920 §3.1: DATA may have been accepted)."""
        try:
            if data_is_open:
                self._write(b".\r\n", self._timeouts.command)
                self._reply(self._timeouts.end)
            self._ask("RSET", self._timeouts.command)
        except (ConnectionLost, OSError):
            self.letters = 1 << 30

    def _body(self, letter: bytes) -> Answer:
        stuffed = letter.replace(b"\n.", b"\n..")
        if stuffed.startswith(b"."):
            stuffed = b"." + stuffed
        end = b".\r\n" if stuffed.endswith(b"\r\n") else b"\r\n.\r\n"
        try:
            self._write(stuffed + end, self._timeouts.block)
            code, text = self._reply(self._timeouts.end)
        except ConnectionLost as lost:
            raise InDoubt(str(lost)) from None
        if code == 421:
            self.letters = 1 << 30
        return Answer(code, text, "body")

    def _write(self, data: bytes, seconds: float) -> None:
        try:
            self._socket.settimeout(seconds)
            self._socket.sendall(data)
        except OSError as failure:
            raise ConnectionLost(f"the relay hung up: {failure.strerror or failure}") from None

    def _reply(self, seconds: float) -> tuple[int, str]:
        """(code, text of all lines joined by line breaks); raises ConnectionLost, also for what is no SMTP."""
        deadline = time.monotonic() + seconds
        lines: list[str] = []
        while True:
            line = self._line(deadline)
            code = line[:3]
            if not (len(code) == 3 and code.isdigit() and line[3:4] in (b"", b" ", b"-")):
                raise ConnectionLost(f"the relay does not speak SMTP: {line[:80]!r}")
            lines.append(line[4:].decode("utf-8", "replace").replace("\0", "\ufffd"))
            if line[3:4] != b"-":
                return int(code), "\n".join(lines)
            if len(lines) >= MAX_LINES:
                raise ConnectionLost(f"the relay's answer has more than {MAX_LINES} lines")

    def _line(self, deadline: float) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > MAX_LINE:
                raise ConnectionLost(f"the relay's answer has a line of more than {MAX_LINE} bytes")
            left = deadline - time.monotonic()
            if left <= 0:
                raise ConnectionLost("the relay does not answer")
            try:
                self._socket.settimeout(left)
                piece = self._socket.recv(4096)
            except TimeoutError:
                raise ConnectionLost("the relay does not answer") from None
            except OSError as failure:
                raise ConnectionLost(f"the connection broke: {failure.strerror or failure}") from None
            if not piece:
                raise ConnectionLost("the relay hung up")
            self._buffer += piece
        line, self._buffer = self._buffer[:end], self._buffer[end + 1 :]
        return line.rstrip(b"\r")[:MAX_LINE]


def check_wire(return_path: str, recipient: str, letter: bytes) -> None:
    """Raises UnsafeLetter where a line break could begin a command of its own (walls.md, T12)."""
    for address in (return_path, recipient):
        if not address.isascii() or any(char in address for char in "\r\n\0<> "):
            raise UnsafeLetter("an address with a character that SMTP gives a meaning")
    breaks = letter.count(b"\r\n")
    if letter.count(b"\n") != breaks or letter.count(b"\r") != breaks:
        raise UnsafeLetter("a bare line break in the letter")
