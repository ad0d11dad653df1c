"""mailhub.embedded.mailbox and letters: every letter is kept, whatever it is; some addresses choose their answer."""

from __future__ import annotations

import signal
import smtplib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailhub.embedded import letters
from mailhub.embedded.letters import Mailbox
from tests.cpu import cpu_seconds
from tests.embedded.test_supervisor import free_port

LETTER = (
    b"Subject: =?utf-8?b?0J/RgNC40LLQtdGC?=\r\n =?utf-8?q?,_=D0=9C=D0=B8=D1=80?=\r\nFrom: Alice <alice@example.org>\r\n"
    b"To: bob@example.org\r\nContent-Type: text/html; charset=windows-1251\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    b"<p>\xcf\xf0\xe8\xe2\xe5\xf2</p>\r\n"
)


class Running:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "mailbox.sqlite"
        self.port = free_port()
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "mailhub.embedded.mailbox", str(self.port), str(self.path)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert b"mailbox.listening" in self.process.stdout.readline()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def client(self) -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self.port, timeout=60)

    def send(self, raw: bytes, *recipients: str) -> None:
        with self.client() as smtp:
            smtp.sendmail("sender@example.org", recipients or ("bob@example.org",), raw)

    @property
    def mailbox(self) -> Mailbox:
        return Mailbox(self.path)

    def newest(self) -> letters.StoredLetter:
        letter = self.mailbox.get(self.mailbox.list(limit=1)[0].id)
        assert letter is not None
        return letter


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    server = Running(tmp_path_factory.mktemp("mailbox"))
    yield server
    assert server.stop() == 0


def test_a_letter_is_kept_as_it_came(running: Running) -> None:
    running.send(LETTER, "bob@example.org", "carol@example.org")
    letter = running.newest()
    assert letter.raw == LETTER
    assert letter.subject == "Привет, Мир"
    assert letter.from_header == "Alice <alice@example.org>"
    assert (letter.sender, letter.recipients) == ("sender@example.org", "bob@example.org, carol@example.org")
    assert letter.html.strip() == "<p>Привет</p>"
    assert letter.text == ""
    assert dict(letter.headers)["To"] == "bob@example.org"


def test_it_says_what_it_can(running: Running) -> None:
    with running.client() as smtp:
        smtp.ehlo()
        assert {"pipelining", "8bitmime", "smtputf8", "size", "enhancedstatuscodes"} <= set(smtp.esmtp_features)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b".\r\n",
        b"..\r\n",
        b".one\r\n..two\r\n",
        b"no header at all\r\n",
        b"a\r\n.\rb\r\n",
        b"x" * 100_000 + b"\r\n",
    ],
)
def test_dots_and_odd_bodies_come_through(running: Running, body: bytes) -> None:
    running.send(body)
    assert running.newest().raw == (body or b"\r\n")  # smtplib ends it


def test_a_bare_newline_does_not_end_a_letter(running: Running) -> None:
    """SMTP smuggling: only CRLF "." CRLF is an end."""
    before = running.mailbox.count()
    with running.client() as smtp:
        smtp.ehlo()
        smtp.mail("a@example.org")
        smtp.rcpt("bob@example.org")
        smtp.putcmd("data")
        assert smtp.getreply()[0] == 354
        smtp.send(b"one\n.\nMAIL FROM:<x@x.org>\r\ntwo\r\n.\n\r\n.\r\n")
        assert smtp.getreply()[0] == 250
    assert running.mailbox.count() == before + 1


def test_pipelined_letters_are_answered_in_order(running: Running) -> None:
    before = running.mailbox.count()
    one = b"MAIL FROM:<a@example.org>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n"
    with running.client() as smtp:
        smtp.ehlo()
        # The content of a letter and the envelope of the next one in one write (RFC 2920).
        smtp.send(one)
        codes = [smtp.getreply()[0] for _ in range(3)]
        for _ in range(20):
            smtp.send(LETTER + b".\r\n" + one)
            codes += [smtp.getreply()[0] for _ in range(4)]
        assert codes == [250, 250, 354] + [250, 250, 250, 354] * 20
        smtp.send(LETTER + b".\r\n")
        assert smtp.getreply()[0] == 250
    assert running.mailbox.count() == before + 21


def test_commands_out_of_order_are_refused(running: Running) -> None:
    with running.client() as smtp:
        smtp.ehlo()
        assert smtp.docmd("RCPT", "TO:<a@example.org>")[0] == 503
        assert smtp.docmd("DATA")[0] == 503
        assert smtp.docmd("MAIL", "FROM:<a b>")[0] == 501
        assert smtp.docmd("NONSENSE")[0] == 502
        assert smtp.docmd("_RESET")[0] == 502
        assert smtp.docmd("MAIL", "FROM:<a@example.org> SIZE=99999999999")[0] == 552
        assert smtp.docmd("MAIL", "FROM:<>")[0] == 250
        assert smtp.docmd("RCPT", "TO:<nobody>")[0] == 501
        smtp.send(b"x" * 5000)
        assert smtp.getreply()[0] == 500


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("bounce@example.org", 550),
        ("hardbounce+7@example.org", 550),
        ("full@example.org", 452),
        ("defer+x@example.org", 451),
    ],
)
def test_addresses_that_are_refused(running: Running, address: str, code: int) -> None:
    with running.client() as smtp, pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        smtp.sendmail("a@example.org", [address, "blocked+no@example.org"][:1], LETTER)
    assert refused.value.recipients[address][0] == code


