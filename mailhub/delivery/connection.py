"""One connection to a relay that never blocks, for a loop that drives many of them in one thread.

The loop asks `fileno`, `events` and `deadline`, calls `handle` when the file is ready and `expire` when the deadline
has come, and gets happenings: Ready, GoAhead(token), Answered(token, answer) and, once and last, Ended. What is said
is the business of `mailhub.mail.smtp_dialogue`; here are the socket, TLS, the name's addresses and the time-outs.

In the steady state a letter costs one `recv` (the answer to the letter before, and the go-ahead) and one `send`.
"""

from __future__ import annotations

import contextlib
import math
import socket
import time
from selectors import EVENT_READ, EVENT_WRITE
from typing import Literal

from mailhub.delivery.dial import Dial
from mailhub.delivery.encryption import Tls, tls_context, tls_failure
from mailhub.mail.smtp_auth import SignIn
from mailhub.mail.smtp_dialogue import Dialogue
from mailhub.mail.smtp_happenings import Answer, Answered, Ended, GoAhead, Happening, Ready
from mailhub.mail.smtp_wire import Envelope, UnsafeLetter, WireBody, wire_body
from mailhub.settings import Relay, Timeouts

__all__ = [
    "Answer",
    "Answered",
    "Connection",
    "Ended",
    "Envelope",
    "GoAhead",
    "Happening",
    "Ready",
    "Relay",
    "Timeouts",
    "UnsafeLetter",
    "WireBody",
    "wire_body",
]

#: The most that is read at once; replies are far shorter.
_PIECE = 16384
#: A letter that goes out slowly may take `Timeouts.block` for each of these (RFC 5321 §4.5.3.2.5).
_BLOCK = 65536


