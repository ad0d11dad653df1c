"""Return paths that name the letter they belong to: `b-<token>@bounce.example.com` (VERP), and unsubscribe mailboxes.

The token is that of tokens.py with a MAC of 10 bytes, in lower-case base32 because some servers fold case. A letter of
a campaign takes 45–53 characters and a single letter 60, so the local part stays under the 64 of RFC 5321 §4.5.3.1.1.
An address without a genuine token is refused at RCPT time: a bounce that names nothing changes nothing (T20).
"""

import re
from base64 import b32decode
from uuid import UUID

from mailhub.mail.letter_tokens import varint
from mailhub.mail.tokens import BadToken, Claims, Kind, Signer

MAC_BYTES = 10
_PREFIX = {Kind.BOUNCE: "b-", Kind.UNSUBSCRIBE_MAIL: "u-"}
_EPOCH = 1_704_067_200
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [first + second for first in _LETTERS for second in _LETTERS]
# A prefix that some gateways put in front of a return path (BATV draft): prvs=TAG=local@domain.
_PRVS = re.compile(r"^prvs=[0-9a-z]{1,20}=", re.IGNORECASE)


def make_return_path(
    signer: Signer,
    domain: str,
    *,
    project: int,
    expires: int,
    campaign: int | None = None,
    subscriber: int | None = None,
    message: UUID | None = None,
) -> str:
    """The envelope sender of one letter; `expires` in seconds since 1970. A letter by API is named by `message`."""
    return _make(signer, Kind.BOUNCE, domain, (project, campaign, subscriber, None, None, _hours(expires)), message)


class ReturnPaths:
    """The return paths of one campaign's letters, as `make_return_path` makes them: 6 µs each instead of 14."""

    def __init__(self, signer: Signer, domain: str, *, project: int, campaign: int) -> None:
        self._domain = domain
        self._mac, self._start = signer.beginning(Kind.BOUNCE, (project, campaign, 0, None, None, 0))
        # In one attribute, because threads share it.
        self._end = (-1, b"")

    def of(self, subscriber: int, expires: int) -> str:
        """The envelope sender of the letter to one person; `expires` in seconds since 1970."""
        known, end = self._end
        if known != expires:
            end = varint(_hours(expires))
            self._end = (expires, end)
        payload = self._start + varint(subscriber) + end
        local = f"{_PREFIX[Kind.BOUNCE]}{_spell(payload + self._mac(payload)[:MAC_BYTES])}"
        if len(local) > 64:
            raise ValueError("the return path is longer than 64 characters")
        return f"{local}@{self._domain}"


def make_unsubscribe_mailbox(
    signer: Signer, domain: str, *, project: int, campaign: int, subscriber: int, list: int | None = None
) -> str:
    """The address of the mailto: variant of List-Unsubscribe; it never expires."""
    return _make(signer, Kind.UNSUBSCRIBE_MAIL, domain, (project, campaign, subscriber, list, None, None), None)


def read_local_part(signer: Signer, local_part: str, *, now: int) -> Claims:
    """The claims in the local part of an address we were written to; raises BadToken. The case does not matter."""
    local = _PRVS.sub("", local_part).lower()
    for kind, prefix in _PREFIX.items():
        if local.startswith(prefix):
            return signer.read_bytes(kind, _decode(local[len(prefix) :]), now=now, mac_bytes=MAC_BYTES)
    raise BadToken("malformed")


def _make(signer: Signer, kind: Kind, domain: str, ids: tuple[int | None, ...], message: UUID | None) -> str:
    data = signer.sign_bytes(kind, ids, message, mac_bytes=MAC_BYTES)
    local = _PREFIX[kind] + _spell(data)
    if len(local) > 64:
        raise ValueError("the return path is longer than 64 characters: name the letter by its message alone")
    return f"{local}@{domain}"


def _spell(data: bytes) -> str:
    """Base32 in lower case without padding, twice as fast as that of `base64`."""
    spelled: list[str] = []
    padded = data + bytes(-len(data) % 5)
    for start in range(0, len(padded), 5):
        bits = int.from_bytes(padded[start : start + 5], "big")
        spelled += (_PAIRS[bits >> 30], _PAIRS[bits >> 20 & 1023], _PAIRS[bits >> 10 & 1023], _PAIRS[bits & 1023])
    return "".join(spelled)[: -(-len(data) * 8 // 5)]


def _decode(text: str) -> bytes:
    if not 0 < len(text) <= 62 or not text.isascii():
        raise BadToken("malformed")
    try:
        data = b32decode(text.upper() + "=" * (-len(text) % 8))
    except ValueError:
        raise BadToken("malformed") from None
    if _spell(data) != text:
        raise BadToken("malformed")
    return data


def _hours(expires: int) -> int:
    return -((_EPOCH - expires) // 3600)
