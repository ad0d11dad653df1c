"""mailhub.delivery.connection against real sockets: relays that refuse, stall, lie, trickle and break."""

from __future__ import annotations

import contextlib
import math
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mailhub.delivery import resolver
from mailhub.delivery.connection import (
    Answer,
    Answered,
    Connection,
    Ended,
    Envelope,
    GoAhead,
    Happening,
    Relay,
    Timeouts,
    UnsafeLetter,
)
from tests.hostile import Certificates, Hostile, Peer
from tests.sink import Sink

BODY = b"Subject: x\r\n\r\n.hello\r\n"
#: For relays that behave: far more than a loaded machine needs.
PATIENT = Timeouts(connect=30, banner=30, command=30, data=30, block=30, end=30)
#: For relays that stall.
SHORT = dict.fromkeys(("connect", "banner", "command", "data", "block", "end"), 30.0)


def short(verb: str, seconds: float = 0.2) -> Timeouts:
    """One verb's time is short: a slow machine can't make another one run out."""
    return Timeouts(**{**SHORT, verb: seconds})


def relay_at(port: int, **options: Any) -> Relay:
    return Relay(**{"name": "r", "scheme": "smtp", "host": "127.0.0.1", "port": port, **options})


class Loop:
    """What the engine does with one connection: offer while it can, give each body that is asked for."""

    def __init__(
        self, relay: Relay, letters: int = 1, *, timeouts: Timeouts = PATIENT, body: bytes = BODY, **envelope: Any
    ) -> None:
        self.connection = Connection(relay, timeouts, now=time.monotonic(), own_name="me.test")
        self.happenings: list[Happening] = []
        self._body = body
        self._letters = letters
        self._offered = 0
        self._envelope = {"return_path": "b@p.test", "recipient": "", "size": len(body), **envelope}

    def turn(self, seconds: float = 20) -> None:
        """One wait and what follows from it."""
        connection = self.connection
        left = min(seconds, max(0.0, connection.deadline - time.monotonic()))
        ready: list[tuple[selectors.SelectorKey, int]] = []
        with selectors.DefaultSelector() as selector:
            if connection.fileno() >= 0:
                selector.register(connection.fileno(), connection.events())
                ready = selector.select(left)
        now = time.monotonic()
        self.follow(connection.handle(ready[0][1], now) if ready else connection.expire(now))

    def follow(self, happenings: list[Happening]) -> None:
        while happenings:
            self.happenings += happenings
            later: list[Happening] = []
            for happening in happenings:
                if self._offered < self._letters and self.connection.can_offer:
                    later += self.offer()
                if isinstance(happening, GoAhead):
                    later += self.connection.body(self._body, time.monotonic())
            happenings = later

    def offer(self) -> list[Happening]:
        self._offered += 1
        recipient = self._envelope["recipient"] or f"p{self._offered}@mail.test"
        envelope = Envelope(**{**self._envelope, "recipient": recipient})
        return self.connection.offer(envelope, self._offered)

    def until(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not done():
            assert time.monotonic() < end, self.happenings
            assert not self.connection.is_closed, self.happenings
            self.turn()

    def run(self) -> Loop:
        """Until every letter is answered or the connection has ended; closes it."""
        self.until(lambda: self.connection.is_closed or len(self.answers) == self._letters)
        self.connection.drop()
        return self

    @property
    def answers(self) -> dict[object, Answer]:
        return {happening.token: happening.answer for happening in self.happenings if isinstance(happening, Answered)}

    @property
    def ended(self) -> Ended:
        [found] = [happening for happening in self.happenings if isinstance(happening, Ended)]
        assert self.happenings[-1] is found
        assert self.connection.is_closed
        assert self.connection.fileno() == -1
        return found


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


# Letters


@pytest.mark.parametrize("pipelining", [True, False])
def test_letters_arrive(pipelining: bool) -> None:
    with Sink(pipelining=pipelining) as sink:
        loop = Loop(relay_at(sink.port), 20).run()
        assert [answer.taken for answer in loop.answers.values()] == [True] * 20
        assert sorted(sink.recipients()) == sorted(f"p{n}@mail.test" for n in range(1, 21))
        assert {letter.data for letter in sink.letters} == {BODY}
        assert sink.connections == 1
        assert loop.connection.letters == 20


@pytest.mark.parametrize("features", [["PIPELINING", "SIZE"], []])
def test_the_order_of_the_bytes(features: list[str]) -> None:
    def behave(peer: Peer) -> None:
        peer.greet(*features)
        peer.take_all()

    with Hostile(behave) as relay:
        Loop(relay_at(relay.port), 2).run()
    size = b" SIZE=%d" % len(BODY) if features else b""
    stuffed = BODY.replace(b"\n.", b"\n..") + b".\r\n"
    letters = [
        b"MAIL FROM:<b@p.test>%s\r\nRCPT TO:<p%d@mail.test>\r\nDATA\r\n%s" % (size, n, stuffed) for n in (1, 2)
    ]
    assert bytes(relay.heard[0]) == b"EHLO me.test\r\n" + b"".join(letters)


def test_a_letter_and_the_next_envelope_are_one_write() -> None:
    reads: list[bytes] = []

    def behave(peer: Peer) -> None:
        peer.greet("PIPELINING")
        for command in (b"MAIL", b"RCPT", b"DATA"):
            assert peer.line().startswith(command)
        peer.say("250 ok", "250 ok", "354 go")
        while True:
            before = len(peer.heard)
            peer._buffer += peer._read()
            reads.append(bytes(peer.heard[before:]))
            if peer._buffer.endswith(b"DATA\r\n"):
                peer._buffer.clear()
                peer.say("250 taken", "250 ok", "250 ok", "354 go")
            elif peer._buffer.endswith(b"\r\n.\r\n"):
                peer._buffer.clear()
                peer.say("250 taken")

    with Hostile(behave) as relay:
        loop = Loop(relay_at(relay.port), 3).run()
    assert len(loop.answers) == 3
    assert len(reads) == 3  # a small write arrives whole


def test_a_large_letter_goes_out_in_parts() -> None:
    big = (b"x" * 76 + b"\r\n.\r\n") * 100_000

    def behave(peer: Peer) -> None:
        peer.greet("PIPELINING")
        peer.envelope()
        assert peer.body() == big.replace(b"\n.", b"\n..") + b".\r\n"
        peer.say("250 taken")
        peer.take_all()

    with Hostile(behave, receive_buffer=8192) as relay:
        loop = Loop(relay_at(relay.port), 2, body=big)
        wrote: list[int] = []
        loop.until(lambda: wrote.append(loop.connection.events()) or len(loop.answers) == 1)  # type: ignore[func-returns-value]
        assert selectors.EVENT_READ | selectors.EVENT_WRITE in wrote
        assert loop.answers[1].taken
        loop.connection.drop()


def test_an_unsafe_address_leaves_the_connection_usable() -> None:
    with Sink() as sink:
        loop = Loop(relay_at(sink.port), 0)
        loop.until(lambda: loop.connection.can_offer)
        with pytest.raises(UnsafeLetter):
            loop.connection.offer(Envelope("b@p.test", "a@b.test>\r\nRSET", 1), 1)
        loop.follow(loop.connection.offer(Envelope("b@p.test", "a@b.test", 1), 2))
        loop.until(lambda: bool(loop.answers))
        loop.connection.drop()
        assert loop.answers[2].taken


@pytest.mark.parametrize("end", [b"\n.\r\n", b"\r.\r\n", b"\r\n.\n", b"\n.\n", b"\r\n.\r", b"\r\r\n.\r\n"])
def test_a_letter_that_could_end_early_never_reaches_the_wire(end: bytes) -> None:
    def behave(peer: Peer) -> None:
        peer.greet("PIPELINING")
        peer.envelope()
        peer.silence()

    with Hostile(behave) as relay:
        loop = Loop(relay_at(relay.port), body=b"Subject: x\r\n\r\nhello" + end + b"MAIL FROM:<evil@p.test>\r\n")
        with pytest.raises(UnsafeLetter):
            loop.run()
        assert loop.connection.retract() == 1
        assert loop.connection.is_closed
    assert relay.heard[0].endswith(b"\r\nDATA\r\n")


def test_parameters_for_what_is_offered() -> None:
    def behave(peer: Peer) -> None:
        peer.greet("PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "DSN")
        peer.take_all()

    with Hostile(behave) as relay:
        Loop(relay_at(relay.port), 1, recipient="дима@mail.test", eight_bit=True, envelope_id="7=x").run()
    assert f" SIZE={len(BODY)} BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=7+3Dx\r\n".encode() in relay.heard[0]
    assert "RCPT TO:<дима@mail.test> NOTIFY=FAILURE,DELAY ORCPT=utf-8;\\x{434}".encode() in relay.heard[0]


# Refusals


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "body"])
@pytest.mark.parametrize("reply", ["450 4.2.0 later", "550 5.1.1 nobody"])
def test_a_refusal_is_that_letter_s_alone(pipelining: bool, stage: str, reply: str) -> None:
    def script(verb: str, address: str, _attempt: int) -> str | None:
        is_second = address == "p2@mail.test" or (verb == "mail" and address == "b2@p.test")
        return reply if verb == stage and is_second else None

    with Sink(script, pipelining=pipelining) as sink:
        loop = Loop(relay_at(sink.port), 0)
        loop.until(lambda: loop.connection.can_offer)
        for n in (1, 2, 3):
            loop.follow(loop.connection.offer(Envelope(f"b{n}@p.test", f"p{n}@mail.test", len(BODY)), n))
            loop.until(lambda n=n: n in loop.answers and loop.connection.can_offer)  # type: ignore[misc]
        loop.connection.drop()
        code, _, text = reply.partition(" ")
        assert loop.answers[2] == Answer(int(code), text, stage)  # type: ignore[arg-type]
        assert loop.answers[1].taken
        assert loop.answers[3].taken
        assert sorted(sink.recipients()) == ["p1@mail.test", "p3@mail.test"]


