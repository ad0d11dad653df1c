"""How an address may stand in a text, and the text without it: plain, in a URL, in HTML, quoted-printable, base64."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

#: What stands in an address's place.
GONE = "[erased]"
_AT = r"(?:@|%40|%2540|=40|&#64;|&#x40;|&commat;|\\u0040)"
# Before an address may stand what no address ends in front of, or a character that a URL or a letter has encoded.
_BEFORE = r"(?:(?<![\w.+-])|(?<=%[0-9a-f]{2})|(?<==[0-9a-f]{2}))"
# Nor does its domain go on, but a file may be named after it.
_AFTER = r"(?![\w-]|\.(?!(?:csv|tsv|txt|xlsx?|ods|zip|json|html?|eml|pdf|docx?)\b)\w)"


class Traces:
    """Some addresses to be looked for together. Case does not matter; a longer address that contains one is another."""

    def __init__(self, addresses: Iterable[str]) -> None:
        self.addresses = tuple(sorted({one for one in addresses if "@" in one}))
        every = "|".join(_spellings(one) for one in sorted(self.addresses, key=len, reverse=True))
        self._pattern = re.compile(f"{_BEFORE}(?:{every}){_AFTER}", re.IGNORECASE) if every else re.compile(r"(?!)")
        self._encoded = tuple(sorted({piece for one in self.addresses for piece in _in_base64(one)}))

    def needles(self) -> list[str]:
        """Texts in lower case of which a text in lower case has one, if it has one of the addresses: to look rows up.

        A row that has one need not have the address.
        """
        found: set[str] = set()
        for one in self.addresses:
            low = one.lower()
            local, _, domain = low.rpartition("@")
            quoted = quote(low, safe="")
            found |= {low, quoted.lower(), quote(quoted, safe="").lower(), html.escape(low)}
            found |= {
                f"{quote(local, safe='').lower()}@{domain}",
                f"{_soft(local)}=40{domain}",
                f"{_soft(local)}@{domain}",
            }
            found |= {f"{local}{at}{domain}" for at in ("%40", "&#64;", "&#x40;", "&commat;", "\\u0040")}
        return sorted(found | {piece.lower() for piece in self._encoded})

    def has(self, text: str) -> bool:
        """Whether one of the addresses stands in the text."""
        return self._pattern.search(text) is not None or any(piece in text for piece in self._encoded)

    def without(self, text: str) -> str:
        """The text without the addresses. Of base64 the middle is overwritten, so that it keeps its length."""
        text = self._pattern.sub(GONE, text)
        for piece in self._encoded:
            if piece in text:
                text = text.replace(piece, "A" * len(piece))
        return text

    def without_in(self, value: Any) -> Any:
        """As `without`, for all texts and names in a JSON value."""
        if isinstance(value, str):
            return self.without(value)
        if isinstance(value, list):
            return [self.without_in(one) for one in value]
        if isinstance(value, dict):
            return {self.without(name): self.without_in(one) for name, one in value.items()}
        return value


def _spellings(address: str) -> str:
    local, _, domain = address.rpartition("@")
    return "".join(map(_spelling, local)) + _AT + "".join(map(_spelling, domain))


def _spelling(character: str) -> str:
    """A character as it is, in a URL (once or twice encoded), in quoted-printable, as HTML names it."""
    if character.isascii() and (character.isalnum() or character in "._-"):
        return re.escape(character)
    octets = character.encode()
    spelled = {character, *(_octets(octets, sign) for sign in ("%", "=", "%25")), f"&#{ord(character)};"}
    spelled |= {html.escape(character), f"&#x{ord(character):x};"}
    return "(?:" + "|".join(re.escape(one) for one in sorted(spelled, key=len, reverse=True)) + ")"


def _octets(octets: bytes, sign: str) -> str:
    return "".join(f"{sign}{octet:02X}" for octet in octets)


def _soft(local: str) -> str:
    """The local part in quoted-printable's `Q` form (RFC 2047)."""
    return "".join(
        one if one.isascii() and (one.isalnum() or one in "._-+") else _octets(one.encode(), "=").lower()
        for one in local
    )


def _in_base64(address: str) -> set[str]:
    """What the address looks like inside base64, wherever it begins; characters that its neighbours decide are left.

    As it is spelled, in lower case, and with the local part beginning in upper case.
    """
    pieces = set()
    for spelled in {address, address.lower(), address[:1].upper() + address[1:].lower()}:
        data = spelled.encode()
        for shift in range(3):
            encoded = base64.b64encode(b"\0" * shift + data).decode()
            first = 0 if not shift else shift + 1
            whole = (shift + len(data)) * 8 // 6
            piece = encoded[first:whole]
            pieces |= {piece, piece.replace("+", "-").replace("/", "_")}
    return {piece for piece in pieces if len(piece) >= 8}
