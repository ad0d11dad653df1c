"""Signed tokens of the links in letters: short, unforgeable, and enough to act on without the message's row.

Layout: one byte version and kind, one byte key id, one byte naming the ids that follow, the ids as varints (a message
as the 16 bytes of its uuid), then the first 16 bytes of HMAC-SHA256 over "mailhub", kind and payload. base64url
without padding: 31–43 characters for a bulk letter. The kind is under the MAC, so that an open's token is never
accepted as an unsubscribe (OWASP ASVS 9.2.2). No address and no number that can be counted up is visible alone.
A campaign's letters carry tokens of version 2 (letter_tokens.py), which `read` takes as well.

Measured on one core: sign 5.3 µs, read 8 µs, a link of a letter whose signer is at hand 2.9 µs (`link_signer`).
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from mailhub.mail import letter_tokens
from mailhub.mail.letter_tokens import Blocks, LetterTokens
from mailhub.mail.letter_tokens import varint as _varint

VERSION = 1
MAC_BYTES = 16
MAX_TOKEN = 200
# Expiry is kept in whole hours since 2024-01-01 UTC, rounded up: three bytes for two centuries.
_EPOCH = 1_704_067_200


class Kind(StrEnum):
    """What a token may be used for."""

    OPEN = "open"
    CLICK = "click"
    UNSUBSCRIBE = "unsubscribe"
    WEB_VERSION = "web_version"
    CONFIRM = "confirm"
    PREFERENCES = "preferences"
    FORM = "form"
    BOUNCE = "bounce"
    UNSUBSCRIBE_MAIL = "unsubscribe_mail"


# The numbers are on the wire: append only.
NUMBER = {kind: number for number, kind in enumerate(Kind, start=1)}
_IDS = ("project", "campaign", "subscriber", "list", "link", "expires")
_MESSAGE_BIT = 1 << len(_IDS)
_ALL_BITS = (_MESSAGE_BIT << 1) - 1


class BadToken(Exception):
    """Not one of our tokens of this kind; `reason` is `malformed`, `forged`, `kind` or `expired`."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a genuine token says. `expires` is in seconds since 1970, rounded up to the hour."""

    kind: Kind
    project: int | None = None
    campaign: int | None = None
    subscriber: int | None = None
    list: int | None = None
    link: int | None = None
    message: UUID | None = None
    expires: int | None = None


