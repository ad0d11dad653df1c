"""Which web addresses may stand in a letter and be redirected to (T5): absolute http and https with a plain host.

Refused: other schemes, relative and `//host` forms, user names, backslashes, white space, control, direction and
zero-width characters, and hosts that are not what they look like. The result is ASCII, fit for a Location header.
"""

import ipaddress
import re
from urllib.parse import quote

import idna

from mailhub.mail.merge import MASK, expressions, mask
from mailhub.mail.problem import Problem

MAX_URL = 4_000

_FORBIDDEN = re.compile(
    '[\\x00-\\x20\\x7f-\\xa0\\\\<>"\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff\\ud800-\\udfff]'
)
_SCHEME = re.compile(r"(https?)://", re.IGNORECASE)
_ANY_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.?")
_KEEP = "%/:@!$&'()*+,;=-._~?#[]"


class UnsafeUrl(ValueError):
    """The address can't be linked to; `problem` says why, in words for the user."""

    def __init__(self, code: str, url: str) -> None:
        self.problem = Problem(code, {"url": url[:200], "limit": str(MAX_URL)}, part="link")
        super().__init__(code)


def safe_url(url: str) -> str:
    """The address, normalised: scheme and host in lower case, host by IDNA, other letters percent-encoded.

    Raises UnsafeUrl. Spaces and line breaks around the address are taken off, as browsers do.
    """
    text = url.strip(" \t\r\n\f")
    if len(text) > MAX_URL:
        raise UnsafeUrl("link_too_long", url)
    scheme = _SCHEME.match(text)
    if scheme is None:
        raise UnsafeUrl("link_scheme" if _ANY_SCHEME.match(text) else "link_relative", url)
    if _FORBIDDEN.search(text):
        raise UnsafeUrl("link_characters", url)
    authority = re.split(r"[/?#]", text[scheme.end() :], maxsplit=1)[0]
    rest = text[scheme.end() + len(authority) :]
    if "@" in authority:
        raise UnsafeUrl("link_userinfo", url)
    safe = f"{scheme[1].lower()}://{_authority(authority, url)}{quote(rest, safe=_KEEP)}"
    if len(safe) > 3 * MAX_URL:
        raise UnsafeUrl("link_too_long", url)
    return safe


def safe_url_template(url: str) -> str:
    """As safe_url for an address with merge expressions; raises UnsafeUrl("link_merge_host") when one reaches the host.

    Expressions are kept as they are. Filled in by the `url` kind of template, which percent-encodes the values.
    """
    url = url.strip(" \t\r\n\f")
    spans = expressions(url)
    if not spans:
        return safe_url(url)
    masked = mask(url)
    scheme = _SCHEME.match(masked)
    if scheme is None:
        first = spans[0][0]
        own_scheme = _ANY_SCHEME.match(masked)
        if own_scheme is None and first < _first_delimiter(masked, 0):
            raise UnsafeUrl("link_merge_host", url)
        raise UnsafeUrl("link_scheme" if own_scheme else "link_relative", url)
    if spans[0][0] < _first_delimiter(masked, scheme.end()):
        raise UnsafeUrl("link_merge_host", url)
    mark = "mhx"
    while mark in url:
        mark += "x"
    pieces: list[str] = []
    kept: list[str] = []
    position = 0
    for start, end in spans:
        pieces += (url[position:start], f"{mark}{len(kept)}q")
        kept.append(url[start:end])
        position = end
    safe = safe_url("".join((*pieces, url[position:])).replace(MASK, ""))
    return re.sub(f"{mark}([0-9]+)q", lambda place: kept[int(place[1])], safe)


def _first_delimiter(masked: str, start: int) -> int:
    found = re.compile(r"[/?#]").search(masked, start)
    return found.start() if found else len(masked)


def _authority(authority: str, url: str) -> str:
    if bracketed := re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}))?", authority):
        try:
            host = f"[{ipaddress.IPv6Address(bracketed[1])}]"
        except ValueError:
            raise UnsafeUrl("link_host", url) from None
        return host + _port(bracketed[2], url)
    host, colon, port = authority.partition(":")
    if colon and not port:
        raise UnsafeUrl("link_host", url)
    try:
        host = host.lower() if host.isascii() else idna.encode(host, uts46=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        raise UnsafeUrl("link_host", url) from None
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise UnsafeUrl("link_host", url)
    if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", host.rstrip(".").rsplit(".", 1)[-1]):
        # A number at the end makes a browser read an IPv4 address in decimal, octal or hex: only the plain form passes.
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise UnsafeUrl("link_host", url) from None
    return host + _port(port or None, url)


def _port(port: str | None, url: str) -> str:
    if port is None:
        return ""
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65_536:
        raise UnsafeUrl("link_host", url)
    return f":{int(port)}"
