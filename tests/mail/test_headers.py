"""Header fields: read back by the standard library as they were meant, with no line too long and no line too many."""

import re
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.utils import parseaddr, parsedate_to_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhub.mail.headers import (
    UnsafeHeader,
    custom_header,
    date_value,
    header_names,
    is_custom_name,
    mailbox_header,
    safe,
    structured_header,
    text_header,
)

TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), max_size=200)


def read(field: bytes) -> str:
    """The value as an old-fashioned reader decodes it."""
    message = message_from_bytes(field + b"\r\n", policy=policy.compat32)
    assert len(message.keys()) == 1
    value = re.sub(r"\r?\n(?=[ \t])", "", message.values()[0])
    return str(make_header(decode_header(value)))


def check_lines(field: bytes, limit: int = 76) -> None:
    assert field.endswith(b"\r\n")
    lines = field[:-2].split(b"\r\n")
    assert all(len(line) <= limit and line.isascii() and line.strip() for line in lines)
    assert all(line[:1] in b" \t" for line in lines[1:])
    for word in re.findall(rb"=\?[^?]+\?[bq]\?[^?]*\?=", field):
        assert len(word) <= 75


SUBJECTS = [
    "Hello",
    "Спасибо за заказ",
    "Скидки до 50% на всё, что вы так долго откладывали: только сегодня и только для вас, дорогие друзья!",
    "🎉" * 40,
    "a" * 200,
    "word " * 40,
    "Hello =?utf-8?q?x?= there",
    "=?utf-8?b?0LA=?=",
    "=?",
    "two  spaces",
    " leading",
    "trailing ",
    "",
    "Grüße aus München",
    "a_b=c?d",
    "日本語の件名" * 10,
]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_subject_is_read_back(subject: str) -> None:
    field = text_header("Subject", subject)
    if subject:
        check_lines(field)
    assert read(field) == subject


@given(TEXT)
@settings(max_examples=200, deadline=None)
def test_any_subject_is_read_back(subject: str) -> None:
    try:
        field = text_header("Subject", subject)
    except UnsafeHeader:
        assert "=?" in subject
        return
    assert header_names(field + b"\r\n") == ["subject"]
    assert all(len(line) <= 76 for line in field.split(b"\r\n"))
    assert read(field) == subject


@given(TEXT, st.sampled_from(["a@example.com", "a" * 64 + "@" + "long." * 30 + "example.com"]))
@settings(max_examples=200, deadline=None)
def test_any_display_name_is_read_back(name: str, email: str) -> None:
    try:
        field = mailbox_header("From", name, email)
    except UnsafeHeader:
        assert "=?" in name
        return
    assert header_names(field + b"\r\n") == ["from"]
    assert all(len(line) <= 76 or email in line.decode() for line in field.split(b"\r\n"))
    shown, address = parseaddr(re.sub(rb"\r\n", b"", field).decode().removeprefix("From: "))
    assert address == email
    if "=?" not in name:
        assert str(make_header(decode_header(shown))).split() == name.split()


@pytest.mark.parametrize(
    ("name", "email", "field"),
    [
        ("", "a@example.com", b"From: a@example.com\r\n"),
        ("Alice Smith", "a@example.com", b"From: Alice Smith <a@example.com>\r\n"),
        ("Smith, Alice", "a@example.com", b'From: "Smith, Alice" <a@example.com>\r\n'),
        ('A "B" \\', "a@example.com", b'From: "A \\"B\\" \\\\" <a@example.com>\r\n'),
        ("Алиса", "a@example.com", b"From: =?utf-8?b?0JDQu9C40YHQsA==?= <a@example.com>\r\n"),
        ("Renée Dupont", "a@example.com", b"From: =?utf-8?q?Ren=C3=A9e_Dupont?= <a@example.com>\r\n"),
        ("X", "user@пример.рф", b"From: X <user@xn--e1afmkfd.xn--p1ai>\r\n"),
        ("a@b.example", "c@d.example", b'From: "a@b.example" <c@d.example>\r\n'),
    ],
)
def test_mailbox_is_spelled(name: str, email: str, field: bytes) -> None:
    assert mailbox_header("From", name, email) == field


@pytest.mark.parametrize(
    "email",
    ["", "a", "@b.test", "a@", "a b@c.test", "a@b.test> SIZE=1", "a@b.test\r\nBcc: c@d.test", "a@b.test,c@d.test",
     "почта@b.test", "a@-b.test", "<a@b.test>", '"a"@b.test', "a@b@c.test", "a@b c.test"],
)  # fmt: skip
def test_bad_address_never_reaches_a_header(email: str) -> None:
    with pytest.raises(UnsafeHeader):
        mailbox_header("To", "", email)


@pytest.mark.parametrize("length", [10, 74, 75, 76, 77, 200, 900])
def test_unsubscribe_url_stays_in_one_piece(length: int) -> None:
    url = f"<https://u.example.com/{'x' * length}>"
    field = structured_header("List-Unsubscribe", f"{url}, <mailto:u-token@bounce.example.com?subject=unsubscribe>")
    assert url.encode() in field
    assert b"=?" not in field
    check_lines(field, limit=998)
    unfolded = field.replace(b"\r\n", b"")
    assert unfolded == f"List-Unsubscribe: {url}, <mailto:u-token@bounce.example.com?subject=unsubscribe>".encode()


