"""Header fields as bytes: our own serialiser, because CPython's breaks one-click unsubscribe (python/cpython#85725).

Free text (Subject, display names) becomes RFC 2047 encoded-words of at most 75 characters that never split a
character and never stand inside quotes or an address. Everything else is ASCII and folded only where it already has
white space, so that a List-Unsubscribe URL stays in one piece. Lines are ≤ 76 where that is possible, never > 998
(RFC 5322 §2.1.1). Values are checked by `safe` first: no value can begin a header of its own (T11).
"""

import re
from base64 import b64encode
from datetime import datetime
from email.errors import HeaderParseError
from email.header import decode_header, make_header

from mailhub.mail.address import InvalidAddress, ascii_domain

PREFERRED_LINE = 76
MAX_LINE = 998
MAX_WORD = 75
_B_ROOM = (MAX_WORD - len("=?utf-8?b??=")) // 4 * 3

_UNSAFE = re.compile("[\\x00-\\x08\\x0a-\\x1f\\x7f\\x85\\u2028\\u2029\\ud800-\\udfff]")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,70}")
_PLAIN_TEXT = re.compile(r"[\x20-\x7e]*")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}")
# What may stand bare in a Q encoded-word everywhere, phrases included (RFC 2047 §5 rule 3).
_Q_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_Q_BARE = bytes(_Q_SAFE) + b" "
_Q = ["_" if byte == 32 else chr(byte) if byte in _Q_SAFE else f"={byte:02X}" for byte in range(256)]

# Custom headers by name; `X-` ones are free except those below. Anything about identity, routing or structure is ours.
CUSTOM_HEADERS = frozenset(
    {
        "precedence", "importance", "priority", "organization", "keywords", "comments", "in-reply-to", "references",
        "list-help", "list-owner", "list-archive", "list-post", "list-subscribe", "content-language", "expires",
        "entity-id", "cfbl-address", "cfbl-feedback-id", "auto-submitted", "feedback-id", "list-id",
    }
)  # fmt: skip
_RESERVED_X = ("x-mailhub-", "x-original-", "x-envelope-", "x-received", "x-google-", "x-forwarded-")


class UnsafeHeader(ValueError):
    """The value can't be sent in this header. `code`: control, encoded_control, address, ascii, too_long, name."""

    def __init__(self, code: str, header: str = "") -> None:
        self.code = code
        self.header = header
        super().__init__(f"{header or 'header'}: {code}")


def safe(value: str, header: str = "") -> str:
    """The value itself; raises UnsafeHeader when it, or what its encoded-words decode to, could break a line."""
    if _UNSAFE.search(value):
        raise UnsafeHeader("control", header)
    if "=?" in value:
        try:
            decoded = str(make_header(decode_header(value)))
        except (HeaderParseError, LookupError, ValueError):
            # Not decodable means not an encoded-word to any reader; we encode the characters themselves anyway.
            return value
        if _UNSAFE.search(decoded):
            raise UnsafeHeader("encoded_control", header)
    return value


def text_header(name: str, value: str) -> bytes:
    """A header of free text, such as Subject, with its CRLF."""
    value = safe(value, name)
    first_room = PREFERRED_LINE - len(name) - 2
    if _PLAIN_TEXT.fullmatch(value) and "=?" not in value and not value.startswith(" ") and not value.endswith(" "):
        line = f"{name}: {value}"
        if len(line) <= PREFERRED_LINE:
            return f"{line}\r\n".encode("ascii")
        if "  " not in value and all(len(word) < first_room for word in value.split(" ")):
            return _fold(name, value)
    return f"{name}: {encoded_words(value, first_room)}\r\n".encode("ascii")


def mailbox_header(name: str, display_name: str, email: str) -> bytes:
    """From, To, Reply-To or Sender with one mailbox, with its CRLF. The name may be empty."""
    address = address_spec(email, name)
    display_name = safe(display_name, name).strip()
    if not display_name:
        return f"{name}: {address}\r\n".encode("ascii")
    phrase = _phrase(display_name, PREFERRED_LINE - len(name) - 2)
    last_line = phrase.rsplit("\r\n", 1)[-1]
    used = len(last_line) + (len(name) + 2 if last_line is phrase or "\r\n" not in phrase else 0)
    between = " " if used + len(address) + 3 <= PREFERRED_LINE else "\r\n "
    return f"{name}: {phrase}{between}<{address}>\r\n".encode("ascii")


def structured_header(name: str, value: str) -> bytes:
    """A header of ASCII tokens (List-Unsubscribe, Message-ID, Feedback-ID, …), folded at its own white space only."""
    value = safe(value, name)
    if not value.isascii():
        raise UnsafeHeader("ascii", name)
    return _fold(name, value.strip())


