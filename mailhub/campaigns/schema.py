"""Campaigns in the JSON API: what is sent and what is answered."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from mailhub.campaigns.chosen import Chosen
from mailhub.campaigns.forms import MAX_SPREAD_SECONDS, AddressOrEmpty, Line, Name, Source
from mailhub.campaigns.listing import parts_of
from mailhub.campaigns.people import REASONS, REFUSALS, STATES, Person
from mailhub.mail.address import InvalidAddress, parse_mailbox
from mailhub.models import Campaign, CampaignCount, CampaignVersion, Sender
from mailhub.web.api import utc
from mailhub.web.forms import Form, Invalid
from mailhub.web.i18n import _
from mailhub.web.paging import API_LIMIT, API_LIMIT_MAX


def _id(value: object) -> object:
    """Ids are decimal strings; a number is taken too."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
        return value
    raise Invalid(_("This is not an id."))


def _mailbox(value: object) -> object:
    """`Name <a@b>` or a bare address, as an object."""
    if not isinstance(value, str):
        return value
    try:
        mailbox = parse_mailbox(value)
    except InvalidAddress:
        raise Invalid(_("This is not a valid e-mail address.")) from None
    return {"email": mailbox.address.email, "name": mailbox.name}


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise Invalid(_("Write the time with its zone, like 2026-11-23T10:00:00Z."))
    return value.astimezone(UTC)


Id = Annotated[int, BeforeValidator(_id)]
#: The letters are spread evenly over so many seconds; 0: as fast as possible.
Spread = Annotated[int, Field(ge=0, le=MAX_SPREAD_SECONDS)]


class MailboxIn(Form):
    """A sender of the project; without a name the sender's own is used."""

    email: Annotated[str, Field(min_length=3, max_length=254)]
    name: Line = ""


From = Annotated[MailboxIn, BeforeValidator(_mailbox)]


class CampaignIn(Form):
    """A new campaign. Without `from` it gets the project's default sender.

    It goes to everybody in any of the lists and segments, less whoever is in an excluded one. `segment_id` is another
    way to say `segment_ids` with one.
    """

    name: Name
    subject: Line = ""
    preheader: Line = ""
    from_: From | None = Field(default=None, alias="from")
    reply_to: AddressOrEmpty = ""
    list_ids: list[Id] = Field(default_factory=list)
    segment_ids: list[Id] = Field(default_factory=list)
    exclude_list_ids: list[Id] = Field(default_factory=list)
    exclude_segment_ids: list[Id] = Field(default_factory=list)
    segment_id: Id | None = None
    html: Source = ""
    text: Source = ""
    send_at: datetime | None = None
    spread_seconds: Spread = 0


class CampaignPatch(Form):
    """What is to change of a draft; the rest stays. A `revision` that is not the latest one is refused."""

    name: Name | None = None
    subject: Line | None = None
    preheader: Line | None = None
    from_: From | None = Field(default=None, alias="from")
    reply_to: AddressOrEmpty | None = None
    list_ids: list[Id] | None = None
    segment_ids: list[Id] | None = None
    exclude_list_ids: list[Id] | None = None
    exclude_segment_ids: list[Id] | None = None
    segment_id: Id | None = None
    html: Source | None = None
    text: Source | None = None
    send_at: datetime | None = None
    spread_seconds: Spread | None = None
    revision: int | None = None


class StartIn(Form):
    """The campaign waits `grace_seconds` (and for its `send_at`) before it is sent; until then it can be cancelled.

    `spread_seconds` replaces the draft's own.
    """

    grace_seconds: Annotated[int, Field(ge=0, le=86400)] = 0
    spread_seconds: Spread | None = None


class ArchiveIn(Form):
    archived: bool = True


class LetterTestIn(Form):
    """Where the test letter goes, at most five addresses; `subscriber_id`: whom it is made for."""

    to: Annotated[list[Annotated[str, Field(max_length=254)]], Field(min_length=1, max_length=5)]
    subscriber_id: Annotated[int | None, BeforeValidator(lambda value: None if value is None else _id(value))] = None


class AgainIn(Form):
    """Which letters: those named by `message_id` of `/recipients`, or all of them."""

    message_ids: Annotated[list[UUID], Field(min_length=1, max_length=1000)] | None = None


class LeftOutOut(BaseModel):
    """Letters that stay as they are: `hard`, the address takes no mail for good; `stopped`, the person has left."""

    hard: int
    stopped: int


class AgainOut(BaseModel):
    """`n` letters are sent again."""

    n: int
    left_out: LeftOutOut


class ListQuery(Form):
    state: Literal["draft", "scheduled", "sending", "paused", "sent", "cancelled"] | None = None
    limit: Annotated[int, Field(ge=1, le=API_LIMIT_MAX)] = API_LIMIT
    after: str | None = None