def test_long_tokens_fold_at_white_space_only() -> None:
    value = " ".join(f"<{n:030}@example.com>" for n in range(20))
    field = structured_header("References", value)
    check_lines(field)
    assert field.replace(b"\r\n", b"") == b"References: " + value.encode()
    with pytest.raises(UnsafeHeader, match="too_long"):
        structured_header("References", "x" * 1200)
    with pytest.raises(UnsafeHeader, match="ascii"):
        structured_header("References", "ж")


# T11: values that try to begin a header, a body or another letter.
INJECTIONS = [
    "x\r\nBcc: v@evil.test", "x\nBcc: v@evil.test", "x\rBcc: v@evil.test", "x\r\n\r\n<html>",
    "x\r\n.\r\nMAIL FROM:<a@b>",
    "x\r\n Bcc: v", "x\n\tBcc: v", "\r\nx", "x\r\n", "x\x00y", "x\x0bBcc: v", "x\x0cBcc: v", "x\x1cBcc: v", "x\x1dy",
    "x\x1ey", "x\x85Bcc: v", "x\u2028Bcc: v", "x\u2029Bcc: v", "x\x7fy", "x\x08y", "x\ud800y",
    "=?utf-8?q?x=0D=0ABcc:_v=40evil.test?=", "=?utf-8?b?eA0KQmNjOiB2QGV2aWwudGVzdA==?=", "=?utf-8?q?=0A?=",
    "Hi =?utf-8?q?x=0AB?= there", "=?us-ascii?q?=0d=0a?=", "=?iso-8859-1?q?=0D?=", "=?utf-8?q?=E2=80=A8Bcc?=",
    "=?utf-16be?b?AA0ACg==?=", "=?utf-8?q?a?= =?utf-8?q?=0Db?=",
]  # fmt: skip


@pytest.mark.parametrize("value", INJECTIONS)
def test_injection_is_refused_everywhere(value: str) -> None:
    for attempt in (
        lambda: safe(value),
        lambda: text_header("Subject", value),
        lambda: mailbox_header("From", value, "a@example.com"),
        lambda: structured_header("Feedback-ID", value),
        lambda: custom_header("X-Campaign", value),
    ):
        with pytest.raises(UnsafeHeader):
            attempt()


@given(
    st.lists(
        st.sampled_from([*INJECTIONS, "a", "=?", "?=", "utf-8", "?q?", "?b?", "=0A", " ", "\r", "\n", "ж"]), max_size=6
    )
)
@settings(max_examples=300, deadline=None)
def test_no_value_makes_a_second_header(pieces: list[str]) -> None:
    value = "".join(pieces)
    for make in (
        lambda: text_header("Subject", value),
        lambda: mailbox_header("From", value, "a@example.com"),
        lambda: custom_header("X-A", value),
    ):
        try:
            field = make()
        except UnsafeHeader:
            continue
        message = message_from_bytes(field + b"\r\nbody", policy=policy.compat32)
        assert len(message.keys()) == 1
        assert message.get_payload() == "body"
        assert len(header_names(field + b"\r\nbody")) == 1


@pytest.mark.parametrize(
    "name", ["X-Campaign", "Precedence", "List-Help", "x-mailru-msgtype", "In-Reply-To", "CFBL-Address"]
)
def test_custom_header_is_allowed(name: str) -> None:
    assert is_custom_name(name)
    assert custom_header(name, "value") == f"{name}: value\r\n".encode()


@pytest.mark.parametrize(
    "name",
    ["Bcc", "To", "Cc", "From", "Sender", "Received", "DKIM-Signature", "Return-Path", "Subject", "Date", "Message-ID",
     "Content-Type", "MIME-Version", "Reply-To", "List-Unsubscribe", "List-Unsubscribe-Post", "Resent-To", "X-", "X",
     "X-A:B", "X A", "X-A\r\nBcc", "", "X-Ж", "X-" + "a" * 90, "X-Mailhub-Id", "ARC-Seal", "Authentication-Results"],
)  # fmt: skip
def test_custom_header_is_refused(name: str) -> None:
    assert not is_custom_name(name)
    with pytest.raises(UnsafeHeader, match="name"):
        custom_header(name, "value")


def test_date_is_in_english_with_its_zone() -> None:
    moment = datetime(2026, 2, 1, 9, 5, 7, tzinfo=timezone(timedelta(hours=3)))
    assert date_value(moment) == "Sun, 01 Feb 2026 09:05:07 +0300"
    assert parsedate_to_datetime(date_value(moment)) == moment
    assert date_value(datetime(2026, 2, 1, tzinfo=UTC)).endswith("+0000")
    with pytest.raises(ValueError, match="time zone"):
        date_value(datetime(2026, 2, 1))
