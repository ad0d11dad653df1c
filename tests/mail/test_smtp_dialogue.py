"""mailhub.mail.smtp_dialogue and smtp_wire: what is said, in which order, and what each reply means for whom."""

from __future__ import annotations

import base64
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhub.mail.smtp_auth import SignIn
from mailhub.mail.smtp_dialogue import Dialogue, Tls
from mailhub.mail.smtp_happenings import Answer, Answered, Ended, GoAhead, Happening, Ready
from mailhub.mail.smtp_wire import (
    MAX_LINE,
    MAX_TEXT,
    BadReply,
    Envelope,
    ReplyReader,
    UnsafeLetter,
    check_wire,
    original_recipient,
    wire_body,
    xtext,
)

BANNER = b"220 relay ESMTP\r\n"
EHLO = b"250-relay\r\n250-PIPELINING\r\n250 SIZE 1000000\r\n"
PLAIN_EHLO = b"250 relay\r\n"
GO = b"250 sender ok\r\n250 rcpt ok\r\n354 go on\r\n"
BODY = b"Subject: x\r\n\r\nhello\r\n"


def envelope(n: int = 1, **changes: object) -> Envelope:
    return Envelope(**{"return_path": "b@p.test", "recipient": f"p{n}@mail.test", "size": len(BODY), **changes})  # type: ignore[arg-type]


class Talk:
    """A dialogue whose output goes out at once, with all that happened and all that was said."""

    def __init__(self, *heard: bytes, tls: Tls = "none", sign_in: SignIn | None = None) -> None:
        self.dialogue = Dialogue("me.test", tls=tls, sign_in=sign_in)
        self.happenings: list[Happening] = []
        self.said: list[bytes] = []
        for data in heard:
            self.hear(data)

    def write(self) -> bytes:
        data = self.dialogue.take()
        self.dialogue.sent(len(data))
        if data:
            self.said.append(data)
        return data

    def hear(self, data: bytes) -> bytes:
        self.happenings += self.dialogue.receive(data)
        return self.write()

    def offer(self, n: int, **changes: object) -> bytes:
        self.happenings += self.dialogue.offer(envelope(n, **changes), n)
        return self.write()

    def body(self, data: bytes = BODY) -> bytes:
        self.dialogue.body(data)
        return self.write()

    @property
    def last(self) -> Happening:
        return self.happenings[-1]

    @property
    def ended(self) -> Ended:
        assert self.dialogue.ended is not None
        assert self.happenings[-1] is self.dialogue.ended
        return self.dialogue.ended


def ready(ehlo: bytes = EHLO) -> Talk:
    talk = Talk(BANNER, ehlo)
    assert talk.happenings == [Ready()]
    talk.said.clear()
    return talk


def lines(data: bytes) -> list[bytes]:
    return data.split(b"\r\n")[:-1]


# The steady state


def test_a_body_and_the_next_envelope_go_in_one_write() -> None:
    talk = ready()
    assert talk.offer(1) == (
        f"MAIL FROM:<b@p.test> SIZE={len(BODY)}\r\nRCPT TO:<p1@mail.test>\r\nDATA\r\n".encode()
    )
    talk.hear(GO)
    assert talk.last == GoAhead(1)
    assert talk.dialogue.can_offer
    assert talk.offer(2) == b""
    assert not talk.dialogue.can_offer
    assert lines(talk.body())[-4:] == [
        b".", f"MAIL FROM:<b@p.test> SIZE={len(BODY)}".encode(), b"RCPT TO:<p2@mail.test>", b"DATA",
    ]  # fmt: skip
    talk.hear(b"250 2.0.0 queued as A1\r\n" + GO)
    assert talk.happenings[-2:] == [Answered(1, Answer(250, "2.0.0 queued as A1", "body")), GoAhead(2)]
    assert talk.happenings[-2].answer.taken  # type: ignore[union-attr]
    assert talk.dialogue.letters == 2


def test_an_envelope_offered_after_the_body_is_written_at_once() -> None:
    talk = ready()
    talk.offer(1)
    talk.hear(GO)
    talk.body()
    assert talk.dialogue.can_offer
    assert lines(talk.offer(2))[1:] == [b"RCPT TO:<p2@mail.test>", b"DATA"]