class RecipientsQuery(Form):
    """`queued` people have no row before the first attempt: their number is in the campaign's `counts`.

    `reason` says why somebody was left out, or why the relay refused; `code` is the relay's answer.
    """

    state: Literal[("queued", *STATES)] | None = None  # type: ignore[valid-type]
    reason: Literal[(*REASONS, *REFUSALS)] | None = None  # type: ignore[valid-type]
    code: Annotated[int, Field(ge=200, le=599)] | None = None
    limit: Annotated[int, Field(ge=1, le=API_LIMIT_MAX)] = API_LIMIT
    after: str | None = None


class MailboxOut(BaseModel):
    email: str
    name: str


class CountsOut(BaseModel):
    """The parts always add up to the audience."""

    audience: int
    queued: int
    deferred: int
    sent: int
    failed: int
    unknown: int
    skipped: int


class CampaignOut(BaseModel):
    """A campaign with its ledger. `html` and `text` are left out of lists; `segment_id` is there if it has just one."""

    model_config = ConfigDict(populate_by_name=True)

    id: str
    name: str
    state: str
    subject: str
    preheader: str
    from_: MailboxOut | None = Field(alias="from")
    reply_to: str
    list_ids: list[str]
    segment_ids: list[str]
    exclude_list_ids: list[str]
    exclude_segment_ids: list[str]
    segment_id: str | None
    html: str | None = None
    text: str | None = None
    revision: int
    send_at: str | None
    spread_seconds: int
    started_at: str | None
    finished_at: str | None
    archived_at: str | None
    created_at: str | None
    updated_at: str | None
    counts: CountsOut


class RecipientOut(BaseModel):
    """One person of the audience about whom something is decided. `email` is null for keys that may not see people."""

    message_id: str
    subscriber_id: str | None
    email: str | None
    state: str
    reason: str
    smtp_code: int | None
    smtp_reply: str
    attempts: int
    due_at: str | None
    settled_at: str | None
    opened: int
    redirected: int
    first_opened_at: str | None
    first_redirected_at: str | None
    unsubscribed_at: str | None


class SentTestOut(BaseModel):
    id: str
    state: str
    to: str


class LetterTestOut(BaseModel):
    messages: list[SentTestOut]


def moment(value: datetime | None) -> datetime | None:
    """A time with its zone, in UTC; raises Invalid without one."""
    return None if value is None else _aware(value)


def campaign_out(
    campaign: Campaign,
    count: CampaignCount | None,
    *,
    sender: Sender | None,
    chosen: Chosen,
    version: CampaignVersion | None = None,
    with_letter: bool = True,
) -> CampaignOut:
    """A campaign as the API shows it: once it is started, what was frozen."""
    written: Any = version or campaign
    sent_from: dict[str, str] | None = None
    if version is not None:
        sent_from = {"email": version.from_email, "name": version.from_name}
    elif sender is not None:
        sent_from = {"email": sender.email, "name": campaign.from_name or sender.name}
    shown: dict[str, Any] = {"from": sent_from}
    return CampaignOut(
        **shown,
        id=str(campaign.id),
        name=campaign.name,
        state=campaign.state,
        subject=written.subject,
        preheader=written.preheader,
        reply_to=written.reply_to,
        list_ids=[str(number) for number in chosen.lists],
        segment_ids=[str(number) for number in chosen.segments],
        exclude_list_ids=[str(number) for number in chosen.not_lists],
        exclude_segment_ids=[str(number) for number in chosen.not_segments],
        segment_id=str(chosen.segments[0]) if len(chosen.segments) == 1 else None,
        html=written.html if with_letter else None,
        text=written.text if with_letter else None,
        revision=campaign.revision,
        send_at=utc(campaign.send_at),
        spread_seconds=campaign.spread_seconds or 0,
        started_at=utc(campaign.started_at),
        finished_at=utc(campaign.finished_at),
        archived_at=utc(campaign.archived_at),
        created_at=utc(campaign.created_at),
        updated_at=utc(campaign.updated_at),
        counts=CountsOut(**parts_of(count)),
    )


def recipient_out(person: Person, *, with_address: bool) -> RecipientOut:
    message = person.message
    assert message is not None, "the API lists letters"
    return RecipientOut(
        message_id=str(message.id),
        subscriber_id=str(message.subscriber_id) if message.subscriber_id is not None else None,
        email=message.email if with_address else None,
        state=message.state,
        reason=message.reason,
        smtp_code=message.smtp_code,
        smtp_reply=message.smtp_reply if with_address else "",
        attempts=message.attempts,
        due_at=utc(message.due_at),
        settled_at=utc(message.settled_at),
        opened=person.opened,
        redirected=person.clicked,
        first_opened_at=utc(person.first_opened_at),
        first_redirected_at=utc(person.first_clicked_at),
        unsubscribed_at=utc(person.unsubscribed_at),
    )
