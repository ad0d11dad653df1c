"""The client's side of an SMTP session without a socket or a clock: bytes in, bytes out, happenings.

Whoever drives it writes what `take` gives and says so with `sent`, hands in what was read with `receive`, begins TLS
when `wants_tls`, and watches how long `waiting` lasts; `turn` changes with each reply that is waited for.

Where PIPELINING is offered (RFC 2920), MAIL, RCPT and DATA of a letter go in the same write as the body of the letter
before; else one command at a time. There is at most one body whose answer is out and one envelope behind it.
Sources: RFC 5321, 2920, 3207 (STARTTLS), 4954 (AUTH), 6531 (SMTPUTF8); CVE-2011-0411 (words injected before TLS).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from mailhub.mail.smtp_auth import SignIn, auth_kind, auth_lines
from mailhub.mail.smtp_happenings import Answer, Answered, Ended, GoAhead, Happening, Ready
from mailhub.mail.smtp_reply import Stage
from mailhub.mail.smtp_wire import BadReply, Envelope, ReplyReader, WireBody, commands, features_of, wire_body

Tls = Literal["none", "opportunistic", "require", "implicit"]
Wait = Literal["", "banner", "command", "data", "end"]

_WAITS: dict[str, Wait] = {"banner": "banner", "data": "data", "body": "end", "dot": "end"}
_STAGES: dict[str, Stage] = {
    "banner": "connect", "ehlo": "helo", "helo": "helo", "starttls": "starttls", "auth": "auth", "rset": "mail",
    "mail": "mail", "rcpt": "rcpt", "data": "data", "dot": "data", "body": "body",
}  # fmt: skip


@dataclass(slots=True, eq=False)
class _Letter:
    token: object
    commands: tuple[bytes, bytes, bytes]
    is_written: bool = False
    """Whether its envelope has begun to go out."""
    mail_taken: bool = False
    rcpt_taken: bool = False
    is_refused: bool = False
    end_at: int = 0
    """Where its final dot ends, counted in bytes of the session."""


class Dialogue:
    """One session. After an `Ended` it says and hears nothing more."""

    def __init__(self, own_name: str = "", *, tls: Tls = "none", sign_in: SignIn | None = None) -> None:
        self.own_name = own_name
        self.features: dict[str, str] = {}
        self.ready = False
        self.ended: Ended | None = None
        self.encrypted = False
        self.wants_tls = tls == "implicit"
        self.letters = 0
        self.turn = 0
        self._is_pipelining = False
        self._tls: Tls = tls
        self._sign_in = sign_in
        self._auth_lines: list[bytes] = []
        self._replies = ReplyReader()
        self._expected: deque[tuple[str, _Letter | None]] = deque()
        self._offered: _Letter | None = None
        """Its envelope has been given, the relay has not asked for its body yet."""
        self._open: _Letter | None = None
        """The relay has asked for its body."""
        self._on_wire: _Letter | None = None
        """Its body has been given, the answer has not come."""
        self._refused: Answered | None = None
        """Told when the rest of its group has been answered, so that the next letter can be offered then."""
        self._is_ending = False
        self._needs_reset = False
        self._output: list[bytes] = []
        self._made = self._sent = 0
        if not self.wants_tls:
            self._expected.append(("banner", None))

    # What the driver asks

    @property
    def waiting(self) -> Wait:
        """Which time-out runs: for the reply that is waited for, or empty."""
        if self.wants_tls:
            return "command"
        return _WAITS.get(self._expected[0][0], "command") if self._expected else ""

    @property
    def can_offer(self) -> bool:
        """Whether the next envelope may be given: nothing is under way, or one letter's body is and none behind it."""
        return (
            self.ready
            and self._offered is None
            and self.ended is None
            and not self._is_ending
            and (not self._expected or self._on_wire is not None)
        )

    def take(self) -> bytes:
        """What is to be written now; the same bytes are given once."""
        output = self._output
        if not output:
            return b""
        data = output[0] if len(output) == 1 else b"".join(output)
        output.clear()
        return data

    def sent(self, n: int) -> None:
        """So many bytes more have left us, or may have."""
        self._sent += n

    # What the driver tells

    def receive(self, data: bytes) -> list[Happening]:
        """What the relay said, cut anywhere. Never raises, whatever it is."""
        happenings: list[Happening] = []
        if self.ended is not None:
            return happenings
        replies = self._replies
        replies.feed(data)
        try:
            while self.ended is None and (code := replies.next()):
                self.turn += 1
                verb, letter = self._expected.popleft() if self._expected else ("", None)
                if code == 421 or not verb:
                    self._closed_by_relay(verb, letter, code, happenings)
                elif letter is not None:
                    self._answer(verb, letter, code, happenings)
                elif not self.ready:
                    self._open_session(verb, code, happenings)
                elif verb == "dot":
                    self._tell_refused(happenings)
                elif code != 250:
                    happenings.append(self._end(f"RSET was answered by {code} {replies.text}", "mail", code))
        except BadReply as bad:
            happenings += self.end(str(bad))
        if self._refused is not None and happenings and isinstance(happenings[-1], Ended):
            ended = happenings.pop()
            self._tell_refused(happenings)
            happenings.append(ended)
        return happenings

    def tls_begun(self) -> None:
        """TLS is up: what was known before is forgotten, the session begins again (RFC 3207 §4.2)."""
        self.wants_tls, self.encrypted = False, True
        self.features = {}
        self._is_pipelining = False
        if self._tls == "implicit":
            self._expect("banner")
        else:
            self._say_hello()

    def offer(self, envelope: Envelope, token: object) -> list[Happening]:
        """Queue a letter; it may be settled at once where the relay can't take its address. Raises UnsafeLetter.

        Behind a letter whose body is asked for, the envelope waits for that body, and both go in one write.
        """
        if not self.can_offer:
            raise RuntimeError("a letter is offered while none can be")
        letter = _Letter(token, commands(envelope, self.features))
        if envelope.needs_utf8 and "SMTPUTF8" not in self.features:
            # RFC 6531 §3.2: never downgraded by guessing. The code and status are those of RFC 6531 §3.5 and 4.
            text = "5.6.7 the relay does not offer SMTPUTF8, which an address of this letter needs"
            return [Answered(token, Answer(553, text, "rcpt"))]
        self.letters += 1
        self._offered = letter
        if self._open is None and (self._on_wire is None or self._is_pipelining):
            self._write_envelope(letter)
        return []

    def body(self, data: bytes) -> None:
        """The body of the letter that GoAhead asked for, with CRLF line ends. UnsafeLetter is raised before any change.

        A `WireBody` goes out as it is.
        """
        letter = self._open
        if letter is None:
            raise RuntimeError("a body is given that was not asked for")
        self._write(data if isinstance(data, WireBody) else wire_body(data))
        letter.end_at = self._made
        self._open, self._on_wire = None, letter
        self._expect("body", letter)
        if self._offered is not None and self._is_pipelining:
            self._write_envelope(self._offered)

    def retract(self) -> object | None:
        """Take back the last letter that has no body yet; gives its token, None when there is none.

        Where its envelope has been written the relay would take the next bytes for its body, so the session ends:
        at once (`ended`, without a happening), or with the answer of the letter before, as an `Ended`.
        """
        letter = self._offered or self._open
        if letter is None or self.ended is not None:
            return None
        self.letters -= 1
        if letter is self._offered:
            self._offered = None
        else:
            self._open = None
        if letter.is_written:
            self._is_ending = True
            if self._on_wire is None:
                self._end("a letter was taken back")
        return letter.token

    def quit(self) -> list[Happening]:
        """End politely: QUIT when nothing is under way. A letter whose body is out gets its answer first."""
        if self.ended is not None:
            return []
        if self._on_wire is not None:
            self._is_ending = True
            return []
        happenings: list[Happening] = []
        self._tell_refused(happenings)
        ended = self._end_politely()
        return [*happenings, ended] if ended.unsent else happenings

    def end(self, reason: str, stage: str = "") -> list[Happening]:
        """The connection is lost, too slow, or given up. The last of what is told is Ended."""
        if not stage:
            verb = self._expected[0][0] if self._expected else ""
            stage = "starttls" if self.wants_tls else _STAGES[verb] if verb else "idle"
        happenings: list[Happening] = []
        self._tell_refused(happenings)
        happenings.append(self._end(reason, stage))
        return happenings

    # Letters

    def _answer(self, verb: str, letter: _Letter, code: int, happenings: list[Happening]) -> None:
        """The reply to a command of a letter."""
        if verb == "body":
            self._body_answered(letter, code, happenings)
        elif code >= 400:
            self._refuse(verb, letter, code)
            if verb == "data" or not self._is_pipelining:
                self._needs_reset = letter.mail_taken
                self._tell_refused(happenings)
        elif verb == "data":
            if code != 354:
                self._not_smtp(verb, code, happenings)
            elif not letter.is_refused:
                if letter is self._offered:  # else it was taken back
                    self._offered, self._open = None, letter
                    happenings.append(GoAhead(letter.token))
            elif letter.rcpt_taken:
                # MAIL was refused, RCPT and DATA were not: the final dot might send an empty letter.
                happenings.append(self._end("the relay asks for a letter that it has refused", "data"))
            else:
                # RFC 2920 §3.1: 354 may come although every recipient was refused.
                self._write(b".\r\n")
                self._expect("dot")
        elif code not in (250, 251, 252):
            self._not_smtp(verb, code, happenings)
        elif verb == "mail":
            letter.mail_taken = True
            if not self._is_pipelining:
                self._write(letter.commands[1])
                self._expect("rcpt", letter)
        else:
            letter.rcpt_taken = True
            if not self._is_pipelining:
                self._write(letter.commands[2])
                self._expect("data", letter)

    def _body_answered(self, letter: _Letter, code: int, happenings: list[Happening]) -> None:
        is_whole = self._sent >= letter.end_at
        if 300 <= code < 400 or (code < 300 and not is_whole):
            letter.end_at = 0  # whatever it means, it may have the letter
            self._not_smtp("body", code, happenings)
            return
        self._on_wire = None
        happenings.append(Answered(letter.token, Answer(code, self._replies.text, "body")))
        if not is_whole:
            happenings.append(self._end("the relay refused a letter before its end", "body"))
        elif self._is_ending:
            happenings.append(self._end_politely())
        elif self._offered is not None and not self._offered.is_written:
            self._write_envelope(self._offered)

    def _refuse(self, verb: str, letter: _Letter, code: int) -> None:
        letter.is_refused = True
        if letter is self._offered:  # else it was refused already, or taken back
            self._offered = None
            self._refused = Answered(letter.token, Answer(code, self._replies.text, _STAGES[verb]))

    def _tell_refused(self, happenings: list[Happening]) -> None:
        if self._refused is not None:
            happenings.append(self._refused)
            self._refused = None

    def _write_envelope(self, letter: _Letter) -> None:
        letter.is_written = True
        mail, rcpt, data = letter.commands
        if self._needs_reset:
            # After a refused RCPT or DATA the sender is still set (RFC 5321 §4.1.1.5).
            self._needs_reset = False
            self._expect("rset")
            mail = b"RSET\r\n" + mail
        self._expect("mail", letter)
        if self._is_pipelining:
            self._expected.append(("rcpt", letter))
            self._expected.append(("data", letter))
            mail += rcpt + data
        self._write(mail)

    # The session

    def _open_session(self, verb: str, code: int, happenings: list[Happening]) -> None:
        """The reply to what comes before the first letter."""
        text = self._replies.text
        if verb == "banner" and code == 220:
            self._say_hello()
        elif verb == "ehlo" and code == 250:
            self.features = features_of(text)
            self._is_pipelining = "PIPELINING" in self.features
            self._encrypt_or_sign_in(happenings)
        elif verb == "ehlo" and code >= 500:
            self._write(f"HELO {self.own_name}\r\n".encode())
            self._expect("helo")
        elif verb == "helo" and code == 250:
            self._encrypt_or_sign_in(happenings)
        elif verb == "starttls" and code == 220:
            if not self._replies.is_empty:
                happenings.append(self._end("the relay sent clear text after STARTTLS", "starttls"))
            else:
                self.wants_tls = True
        elif verb == "starttls" and self._tls == "opportunistic":
            self._sign_in_or_be_ready(happenings)
        elif verb == "auth" and code == 334:
            if self._auth_lines:
                self._write(self._auth_lines.pop(0))
                self._expect("auth")
            else:
                happenings.append(self._end(f"the relay asks for more than a password: 334 {text}", "auth", code))
        elif verb == "auth" and code == 235:
            self._be_ready(happenings)
        else:
            happenings.append(self._end(f"{code} {text}", _STAGES[verb], code))

    def _say_hello(self) -> None:
        self._write(f"EHLO {self.own_name}\r\n".encode())
        self._expect("ehlo")

    def _encrypt_or_sign_in(self, happenings: list[Happening]) -> None:
        if self.encrypted or self._tls == "none":
            self._sign_in_or_be_ready(happenings)
        elif "STARTTLS" in self.features:
            self._write(b"STARTTLS\r\n")
            self._expect("starttls")
        elif self._tls == "require":
            reason = "the relay does not offer STARTTLS; nothing is sent in clear"
            happenings.append(self._end(reason, "starttls"))
        else:
            self._sign_in_or_be_ready(happenings)

    def _sign_in_or_be_ready(self, happenings: list[Happening]) -> None:
        sign_in = self._sign_in
        if sign_in is None:
            self._be_ready(happenings)
            return
        if not self.encrypted and not sign_in.in_clear:
            happenings.append(self._end("the connection is not encrypted; the password is not sent in clear", "auth"))
            return
        kind = auth_kind(sign_in, self.features.get("AUTH", ""))
        if kind is None:
            offered = self.features.get("AUTH") or "none"
            happenings.append(self._end(f"the relay offers no way of signing in that we know: {offered}", "auth"))
            return
        first, *self._auth_lines = auth_lines(sign_in, kind)
        self._write(first)
        self._expect("auth")

    def _be_ready(self, happenings: list[Happening]) -> None:
        self.ready = True
        happenings.append(Ready())

    def _closed_by_relay(self, verb: str, letter: _Letter | None, code: int, happenings: list[Happening]) -> None:
        """421, at whatever was said (RFC 5321 §3.8), or a reply to nothing."""
        text = self._replies.text
        stage = _STAGES[verb] if verb else "idle"
        if code != 421:
            happenings.append(self._end(f"the relay spoke out of turn: {code} {text}", stage, code))
            return
        if letter is not None and letter is self._on_wire:
            self._on_wire = None
            happenings.append(Answered(letter.token, Answer(code, text, "body")))
        elif letter is not None:
            self._refuse(verb, letter, code)
        happenings.append(self._end(f"421 {text}", stage, code))

    def _not_smtp(self, verb: str, code: int, happenings: list[Happening]) -> None:
        reason = f"{verb.upper()} was answered by {code} {self._replies.text}"
        happenings.append(self._end(reason, _STAGES[verb], code))

    def _end_politely(self) -> Ended:
        """QUIT, unless the relay would take it for a part of something that is under way."""
        can_quit = self.ready and not self._expected and self._open is None
        ended = self._end("closed")
        if can_quit:
            self._write(b"QUIT\r\n")
        return ended

    def _end(self, reason: str, stage: str = "idle", code: int = 0) -> Ended:
        """Settle every letter that is left. `code`: the last reply is the cause."""
        unsent = [letter.token for letter in (self._open, self._offered) if letter is not None]
        in_doubt = None
        if self._on_wire is not None:
            if self._sent >= self._on_wire.end_at:
                in_doubt = self._on_wire.token
            else:
                unsent.insert(0, self._on_wire.token)
        known: Stage = "connect" if stage == "idle" else stage  # type: ignore[assignment]
        answer = Answer(code, self._replies.text, known) if code else None
        self.ended = Ended(reason, unsent, in_doubt, stage, answer, self.ready)
        self._offered = self._open = self._on_wire = None
        self._expected.clear()
        self._output.clear()
        self.wants_tls = False
        return self.ended

    def _write(self, data: bytes) -> None:
        self._output.append(data)
        self._made += len(data)

    def _expect(self, verb: str, letter: _Letter | None = None) -> None:
        if not self._expected:
            self.turn += 1
        self._expected.append((verb, letter))