def test_without_pipelining_every_command_waits_for_its_reply() -> None:
    talk = ready(PLAIN_EHLO)
    assert talk.offer(1) == b"MAIL FROM:<b@p.test>\r\n"
    assert talk.hear(b"250 ok\r\n") == b"RCPT TO:<p1@mail.test>\r\n"
    assert talk.hear(b"251 will forward\r\n") == b"DATA\r\n"
    assert talk.hear(b"354 go\r\n") == b""
    assert talk.offer(2) == b""
    assert talk.body() == BODY + b".\r\n"
    assert talk.hear(b"250 taken\r\n") == b"MAIL FROM:<b@p.test>\r\n"
    assert [type(h) for h in talk.happenings] == [Ready, GoAhead, Answered]


@pytest.mark.parametrize("ehlo", [EHLO, PLAIN_EHLO])
def test_replies_may_be_cut_anywhere(ehlo: bytes) -> None:
    whole = BANNER + ehlo + GO + b"250-2.0.0 taken\r\n250 as A1\r\n" + GO + b"552 5.2.2 full\r\n"
    for cut in range(1, 4):
        talk = Talk()
        bodies = 0
        for at in range(0, len(whole), cut):
            talk.hear(whole[at : at + cut])
            if isinstance(talk.last if talk.happenings else None, Ready) and talk.dialogue.can_offer:
                talk.offer(1)
            while sum(isinstance(h, GoAhead) for h in talk.happenings) > bodies:
                bodies += 1
                if bodies == 1:
                    talk.offer(2)
                talk.body()
        assert [h for h in talk.happenings if isinstance(h, Answered)] == [
            Answered(1, Answer(250, "2.0.0 taken\nas A1", "body")),
            Answered(2, Answer(552, "5.2.2 full", "body")),
        ]


# Refusals


@pytest.mark.parametrize(
    ("replies", "answer", "says", "next_mail"),
    [
        (b"450 4.7.1 later\r\n503 mail first\r\n503 rcpt first\r\n", Answer(450, "4.7.1 later", "mail"), b"", b"MAIL"),
        (b"250 ok\r\n550 5.1.1 nobody\r\n554 no rcpt\r\n", Answer(550, "5.1.1 nobody", "rcpt"), b"", b"RSET"),
        (b"250 ok\r\n250 ok\r\n451 4.3.0 disk\r\n", Answer(451, "4.3.0 disk", "data"), b"", b"RSET"),
        (b"250 ok\r\n452 4.2.2 full\r\n354 go\r\n", Answer(452, "4.2.2 full", "rcpt"), b".\r\n", b""),
        (b"550 no\r\n550 no\r\n354 go\r\n", Answer(550, "no", "mail"), b".\r\n", b""),
    ],
)
def test_all_replies_of_a_refused_group_are_read(
    replies: bytes, answer: Answer, says: bytes, next_mail: bytes
) -> None:
    talk = ready()
    talk.offer(1)
    first, _, rest = replies.partition(b"\r\n")
    assert talk.hear(first + b"\r\n") == b""
    assert talk.hear(rest) == says
    assert not answer.taken
    if says:
        assert talk.happenings == [Ready()]
        assert not talk.dialogue.can_offer
        talk.hear(b"554 5.5.1 no valid recipients\r\n")
    assert talk.happenings[1:] == [Answered(1, answer)]
    assert talk.dialogue.can_offer  # with the answer comes the turn of the next
    assert talk.offer(2).startswith(next_mail or b"MAIL")
    talk.hear((b"250 reset\r\n" if next_mail == b"RSET" else b"") + GO)
    assert talk.last == GoAhead(2)


def test_a_refused_sender_with_an_accepted_recipient_gets_no_empty_letter() -> None:
    talk = ready()
    talk.offer(1)
    assert talk.hear(b"450 no\r\n250 ok\r\n354 go\r\n") == b""
    assert talk.happenings[1] == Answered(1, Answer(450, "no", "mail"))
    assert talk.ended.unsent == []


@pytest.mark.parametrize("end", ["lost", "quit", "no reply"])
def test_a_refusal_is_told_although_the_rest_of_its_group_does_not_come(end: str) -> None:
    talk = ready()
    talk.offer(1)
    talk.hear(b"250 ok\r\n550 5.1.1 nobody\r\n")
    if end == "lost":
        talk.happenings += talk.dialogue.end("gone")
    elif end == "quit":
        talk.happenings += [*talk.dialogue.quit(), talk.dialogue.ended]  # type: ignore[list-item]
    else:
        talk.hear(b"nonsense\r\n")
    assert talk.happenings[1] == Answered(1, Answer(550, "5.1.1 nobody", "rcpt"))
    assert talk.ended.unsent == []


