"""DKIM signatures, checked by dkimpy: for every kind of letter, and not for letters that were changed."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import dkim as dkimpy
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhub.mail.compose import Letter, compose
from mailhub.mail.dkim import (
    BadKey,
    DkimKey,
    Signer,
    dns_record,
    generate_keys,
    load_private,
    private_bytes,
    relaxed_body,
)
from mailhub.mail.mime import Attachment
from tests.mail.test_skeleton import COMPILED, HOSTILE, UnsafeHeader, fill

RSA, ED25519 = generate_keys()
OURS, _ = generate_keys()
KEYS = [
    DkimKey("example.com", "m1", RSA), DkimKey("example.com", "m1-ed", ED25519),
    DkimKey("mailhub.example.net", "s.2026", OURS),
]  # fmt: skip
DNS = dict(map(dns_record, KEYS))
SIGNER = Signer(KEYS)
PLAIN = b"From: a@example.com\r\nTo: b@example.org\r\nSubject: x\r\nDate: Mon, 04 May 2026 00:00:00 +0000\r\n\r\n"
MANY = Letter(
    from_email="shop@example.com", to_email="ann@example.org", subject="Счёт №5 — оплачен " * 5,
    message_id="<1@example.com>", date=datetime(2026, 5, 4, tzinfo=UTC), from_name="Магазин", to_name='Ann "Lee", Jr.',
    reply_to="help@example.com", html="<p>Привет</p>", list_id="n.example.com",
    list_unsubscribe_url="https://t.example/u/" + "x" * 80,
    list_unsubscribe_mailto="u@b.example", feedback_id="1:2:3:m", auto_submitted="auto-generated",
    headers={"X-Order": "5", "References": "<a@b> " * 20},
    attachments=[Attachment("счёт.pdf", "application/pdf", b"\0" * 999)],
)  # fmt: skip


def verdicts(signed: bytes, count: int = len(KEYS)) -> list[bool]:
    """What dkimpy says of each signature, in the order of the keys."""

    def dns(name: bytes, timeout: int = 0) -> bytes | None:
        return DNS.get(name.decode().rstrip("."), "").encode() or None

    found: list[bool] = []
    for number in range(count):
        try:
            found.append(dkimpy.DKIM(signed).verify(number, dnsfunc=dns))
        except dkimpy.DKIMException:
            found.append(False)
    return found


def letters() -> Sequence[bytes]:
    made = [compose(MANY), compose(Letter(**{**_fields(MANY), "html": None, "text": "a  b \n\n\n", "attachments": ()}))]
    for compiled, skeleton in COMPILED.values():
        for value in HOSTILE[::3]:
            try:
                made.append(fill(compiled, skeleton, value, {"city": value, "points": 9}))
            except UnsafeHeader:
                made.append(fill(compiled, skeleton, "Ann", {"points": value}))
    return made


def _fields(letter: Letter) -> dict[str, object]:
    return {name: getattr(letter, name) for name in Letter.__dataclass_fields__}


@pytest.mark.parametrize("letter", letters())
def test_signatures_of_every_kind_of_letter_verify(letter: bytes) -> None:
    signed = SIGNER.sign(letter, at=1_770_000_000)
    assert signed.endswith(letter)
    assert verdicts(signed) == [True, True, True]
    assert max(map(len, signed.split(b"\r\n"))) <= 998
    assert signed.isascii()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\r\n", b"\r\n\r\n", b" \r\n", b"\t\r\n \r\n\r\n", b"x", b"x \r\n", b"x\t\ty \r\n\r\n\r\n",
        b"x\r\n \r\n\t\r\n",
        b"a" * 900 + b"\r\n", b"\r\n\r\nx\r\n", b" x\r\n", b"x\r\n y  z\r\n", b".\r\n..\r\n",
    ],
)  # fmt: skip
def test_odd_bodies_verify(body: bytes) -> None:
    assert verdicts(SIGNER.sign(PLAIN + body)) == [True, True, True]


@pytest.mark.parametrize(
    "fields",
    [
        b"From: a@example.com\r\n", b"FROM:  a@example.com  \r\n", b"From:\r\n  a@example.com\r\n",
        b"From: a@example.com\r\nSubject:\r\nTo:\t b@c.d,\r\n\t c@d.e\r\n", b"From: a@example.com\r\nReceived: x\r\n",
        b"From: a@example.com\r\nReferences: <1@a>\r\nReferences: <2@a>\r\n",
        b"From: a@example.com\r\nSubject: a \t b\r\n \r\n",
    ],
)  # fmt: skip
def test_odd_headers_verify(fields: bytes) -> None:
    assert verdicts(SIGNER.sign(fields + b"\r\nx\r\n")) == [True, True, True]


@given(
    st.lists(st.from_regex(rb"[!-~]{0,9}([ \t]{1,3}[!-~]{1,9}){0,4}", fullmatch=True), max_size=6),
    st.lists(st.from_regex(rb"[ \t!-~]{0,20}", fullmatch=True), max_size=8),
    st.sampled_from([b"\r\n ", b"\r\n\t", b"  "]),
)
@settings(max_examples=300, deadline=None)
def test_any_white_space_verifies(values: list[bytes], lines: list[bytes], between: bytes) -> None:
    fields = b"From: a@example.com\r\nSubject: " + between.join([b"x", *values, b"x"]) + b"\r\n"
    body = b"".join(line + b"\r\n" for line in lines)
    assert verdicts(SIGNER.sign(fields + b"\r\n" + body, at=1)) == [True, True, True]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Subject: x", b"Subject: y"), (b"To: b@", b"To: c@"), (b"\r\n\r\nBody", b"\r\n\r\nBody!"),
        (b"From: a@", b"From: evil@bank.test\r\nFrom: a@"), (b"Date: Mon", b"Reply-To: evil@bank.test\r\nDate: Mon"),
        (b"Date: Mon", b"Subject: z\r\nDate: Mon"), (b"Date: Mon", b"Content-Type: text/html\r\nDate: Mon"),
        (b"Date: Mon", b"List-Unsubscribe: <https://evil.test>\r\nDate: Mon"),
        (b"Date: Mon", b"Cc: x@y.z\r\nDate: Mon"),
        (b"Date: Mon", b"Message-ID: <2@x>\r\nDate: Mon"), (b" d=example.com;", b" d=example.org;"),
    ],
)  # fmt: skip
def test_changed_letter_does_not_verify(old: bytes, new: bytes) -> None:
    signed = Signer(KEYS[:1]).sign(PLAIN + b"Body\r\n")
    assert old in signed
    assert verdicts(signed, 1) == [True]
    assert verdicts(signed.replace(old, new, 1), 1) == [False]


def test_both_unsubscribe_fields_are_signed() -> None:
    signed = Signer(KEYS[:1]).sign(compose(MANY))
    named = re.sub(rb"\s", b"", re.search(rb"h=([^;]*);", signed)[1]).split(b":")  # type: ignore[index]
    for name in (b"from", b"to", b"subject", b"reply-to", b"date", b"message-id", b"list-id", b"feedback-id",
                 b"mime-version", b"content-type", b"list-unsubscribe", b"list-unsubscribe-post"):  # fmt: skip
        assert named.count(name) == 2, name
    assert named.count(b"cc") == 1
    assert named.count(b"references") == 1
    assert b"x-order" not in named


def test_promised_form_gives_the_same_signature() -> None:
    compiled, skeleton = COMPILED["latin"]
    letter = fill(compiled, skeleton, "Ann  Lee \t x", {"city": "a\tb  c "})
    assert Signer(KEYS[:2]).sign(letter, at=1) == Signer(KEYS[:2]).sign(letter, at=1, canonical=True)


def test_without_keys_the_letter_stays_as_it_is() -> None:
    assert Signer([]).sign(PLAIN) == PLAIN


def test_body_of_spaces_is_empty() -> None:
    assert relaxed_body(b" \r\n\t\r\n") == b""
    assert relaxed_body(b"a  b\t\r\n\r\n") == b"a b\r\n"
    assert relaxed_body(b"a") == b"a\r\n"


def test_keys_are_written_and_read_back() -> None:
    for key in (RSA, ED25519):
        again = load_private(private_bytes(key))
        assert dns_record(DkimKey("example.com", "s", again)) == dns_record(DkimKey("example.com", "s", key))
    pem = RSA.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    assert private_bytes(load_private(pem)) == private_bytes(RSA)
    name, text = dns_record(KEYS[1])
    assert name == "m1-ed._domainkey.example.com"
    assert re.fullmatch(r"v=DKIM1; k=ed25519; p=[A-Za-z0-9+/]{43}=", text)


def test_unfit_key_is_refused_without_being_shown() -> None:
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    assert DkimKey("example.com", "s", short).algorithm == "rsa-sha256"
    curve = ec.generate_private_key(ec.SECP256R1())
    for data in (b"", b"secret", b"-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----"):
        with pytest.raises(BadKey) as refused:
            load_private(data)
        assert "secret" not in str(refused.value)
    with pytest.raises(BadKey, match="RSA or an Ed25519"):
        load_private(private_bytes(curve))  # type: ignore[arg-type]
    with pytest.raises(BadKey, match="RSA or an Ed25519"):
        DkimKey("example.com", "s", curve)  # type: ignore[arg-type]
    for domain, selector in (
        ("example", "s"),
        ("example.com", ""),
        ("example.com\r\n", "s"),
        ("a.com; x=1", "s"),
        ("a.com", "s;"),
    ):
        with pytest.raises(BadKey, match="host names"):
            DkimKey(domain, selector, RSA)
    assert "private" not in repr(KEYS[0])
