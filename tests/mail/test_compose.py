"""Whole letters: read back by the standard library, and safe on the wire (T11, T12)."""

import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhub.mail.compose import Letter, compose, finish
from mailhub.mail.headers import UnsafeHeader, header_names
from mailhub.mail.mime import Attachment, UnsafeWire, assert_wire_safe, boundary_of, text_part

DATE = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)


def letter(**changes: object) -> Letter:
    values: dict[str, object] = {
        "from_email": "shop@example.com", "to_email": "ann@example.org", "subject": "Hello", "text": "Hi\n",
        "message_id": "<1@example.com>", "date": DATE,
    }  # fmt: skip
    return Letter(**{**values, **changes})  # type: ignore[arg-type]


def read(data: bytes) -> EmailMessage:
    message = message_from_bytes(data, policy=policy.default)
    assert not message.defects
    assert isinstance(message, EmailMessage)
    for part in message.walk():
        assert not part.defects
    return message


def check_wire(data: bytes) -> None:
    assert re.search(rb"(?<!\r)\n|\r(?!\n)", data) is None
    assert all(len(line) <= 76 for line in data.partition(b"\r\n\r\n")[2].split(b"\r\n"))
    assert all(len(line) <= 998 for line in data.split(b"\r\n"))
    assert data.isascii()


def test_text_letter() -> None:
    data = compose(letter(text="Привет\r\nмир\rконец", to_name="Анна", from_name="Shop, Inc."))
    check_wire(data)
    message = read(data)
    assert message.get_content() == "Привет\r\nмир\r\nконец\r\n"
    assert message["To"].addresses[0].display_name == "Анна"
    assert message["From"].addresses[0].display_name == "Shop, Inc."
    assert message["Date"].datetime == DATE
    assert header_names(data) == [
        "from", "to", "subject", "date", "message-id", "mime-version", "content-type", "content-transfer-encoding",
    ]  # fmt: skip


def test_html_letter_has_a_text_of_its_own() -> None:
    data = compose(letter(text=None, html='<p>Hi <a href="https://a.test/">there</a></p>'))
    check_wire(data)
    message = read(data)
    assert message.get_content_type() == "multipart/alternative"
    plain, page = message.iter_parts()
    assert (plain.get_content_type(), page.get_content_type()) == ("text/plain", "text/html")
    assert plain.get_content() == "Hi there (https://a.test/)"


def test_attachments_are_nested_as_readers_expect() -> None:
    files = [
        Attachment("отчёт за май.pdf", "application/pdf", bytes(range(256)) * 9),
        Attachment("../../x\r\nBcc: y.exe", "nonsense", b"x"),
        Attachment("logo.png", "image/png", b"PNG", content_id="logo@x"),
        Attachment("letter.eml", "message/rfc822", b"From: x"),
    ]
    data = compose(letter(html="<img src='cid:logo@x'>", attachments=files))
    check_wire(data)
    message = read(data)
    assert message.get_content_type() == "multipart/mixed"
    body, *attached = message.iter_parts()
    assert body.get_content_type() == "multipart/alternative"
    related = list(body.iter_parts())[1]
    assert related.get_content_type() == "multipart/related"
    assert [part.get_content_type() for part in related.iter_parts()] == ["text/html", "image/png"]
    assert list(related.iter_parts())[1]["Content-ID"] == "<logo@x>"
    assert [part.get_filename() for part in attached] == ["отчёт за май.pdf", "_.._x_Bcc_ y.exe", "letter.eml"]
    assert [part.get_content_type() for part in attached][1:] == ["application/octet-stream"] * 2
    assert attached[0].get_content() == bytes(range(256)) * 9


def test_list_headers() -> None:
    url = "https://u.example.com/" + "x" * 90
    data = compose(
        letter(list_id="news.42.lists.example.com", list_name="News", list_unsubscribe_url=url,
               list_unsubscribe_mailto="u-abc@b.example.com", feedback_id="1:2:news:mailhub")
    )  # fmt: skip
    check_wire(data)
    message = read(data)
    assert message["List-Id"] == '"News" <news.42.lists.example.com>'
    assert f"<{url}>".encode() in data
    assert b"<mailto:u-abc@b.example.com?subject=unsubscribe>" in data
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["Feedback-ID"] == "1:2:news:mailhub"