@pytest.mark.parametrize(
    ("replies", "stage"),
    [
        ([b"450 4.7.1 later\r\n"], "mail"),
        ([b"250 ok\r\n", b"550 5.1.1 nobody\r\n"], "rcpt"),
        ([b"250 ok\r\n", b"250 ok\r\n", b"451 disk\r\n"], "data"),
    ],
)
def test_a_refusal_in_lock_step_says_no_more_of_that_letter(replies: list[bytes], stage: str) -> None:
    talk = ready(PLAIN_EHLO)
    talk.offer(1)
    for reply in replies[:-1]:
        talk.hear(reply)
    assert talk.hear(replies[-1]) == b""
    assert isinstance(talk.last, Answered)
    assert talk.last.answer.stage == stage
    second = talk.offer(2)
    if stage != "mail":
        assert second == b"RSET\r\nMAIL FROM:<b@p.test>\r\n"
        talk.hear(b"250 reset\r\n")
    assert talk.hear(b"250 ok\r\n") == b"RCPT TO:<p2@mail.test>\r\n"


def test_a_refused_body_leaves_the_session_usable() -> None:
    talk = ready()
    talk.offer(1)
    talk.hear(GO)
    talk.body()
    talk.hear(b"554 5.7.1 spam\r\n")
    assert talk.last == Answered(1, Answer(554, "5.7.1 spam", "body"))
    assert talk.offer(2).startswith(b"MAIL")


# The end of a session


@pytest.mark.parametrize(
    ("replies", "answered", "unsent"),
    [
        (b"421 4.3.2 bye\r\n", "mail", []),
        (b"250 ok\r\n421 4.3.2 bye\r\n", "rcpt", []),
        (b"250 ok\r\n250 ok\r\n421 4.3.2 bye\r\n", "data", []),
        (GO + b"421 4.3.2 bye\r\n", None, [1]),
    ],
)
def test_421_to_an_envelope_answers_that_letter(replies: bytes, answered: str | None, unsent: list[object]) -> None:
    talk = ready()
    talk.offer(1)
    talk.hear(replies)
    assert talk.ended.unsent == unsent
    assert talk.ended.in_doubt is None
    assert talk.ended.answer is not None
    assert talk.ended.answer.code == 421
    assert talk.ended.was_ready
    found = [h.answer.stage for h in talk.happenings if isinstance(h, Answered)]
    assert found == ([answered] if answered else [])
    assert not talk.dialogue.can_offer
    assert talk.hear(b"250 ok\r\n") == b""


def test_421_to_a_body_answers_it_and_the_next_letter_is_unsent() -> None:
    talk = ready()
    talk.offer(1)
    talk.hear(GO)
    talk.offer(2)
    talk.body()
    talk.hear(b"421 4.7.0 too much\r\n")
    assert talk.happenings[-2] == Answered(1, Answer(421, "4.7.0 too much", "body"))
    assert (talk.ended.unsent, talk.ended.in_doubt) == ([2], None)


def test_421_to_an_idle_session_leaves_nothing_in_doubt() -> None:
    talk = ready()
    talk.hear(b"421 4.4.2 idle for too long\r\n")
    assert talk.ended.stage == "idle"
    assert (talk.ended.unsent, talk.ended.in_doubt) == ([], None)


def test_a_reply_to_nothing_ends_the_session() -> None:
    talk = ready()
    talk.hear(b"250 surprise\r\n")
    assert "out of turn" in talk.ended.reason


def test_a_lost_session_leaves_only_a_whole_body_in_doubt() -> None:
    for written, in_doubt, unsent in ((0, None, [1, 2]), (5, None, [1, 2]), (10_000, 1, [2])):
        talk = ready()
        talk.offer(1)
        talk.hear(GO)
        talk.offer(2)
        talk.dialogue.body(BODY)
        talk.dialogue.sent(min(written, len(talk.dialogue.take())))
        [ended] = talk.dialogue.end("gone")
        assert isinstance(ended, Ended)
        assert (ended.in_doubt, ended.unsent, ended.stage) == (in_doubt, unsent, "body")