def test_a_go_ahead_after_a_refused_recipient_gets_a_dot_only() -> None:
    def behave(peer: Peer) -> None:
        peer.greet("PIPELINING")
        peer.envelope(rcpt="550 5.1.1 nobody")
        assert peer.body() == b".\r\n"
        peer.say("554 5.5.1 no recipients")
        peer.take_all()

    with Hostile(behave) as relay:
        loop = Loop(relay_at(relay.port), 2).run()
    assert loop.answers[1] == Answer(550, "5.1.1 nobody", "rcpt")
    assert loop.answers[2].taken
    assert b"RSET" not in relay.heard[0]


@pytest.mark.parametrize("verb", ["mail", "rcpt", "data"])
def test_421_to_an_envelope(verb: str) -> None:
    def behave(peer: Peer) -> None:
        peer.greet("PIPELINING")
        for name in ("mail", "rcpt", "data"):
            peer.line()
            peer.say("421 4.7.0 enough" if name == verb else "250 ok")
            if name == verb:
                return

    with Hostile(behave) as relay:
        loop = Loop(relay_at(relay.port)).run()
    assert loop.answers == {1: Answer(421, "4.7.0 enough", verb)}  # type: ignore[arg-type]
    loop = Loop(relay_at(1))  # no connection at all
    loop.run()
    assert (loop.ended.stage, loop.ended.was_ready, loop.ended.unsent) == ("connect", False, [])


