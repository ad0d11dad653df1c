"""Tokens: read back what was signed, accept nothing else (T15, T20)."""

import itertools
import random
from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhub.mail.message_id import make_message_id
from mailhub.mail.tokens import BadToken, Claims, Kind, Signer
from mailhub.mail.verp import make_return_path, make_unsubscribe_mailbox, read_local_part
from tests.cpu import cpu_seconds

OLD, NEW = b"o" * 32, b"n" * 32
SIGNER = Signer([OLD])
MESSAGE = UUID("0190a0c0-1111-7222-8333-444455556666")
IDS = st.none() | st.integers(0, 2**63 - 1) | st.integers(0, 300)


@given(st.sampled_from(Kind), IDS, IDS, IDS, IDS, IDS, st.none() | st.uuids())
@settings(max_examples=200, deadline=None)
def test_token_says_what_was_signed(kind, project, campaign, subscriber, list_, link, message) -> None:
    token = SIGNER.sign(
        kind, project=project, campaign=campaign, subscriber=subscriber, list=list_, link=link, message=message
    )
    assert SIGNER.read(kind, token) == Claims(kind, project, campaign, subscriber, list_, link, message)


def test_tokens_are_short() -> None:
    token = SIGNER.sign("click", project=120, campaign=45_000, subscriber=9_000_000, link=39)
    assert len(f"https://t.example.com/c/{token}") < 70
    unsubscribe = SIGNER.sign("unsubscribe", project=120, campaign=45_000, subscriber=9_000_000, list=800)
    assert len(f"https://t.example.com/u/{unsubscribe}") < 70


@pytest.mark.parametrize(("signed", "read"), list(itertools.permutations(Kind, 2)))
def test_token_of_one_kind_is_no_token_of_another(signed: Kind, read: Kind) -> None:
    token = SIGNER.sign(signed, project=1, campaign=2, subscriber=3)
    with pytest.raises(BadToken):
        SIGNER.read(read, token)
    raw = bytearray(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    raw[0] = 1 << 4 | list(Kind).index(read) + 1
    with pytest.raises(BadToken, match="forged"):
        SIGNER.read(read, urlsafe_b64encode(raw).rstrip(b"=").decode())


def test_every_flipped_bit_is_noticed() -> None:
    token = SIGNER.sign("unsubscribe", project=1, campaign=2, subscriber=300, list=4)
    raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadToken):
            SIGNER.read("unsubscribe", urlsafe_b64encode(changed).rstrip(b"=").decode())


def test_only_one_spelling_is_accepted() -> None:
    for subscriber in range(200):
        token = SIGNER.sign("open", project=1, campaign=1000, subscriber=subscriber)
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        spellings = [token[:-1] + last for last in alphabet if last != token[-1]]
        for other in (
            *spellings,
            token + "=",
            token + "==",
            token + "A",
            token + "\n",
            " " + token,
            token[:5] + "!" + token[5:],
        ):
            with pytest.raises(BadToken):
                SIGNER.read("open", other)


def test_random_tokens_are_refused() -> None:
    chance = random.Random(1)
    for _ in range(20_000):
        raw = bytes([1 << 4 | 1, SIGNER._signing_id, 7]) + chance.randbytes(chance.randrange(10, 40))
        with pytest.raises(BadToken):
            SIGNER.read("open", urlsafe_b64encode(raw).rstrip(b"=").decode())


@given(st.text(max_size=80))
@settings(max_examples=200, deadline=None)
def test_any_text_is_refused_politely(text: str) -> None:
    with pytest.raises(BadToken):
        SIGNER.read("open", text)
    with pytest.raises(BadToken):
        read_local_part(SIGNER, "b-" + text, now=0)


def test_keys_are_rotated() -> None:
    token = SIGNER.sign("open", project=1)
    rotated = Signer([NEW, OLD])
    assert rotated.read("open", token).project == 1
    assert rotated.read("open", rotated.sign("open", project=2)).project == 2
    with pytest.raises(BadToken, match="forged"):
        Signer([NEW]).read("open", token)
    with pytest.raises(ValueError, match="16 bytes"):
        Signer([b"short"])
    with pytest.raises(ValueError, match="16 bytes"):
        Signer([])