def test_a_refusal_before_the_letter_s_end_ends_the_session() -> None:
    talk = ready()
    talk.offer(1)
    talk.hear(GO)
    talk.dialogue.body(BODY)
    talk.dialogue.take()
    talk.hear(b"552 too large\r\n")
    assert talk.happenings[-2] == Answered(1, Answer(552, "too large", "body"))
    assert (talk.ended.unsent, talk.ended.in_doubt) == ([], None)
    assert talk.said[1:] == []


@pytest.mark.parametrize("reply", [b"354 go\r\n", b"what\r\n", b"25 ok\r\n", b"999 ok\r\n", b"250-a\r\n251 b\r\n"])
def test_what_is_no_answer_to_a_body_leaves_it_in_doubt(reply: bytes) -> None:
    talk = ready()
    talk.offer(1)
    talk.hear(GO)
    talk.body()
    talk.hear(reply)
    assert talk.ended.in_doubt == 1


@pytest.mark.parametrize("replies", [b"354 go\r\n", b"250 ok\r\n354 go\r\n", b"250 ok\r\n" * 3, b"ok\r\n"])
def test_what_is_no_answer_to_an_envelope_leaves_the_letter_unsent(replies: bytes) -> None:
    talk = ready()
    talk.offer(1)
    talk.hear(replies)
    assert (talk.ended.unsent, talk.ended.in_doubt) == ([1], None)


def test_an_early_yes_to_a_letter_is_in_doubt() -> None:
    talk = ready()
    talk.offer(1)
    talk.hear(GO)
    talk.dialogue.body(BODY)
    talk.dialogue.take()
    talk.hear(b"250 taken\r\n")
    assert talk.ended.in_doubt == 1


# Taking back and closing


def test_an_unwritten_envelope_is_taken_back_without_a_trace() -> None:
    talk = ready()
    talk.offer(1)
    talk.hear(GO)
    talk.offer(2)
    assert talk.dialogue.retract() == 2
    assert talk.body() == BODY + b".\r\n"
    assert talk.offer(3).endswith(b"DATA\r\n")
    assert talk.dialogue.letters == 2


def test_a_written_envelope_behind_a_body_ends_the_session_after_the_answer() -> None:
    talk = ready()
    talk.offer(1)
    talk.hear(GO)
    talk.offer(2)
    talk.body()
    assert talk.dialogue.retract() == 2
    assert talk.dialogue.retract() is None
    assert not talk.dialogue.can_offer
    assert talk.hear(b"250 taken\r\n" + GO) == b""
    assert isinstance(talk.happenings[-2], Answered)
    assert (talk.ended.unsent, talk.ended.in_doubt) == ([], None)


@pytest.mark.parametrize("heard", [b"", b"250 ok\r\n", GO])
def test_a_written_envelope_ends_an_otherwise_idle_session_at_once(heard: bytes) -> None:
    talk = ready()
    talk.offer(1)
    talk.hear(heard)
    assert talk.dialogue.retract() == 1
    assert talk.dialogue.ended is not None
    assert talk.dialogue.retract() is None