def custom_header(name: str, value: str) -> bytes:
    """A header that a customer asked for: only names of the allow-list; raises UnsafeHeader("name") for others."""
    if not is_custom_name(name):
        raise UnsafeHeader("name", name[:40])
    return structured_header(name, value) if value.isascii() else text_header(name, value)


def is_custom_name(name: str) -> bool:
    """Whether a customer may set a header of this name."""
    lower = name.lower()
    if not _NAME.fullmatch(name):
        return False
    return lower in CUSTOM_HEADERS or (lower.startswith("x-") and len(lower) > 2 and not lower.startswith(_RESERVED_X))


def address_spec(email: str, header: str = "") -> str:
    """`local@domain` in ASCII, the domain by IDNA; raises UnsafeHeader("address")."""
    local, _, domain = safe(email, header).rpartition("@")
    if not _LOCAL_PART.fullmatch(local):
        raise UnsafeHeader("address", header)
    if not domain.isascii() or not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", domain):
        try:
            domain = ascii_domain(domain)
        except InvalidAddress:
            raise UnsafeHeader("address", header) from None
    return f"{local}@{domain}"


def date_value(moment: datetime) -> str:
    """The Date header's value, in English whatever the locale (RFC 5322 §3.3); the moment must know its time zone."""
    if moment.tzinfo is None:
        raise ValueError("the date of a letter needs a time zone")
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[moment.weekday()]
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    return f"{day}, {moment.day:02} {months[moment.month - 1]} {moment.year:04} {moment:%H:%M:%S %z}"


def encoded_words(value: str, first_room: int) -> str:
    """The text as encoded-words joined by `CRLF SPACE`; `first_room` characters are left on the first line."""
    raw = value.encode()
    foreign = len(raw.translate(None, _Q_BARE))
    if foreign * 6 <= len(raw):
        return _q_words(value, first_room)
    words: list[str] = []
    # The bytes whose base64 fits into a word; a word ends before the first byte of a character.
    start, room = 0, (min(MAX_WORD, max(first_room, 20)) - len("=?utf-8?b??=")) // 4 * 3
    while len(raw) - start > room:
        end = start + room
        while raw[end] & 0xC0 == 0x80:
            end -= 1
        words.append(f"=?utf-8?b?{b64encode(raw[start:end]).decode('ascii')}?=")
        start, room = end, _B_ROOM
    words.append(f"=?utf-8?b?{b64encode(raw[start:]).decode('ascii')}?=")
    return "\r\n ".join(words)


def header_names(data: bytes) -> list[str]:
    """The names of the header fields of a letter in bytes, in order and in lower case: what a reader will see."""
    block = data.partition(b"\r\n\r\n")[0]
    return [
        line.partition(b":")[0].decode("latin-1").lower()
        for line in re.split(rb"\r\n|\r|\n", block)
        if line[:1] not in (b" ", b"\t")
    ]


def _q_words(value: str, first_room: int) -> str:
    words: list[str] = []
    room = min(MAX_WORD, max(first_room, 20)) - len("=?utf-8?q??=")
    held: list[str] = []
    size = 0
    for char in value:
        spelled = "".join([_Q[byte] for byte in char.encode()])
        if held and size + len(spelled) > room:
            words.append(f"=?utf-8?q?{''.join(held)}?=")
            held, size, room = [], 0, MAX_WORD - len("=?utf-8?q??=")
        held.append(spelled)
        size += len(spelled)
    words.append(f"=?utf-8?q?{''.join(held)}?=")
    return "\r\n ".join(words)


def _phrase(name: str, first_room: int) -> str:
    """A display name: bare, in quotes, or as encoded-words."""
    if "=?" not in name and len(name) < first_room:
        if _ATOMS.fullmatch(name):
            return name
        quoted = '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'
        if _PLAIN_TEXT.fullmatch(name) and len(quoted) <= first_room:
            return quoted
    return encoded_words(name, first_room)


def _fold(name: str, value: str) -> bytes:
    lines: list[str] = []
    line = f"{name}:"
    for word in re.findall(r"[ \t]*[^ \t]+", f" {value}" if value else ""):
        if len(line) + len(word) > PREFERRED_LINE and (lines or line != f"{name}:"):
            lines.append(line)
            line = word
        else:
            line += word
    lines.append(line)
    if any(len(line) > MAX_LINE for line in lines):
        raise UnsafeHeader("too_long", name)
    return ("\r\n".join(lines) + "\r\n").encode("ascii")
