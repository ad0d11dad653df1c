"""Tokens: read back what was signed, accept nothing else (T15, T20)."""

import itertools
import random
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhub.mail import letter_tokens as letter_tokens_module
from mailhub.mail.message_id import make_message_id
from mailhub.mail.tokens import NUMBER, BadToken, Claims, Kind, Signer
from mailhub.mail.verp import ReturnPaths, make_return_path, make_unsubscribe_mailbox, read_local_part
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


LETTER = {"project": 120, "campaign": 45_000, "list": 800, "links": [5000, 5001, 5003, 5002, 5140]}
KINDS_OF_A_LETTER = (Kind.OPEN, Kind.UNSUBSCRIBE, Kind.WEB_VERSION, Kind.PREFERENCES)


def letter_tokens(signer: Signer, subscriber: int, **changes: Any) -> dict[tuple[Kind, int], str]:
    """All tokens of one letter, by kind and link."""
    ids: dict[str, Any] = {**LETTER, **changes}
    tokens = signer.letter_tokens(**ids)
    rests = tokens.rests(subscriber)
    found = {(kind, 0): tokens.beginning(NUMBER[kind]) + rests.of(NUMBER[kind]).decode() for kind in KINDS_OF_A_LETTER}
    for link, start, rest in zip(ids["links"], tokens.clicks, rests.clicks, strict=True):
        found[Kind.CLICK, link] = start + rest.decode()
    return found


@given(
    st.integers(0, 2**62), st.integers(0, 2**62), st.none() | st.integers(0, 2**62), st.integers(1, 2**62),
    st.integers(0, 2**62), st.sets(st.integers(0, 1023), max_size=40),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_tokens_of_a_letter_say_whose_they_are(project, campaign, list_, subscriber, base, offsets) -> None:
    links = [base + offset for offset in offsets]
    found = letter_tokens(SIGNER, subscriber, project=project, campaign=campaign, list=list_, links=links)
    assert len(found) == len(KINDS_OF_A_LETTER) + len(links)
    for (kind, link), token in found.items():
        claims = SIGNER.read(kind, token)
        assert (claims.project, claims.campaign, claims.subscriber) == (project, campaign, subscriber)
        assert claims.link == (link if kind is Kind.CLICK else None)
        assert claims.list == (None if kind is Kind.CLICK else list_)
        for other in set(Kind) - {kind}:
            with pytest.raises(BadToken, match="kind"):
                SIGNER.read(other, token)


def test_tokens_of_a_letter_are_short() -> None:
    for token in letter_tokens(SIGNER, 9_000_000).values():
        assert len(f"https://t.example.com/c/{token}") < 70
    assert all(len(token) <= 200 for token in letter_tokens(SIGNER, 2**62, project=2**62, campaign=2**62).values())


def test_every_flipped_bit_of_a_letter_token_is_noticed() -> None:
    found = letter_tokens(SIGNER, 300)
    for kind, link in ((Kind.UNSUBSCRIBE, 0), (Kind.CLICK, 5003)):
        raw = urlsafe_b64decode(found[kind, link])
        for bit in range(len(raw) * 8):
            changed = bytearray(raw)
            changed[bit // 8] ^= 1 << bit % 8
            with pytest.raises(BadToken):
                SIGNER.read(kind, urlsafe_b64encode(changed).decode())


def test_mac_of_one_token_fits_no_other() -> None:
    """Ends of tokens exchanged between people, links, lists, campaigns, projects and kinds: none is accepted."""
    letters = [
        letter_tokens(SIGNER, 300), letter_tokens(SIGNER, 301), letter_tokens(SIGNER, 300, list=801),
        letter_tokens(SIGNER, 300, list=None), letter_tokens(SIGNER, 300, campaign=45_001),
        letter_tokens(SIGNER, 300, project=121), letter_tokens(SIGNER, 300, links=[5001, 5002, 5003, 5140]),
    ]  # fmt: skip
    genuine = {token for letter in letters for token in letter.values()}
    macs = {token[-16:] for token in genuine}
    # The other list does not change the click tokens, nor do the links change the other tokens.
    assert len(macs) == len(genuine)
    for one in letters:
        for (kind, _), token in one.items():
            for mac in macs - {token[-16:]}:
                with pytest.raises(BadToken, match="forged"):
                    SIGNER.read(kind, token[:-16] + mac)


def test_letter_token_has_one_spelling() -> None:
    ids = letter_tokens_module.LetterIds(NUMBER[Kind.OPEN], 1, 2, 3, list=4)
    raw = SIGNER._blocks[SIGNER._signing_id][0].token(SIGNER._signing_id, ids)
    assert SIGNER.read("open", urlsafe_b64encode(raw).decode()).subscriber == 3
    mac, head = raw[-12:], raw[:-15]
    others = [head + b"\0\0\0" + raw[-15:], head + b"\0\0\0\0\0\3" + mac, head[:2] + b"\x81\0" + head[3:] + raw[-15:]]
    others += [raw[:-1], raw + b"\0\0\0", head[:5] + b"\1" + raw[-15:], head + raw[-12:], raw[:2], b"\x21", b"\x22" * 3]
    for other in others:
        with pytest.raises(BadToken):
            SIGNER.read("open", urlsafe_b64encode(other).rstrip(b"=").decode())


def test_letter_tokens_that_nobody_made_are_refused() -> None:
    chance = random.Random(6)
    for _ in range(20_000):
        raw = bytes([2 << 4 | 2, SIGNER._signing_id]) + chance.randbytes(chance.randrange(0, 50))
        with pytest.raises(BadToken):
            SIGNER.read("click", urlsafe_b64encode(raw).rstrip(b"=").decode())


def test_letter_tokens_survive_a_new_key() -> None:
    rotated = Signer([NEW, OLD])
    for (kind, _), token in letter_tokens(SIGNER, 5).items():
        assert rotated.read(kind, token) == SIGNER.read(kind, token)
        with pytest.raises(BadToken, match="forged"):
            Signer([NEW]).read(kind, token)
    for (kind, _), token in letter_tokens(rotated, 5).items():
        assert rotated.read(kind, token).subscriber == 5
        with pytest.raises(BadToken, match="forged"):
            SIGNER.read(kind, token)


def test_links_far_apart_get_tokens_one_by_one() -> None:
    with pytest.raises(ValueError, match="far apart"):
        letter_tokens(SIGNER, 1, links=[1, 2000])


def test_return_paths_of_a_campaign_are_the_same() -> None:
    paths = ReturnPaths(SIGNER, "b.example", project=1, campaign=2**28)
    for subscriber, expires in ((3, 1_760_000_000), (2**34, 1_760_000_001), (0, 1_770_000_000)):
        path = make_return_path(
            SIGNER, "b.example", project=1, campaign=2**28, subscriber=subscriber, expires=expires
        )
        assert paths.of(subscriber, expires) == path
    with pytest.raises(ValueError, match="64"):
        ReturnPaths(SIGNER, "b.example", project=2**62, campaign=2**62).of(2**62, 1_760_000_000)


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