def test_in_lock_step_an_envelope_behind_a_body_leaves_no_trace() -> None:
    talk = ready(PLAIN_EHLO)
    talk.offer(1)
    for reply in (b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
        talk.hear(reply)
    talk.body()
    talk.offer(2)
    assert talk.dialogue.retract() == 2
    assert talk.hear(b"250 taken\r\n") == b""
    assert talk.dialogue.can_offer


def test_quit_is_said_when_nothing_is_under_way() -> None:
    talk = ready()
    assert talk.dialogue.quit() == []
    assert talk.write() == b"QUIT\r\n"


def test_quit_waits_for_the_answer_of_a_body() -> None:
    talk = ready()
    talk.offer(1)
    talk.hear(GO)
    talk.body()
    assert talk.dialogue.quit() == []
    assert not talk.dialogue.can_offer
    assert talk.hear(b"250 taken\r\n") == b"QUIT\r\n"
    assert isinstance(talk.happenings[-2], Answered)
    assert talk.ended.unsent == []


def test_quit_in_an_envelope_gives_the_letter_back_and_says_nothing() -> None:
    talk = ready()
    talk.offer(1)
    [ended] = talk.dialogue.quit()
    assert isinstance(ended, Ended)
    assert ended.unsent == [1]
    assert talk.write() == b""


def test_misuse_is_an_error() -> None:
    talk = ready()
    with pytest.raises(RuntimeError):
        talk.body()
    talk.offer(1)
    with pytest.raises(RuntimeError):
        talk.offer(2)


# Opening


@pytest.mark.parametrize(
    ("heard", "stage", "code"),
    [
        ([b"554 no service\r\n"], "connect", 554),
        ([b"421 too busy\r\n"], "connect", 421),
        ([b"250 what\r\n"], "connect", 250),
        ([BANNER, b"450 later\r\n"], "helo", 450),
        ([BANNER, b"421 too busy\r\n"], "helo", 421),
        ([BANNER, b"500 what\r\n", b"550 go away\r\n"], "helo", 550),
    ],
)
def test_a_relay_that_does_not_open_is_down(heard: list[bytes], stage: str, code: int) -> None:
    talk = Talk(*heard)
    assert (talk.ended.stage, talk.ended.was_ready) == (stage, False)
    assert talk.ended.answer is not None
    assert (talk.ended.answer.code, talk.ended.answer.stage) == (code, stage)
    assert talk.ended.answer.text in talk.ended.reason


def test_a_server_that_knows_no_ehlo_is_greeted_by_helo() -> None:
    talk = Talk(BANNER, b"502 what\r\n", b"250 relay\r\n")
    assert talk.said == [b"EHLO me.test\r\n", b"HELO me.test\r\n"]
    assert talk.happenings == [Ready()]
    assert talk.offer(1, eight_bit=True, envelope_id="x") == b"MAIL FROM:<b@p.test>\r\n"


TLS_EHLO = b"250-relay\r\n250-STARTTLS\r\n250-DSN\r\n250 PIPELINING\r\n"


@pytest.mark.parametrize("tls", ["require", "opportunistic"])
def test_features_from_before_tls_are_forgotten(tls: Tls) -> None:
    talk = Talk(BANNER, TLS_EHLO, tls=tls)
    assert talk.said[-1] == b"STARTTLS\r\n"
    talk.hear(b"220 go ahead\r\n")
    assert talk.dialogue.wants_tls
    talk.dialogue.tls_begun()
    assert talk.write() == b"EHLO me.test\r\n"
    assert talk.dialogue.features == {}
    talk.hear(PLAIN_EHLO)
    assert talk.happenings == [Ready()]
    assert talk.offer(1) == b"MAIL FROM:<b@p.test>\r\n"


@pytest.mark.parametrize("ehlo", [EHLO, PLAIN_EHLO, b"250-relay\r\n250 XSTARTTLS\r\n"])
def test_require_never_goes_on_in_clear(ehlo: bytes) -> None:
    talk = Talk(BANNER, ehlo, tls="require")
    assert talk.said == [b"EHLO me.test\r\n"]
    assert (talk.ended.stage, talk.ended.was_ready) == ("starttls", False)
    assert "STARTTLS" in talk.ended.reason


@pytest.mark.parametrize("reply", [b"454 not now\r\n", b"502 what\r\n"])
def test_a_refused_starttls_ends_only_under_require(reply: bytes) -> None:
    assert Talk(BANNER, TLS_EHLO, reply, tls="require").ended.stage == "starttls"
    assert Talk(BANNER, TLS_EHLO, reply, tls="opportunistic").happenings == [Ready()]


@pytest.mark.parametrize("injected", [b"250 ok\r\n", b"2", b"\n", b"RSET\r\n"])
def test_clear_text_after_starttls_is_refused(injected: bytes) -> None:
    """CVE-2011-0411: what an attacker puts behind the 220 would be read as if it had come by TLS."""
    talk = Talk(BANNER, TLS_EHLO, b"220 go ahead\r\n" + injected, tls="require")
    assert talk.ended.stage == "starttls"
    assert not talk.dialogue.wants_tls


def test_implicit_tls_comes_before_the_banner() -> None:
    talk = Talk(tls="implicit")
    assert talk.dialogue.wants_tls
    assert talk.dialogue.waiting == "command"
    talk.dialogue.tls_begun()
    assert talk.dialogue.waiting == "banner"
    talk.hear(BANNER)
    talk.hear(TLS_EHLO)
    assert talk.happenings == [Ready()]  # no STARTTLS within TLS


# Signing in


def b64(text: str) -> bytes:
    return base64.b64encode(text.encode())


def signing(kind: str, offered: bytes, *, in_clear: bool = True) -> Talk:
    sign_in = SignIn("user", "pässword", kind, in_clear)  # type: ignore[arg-type]
    return Talk(BANNER, b"250-relay\r\n250 " + offered + b"\r\n", sign_in=sign_in)


@pytest.mark.parametrize(
    ("kind", "offered"),
    [("auto", b"AUTH LOGIN PLAIN"), ("auto", b"AUTH=LOGIN PLAIN"), ("auto", b"auth plain"), ("plain", b"SIZE")],
)
def test_plain(kind: str, offered: bytes) -> None:
    talk = signing(kind, offered)
    assert talk.said[-1] == b"AUTH PLAIN " + b64("\0user\0pässword") + b"\r\n"
    talk.hear(b"235 welcome\r\n")
    assert talk.happenings == [Ready()]


@pytest.mark.parametrize(("kind", "offered"), [("auto", b"AUTH LOGIN GSSAPI"), ("login", b"AUTH PLAIN LOGIN")])
def test_login(kind: str, offered: bytes) -> None:
    talk = signing(kind, offered)
    assert talk.said[-1] == b"AUTH LOGIN\r\n"
    assert talk.hear(b"334 VXNlcm5hbWU6\r\n") == b64("user") + b"\r\n"
    assert talk.hear(b"334 UGFzc3dvcmQ6\r\n") == b64("pässword") + b"\r\n"
    talk.hear(b"235 welcome\r\n")
    assert talk.happenings == [Ready()]


def test_xoauth2_and_its_explained_refusal() -> None:
    talk = signing("xoauth2", b"AUTH XOAUTH2")
    assert talk.said[-1] == b"AUTH XOAUTH2 " + b64("user=user\x01auth=Bearer pässword\x01\x01") + b"\r\n"
    assert talk.hear(b"334 eyJzdGF0dXMiOiI0MDEifQ==\r\n") == b"\r\n"
    talk.hear(b"535 5.7.8 bad token\r\n")
    assert (talk.ended.stage, talk.ended.was_ready) == ("auth", False)
    assert talk.ended.answer == Answer(535, "5.7.8 bad token", "auth")


@pytest.mark.parametrize("offered", [b"AUTH XOAUTH2", b"AUTH GSSAPI", b"SIZE"])
def test_a_password_goes_only_by_a_way_that_is_offered(offered: bytes) -> None:
    talk = signing("auto", offered)
    assert talk.ended.stage == "auth"
    assert talk.said == [b"EHLO me.test\r\n"]


def test_a_password_never_goes_in_clear() -> None:
    talk = signing("plain", b"AUTH PLAIN", in_clear=False)
    assert talk.ended.stage == "auth"
    assert talk.said == [b"EHLO me.test\r\n"]


def test_a_server_that_asks_for_ever_is_left() -> None:
    talk = signing("plain", b"AUTH PLAIN")
    talk.hear(b"334 more\r\n")
    assert talk.ended.stage == "auth"


def test_the_password_is_in_no_representation() -> None:
    assert "secret" not in repr(SignIn("user", "secret"))


# Parameters and addresses


def test_everything_that_is_offered_is_used() -> None:
    talk = ready(b"250-relay\r\n250-SIZE\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 DSN\r\n")
    said = talk.offer(1, eight_bit=True, recipient="Дима+x@пример.рф", size=77, envelope_id="a+b=c d")
    assert said.decode() == "MAIL FROM:<b@p.test> SIZE=77 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb+3Dc+20d\r\n"
    said = talk.hear(b"250 ok\r\n")
    assert said.decode().startswith("RCPT TO:<Дима+x@пример.рф> NOTIFY=FAILURE,DELAY ORCPT=utf-8;\\x{414}")
    assert said.isascii() is False
    assert "+" not in said.decode().partition("ORCPT=")[2]


def test_original_recipients() -> None:
    assert original_recipient("a+b=c@mail.test") == "rfc822;a+2Bb+3Dc@mail.test"
    assert original_recipient("й@a.test") == "utf-8;\\x{439}@a.test"
    assert xtext("plain-id.1") == "plain-id.1"


@pytest.mark.parametrize("changes", [{"recipient": "дима@mail.test"}, {"return_path": "б@p.test"}, {"utf8": True}])
def test_what_needs_smtputf8_is_refused_here_where_it_is_not_offered(changes: dict[str, object]) -> None:
    talk = ready()
    assert talk.offer(1, **changes) == b""
    assert isinstance(talk.last, Answered)
    assert (talk.last.answer.code, talk.last.answer.stage) == (553, "rcpt")
    assert talk.last.answer.text.startswith("5.6.7 ")
    assert "SMTPUTF8" in talk.last.answer.text
    assert talk.dialogue.can_offer


@pytest.mark.parametrize("address", ["a@b.test>\r\nDATA", "a\n@b", "a b@c", "<a@b>", "a\0@b", "a\x7f@b", "\ud800@b"])
@pytest.mark.parametrize("which", ["recipient", "return_path"])
def test_an_address_that_says_more_is_refused(address: str, which: str) -> None:
    talk = ready()
    with pytest.raises(UnsafeLetter):
        talk.offer(1, **{which: address})
    assert talk.dialogue.can_offer
    assert talk.write() == b""


def test_the_null_sender_is_an_address_and_nobody_is_no_recipient() -> None:
    talk = ready(PLAIN_EHLO)
    with pytest.raises(UnsafeLetter):
        talk.offer(1, recipient="")
    assert talk.offer(1, return_path="") == b"MAIL FROM:<>\r\n"


# Bodies


@pytest.mark.parametrize(
    ("letter", "wire"),
    [
        (b"", b".\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b".a\r\n", b"..a\r\n.\r\n"),
        (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n.\r\n"),
        (b"a\r\n...\r\n.\r\n", b"a\r\n....\r\n..\r\n.\r\n"),
        (b"a\r\n\r\n", b"a\r\n\r\n.\r\n"),
        (b"a.\r\n\x85\x0b\xe2\x80\xa8.\r\n", b"a.\r\n\x85\x0b\xe2\x80\xa8.\r\n.\r\n"),
    ],
)
def test_dots_are_doubled(letter: bytes, wire: bytes) -> None:
    assert wire_body(letter) == wire


SMUGGLING = [
    b"\n.\r\n", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r", b"\n.\n", b"\r.\r", b"\n\n.\r\n", b"\r\r\n.\r\n", b"\r\n\r.\r\n",
    b"\n\r.\r\n", b"\r\n.\r\r\n", b"\r\n\n", b"\r", b"\n", b"\n\r",
]  # fmt: skip


@pytest.mark.parametrize("end", SMUGGLING)
@pytest.mark.parametrize("tail", [b"", b"MAIL FROM:<evil@p.test>\r\n", b"x"])
def test_a_bare_line_break_is_refused(end: bytes, tail: bytes) -> None:
    letter = b"Subject: x\r\n\r\nhello" + end + tail
    with pytest.raises(UnsafeLetter):
        wire_body(letter)
    with pytest.raises(UnsafeLetter):
        check_wire("a@p.test", "b@p.test", letter)


def test_an_unsafe_body_changes_nothing() -> None:
    talk = ready()
    talk.offer(1)
    talk.hear(GO)
    with pytest.raises(UnsafeLetter):
        talk.body(b"a\nb")
    assert talk.write() == b""
    assert talk.dialogue.retract() == 1


def test_a_checked_body_goes_out_as_it_is() -> None:
    talk = ready()
    talk.offer(1)
    talk.hear(GO)
    assert talk.body(wire_body(b".x\r\n")) == b"..x\r\n.\r\n"


@given(st.lists(st.sampled_from([b"\r\n", b".", b"x", b"..", b"\xff"]), max_size=20).map(b"".join))
def test_a_server_gets_back_what_was_meant(letter: bytes) -> None:
    wire = wire_body(letter)
    assert wire.count(b"\r\n.\r\n") + wire.startswith(b".\r\n") == 1
    got = wire[: -len(b".\r\n")].replace(b"\r\n..", b"\r\n.")
    got = got[1:] if got.startswith(b"..") else got
    assert got in (letter, letter + b"\r\n")


# Bounds


@pytest.mark.parametrize(
    "hostile",
    [
        b"250-" + b"x" * (MAX_LINE + 1) + b"\r\n",
        b"x" * (MAX_LINE + 10),
        b"250-x\r\n" * 101,
        b"\0\0\0\0\r\n",
        b"2\xb250 x\r\n",
        b"250_x\r\n",
        b"\r\n",
        b"250-a\r\n550 b\r\n",
    ],
)
def test_a_reply_beyond_its_bounds_ends_the_session_however_it_is_cut(hostile: bytes) -> None:
    for size in (1, 7, len(hostile)):
        talk = Talk(BANNER)
        for at in range(0, len(hostile), size):
            talk.hear(hostile[at : at + size])
        assert talk.ended.stage == "helo"


def test_texts_are_cut_and_harmless() -> None:
    reader = ReplyReader()
    long = (b"550-" + b"x" * 2000 + b"\r\n") * 90
    reader.feed(long + b"550 end\r\n" + b"250 a\0b\x1b[2Jc\xff\n")
    assert reader.next() == 550
    assert len(reader.text) <= MAX_TEXT
    assert not reader.is_empty
    assert reader.next() == 250
    assert reader.text == "a\ufffdb\ufffd[2Jc\ufffd"
    assert reader.is_empty
    assert reader.next() == 0


def garbage() -> st.SearchStrategy[list[bytes]]:
    pieces: Iterable[bytes] = [
        BANNER, EHLO, PLAIN_EHLO, TLS_EHLO, GO, b"250 ok\r\n", b"354 go\r\n", b"421 bye\r\n", b"450 later\r\n",
        b"550 no\r\n", b"220 go\r\n", b"235 in\r\n", b"334 more\r\n", b"250-", b"\r\n", b"\0",
    ]  # fmt: skip
    return st.lists(st.one_of(st.sampled_from(list(pieces)), st.binary(max_size=30)), max_size=25)


@settings(max_examples=300, deadline=None)
@given(garbage(), st.sampled_from(["none", "opportunistic", "require", "implicit"]), st.booleans(), st.integers(0, 99))
def test_no_server_makes_it_raise_and_no_letter_is_forgotten(
    heard: list[bytes], tls: Tls, signs_in: bool, written: int
) -> None:
    """Every letter that was offered is answered, unsent or in doubt, once; after Ended nothing is said."""
    dialogue = Dialogue("me.test", tls=tls, sign_in=SignIn("u", "p") if signs_in else None)
    happenings: list[Happening] = []
    offered = 0
    for data in [*heard, b"x" * 5000]:
        if dialogue.wants_tls:
            dialogue.tls_begun()
        new = dialogue.receive(data)
        while new:
            happenings += new
            found, new = new, []
            for happening in found:
                if dialogue.can_offer:
                    new += dialogue.offer(envelope(offered), offered)
                    offered += 1
                if isinstance(happening, GoAhead):
                    dialogue.body(BODY)
        dialogue.sent(len(dialogue.take()) * (written % 3 > 0))
    assert dialogue.ended is not None
    assert happenings[-1] == dialogue.ended
    settled = [happening.token for happening in happenings if isinstance(happening, Answered)]
    settled += dialogue.ended.unsent
    settled += [dialogue.ended.in_doubt] if dialogue.ended.in_doubt is not None else []
    assert sorted(settled) == list(range(offered))  # type: ignore[type-var]
    assert dialogue.take() == b""
    assert [type(happening) for happening in happenings].count(Ended) == 1


# Time


def test_what_is_waited_for_is_named_and_each_reply_begins_anew() -> None:
    talk = Talk()
    seen = [(talk.dialogue.waiting, talk.dialogue.turn)]

    def note() -> None:
        seen.append((talk.dialogue.waiting, talk.dialogue.turn))

    for data in (BANNER, EHLO):
        talk.hear(data)
        note()
    talk.offer(1)
    note()
    for reply in GO.splitlines(keepends=True):
        talk.hear(reply[:3])
        assert talk.dialogue.turn == seen[-1][1]  # a part of a reply buys no time
        talk.hear(reply[3:])
        note()
    talk.body()
    note()
    assert [wait for wait, _turn in seen] == ["banner", "command", "", "command", "command", "data", "", "end"]
    turns = [turn for wait, turn in seen if wait]
    assert turns == sorted(set(turns))


def test_a_reply_may_have_no_words_and_a_bare_line_end() -> None:
    reader = ReplyReader()
    reader.feed(b"250\r\n250 \n250-\n250\n\n")
    assert [reader.next() for _n in range(3)] == [250, 250, 250]
    assert reader.text == "\n"
    with pytest.raises(BadReply):
        reader.next()