class Signer:
    """Makes and reads tokens. The first key signs, all verify: a new key goes in front, an old one is taken out later.

    A key's id is the first byte of its SHA-256, so that adding one moves no other.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) < 16 for key in keys):
            raise ValueError("a token key has at least 16 bytes")
        self._signing = keys[0]
        self._signing_id = _key_id(keys[0])
        self._verifying: dict[int, list[bytes]] = {}
        self._blocks: dict[int, list[Blocks]] = {}
        for key in keys:
            self._verifying.setdefault(_key_id(key), []).append(key)
            self._blocks.setdefault(_key_id(key), []).append(Blocks(key))

    def sign(
        self,
        kind: Kind | str,
        *,
        project: int | None = None,
        campaign: int | None = None,
        subscriber: int | None = None,
        list: int | None = None,
        link: int | None = None,
        message: UUID | None = None,
        expires: int | None = None,
    ) -> str:
        """A token of `kind` for these ids."""
        hours = None if expires is None else -((_EPOCH - expires) // 3600)
        data = self.sign_bytes(Kind(kind), (project, campaign, subscriber, list, link, hours), message)
        return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")

    def letter_tokens(
        self, *, project: int, campaign: int, list: int | None, links: Sequence[int]
    ) -> LetterTokens:
        """The tokens of a campaign's letters; raises ValueError when the ids of its links are too far apart."""
        blocks = self._blocks[self._signing_id][0]
        return LetterTokens(blocks, self._signing_id, project, campaign, list, links)

    def link_signer(
        self, *, project: int, campaign: int | None = None, subscriber: int | None = None, message: UUID | None = None
    ) -> Callable[[int], str]:
        """A function from a link's id to its click token, for the many links of one letter."""
        kind, key = Kind.CLICK, self._signing
        start = _head(kind, self._signing_id, (project, campaign, subscriber, None, 0, None), message)
        before, link_bytes = bytes(start[:-1]), _varint
        if message is not None:
            return lambda link: self.sign(kind, project=project, campaign=campaign, subscriber=subscriber, link=link,
                                          message=message)  # fmt: skip

        def sign(link: int) -> str:
            payload = before + link_bytes(link)
            data = payload + hmac.digest(key, _PREFIX[kind] + payload, "sha256")[:MAC_BYTES]
            return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")

        return sign

    def read(self, kind: Kind | str, token: str, *, now: int | None = None) -> Claims:
        """What the token says; raises BadToken. `now` (seconds since 1970) is needed for tokens that expire."""
        if not isinstance(token, str) or not 0 < len(token) <= MAX_TOKEN:
            raise BadToken("malformed")
        try:
            data = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except ValueError:
            raise BadToken("malformed") from None
        # The last character has bits to spare and the decoder skips foreign characters: only our own spelling counts.
        if urlsafe_b64encode(data).rstrip(b"=").decode("ascii") != token:
            raise BadToken("malformed")
        if data[0] >> 4 == letter_tokens.VERSION:
            return self._read_letter(Kind(kind), data)
        return self.read_bytes(Kind(kind), data, now=now)

    def sign_bytes(
        self, kind: Kind, ids: tuple[int | None, ...], message: UUID | None, *, mac_bytes: int = MAC_BYTES
    ) -> bytes:
        """The token's bytes; `ids` are in the order of the layout. For verp.py, which spells them otherwise."""
        payload = bytes(_head(kind, self._signing_id, ids, message))
        return payload + hmac.digest(self._signing, _PREFIX[kind] + payload, "sha256")[:mac_bytes]

    def beginning(self, kind: Kind, ids: tuple[int | None, ...]) -> tuple[Callable[[bytes], bytes], bytes]:
        """The MAC of a payload, and a payload's bytes up to the third id: for tokens that differ from there on."""
        key, prefix = self._signing, _PREFIX[kind]
        head = bytes(_head(kind, self._signing_id, ids, None))
        after = sum(len(_varint(number)) for number in ids[2:] if number is not None)
        return lambda payload: hmac.digest(key, prefix + payload, "sha256"), head[:-after]

    def read_bytes(self, kind: Kind, data: bytes, *, now: int | None = None, mac_bytes: int = MAC_BYTES) -> Claims:
        """The claims in a token's bytes; raises BadToken."""
        payload, mac = data[:-mac_bytes], data[-mac_bytes:]
        if len(payload) < 3 or payload[0] >> 4 != VERSION:
            raise BadToken("malformed")
        if payload[0] & 15 != NUMBER[kind]:
            raise BadToken("kind")
        signed = _PREFIX[kind] + payload
        for key in self._verifying.get(payload[1], ()):
            if hmac.compare_digest(hmac.digest(key, signed, "sha256")[:mac_bytes], mac):
                break
        else:
            raise BadToken("forged")
        return _claims(kind, payload, now)

    def _read_letter(self, kind: Kind, data: bytes) -> Claims:
        if data[0] & 15 != NUMBER[kind]:
            raise BadToken("kind")
        try:
            ids = letter_tokens.read(data)
        except ValueError:
            raise BadToken("malformed") from None
        for blocks in self._blocks.get(data[1], ()):
            if hmac.compare_digest(blocks.token(data[1], ids), data):
                # Nobody is 0: the letters of people who are only counted have the same tokens, all of them.
                return Claims(kind, ids.project, ids.campaign, ids.subscriber or None, ids.list, ids.link)
        raise BadToken("forged")


_PREFIX = {kind: b"mailhub\x00" + kind.encode() + b"\x00" for kind in Kind}


def _key_id(key: bytes) -> int:
    return hashlib.sha256(key).digest()[0]


def _head(kind: Kind, key_id: int, ids: tuple[int | None, ...], message: UUID | None) -> bytearray:
    head = bytearray((VERSION << 4 | NUMBER[kind], key_id, 0))
    present = 0
    for bit, number in enumerate(ids):
        if number is None:
            continue
        present |= 1 << bit
        if 0 <= number < 128:
            head.append(number)
        else:
            head += _varint(number)
    if message is not None:
        present |= _MESSAGE_BIT
        head += message.bytes
    head[2] = present
    return head


def _claims(kind: Kind, payload: bytes, now: int | None) -> Claims:
    """Reads what the MAC vouches for; anything odd in it is a token of another version of ours."""
    present, position = payload[2], 3
    ids: list[int | None] = []
    try:
        for bit in range(len(_IDS)):
            number: int | None = None
            if present & 1 << bit:
                number = shift = 0
                while (byte := payload[position]) > 127:
                    number |= (byte & 127) << shift
                    shift += 7
                    position += 1
                number |= byte << shift
                position += 1
            ids.append(number)
    except IndexError:
        raise BadToken("malformed") from None
    message = None
    if present & _MESSAGE_BIT:
        message = UUID(bytes=payload[position : position + 16]) if len(payload) - position == 16 else None
        position += 16
    if position != len(payload) or present & ~_ALL_BITS:
        raise BadToken("malformed")
    project, campaign, subscriber, list_, link, hours = ids
    expires = None if hours is None else _EPOCH + hours * 3600
    if expires is not None and (now is None or now >= expires):
        raise BadToken("expired")
    return Claims(kind, project, campaign, subscriber, list_, link, message, expires)