def test_blocked_letters_and_hung_up_connections(running: Running) -> None:
    with running.client() as smtp, pytest.raises(smtplib.SMTPDataError) as refused:
        smtp.sendmail("a@example.org", ["blocked@example.org"], LETTER)
    assert refused.value.smtp_code == 550
    smtp = running.client()
    with pytest.raises(smtplib.SMTPDataError) as closed:
        smtp.sendmail("a@example.org", ["hangup@example.org"], LETTER)
    assert closed.value.smtp_code == 421
    smtp.close()


def test_a_soft_address_is_taken_at_the_second_try(running: Running) -> None:
    address = f"soft+{time.time_ns()}@example.org"
    with running.client() as smtp, pytest.raises(smtplib.SMTPRecipientsRefused):
        smtp.sendmail("a@example.org", [address], LETTER)
    running.send(LETTER, address)
    assert running.newest().recipients == address


def test_other_addresses_are_not_touched(running: Running) -> None:
    running.send(LETTER, "bouncer@example.org")
    assert running.newest().recipients == "bouncer@example.org"


POISON = {
    "no charset": b"Content-Type: text/html; charset=klingon\r\n\r\n<p>\xff</p>",
    "bad words": b"Subject: =?utf-8?b?!!!?= =?nope?q?=FF?=\r\n\r\nx",
    "nested": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    + b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" * 200,
    "no boundary": b"Content-Type: multipart/alternative\r\n\r\n--x\r\n",
    "bytes": bytes(range(256)).replace(b"\r", b"").replace(b"\n", b"") * 20,
    "bad base64": b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n*** not base64 ***",
    "surrogates": "Subject: \udcff\udcfe\r\nFrom: \udc80\r\n\r\n\udcff".encode("utf-8", "surrogateescape"),
    "nul": b"Subject: a\0b\r\n\r\n\0",
    "many headers": b"X-A: 1\r\n" * 5000 + b"\r\n",
    "long header": b"Subject: " + b"=?utf-8?q?x?= " * 5000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("name", sorted(POISON))
def test_poison_is_kept_and_shown(running: Running, name: str) -> None:
    running.send(POISON[name], f"poison-{name.replace(' ', '-')}@example.org")

    def read() -> None:
        letter = running.newest()
        texts = [letter.html, letter.text, letter.subject, letter.from_header, *(f"{n}{v}" for n, v in letter.headers)]
        for text in texts:
            text.encode()
        assert isinstance(letter.attachments, list)

    assert cpu_seconds(read) < 3


def test_search_pages_and_count(running: Running) -> None:
    for number in range(5):
        running.send(f"Subject: Отчёт {number}\r\n\r\nx".encode(), f"reader{number}@paging.example.org")
    mailbox = running.mailbox
    assert mailbox.count("paging.example.org") == 5
    first = mailbox.list("paging ОТЧЁТ", limit=3)
    rest = mailbox.list("paging отчёт", before=first[-1].id, limit=3)
    assert [letter.subject for letter in [*first, *rest]] == [f"Отчёт {number}" for number in (4, 3, 2, 1, 0)]
    assert mailbox.list("nothing like this") == []
    assert mailbox.count("100%_") == 0


def test_many_connections_at_once_lose_nothing(running: Running) -> None:
    def send(name: str) -> None:
        with running.client() as smtp:
            for number in range(50):
                smtp.sendmail("a@example.org", [f"{name}-{number}@many.example.org"], LETTER)

    threads = [threading.Thread(target=send, args=(f"thread{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert running.mailbox.count("@many.example.org") == 400


def test_what_was_answered_is_there_after_a_kill(tmp_path: Path) -> None:
    running = Running(tmp_path)
    for _ in range(20):
        running.send(LETTER)
    running.stop(signal.SIGKILL)
    assert running.mailbox.count() == 20
    running.start()
    running.send(LETTER)
    assert running.mailbox.count() == 21
    assert running.stop() == 0


def test_an_empty_mailbox_can_be_read_and_cleared(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path / "nothing.sqlite")
    assert (mailbox.count(), mailbox.list(), mailbox.get(1)) == (0, [], None)
    mailbox.clear()


def test_clear_leaves_a_working_mailbox(running: Running) -> None:
    running.send(LETTER)
    running.mailbox.clear()
    assert running.mailbox.count() == 0
    running.send(LETTER)
    assert running.mailbox.count() == 1


def test_only_the_last_letters_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    monkeypatch.setattr(letters, "LETTERS_KEPT", 10)
    monkeypatch.setattr(letters, "_TRIM_EVERY", 5)
    loop = asyncio.new_event_loop()
    writer = letters.LetterWriter(tmp_path / "m.sqlite", loop)
    for number in range(40):
        letter = letters.Letter("a@example.org", (f"r{number}@example.org",), b"x")
        writer.put(letter, lambda _letter_id: None)
    writer.close()
    loop.close()
    kept = Mailbox(tmp_path / "m.sqlite").list(limit=100)
    assert 10 <= len(kept) < 20
    assert kept[0].recipients == "r39@example.org"