def test_one_click_needs_https_or_loopback() -> None:
    assert b"List-Unsubscribe-Post" not in compose(letter(list_unsubscribe_url="http://u.test/u/x"))
    assert b"List-Unsubscribe-Post" in compose(letter(list_unsubscribe_url="http://127.0.0.1:6543/u/x"))
    assert b"List-Unsubscribe-Post" not in compose(letter(list_unsubscribe_url="https://u.test/x", one_click=False))
    for url in ("javascript:x", "https://u.test/x>, <https://evil.test"):
        with pytest.raises(UnsafeHeader):
            compose(letter(list_unsubscribe_url=url))


def test_automatic_letter_says_so() -> None:
    message = read(compose(letter(auto_submitted="auto-generated", headers={"X-Entity": "42"})))
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Auto-Response-Suppress"] == "OOF, AutoReply"
    assert message["X-Entity"] == "42"


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": "x\r\nBcc: v@evil.test"},
        {"from_name": "x\nBcc: v@evil.test"},
        {"to_name": "x\rBcc: v"},
        {"to_email": "a@b.test>\r\nBcc: v@evil.test"},
        {"reply_to": "a@b.test\r\nX: y"},
        {"message_id": "<1@x>\r\nBcc: v"},
        {"feedback_id": "a\r\n\r\nbody"},
        {"list_id": "x>\r\nBcc: v"},
        {"list_unsubscribe_mailto": "a@b.test>\r\nBcc: v"},
        {"list_unsubscribe_mailto": "a@b.test>, <https://evil.test"},
        {"html": "x", "attachments": [Attachment("a", "image/png", b"", content_id="x> y")]},
        {"headers": {"Bcc": "v@evil.test"}},
        {"headers": {"X-A\r\nBcc": "v@evil.test"}},
        {"headers": {"X-A": "v\r\nBcc: v@evil.test"}},
        {"headers": {"X-A": "1", "x-a": "2"}},
        {"feedback_id": "1", "headers": {"Feedback-ID": "2"}},
    ],
)
def test_injection_stops_the_letter(changes: dict[str, object]) -> None:
    with pytest.raises(UnsafeHeader):
        compose(letter(**changes))


@given(st.text(max_size=300), st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_body_is_read_back_and_wire_safe(text: str, page: str) -> None:
    data = compose(letter(text=text, html=page))
    check_wire(data)
    expected = ["from", "to", "subject", "date", "message-id", "mime-version", "content-type"]
    assert header_names(data) == expected
    plain, html = read(data).iter_parts()
    for part, written in ((plain, text), (html, page)):
        lines = written.encode("utf-8", "replace").decode().replace("\r\n", "\n").replace("\r", "\n")
        raw = part.get_payload(decode=True)
        assert isinstance(raw, bytes)
        assert raw.decode().replace("\r\n", "\n").removesuffix("\n") == lines.removesuffix("\n")


@pytest.mark.parametrize(
    "smuggled", ["\r.\r\nMAIL FROM:<e@vil>", "\n.\n", "\r\n.\r\n", "\r.\r", "\n.\r\n", "\x00\r\n.\r\n"]
)
def test_end_of_data_is_never_smuggled(smuggled: str) -> None:
    data = compose(letter(text=f"hi{smuggled}x", html=f"<p>hi{smuggled}x"))
    check_wire(data)
    assert b"\r\n.\r\n" not in data


@pytest.mark.parametrize(
    "data",
    [
        b"a\r\nb\n",
        b"a\r\nb\r",
        b"a\r\r\nb\r\n",
        b"a\n\rb\r\n",
        b"\xd0\xb6\r\n",
        b"a\x00\r\n",
        b"a",
        b"x" * 999 + b"\r\n",
    ],
)
def test_unsafe_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(UnsafeWire):
        assert_wire_safe(data)


def test_header_that_was_not_meant_is_refused() -> None:
    with pytest.raises(UnsafeHeader):
        finish([b"Subject: x\r\nBcc: v@evil.test\r\n"], text_part("plain", "x"))


def test_same_letter_gives_the_same_bytes() -> None:
    assert compose(letter(html="x")) == compose(letter(html="x"))
    assert boundary_of("<1@x>", "a") != boundary_of("<2@x>", "a")
    assert len(boundary_of("<1@x>", "a")) <= 70