def test_421_to_a_body_leaves_the_next_letter_unsent() -> None:
    def behave(peer: Peer) -> None:
        peer.greet("PIPELINING")
        peer.envelope()
        peer.body()
        peer.say("421 4.7.0 enough")

    with Hostile(behave) as relay:
        loop = Loop(relay_at(relay.port), 2).run()
    assert loop.answers == {1: Answer(421, "4.7.0 enough", "body")}
    assert (loop.ended.unsent, loop.ended.in_doubt) == ([2], None)
    assert loop.ended.was_ready


@pytest.mark.parametrize("words", [b"421 4.4.2 idle\r\n", b""])
def test_an_idle_connection_that_is_closed_leaves_nothing_in_doubt(words: bytes) -> None:
    def behave(peer: Peer) -> None:
        peer.greet()
        peer.raw(words)

    with Hostile(behave) as relay:
        loop = Loop(relay_at(relay.port), 0)
        loop.until(lambda: loop.connection.is_closed)
    assert (loop.ended.stage, loop.ended.unsent, loop.ended.in_doubt) == ("idle", [], None)
    assert loop.ended.was_ready
    assert (loop.ended.answer is not None) == bool(words)


# Time


def stalls(verb: str) -> Callable[[Peer], None]:
    def behave(peer: Peer) -> None:
        if verb == "banner":
            peer.silence()
        peer.say("220 hostile")
        if verb == "ehlo":
            peer.silence()
        peer.answer_ehlo("PIPELINING")
        for name in ("mail", "rcpt", "data"):
            peer.line()
            if verb == name:
                peer.silence()
            peer.say("354 go" if name == "data" else "250 ok")
        peer.body()
        peer.silence()

    return behave


