"""A whole letter as bytes: single letters (API, confirmations, our own mail). Campaigns go through campaign.py.

RFC 5322 (one From, To, Subject, Date, Message-ID), RFC 2369, 2919 and 8058 (List-* headers), RFC 3834
(Auto-Submitted). The finished header block is read again and compared with what was meant, so that no flaw of ours
or of the Python version can let a value add a header (T11).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mailhub.mail.headers import (
    UnsafeHeader,
    custom_header,
    date_value,
    header_names,
    mailbox_header,
    structured_header,
    text_header,
)
from mailhub.mail.mime import Attachment, assert_wire_safe, attachment_part, boundary_of, nested, text_part
from mailhub.mail.text import html_to_text
from mailhub.mail.url import UnsafeUrl, safe_url


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One letter to one recipient, filled in. With `html` and no `text` the text is made from the HTML."""

    from_email: str
    to_email: str
    subject: str
    message_id: str
    date: datetime
    from_name: str = ""
    to_name: str = ""
    reply_to: str = ""
    html: str | None = None
    text: str | None = None
    list_id: str = ""
    list_name: str = ""
    list_unsubscribe_url: str = ""
    list_unsubscribe_mailto: str = ""
    one_click: bool = True
    feedback_id: str = ""
    auto_submitted: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    attachments: Sequence[Attachment] = ()


def compose(letter: Letter) -> bytes:
    """The letter, ready for DATA; raises UnsafeHeader or UnsafeWire when a value can't be sent."""
    fields = [
        *identity_headers(letter.from_name, letter.from_email, letter.reply_to),
        mailbox_header("To", letter.to_name, letter.to_email),
        text_header("Subject", letter.subject),
        structured_header("Date", date_value(letter.date)),
        structured_header("Message-ID", letter.message_id),
        *list_headers(letter.list_id, letter.list_name, letter.feedback_id),
        *unsubscribe_headers(letter.list_unsubscribe_url, letter.list_unsubscribe_mailto, one_click=letter.one_click),
    ]
    if letter.auto_submitted:
        fields.append(structured_header("Auto-Submitted", letter.auto_submitted))
        fields.append(structured_header("X-Auto-Response-Suppress", "OOF, AutoReply"))
    present = {_name(field) for field in fields}
    for name, value in letter.headers.items():
        if name.lower() in present:
            raise UnsafeHeader("name", name[:40])
        present.add(name.lower())
        fields.append(custom_header(name, value))
    return finish(fields, _body(letter))


def finish(fields: Sequence[bytes], body: bytes) -> bytes:
    """Header fields and a MIME part (which begins with its own header) as one checked letter."""
    data = b"".join((*fields, b"MIME-Version: 1.0\r\n", body))
    meant = [_name(field) for field in fields] + ["mime-version", "content-type", "content-transfer-encoding"]
    found = header_names(data)
    if found not in (meant, meant[:-1]):
        raise UnsafeHeader("name", ", ".join(sorted(set(found) ^ set(meant)))[:100])
    return assert_wire_safe(data)


def identity_headers(from_name: str, from_email: str, reply_to: str) -> list[bytes]:
    """From, and Reply-To when it is another address."""
    fields = [mailbox_header("From", from_name, from_email)]
    if reply_to and reply_to != from_email:
        fields.append(mailbox_header("Reply-To", "", reply_to))
    return fields


def list_headers(list_id: str, list_name: str, feedback_id: str) -> list[bytes]:
    """List-Id (RFC 2919) and Feedback-ID (Gmail's postmaster pages), those that are given."""
    fields: list[bytes] = []
    if list_id:
        bare = list_id.strip("<> ")
        name = f'"{list_name}" ' if list_name and list_name.isascii() and not set(list_name) & set('"\\=?') else ""
        fields.append(structured_header("List-Id", f"{name[:60]}<{bare}>" if len(name) <= 60 else f"<{bare}>"))
    if feedback_id:
        fields.append(structured_header("Feedback-ID", feedback_id))
    return fields


#: RFC 8058 wants https. On loopback (development) the field is there too: the mailbox shows what will be sent.
ONE_CLICK_URLS = ("https://", "http://127.0.0.1", "http://localhost")


def unsubscribe_headers(url: str, mailto: str, *, one_click: bool) -> list[bytes]:
    """List-Unsubscribe with its ways, HTTPS first, and List-Unsubscribe-Post for RFC 8058 (HTTPS or loopback)."""
    ways = []
    if url:
        try:
            ways.append(f"<{safe_url(url)}>")
        except UnsafeUrl:
            raise UnsafeHeader("ascii", "List-Unsubscribe") from None
    if mailto:
        if any(char in mailto for char in "<>?&, "):
            raise UnsafeHeader("address", "List-Unsubscribe")
        ways.append(f"<mailto:{mailto}?subject=unsubscribe>")
    if not ways:
        return []
    fields = [structured_header("List-Unsubscribe", ", ".join(ways))]
    if one_click and url.lower().startswith(ONE_CLICK_URLS):
        fields.append(b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n")
    return fields


def _body(letter: Letter) -> bytes:
    text = letter.text
    if text is None:
        text = html_to_text(letter.html) if letter.html is not None else ""
    alternatives = [text_part("plain", text)]
    inline = [attachment_part(file) for file in letter.attachments if file.content_id]
    files = [attachment_part(file) for file in letter.attachments if not file.content_id]
    if letter.html is not None:
        page = nested(
            [text_part("html", letter.html), *inline], "related", boundary_of(letter.message_id, "r"),
            parameters='type="text/html";',
        )  # fmt: skip
        alternatives.append(page)
    else:
        files = inline + files
    body = nested(alternatives, "alternative", boundary_of(letter.message_id, "a"))
    return nested([body, *files], "mixed", boundary_of(letter.message_id, "m"))


def _name(field: bytes) -> str:
    return field.partition(b":")[0].decode("ascii").lower()