def test_token_expires() -> None:
    expires = 1_760_000_000
    token = SIGNER.sign("confirm", project=1, subscriber=2, expires=expires)
    assert expires <= (SIGNER.read("confirm", token, now=expires - 1).expires or 0) < expires + 3600
    for now in (None, expires + 3600):
        with pytest.raises(BadToken, match="expired"):
            SIGNER.read("confirm", token, now=now)


@given(st.integers(0, 2**40), st.none() | st.uuids())
@settings(max_examples=50, deadline=None)
def test_link_signer_gives_the_same_tokens(link: int, message: UUID | None) -> None:
    sign = SIGNER.link_signer(project=7, campaign=800, subscriber=9000, message=message)
    assert sign(link) == SIGNER.sign("click", project=7, campaign=800, subscriber=9000, link=link, message=message)


def test_negative_id_is_refused() -> None:
    with pytest.raises(ValueError, match="between"):
        SIGNER.sign("open", project=-1)


def test_return_path_is_read_back_in_any_case() -> None:
    path = make_return_path(
        SIGNER, "bounce.example.com", project=1, campaign=2**28, subscriber=2**34, expires=1_760_000_000
    )
    local, _, domain = path.partition("@")
    assert domain == "bounce.example.com"
    assert len(local) <= 64
    assert local == local.lower()
    for spelling in (local, local.upper(), "prvs=0123abcd=" + local):
        claims = read_local_part(SIGNER, spelling, now=1_759_000_000)
        assert (claims.kind, claims.project, claims.campaign, claims.subscriber) == (Kind.BOUNCE, 1, 2**28, 2**34)


def test_return_path_of_a_single_letter_fits() -> None:
    path = make_return_path(SIGNER, "b.example", project=2**20, message=MESSAGE, expires=1_760_000_000)
    assert len(path.partition("@")[0]) <= 64
    assert read_local_part(SIGNER, path.partition("@")[0], now=0).message == MESSAGE
    with pytest.raises(ValueError, match="64"):
        make_return_path(
            SIGNER, "b.x", project=1, message=MESSAGE, campaign=2**40, subscriber=2**60, expires=2_000_000_000
        )


def test_return_path_expires_and_unsubscribe_mailbox_does_not() -> None:
    path = make_return_path(SIGNER, "b.example", project=1, message=MESSAGE, expires=1_760_000_000)
    with pytest.raises(BadToken, match="expired"):
        read_local_part(SIGNER, path.partition("@")[0], now=1_760_010_000)
    box = make_unsubscribe_mailbox(SIGNER, "b.example", project=1, campaign=2, subscriber=3, list=4)
    claims = read_local_part(SIGNER, box.partition("@")[0], now=4_000_000_000)
    assert (claims.kind, claims.subscriber, claims.list) == (Kind.UNSUBSCRIBE_MAIL, 3, 4)


@pytest.mark.parametrize(
    "local", ["", "b-", "u-", "bob", "b-aaaa", "b-" + "a" * 62, "b-01", "b-ж", "b-" + "a" * 500, "c-abc"]
)
def test_forged_return_path_is_refused(local: str) -> None:
    with pytest.raises(BadToken):
        read_local_part(SIGNER, local, now=0)


def test_web_token_is_no_return_path() -> None:
    path = make_return_path(SIGNER, "b.example", project=1, campaign=2, subscriber=3, expires=1_760_000_000)
    swapped = "u-" + path.partition("@")[0][2:]
    with pytest.raises(BadToken, match="kind"):
        read_local_part(SIGNER, swapped, now=0)


def test_message_id_is_the_same_for_the_same_letter_only() -> None:
    one = make_message_id(b"k" * 32, "example.com", 1, 2, 3)
    assert one == make_message_id(b"k" * 32, "example.com", 1, 2, 3)
    others = {make_message_id(b"k" * 32, "example.com", 1, 23), make_message_id(b"j" * 32, "example.com", 1, 2, 3)}
    assert one not in others
    assert one.startswith("<")
    assert one.endswith("@example.com>")


def test_tokens_are_fast() -> None:
    def sign() -> None:
        for subscriber in range(5_000):
            SIGNER.sign("click", project=1, campaign=200, subscriber=subscriber, link=4)

    assert cpu_seconds(sign) / 5_000 < 50e-6