@pytest.mark.parametrize(
    ("verb", "clock", "stage"),
    [
        ("banner", "banner", "connect"),
        ("ehlo", "command", "helo"),
        ("mail", "command", "mail"),
        ("rcpt", "command", "rcpt"),
        ("data", "data", "data"),
        ("body", "end", "body"),
    ],
)
def test_silence_at_a_verb_ends_with_that_verb_s_time(verb: str, clock: str, stage: str) -> None:
    # The time of MAIL and RCPT is that of EHLO too, which must not run out on a slow machine.
    seconds = 2.5 if verb in ("mail", "rcpt") else 0.2
    with Hostile(stalls(verb)) as relay:
        loop = Loop(relay_at(relay.port), 2, timeouts=short(clock, seconds)).run()
    assert loop.ended.stage == stage
    assert loop.ended.was_ready == (verb not in ("banner", "ehlo"))
    assert loop.ended.in_doubt == (1 if verb == "body" else None)
    assert loop.ended.unsent == {"banner": [], "ehlo": [], "body": [2]}.get(verb, [1])


def test_a_byte_now_and_then_does_not_buy_time() -> None:
    def behave(peer: Peer) -> None:
        peer.greet("PIPELINING")
        peer.envelope()
        peer.body()
        peer.trickle(b"250-" + b"x" * 1000, 0.02)

    with Hostile(behave) as relay:
        loop = Loop(relay_at(relay.port), timeouts=short("end", 0.3))
        loop.until(lambda: loop.connection.deadline < math.inf and GoAhead(1) in loop.happenings)
        deadline = loop.connection.deadline
        while not loop.connection.is_closed:
            assert loop.connection.deadline == deadline
            loop.turn()
    assert loop.ended.in_doubt == 1


