"""What programs send to `POST /messages` and what they get back."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, field_validator, model_validator

from mailhub.mail.address import InvalidAddress, parse_address, parse_mailbox
from mailhub.mail.headers import UnsafeHeader, custom_header, safe
from mailhub.models import MessageState
from mailhub.web.forms import Form, Invalid
from mailhub.web.i18n import _

MAX_ATTACHMENT_BYTES = 10 * 1024 * 1024
MAX_ATTACHMENTS = 20
MAX_HEADERS = 20
MAX_BODY = 1024 * 1024


def _mailbox(value: Any) -> Any:
    """`a@b`, `Name <a@b>` or `{"email", "name"}`."""
    if not isinstance(value, str):
        return value
    try:
        mailbox = parse_mailbox(value)
    except InvalidAddress as failure:
        raise Invalid(_(failure.message)) from None
    return {"email": mailbox.address.email, "name": mailbox.name}


def _address(value: str) -> str:
    try:
        return parse_address(value).email
    except InvalidAddress as failure:
        raise Invalid(_(failure.message)) from None


def _header_text(value: str) -> str:
    try:
        return safe(value)
    except UnsafeHeader:
        raise Invalid(_("This contains a line break or another character that a header cannot have.")) from None


class MailboxIn(Form):
    """An address, perhaps with the name of its owner."""

    email: str
    name: str = Field("", max_length=200)

    _check_email = field_validator("email")(_address)
    _check_name = field_validator("name")(_header_text)


Mailbox = Annotated[MailboxIn, BeforeValidator(_mailbox)]


class AttachmentIn(Form):
    """A file. `content` is base64; an image with a `content_id` is shown in the HTML as `cid:…`."""

    filename: str = Field(min_length=1, max_length=200)
    content_type: str = Field("application/octet-stream", pattern=r"^[\w.+-]{1,60}/[\w.+-]{1,100}$")
    content: str
    content_id: str = Field("", pattern=r"^[A-Za-z0-9._@+-]{0,100}$")

    _check_filename = field_validator("filename")(_header_text)

    @field_validator("content")
    @classmethod
    def is_base64(cls, value: str) -> str:
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise Invalid(_("This is not base64.")) from None
        return value


class MessageIn(Form):
    """A letter to one address. With `variables`, subject, HTML and text are filled in from them."""

    sender: Mailbox = Field(alias="from")
    to: Mailbox
    subject: str = Field(min_length=1, max_length=500)
    html: str = Field("", max_length=MAX_BODY)
    text: str = Field("", max_length=MAX_BODY)
    reply_to: str = Field("", max_length=254)
    variables: dict[str, Any] | None = None
    headers: dict[str, str] = Field(default_factory=dict, max_length=MAX_HEADERS)
    attachments: list[AttachmentIn] = Field(default_factory=list, max_length=MAX_ATTACHMENTS)
    tag: str = Field("", max_length=100)
    tracking: bool = Field(True, description="Count opens and clicks of the HTML.")

    _check_subject = field_validator("subject", "tag")(_header_text)

    @field_validator("reply_to")
    @classmethod
    def is_address(cls, value: str) -> str:
        return _address(value) if value else ""

    @field_validator("headers")
    @classmethod
    def are_allowed(cls, value: dict[str, str]) -> dict[str, str]:
        for name, content in value.items():
            try:
                custom_header(name, content)
            except UnsafeHeader as unsafe:
                if unsafe.code == "name":
                    raise Invalid(_("The header ${name} cannot be set.", mapping={"name": name[:60]})) from None
                raise Invalid(_("The value of ${name} cannot be sent.", mapping={"name": name[:60]})) from None
        return value

    @field_validator("attachments")
    @classmethod
    def fit(cls, value: list[AttachmentIn]) -> list[AttachmentIn]:
        if sum(len(one.content) * 3 // 4 for one in value) > MAX_ATTACHMENT_BYTES:
            raise Invalid(_("The attachments are larger than 10 MB."))
        return value

    @model_validator(mode="after")
    def says_something(self) -> MessageIn:
        if not self.html and not self.text:
            raise Invalid(_("A letter needs html or text."))
        return self


class MessageQuery(Form):
    """Filters of the log. Without `campaign` only single letters are listed."""

    state: MessageState | None = None
    to: str = ""
    tag: str = ""
    campaign: int | None = Field(None, ge=1, lt=2**63)
    kind: Literal["transactional", "test", "service"] | None = None
    limit: int = Field(100, ge=1, le=500)
    after: str = ""


class AcceptedOut(BaseModel):
    id: str
    state: str


class EventOut(BaseModel):
    type: str
    at: datetime
    detail: str


class MessageOut(BaseModel):
    """A letter and what became of it."""

    id: str
    kind: str
    state: str
    reason: str
    to: str
    subject: str
    tag: str
    campaign_id: str | None
    attempts: int
    smtp_code: int | None
    smtp_reply: str
    created_at: datetime
    settled_at: datetime | None


class MessageDetailOut(MessageOut):
    """The letter with everything that happened to it, oldest first."""

    events: list[EventOut]
