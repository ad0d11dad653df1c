"""Addresses: what is accepted, what is refused and why."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhub.mail.address import (
    MESSAGES,
    Address,
    InvalidAddress,
    _parse_carefully,
    check_address,
    display_domain,
    parse_address,
    parse_mailbox,
)
from mailhub.mail.lane import LANES, provider_lane
from tests.cpu import cpu_seconds

ACCEPTED = [
    ("alice@example.com", "alice@example.com", "alice@example.com"),
    ("Alice.Smith@Example.COM", "Alice.Smith@example.com", "alice.smith@example.com"),
    ("  bob@demo.test\r\n", "bob@demo.test", "bob@demo.test"),
    ("\u00a0bob@demo.test\u200b", "bob@demo.test", "bob@demo.test"),
    ("\ufeffbob@demo.test", "bob@demo.test", "bob@demo.test"),
    ("mailto:bob@demo.test", "bob@demo.test", "bob@demo.test"),
    ("MAILTO:bob@demo.test?subject=x", "bob@demo.test", "bob@demo.test"),
    ("user@пример.рф", "user@xn--e1afmkfd.xn--p1ai", "user@xn--e1afmkfd.xn--p1ai"),
    ("user@ПРИМЕР.рф", "user@xn--e1afmkfd.xn--p1ai", "user@xn--e1afmkfd.xn--p1ai"),
    ("user@xn--e1afmkfd.xn--p1ai", "user@xn--e1afmkfd.xn--p1ai", "user@xn--e1afmkfd.xn--p1ai"),
    ("user@bücher.example", "user@xn--bcher-kva.example", "user@xn--bcher-kva.example"),
    ("user@faß.example", "user@xn--fa-hia.example", "user@xn--fa-hia.example"),
    ("user＠example.com", "user@example.com", "user@example.com"),
    ("a+b@example.com", "a+b@example.com", "a+b@example.com"),
    ("o'hara@example.com", "o'hara@example.com", "o'hara@example.com"),
    ("a_b-c@my-host.example.org", "a_b-c@my-host.example.org", "a_b-c@my-host.example.org"),
    ("a@host--one.example.org", "a@host--one.example.org", "a@host--one.example.org"),
    ("x@a.example.museum", "x@a.example.museum", "x@a.example.museum"),
    ("1@1.example", "1@1.example", "1@1.example"),
    ("l" * 64 + "@example.com", "l" * 64 + "@example.com", "l" * 64 + "@example.com"),
]

REFUSED = [
    ("", "empty"),
    ("  \u200b ", "empty"),
    ("mailto:", "empty"),
    ("alice", "no_at"),
    ("alice.example.com", "no_at"),
    ("a@b@example.com", "no_at"),
    ("@example.com", "local_part"),
    (".a@example.com", "local_part"),
    ("a.@example.com", "local_part"),
    ("a..b@example.com", "local_part"),
    ("-oQx@example.com", "local_part"),
    ("a(b)@example.com", "local_part"),
    ("a,b@example.com", "local_part"),
    ("a<b@example.com", "local_part"),
    ("a@", "domain"),
    ("a@localhost", "domain"),
    ("a@example", "domain"),
    ("a@x.invalid", "domain"),
    ("a@X.Invalid", "domain"),
    ("a@x.localhost", "domain"),
    ("a@x.local", "domain"),
    ("a@x.onion", "domain"),
    ("a@-x.example.com", "domain"),
    ("a@x-.example.com", "domain"),
    ("a@x_y.example.com", "domain"),
    ("a@x..example.com", "domain"),
    ("a@.example.com", "domain"),
    ("a@example.com> SIZE=1", "control"),
    ("a@example.com>", "domain"),
    ("a@1.2.3.4", "domain"),
    ("a@xn--a.example", "domain"),
    ("a@my--host.example.org", "domain"),
    ("a@" + "d" * 64 + ".example", "domain"),
    ("l" * 65 + "@example.com", "too_long"),
    ("l" * 60 + "@" + ".".join(["d" * 60] * 3) + ".example.com", "too_long"),
    ("a" * 2000 + "@example.com", "too_long"),
    ("a b@example.com", "control"),
    ("a@exa mple.com", "control"),
    ("a\r\nRCPT TO:<x@y.test>@example.com", "control"),
    ("a@example.com\r\nBcc: x@y.test", "control"),
    ("a\x00@example.com", "control"),
    ("a\u200bb@example.com", "control"),
    ("a\u202eb@example.com", "control"),
    ("a\ud800@example.com", "control"),
    ('"a b"@example.com', "unsupported"),
    ("a@[127.0.0.1]", "unsupported"),
    ("a@[IPv6:::1]", "unsupported"),
    ("почта@пример.рф", "unsupported"),
    ("naïve@example.com", "unsupported"),
]


@pytest.mark.parametrize(("text", "email", "key"), ACCEPTED)
def test_address_is_normalised(text: str, email: str, key: str) -> None:
    assert parse_address(text) == Address(email, key, email.rpartition("@")[2])


@pytest.mark.parametrize(("text", "code"), REFUSED)
def test_bad_address_is_refused_with_its_reason(text: str, code: str) -> None:
    with pytest.raises(InvalidAddress) as refused:
        parse_address(text)
    assert refused.value.reason_code == code
    assert refused.value.message == MESSAGES[refused.value.reason_code]


@given(st.from_regex(r"[A-Za-z0-9_+][A-Za-z0-9_+.'=&-]{0,20}@[A-Za-z0-9.-]{1,20}\.[a-zA-Z]{2,6}", fullmatch=True))
@settings(max_examples=200, deadline=None)
def test_fast_road_and_careful_road_agree(text: str) -> None:
    fast = check_address(text)
    try:
        careful: Address | None = _parse_carefully(text)
    except InvalidAddress:
        careful = None
    assert (fast if isinstance(fast, Address) else None) == careful


@given(st.text(max_size=60) | st.text('ab@.-\u200b<>"x\r\n', max_size=30))
@settings(max_examples=300, deadline=None)
def test_any_text_gives_an_address_or_a_reason(text: str) -> None:
    found = check_address(text)
    if isinstance(found, Address):
        assert found.email.isascii()
        assert found.email.isprintable()
        assert " " not in found.email
        assert parse_address(found.email) == found
    else:
        assert found.reason_code in MESSAGES


@pytest.mark.parametrize(
    ("text", "name", "email"),
    [
        ("a@example.com", "", "a@example.com"),
        ("<a@example.com>", "", "a@example.com"),
        ("Alice <a@example.com>", "Alice", "a@example.com"),
        ('"Smith, Alice" <a@example.com>', "Smith, Alice", "a@example.com"),
        ('"A \\"B\\" C" <a@example.com>', 'A "B" C', "a@example.com"),
        ("Алиса  Иванова <a@пример.рф> ", "Алиса Иванова", "a@xn--e1afmkfd.xn--p1ai"),
    ],
)
def test_mailbox_has_a_name_and_an_address(text: str, name: str, email: str) -> None:
    mailbox = parse_mailbox(text)
    assert (mailbox.name, mailbox.address.email) == (name, email)


@pytest.mark.parametrize(
    "text", ["Alice a@example.com>", "A\r\nB: c <a@example.com>", "Alice <>", "Alice", ">", "A\x00 <a@b.test>"]
)
def test_bad_mailbox_is_refused(text: str) -> None:
    with pytest.raises(InvalidAddress):
        parse_mailbox(text)


def test_domain_is_shown_as_people_write_it() -> None:
    assert display_domain("xn--e1afmkfd.xn--p1ai") == "пример.рф"
    assert display_domain("example.com") == "example.com"
    assert display_domain("xn--\x00") == "xn--\x00"


@pytest.mark.parametrize(
    ("domain", "lane"),
    [("gmail.com", "gmail"), ("yahoo.co.uk", "yahoo"), ("hotmail.fr", "microsoft"), ("me.com", "apple"),
     ("bk.ru", "mailru"), ("ya.ru", "yandex"), ("example.com", "other"), ("notgmail.com", "other")],
)  # fmt: skip
def test_domain_belongs_to_one_lane(domain: str, lane: str) -> None:
    assert provider_lane(domain) == lane
    assert lane in LANES


def test_bulk_check_is_fast() -> None:
    rows = [f"Person.{n}@host{n % 500}.example.com" for n in range(20_000)]

    def check() -> None:
        assert all(isinstance(check_address(row), Address) for row in rows)

    assert len(rows) / cpu_seconds(check) > 25_000
