"""MIME parts as bytes: utf-8 text in quoted-printable or base64, attachments, multiparts. RFC 2045–2047, 2231, 2387.

Everything is 7-bit, lines end in CRLF and have at most 76 characters, so that no relay re-encodes what DKIM signed.
"""

import binascii
import re
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote

from mailhub.mail.headers import MAX_LINE, UnsafeHeader, safe

_ASCII = bytes(range(128))
_CONTENT_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,60}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,100}")
_CONTENT_ID = re.compile(r"[A-Za-z0-9._@+-]{1,100}")


class UnsafeWire(ValueError):
    """The finished letter would break the SMTP dialogue: a bare CR or LF, a long line, an 8-bit character."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file; with `content_id` it is shown inside the HTML as `cid:<content_id>`."""

    filename: str
    content_type: str
    content: bytes
    content_id: str | None = None


def text_part(subtype: str, text: str) -> bytes:
    """A text/<subtype> part: its header, an empty line and its body.

    Mostly ASCII goes as quoted-printable (readable, and small); other scripts as base64, which is smaller for them.
    """
    raw = _crlf(text).encode("utf-8", "replace")
    foreign = len(raw.translate(None, _ASCII))
    if foreign * 6 > len(raw):
        encoding, body = "base64", base64_lines(raw)
    else:
        # b2a_qp takes its line ends from the first line of the data: `raw` always has a CRLF.
        encoding, body = "quoted-printable", binascii.b2a_qp(raw)
    head = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode("ascii") + body


def multipart(subtype: str, boundary: str, parts: Iterable[bytes], *, parameters: str = "") -> bytes:
    """A multipart/<subtype> part: its header, an empty line and the parts between boundaries."""
    line = b"--" + boundary.encode("ascii")
    head = f'Content-Type: multipart/{subtype}; {parameters}\r\n boundary="{boundary}"\r\n\r\n'.encode("ascii")
    return head + b"".join(line + b"\r\n" + part.removesuffix(b"\r\n") + b"\r\n" for part in parts) + line + b"--\r\n"


def boundary_of(message_id: str, level: str) -> str:
    """The boundary of one multipart of a letter; `=_` can't occur in an encoded body (RFC 2045 §6.7)."""
    return f"=_{level}{sha256(message_id.encode()).hexdigest()[:28]}"


def attachment_part(attachment: Attachment) -> bytes:
    """A file as a base64 part. What could be opened as structure of the letter itself goes as octets."""
    kind = attachment.content_type.strip().lower()
    if not _CONTENT_TYPE.fullmatch(kind) or kind.startswith(("multipart/", "message/")):
        kind = "application/octet-stream"
    disposition = "inline" if attachment.content_id else "attachment"
    lines = [f"Content-Type: {kind}", "Content-Transfer-Encoding: base64"]
    lines.append(f"Content-Disposition: {disposition}{_filename(attachment.filename)}")
    if attachment.content_id:
        if not _CONTENT_ID.fullmatch(attachment.content_id):
            raise UnsafeHeader("ascii", "Content-ID")
        lines.append(f"Content-ID: <{attachment.content_id}>")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii") + base64_lines(attachment.content)


def base64_lines(data: bytes) -> bytes:
    """Base64 in lines of 76 characters, each ended by CRLF. `struct` cuts them four times as fast as slices."""
    encoded = binascii.b2a_base64(data, newline=False)
    if len(encoded) > 1 << 20:
        return b"\r\n".join([encoded[at : at + 76] for at in range(0, len(encoded), 76)]) + b"\r\n"
    return b"\r\n".join(_cutter(*divmod(len(encoded), 76))(encoded)) + b"\r\n"


@lru_cache(maxsize=256)
def _cutter(lines: int, rest: int) -> Callable[[bytes], tuple[bytes, ...]]:
    return struct.Struct("76s" * lines + (f"{rest}s" if rest else "")).unpack


def assert_wire_safe(data: bytes) -> bytes:
    """The letter itself; raises UnsafeWire when it has a bare CR or LF (SMTP smuggling), 8-bit bytes or long lines.

    Counting is as good as searching here, and five times faster: equal counts of CR, LF and CRLF leave none bare.
    """
    lines = data.split(b"\r\n")
    if not data.count(b"\n") == data.count(b"\r") == len(lines) - 1:
        raise UnsafeWire("bare CR or LF")
    if not data.isascii() or b"\x00" in data:
        raise UnsafeWire("8-bit or NUL")
    if lines[-1] or max(map(len, lines)) > MAX_LINE:
        raise UnsafeWire("line too long or last line without CRLF")
    return data


def _crlf(text: str) -> str:
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = text.replace("\n", "\r\n")
    return text if text.endswith("\r\n") else text + "\r\n"


def _filename(name: str) -> str:
    """The parameter `filename`, by RFC 2231 when it is not plain ASCII; path and control characters are taken out."""
    name = re.sub(r'[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"\\/:*?<>|]+', "_", name).strip(" .")[-120:] or "file"
    safe(name, "filename")
    if name.isascii():
        return f'\r\n; filename="{name}"'.replace("\r\n;", ";\r\n", 1)
    pieces: list[str] = []
    held = "utf-8''"
    for encoded in (quote(char, safe="") for char in name):
        if len(held) + len(encoded) > 55:
            pieces.append(held)
            held = ""
        held += encoded
    pieces.append(held)
    if len(pieces) == 1:
        return f";\r\n filename*={held}"
    return "".join(f";\r\n filename*{number}*={piece}" for number, piece in enumerate(pieces))


def nested(parts: Sequence[bytes], subtype: str, boundary: str, *, parameters: str = "") -> bytes:
    """The only part itself, or a multipart of several."""
    return parts[0] if len(parts) == 1 else multipart(subtype, boundary, parts, parameters=parameters)