class Connection:
    """A session with a relay, from the look-up of its name to its end."""

    def __init__(self, relay: Relay, timeouts: Timeouts, *, now: float, own_name: str = "") -> None:
        """Begin to connect. What fails at once is told by the first `expire`: `fileno` is -1 and `deadline` has come.

        `own_name` is said in EHLO; by itself this machine's full name or its address. `now` is a monotonic time.
        """
        self.relay = relay
        self.opened_at = self.used_at = now
        self.tls_name = ""
        """What encrypts the session, like "TLSv1.3 TLS_AES_256_GCM_SHA384"; empty without TLS."""
        self._timeouts = timeouts
        self._own_name = own_name
        self._phase: Literal["dial", "tls", "talk", "closed"] = "dial"
        self._dial = Dial(relay.host, relay.port, timeouts.connect, now)
        self._socket: socket.socket | None = None
        self._tls: Tls | None = None
        self._stays_clear = False
        self._unsent: memoryview | None = None
        self._in_records = 0
        """Bytes of the session in the records that are being written, until the first of these is."""
        self._armed: tuple[str, int] | None = None
        self._events = self._dial.events()
        self.deadline = now if self._dial.failure else self._dial.deadline
        self._dialogue = self._new_dialogue()

    # What the loop asks

    def fileno(self) -> int:
        """What to watch, -1 when there is nothing. A new file has another number than the one before it."""
        if self._phase == "dial":
            return self._dial.fileno()
        return self._socket.fileno() if self._socket is not None else -1

    def events(self) -> int:
        """selectors' EVENT_READ and EVENT_WRITE, as wanted now."""
        return self._events

    @property
    def is_closed(self) -> bool:
        return self._phase == "closed"

    @property
    def is_ready(self) -> bool:
        """Whether the session is open, so that letters could be sent."""
        return self._dialogue.ready and self._phase == "talk"

    @property
    def can_offer(self) -> bool:
        """Whether the next envelope may be given: nothing is under way, or one body is and nothing is behind it."""
        return self._dialogue.can_offer

    @property
    def letters(self) -> int:
        """Letters that were offered and not taken back."""
        return self._dialogue.letters

    @property
    def features(self) -> dict[str, str]:
        """What the relay offers: EHLO's keywords in upper case → their parameters."""
        return self._dialogue.features

    # What the loop tells

    def handle(self, mask: int, now: float) -> list[Happening]:
        """The file is ready for the events of the mask."""
        happenings: list[Happening] = []
        if self._phase in ("talk", "tls"):
            if mask & EVENT_READ:
                self._read(happenings, now)
            if self._socket is not None:
                self._write(happenings)
        elif self._phase == "dial":
            self._dial.handle(now)
        return self._settled(happenings, now)

    def expire(self, now: float) -> list[Happening]:
        """The deadline may have come. A verb's time runs from when its reply is waited for, whatever trickles in."""
        happenings: list[Happening] = []
        if self._phase == "closed" or now < self.deadline:
            return self._settled(happenings, now)
        if self._phase == "dial":
            self._dial.expire(now)
        elif self._phase == "tls":
            self._end(happenings, "no TLS with the relay: it does not answer", "starttls")
        elif self._unsent is not None:
            self._end(happenings, "the relay does not take what is sent")
        else:
            self._end(happenings, "the relay does not answer")
        return self._settled(happenings, now)

    def offer(self, envelope: Envelope, token: object, now: float | None = None) -> list[Happening]:
        """Give the next letter's envelope; only while `can_offer`. Raises UnsafeLetter and changes nothing then.

        Given before the body of the letter before it, it goes in one write with that body.
        """
        happenings = self._dialogue.offer(envelope, token)
        self._write(happenings)
        return self._settled(happenings, time.monotonic() if now is None else now)

    def body(self, data: bytes, now: float) -> list[Happening]:
        """Give the body that a GoAhead asked for: a letter with CRLF line ends, or what `wire_body` made of one.

        From here on a lost connection leaves the letter in doubt, unless its end has not even left this process.
        Raises UnsafeLetter; the relay then still waits for the letter, which can only be taken back.
        """
        happenings: list[Happening] = []
        self._dialogue.body(data)
        self._write(happenings)
        return self._settled(happenings, now)

    def retract(self) -> object | None:
        """Take back the last offered letter that has no body yet; its token, or None. Again: the one before it.

        A letter whose envelope has not been written leaves no trace. Else the connection is given up, because the relay
        would take what comes next for that letter's body: at once and without a happening (`is_closed`); or, while
        another letter is on the wire, when that one's answer has come (Answered, then Ended).
        """
        token = self._dialogue.retract()
        if self._dialogue.ended is not None:
            self._close()
        return token

    def close(self, now: float) -> list[Happening]:
        """End politely, without waiting: QUIT and away. A letter on the wire gets its answer first, then Ended."""
        happenings = self._dialogue.quit()
        self._write(happenings)
        return self._settled(happenings, now)

    def drop(self) -> list[Happening]:
        """Hang up at once; gives an Ended when there are letters left."""
        if self._phase == "closed":
            return []
        happenings = self._dialogue.end("the connection was given up") if self._dialogue.ended is None else []
        self._close()
        has_letters = any(
            isinstance(happening, Answered) or happening.unsent or happening.in_doubt is not None
            for happening in happenings
            if isinstance(happening, Answered | Ended)
        )
        return happenings if has_letters else []

    # Connecting

    def _new_dialogue(self) -> Dialogue:
        relay = self.relay
        sign_in = None
        if relay.username:
            sign_in = SignIn(relay.username, relay.password, relay.auth, relay.may_sign_in_clear)
        return Dialogue(tls="none" if self._stays_clear else relay.encryption, sign_in=sign_in)

    def _dialled(self, happenings: list[Happening]) -> None:
        """How the dialling has gone so far."""
        dial = self._dial
        self._events, self.deadline = dial.events(), dial.deadline
        if dial.is_connected and dial.socket is not None:
            self._socket = dial.socket
            self._dialogue.own_name = self._own_name or _own_name(self._socket)
            self._phase = "talk"
        elif dial.failure:
            self._end(happenings, dial.failure, "connect")

    # TLS

    def _begin_tls(self, happenings: list[Happening], now: float) -> None:
        try:
            context = tls_context(verify=self.relay.verifies, ca_file=self.relay.ca_file)
            self._tls = Tls(context, self.relay.host)
        except (OSError, ValueError) as failure:
            self._tls_failed(failure, happenings, now)
            return
        self._phase, self.deadline = "tls", now + self._timeouts.command
        self._shake_hands(b"", happenings, now)
        self._write(happenings)

    def _shake_hands(self, data: bytes, happenings: list[Happening], now: float) -> None:
        assert self._tls is not None
        try:
            if not self._tls.shake_hands(data):
                return
            self._phase, self._armed = "talk", None
            self.tls_name = self._tls.name
            self._dialogue.tls_begun()
            happenings += self._dialogue.receive(self._tls.decrypt())
        except (OSError, ValueError) as failure:
            with contextlib.suppress(OSError):
                if self._socket is not None:
                    self._socket.send(self._tls.encrypt(b""))  # the alert that says why
            self._tls_failed(failure, happenings, now)

    def _tls_failed(self, failure: OSError | ValueError, happenings: list[Happening], now: float) -> None:
        """Under `opportunistic` mail goes in clear rather than not at all, over a new connection; a password never."""
        relay = self.relay
        is_optional = relay.encryption == "opportunistic" and not relay.verifies and not self._dialogue.ready
        if not is_optional or (relay.username and not relay.may_sign_in_clear) or self._socket is None:
            self._end(happenings, tls_failure(failure), "starttls")
            return
        self._stays_clear = True
        self._tls, self._unsent, self._armed = None, None, None
        self._dialogue = self._new_dialogue()
        before, self._socket = self._socket, None
        self._dial = Dial(relay.host, relay.port, self._timeouts.connect, now, self._dial.address)
        self._phase = "dial"
        before.close()  # after the new one was opened: see Dial
        self._dialled(happenings)

    # Talking

    def _read(self, happenings: list[Happening], now: float) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError as failure:
            self._lost(f"the connection broke: {failure.strerror or failure}", happenings, now)
            return
        if not data:
            self._lost("the relay hung up", happenings, now)
        elif self._tls is None:
            happenings += self._dialogue.receive(data)
        elif self._phase == "tls":
            self._shake_hands(data, happenings, now)
        else:
            try:
                happenings += self._dialogue.receive(self._tls.decrypt(data))
            except OSError as failure:
                self._end(happenings, f"the connection broke: {tls_failure(failure)}")

    def _lost(self, reason: str, happenings: list[Happening], now: float) -> None:
        if self._phase == "tls":
            self._tls_failed(OSError(0, reason), happenings, now)
        else:
            self._end(happenings, reason)

    def _write(self, happenings: list[Happening]) -> None:
        """Write what there is, as far as the socket takes it."""
        dialogue, peer = self._dialogue, self._socket
        if peer is None:
            return
        if dialogue.ended is not None and self._unsent is not None:
            return  # Half a letter that has been answered must not be completed.
        while True:
            piece: bytes | memoryview | None = self._unsent
            if piece is None:
                piece = dialogue.take()
                if self._tls is not None:
                    self._in_records = len(piece)
                    piece = self._tls.encrypt(piece)
                if not piece:
                    return
            try:
                n = peer.send(piece)
            except BlockingIOError:
                n = 0
            except OSError as failure:
                self._send_failed(failure, happenings)
                return
            if self._tls is None:
                dialogue.sent(n)
            elif n:
                # How much of the letter is in the part that went nobody can say, so all of it counts.
                dialogue.sent(self._in_records)
                self._in_records = 0
            if n < len(piece):
                self._unsent = memoryview(piece)[n:]
                return
            self._unsent = None

    def _send_failed(self, failure: OSError, happenings: list[Happening]) -> None:
        """The relay has closed; what it said before may still be there, a 421 for instance."""
        self._unsent = None
        if self._phase == "tls":
            return  # The next read tells, and there may be an alert to read.
        if self._dialogue.ended is None:
            self._read(happenings, self.used_at)
        self._end(happenings, f"the relay hung up: {failure.strerror or failure}")

    def _end(self, happenings: list[Happening], reason: str, stage: str = "") -> None:
        if self._dialogue.ended is None:
            happenings += self._dialogue.end(reason, stage)

    def _settled(self, happenings: list[Happening], now: float) -> list[Happening]:
        """What every call ends with: TLS that is to begin, the next deadline and events, or the end."""
        if self._phase == "dial" and self._dialogue.ended is None:
            self._dialled(happenings)
        if self._dialogue.wants_tls and self._phase == "talk":
            self._begin_tls(happenings, now)
        dialogue = self._dialogue
        if dialogue.ended is not None:
            self._close()
            return happenings
        if happenings:
            self.used_at = now
        if self._phase in ("talk", "tls"):
            unsent = self._unsent
            self._events = EVENT_READ if unsent is None else EVENT_READ | EVENT_WRITE
            if unsent is not None and self._phase == "talk":
                armed = ("block", len(unsent) // _BLOCK)
            else:
                armed = (dialogue.waiting, dialogue.turn)
            if armed != self._armed:
                self._armed = armed
                self.deadline = now + getattr(self._timeouts, armed[0]) if armed[0] else math.inf
        return happenings

    def _close(self) -> None:
        self._phase, self._events, self.deadline = "closed", 0, math.inf
        self._dial.close()
        if self._socket is not None:
            self._socket.close()
        self._socket = self._unsent = None


def _own_name(connected: socket.socket) -> str:
    """This machine's full name, else its address as a literal (RFC 5321 §4.1.3)."""
    name = socket.gethostname()
    if "." in name and name.isascii():
        return name
    address = connected.getsockname()[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