def test_a_slow_reply_in_time_is_a_reply() -> None:
    def behave(peer: Peer) -> None:
        peer.trickle(b"220 hostile\r\n", 0.001)
        peer.answer_ehlo("PIPELINING")
        for reply in (b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
            peer.line()
            peer.trickle(reply, 0.001)
        peer.body()
        peer.trickle(b"250-taken\r\n250 as A1\r\n", 0.001)

    with Hostile(behave) as relay:
        assert Loop(relay_at(relay.port)).run().answers == {1: Answer(250, "taken\nas A1", "body")}


def test_a_relay_that_does_not_read_is_given_up() -> None:
    """The body's end has not left us: the letter is unsent, not in doubt."""

    def behave(peer: Peer) -> None:
        peer.greet("PIPELINING")
        peer.envelope()
        peer.deaf()

    with Hostile(behave, receive_buffer=4096) as relay:
        big = b"x" * 998 + b"\r\n"
        loop = Loop(relay_at(relay.port), 2, timeouts=short("block", 0.3), body=big * 20_000).run()
    assert (loop.ended.unsent, loop.ended.in_doubt) == ([1, 2], None)


def test_a_new_connection_waits_for_no_one() -> None:
    """A relay that takes no connection, as behind a firewall: a full backlog answers nothing."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = listener.getsockname()[1]
        for _n in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        loop = Loop(relay_at(port), timeouts=short("connect", 0.3)).run()
    assert (loop.ended.stage, loop.ended.was_ready) == ("connect", False)
    assert "in time" in loop.ended.reason


# Lies


@pytest.mark.parametrize(
    "reply",
    [b"x" * 1_000_000 + b"\r\n", b"250-" + b"y" * 1_000_000, b"250-go on\r\n" * 100_000, b"\0" * 9 + b"\r\n", b"ok\n"],
    ids=["long line", "long text", "endless", "zeros", "no code"],
)
@pytest.mark.parametrize("verb", ["banner", "body"])
def test_what_is_no_reply_ends_it_with_little_memory(reply: bytes, verb: str) -> None:
    def behave(peer: Peer) -> None:
        if verb == "body":
            peer.greet("PIPELINING")
            peer.envelope()
            peer.body()
        peer.raw(reply)
        peer.silence()

    with Hostile(behave) as relay:
        loop = Loop(relay_at(relay.port), 2).run()
    assert loop.ended.in_doubt == (1 if verb == "body" else None)
    assert loop.ended.was_ready == (verb == "body")
    assert len(loop.ended.reason) < 500
    assert len(loop.connection._dialogue._replies._buffer) < 50_000


def test_nuls_and_eight_bits_in_a_text() -> None:
    def behave(peer: Peer) -> None:
        peer.greet()
        peer.envelope(rcpt="550 5.1.1 \0 нет \x07")

    with Hostile(behave) as relay:
        assert Loop(relay_at(relay.port)).run().answers == {1: Answer(550, "5.1.1 \ufffd нет \ufffd", "rcpt")}


# Broken connections


@pytest.mark.parametrize(
    ("at", "in_doubt", "unsent"),
    [("mail", None, [1]), ("data", None, [1]), ("half body", None, [1, 2]), ("dot", 1, [2])],
)
def test_a_reset(at: str, in_doubt: int | None, unsent: list[int]) -> None:
    def behave(peer: Peer) -> None:
        peer.greet("PIPELINING")
        peer.line()
        if at == "mail":
            peer.reset()
            return
        peer.line()
        peer.line()
        if at == "data":
            peer.reset()
            return
        peer.say("250 ok", "250 ok", "354 go")
        if at == "half body":
            peer._read()
        else:
            peer.body()
        peer.reset()

    big = (b"x" * 998 + b"\r\n") * 20_000
    with Hostile(behave, receive_buffer=4096) as relay:
        loop = Loop(relay_at(relay.port), 2, body=big if at == "half body" else BODY).run()
    assert (loop.ended.in_doubt, loop.ended.unsent) == (in_doubt, unsent)
    assert loop.ended.was_ready


def test_a_closed_port_is_a_relay_that_is_down() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    loop = Loop(relay_at(port)).run()
    assert (loop.ended.stage, loop.ended.was_ready, loop.ended.answer) == ("connect", False, None)
    assert f"127.0.0.1:{port}" in loop.ended.reason


# Names


def test_a_name_is_looked_up_beside_the_loop() -> None:
    resolver._known.clear()
    with Sink() as sink:
        loop = Loop(relay_at(sink.port, host="localhost"))
        assert loop.connection.events() == selectors.EVENT_READ
        assert loop.run().answers[1].taken
        again = Loop(relay_at(sink.port, host="localhost"))
        assert again.connection.events() == selectors.EVENT_WRITE  # known now
        assert again.run().answers[1].taken


def test_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with Sink() as sink:
        found = [(socket.AF_INET6, ("::1", sink.port, 0, 0)), (socket.AF_INET, ("127.0.0.1", sink.port))]
        monkeypatch.setitem(resolver._known, ("two.test", sink.port), (time.monotonic(), found))
        loop = Loop(relay_at(sink.port, host="two.test"))
        files = {loop.connection.fileno()}
        loop.until(lambda: bool(files.add(loop.connection.fileno())) or bool(loop.answers))
        assert len(files) == 2  # a selector sees the change
        assert loop.answers[1].taken
        loop.connection.drop()


def test_a_name_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    loop = Loop(relay_at(25, host="nowhere.test")).run()
    assert (loop.ended.stage, loop.ended.was_ready) == ("connect", False)
    assert "nowhere.test:25: Name or service not known" in loop.ended.reason


def test_a_resolver_that_hangs_runs_into_the_connection_s_time(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_o: over.wait(30) and [])
    try:
        loop = Loop(relay_at(25, host="slow.test"), timeouts=short("connect")).run()
    finally:
        over.set()
    assert "slow.test" in loop.ended.reason


# TLS


def tls_relay(context: ssl.SSLContext, *features: str) -> Callable[[Peer], None]:
    """Offers STARTTLS, and after it what is given."""

    def behave(peer: Peer) -> None:
        peer.greet("PIPELINING", "STARTTLS")
        command = peer.line()
        if command != b"STARTTLS":
            peer.say("530 STARTTLS first")
            peer.silence()
        peer.say("220 go")
        peer.start_tls(context)
        peer.answer_ehlo("PIPELINING", *features)
        peer.take_all()

    return behave


def run_tls(relay: Hostile, certificates: Certificates, **options: Any) -> Loop:
    return Loop(relay_at(relay.port, ca_file=str(certificates.ca_file), **options), 3).run()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_starttls_with_a_good_certificate(certificates: Certificates, host: str) -> None:
    with Hostile(tls_relay(certificates.good())) as relay:
        loop = run_tls(relay, certificates, scheme="smtp+starttls", host=host)
        assert len(loop.answers) == 3
        assert loop.connection.tls_name.startswith("TLSv1.3 TLS_")
        assert relay.heard[0].startswith(b"EHLO me.test\r\nSTARTTLS\r\nEHLO me.test\r\nMAIL")


def test_implicit_tls(certificates: Certificates) -> None:
    def behave(peer: Peer) -> None:
        peer.start_tls(certificates.good())
        peer.greet("PIPELINING", "STARTTLS")
        peer.take_all()

    with Hostile(behave) as relay:
        loop = run_tls(relay, certificates, scheme="smtps")
        assert len(loop.answers) == 3
        assert b"STARTTLS" not in relay.heard[0]


def test_a_large_letter_over_tls(certificates: Certificates) -> None:
    big = (b"x" * 76 + b"\r\n") * 50_000

    def behave(peer: Peer) -> None:
        peer.start_tls(certificates.good())
        peer.greet("PIPELINING")
        peer.envelope()
        assert peer.body() == big + b".\r\n"
        peer.say("250 taken")

    with Hostile(behave, receive_buffer=8192) as relay:
        loop = Loop(relay_at(relay.port, scheme="smtps", ca_file=str(certificates.ca_file)), body=big).run()
        assert loop.answers[1].taken


@pytest.mark.parametrize("kind", ["expired", "other_name", "unknown"])
@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
def test_a_bad_certificate_is_refused_and_no_letter_goes(
    certificates: Certificates, tmp_path: Path, kind: str, scheme: str
) -> None:
    server = Certificates(tmp_path) if kind == "unknown" else certificates
    context = server.good() if kind == "unknown" else getattr(server, kind)()

    def implicit(peer: Peer) -> None:
        peer.start_tls(context)
        peer.silence()

    with Hostile(implicit if scheme == "smtps" else tls_relay(context)) as relay:
        loop = run_tls(relay, certificates, scheme=scheme, username="u", password="pässword")
        assert (loop.ended.stage, loop.ended.was_ready) == ("starttls", False)
        assert "certificate" in loop.ended.reason
        assert {"expired": "expired", "other_name": "not valid for", "unknown": ""}[kind] in loop.ended.reason
        assert len(relay.heard) == 1
        assert b"MAIL" not in relay.heard[0]
        assert b"AUTH" not in relay.heard[0]


def test_a_stripped_starttls_sends_nothing_under_require(certificates: Certificates) -> None:
    def behave(peer: Peer) -> None:
        peer.greet("PIPELINING", "AUTH PLAIN")
        peer.take_all()

    with Hostile(behave) as relay:
        loop = run_tls(relay, certificates, scheme="smtp+starttls", username="u", password="p")
        assert "STARTTLS" in loop.ended.reason
        assert bytes(relay.heard[0]) == b"EHLO me.test\r\n"


@pytest.mark.parametrize("pause", [False, True])
def test_clear_text_after_starttls_is_not_obeyed(certificates: Certificates, pause: bool) -> None:
    """In the same packet as the 220 our reader sees it, later TLS does."""

    def behave(peer: Peer) -> None:
        peer.greet("PIPELINING", "STARTTLS")
        peer.line()
        injected = b"250-evil\r\n250 AUTH PLAIN\r\n"
        if pause:
            peer.say("220 go")
            peer._read()  # the client's hello
            peer.raw(injected)
        else:
            peer.raw(b"220 go\r\n" + injected)
        peer.silence()

    with Hostile(behave) as relay:
        loop = run_tls(relay, certificates, scheme="smtp+starttls", username="u", password="p")
        assert (loop.ended.stage, loop.ended.was_ready) == ("starttls", False)
        assert b"AUTH" not in relay.heard[0]


def test_silence_in_the_handshake_ends(certificates: Certificates) -> None:
    def behave(peer: Peer) -> None:
        peer.greet("STARTTLS")
        peer.line()
        peer.say("220 go")
        peer.silence()

    with Hostile(behave) as relay:
        timeouts = short("command", 2.5)
        loop = Loop(relay_at(relay.port, scheme="smtp+starttls", ca_file=str(certificates.ca_file)), timeouts=timeouts)
        assert loop.run().ended.stage == "starttls"


def test_a_trickling_handshake_ends(certificates: Certificates) -> None:
    def behave(peer: Peer) -> None:
        peer.trickle(b"\x16\x03\x03\x10\x00" + b"x" * 4096, 0.02)

    with Hostile(behave) as relay:
        relay_ = relay_at(relay.port, scheme="smtps", ca_file=str(certificates.ca_file))
        loop = Loop(relay_, timeouts=short("command", 0.3)).run()
        assert loop.ended.stage == "starttls"
        assert "does not answer" in loop.ended.reason


def test_opportunistic_takes_any_certificate(certificates: Certificates) -> None:
    with Hostile(tls_relay(certificates.expired())) as relay:
        loop = Loop(relay_at(relay.port, tls="opportunistic"), 2).run()
        assert len(loop.answers) == 2
        assert loop.connection.tls_name


def test_opportunistic_goes_in_clear_where_there_is_no_tls() -> None:
    with Sink() as sink:
        loop = Loop(relay_at(sink.port, tls="opportunistic")).run()
        assert loop.answers[1].taken
        assert loop.connection.tls_name == ""


def test_opportunistic_connects_again_in_clear_when_the_handshake_fails() -> None:
    def broken(peer: Peer) -> None:
        peer.greet("STARTTLS")
        peer.line()
        peer.say("220 go")
        peer._read()
        peer.raw(b"this is no TLS\r\n")
        peer.silence()

    def clear(peer: Peer) -> None:
        peer.greet("STARTTLS")
        peer.take_all()

    with Hostile(broken, clear) as relay:
        loop = Loop(relay_at(relay.port, tls="opportunistic")).run()
        assert loop.answers[1].taken
        assert b"STARTTLS" not in relay.heard[1]


def test_a_password_does_not_follow_into_the_clear(certificates: Certificates) -> None:
    def behave(peer: Peer) -> None:
        peer.greet("STARTTLS", "AUTH PLAIN")
        peer.line()
        peer.say("220 go")
        peer._read()
        peer.raw(b"this is no TLS\r\n")
        peer.silence()

    with Hostile(behave) as relay:
        options = {"tls": "opportunistic", "host": "two.test", "username": "u", "password": "p"}
        resolver._known["two.test", relay.port] = (time.monotonic(), [(socket.AF_INET, ("127.0.0.1", relay.port))])
        loop = run_tls(relay, certificates, **options)
        assert loop.ended.stage == "starttls"
        assert len(relay.heard) == 1


@pytest.mark.parametrize("verify", [True, None])
def test_opportunistic_verifies_when_asked_or_when_a_password_follows(
    certificates: Certificates, verify: bool | None
) -> None:
    with Hostile(tls_relay(certificates.expired(), "AUTH PLAIN")) as relay:
        user = {} if verify else {"username": "u", "password": "p"}
        loop = run_tls(relay, certificates, tls="opportunistic", verify=verify, **user)
        assert "expired" in loop.ended.reason


# Signing in


@pytest.mark.parametrize(("auth", "offered"), [("plain", "PLAIN"), ("login", "LOGIN"), ("xoauth2", "XOAUTH2")])
def test_signing_in_over_tls(certificates: Certificates, auth: str, offered: str) -> None:
    def behave(peer: Peer) -> None:
        peer.start_tls(certificates.good())
        peer.greet("PIPELINING", f"AUTH {offered}")
        assert peer.line().startswith(b"AUTH " + offered.encode())
        if auth == "login":
            for _n in range(2):
                peer.say("334 go on")
                peer.line()
        peer.say("235 welcome")
        peer.take_all()

    with Hostile(behave) as relay:
        options = {"scheme": "smtps", "username": "u", "password": "p", "auth": auth}
        assert len(run_tls(relay, certificates, **options).answers) == 3


def test_a_wrong_password_is_a_relay_that_is_down() -> None:
    def behave(peer: Peer) -> None:
        peer.greet("AUTH PLAIN")
        peer.line()
        peer.say("535 5.7.8 no")

    with Hostile(behave) as relay:
        loop = Loop(relay_at(relay.port, username="u", password="hunter2")).run()
        assert (loop.ended.stage, loop.ended.was_ready) == ("auth", False)
        assert loop.ended.answer == Answer(535, "5.7.8 no", "auth")
        assert "hunter2" not in repr(loop.ended)


def test_a_password_goes_in_clear_to_this_machine_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def behave(peer: Peer) -> None:
        peer.greet("AUTH PLAIN")
        peer.line()
        peer.say("235 in")
        peer.take_all()

    with Hostile(behave) as relay:
        found = [(socket.AF_INET, ("127.0.0.1", relay.port))]
        monkeypatch.setitem(resolver._known, ("far.test", relay.port), (time.monotonic(), found))
        user = {"username": "u", "password": "p"}
        assert Loop(relay_at(relay.port, **user)).run().answers[1].taken
        far = Loop(relay_at(relay.port, host="far.test", tls="none", **user)).run()
        assert far.ended.stage == "auth"
        assert b"AUTH" not in relay.heard[1]
        allowed = relay_at(relay.port, host="far.test", tls="none", password_in_clear=True, **user)
        assert Loop(allowed).run().answers[1].taken


# Taking back and closing


@contextlib.contextmanager
def with_a_letter_on_the_wire() -> Iterator[tuple[Loop, threading.Event]]:
    """Letter 1's body has been given, 2 is behind it; the relay answers when the event is set."""
    answer = threading.Event()

    def behave(peer: Peer) -> None:
        peer.greet("PIPELINING")
        peer.envelope()
        peer.body()
        answer.wait(30)
        peer.say("250 taken")
        peer.silence()

    with Hostile(behave) as relay:
        loop = Loop(relay_at(relay.port), 2)
        loop.until(lambda: GoAhead(1) in loop.happenings)
        yield loop, answer
        answer.set()
        loop.connection.drop()


def test_taking_back_a_written_envelope_ends_after_the_answer_before_it() -> None:
    with with_a_letter_on_the_wire() as (loop, answer):
        assert loop.connection.retract() == 2
        assert loop.connection.retract() is None
        assert not loop.connection.is_closed
        answer.set()
        loop.until(lambda: loop.connection.is_closed)
        assert loop.answers[1].taken
        assert (loop.ended.unsent, loop.ended.in_doubt) == ([], None)


def test_closing_waits_for_the_answer_and_gives_the_next_letter_back() -> None:
    with with_a_letter_on_the_wire() as (loop, answer):
        loop.follow(loop.connection.close(time.monotonic()))
        assert not loop.connection.is_closed
        answer.set()
        loop.until(lambda: loop.connection.is_closed)
        assert loop.answers[1].taken
        assert (loop.ended.unsent, loop.ended.in_doubt) == ([2], None)


def test_dropping_tells_what_is_left() -> None:
    with with_a_letter_on_the_wire() as (loop, _answer):
        [ended] = loop.connection.drop()
        assert isinstance(ended, Ended)
        assert (ended.unsent, ended.in_doubt) == ([2], 1)
        assert loop.connection.drop() == []
        assert loop.connection.retract() is None
        assert loop.connection.close(time.monotonic()) == []
        assert loop.connection.handle(selectors.EVENT_READ, time.monotonic()) == []
        assert loop.connection.expire(math.inf) == []


def test_taking_back_from_an_idle_connection_closes_it() -> None:
    with Sink(lambda verb, _address, _n: "silence" if verb == "rcpt" else None) as sink:
        loop = Loop(relay_at(sink.port))
        loop.until(lambda: loop.connection.letters == 1)
        assert loop.connection.retract() == 1
        assert loop.connection.is_closed
        assert loop.connection.fileno() == -1


def test_closing_says_quit() -> None:
    quits = threading.Event()

    def behave(peer: Peer) -> None:
        peer.greet()
        if peer.line() == b"QUIT":
            quits.set()

    with Hostile(behave) as relay:
        loop = Loop(relay_at(relay.port), 0)
        loop.until(lambda: loop.connection.is_ready)
        assert loop.connection.deadline == math.inf
        assert loop.connection.close(time.monotonic()) == []
        assert loop.connection.is_closed
        assert quits.wait(20)


def test_half_a_letter_is_not_completed_after_its_refusal() -> None:
    """A relay that refuses in the middle and closes: the rest must not go out, it could end a letter after all."""

    def behave(peer: Peer) -> None:
        peer.greet("PIPELINING")
        peer.envelope()
        peer._read()
        peer.say("421 4.3.0 no more room")
        peer.silence()

    big = (b"x" * 998 + b"\r\n") * 20_000
    with Hostile(behave, receive_buffer=4096) as relay:
        loop = Loop(relay_at(relay.port), 2, body=big).run()
        assert loop.answers == {1: Answer(421, "4.3.0 no more room", "body")}
        assert loop.ended.unsent == [2]
    assert not relay.heard[0].endswith(b"\r\n.\r\n")
