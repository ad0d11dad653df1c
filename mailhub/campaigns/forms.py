"""Input of the HTML forms."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field

from mailhub.mail.address import InvalidAddress, parse_address
from mailhub.mail.lint import MAX_SOURCE_BYTES
from mailhub.web.forms import Form, Invalid
from mailhub.web.i18n import _

MAX_TEST_ADDRESSES = 5
#: A campaign that takes longer than a week is several campaigns.
MAX_SPREAD_SECONDS = 604_800
MAX_SPREAD_HOURS = MAX_SPREAD_SECONDS // 3600
#: The choices of the page, in hours; 0 is as fast as possible.
SPREADS = (0, 1, 2, 4, 8, 12, 24, 48)


def _address_or_empty(value: object) -> object:
    if not isinstance(value, str) or not value.strip():
        return value
    try:
        return parse_address(value).email
    except InvalidAddress:
        raise Invalid(_("This is not a valid e-mail address.")) from None


def _one_line(value: object) -> object:
    """Line breaks in a header's value come from pasting: they become spaces."""
    return " ".join(value.split()) if isinstance(value, str) else value


def _newlines(value: object) -> object:
    """Browsers send CRLF; a source is kept with LF, so that an unchanged one is recognised."""
    return value.replace("\r\n", "\n") if isinstance(value, str) else value


def _number_or_none(value: object) -> object:
    if isinstance(value, str):
        value = value.strip()
        if not value:
            return None
        if not value.isascii() or not value.isdigit() or len(value) > 18:
            raise Invalid(_("This is not one of the choices."))
    return value


Name = Annotated[str, BeforeValidator(_one_line), Field(min_length=1, max_length=200)]
Line = Annotated[str, BeforeValidator(_one_line), Field(max_length=998)]
Source = Annotated[str, BeforeValidator(_newlines), Field(max_length=MAX_SOURCE_BYTES)]
AddressOrEmpty = Annotated[str, BeforeValidator(_address_or_empty), Field(max_length=254)]
Ids = list[Annotated[int, Field(ge=1, lt=2**63)]]
Number = Annotated[int | None, BeforeValidator(_number_or_none)]


class NewForm(Form):
    """A campaign begins with its name, and with a letter to write on."""

    name: Name
    start_with: Annotated[str, Field(pattern="^(simple|empty)$")] = "simple"


class RecipientsForm(Form):
    """The draft's first step."""

    revision: int
    list_ids: Ids = Field(default_factory=list)
    segment_ids: Ids = Field(default_factory=list)
    exclude_list_ids: Ids = Field(default_factory=list)
    exclude_segment_ids: Ids = Field(default_factory=list)
    go: str = ""


class ContentForm(Form):
    """The draft's second step. `anyway`: keep a letter with mistakes as a draft."""

    revision: int
    name: Name
    sender_id: Number = None
    from_name: Line = ""
    reply_to: AddressOrEmpty = ""
    subject: Line = ""
    preheader: Line = ""
    html: Source = ""
    text: Source = ""
    anyway: str = ""
    go: str = ""


class StartForm(Form):
    """The last button. `when`: at once, or at a local time in the project's zone.

    `spread`: over how many hours; "own" takes those of `spread_hours`, 0 is as fast as possible.
    """

    when: Annotated[str, Field(pattern="^(now|later)$")] = "now"
    send_at: str = ""
    spread: Annotated[str, Field(pattern="^([0-9]{1,3}|own)$")] = "0"
    spread_hours: Annotated[str, Field(max_length=10)] = ""


class LetterTestForm(Form):
    """Up to five addresses, and whom the letter is shown as."""

    addresses: Annotated[str, Field(max_length=2000)] = ""
    subscriber: Number = None
    back: str = ""


class AgainForm(Form):
    """Which letter is sent again, none for all of them; `back`: the filter of the people page it was asked on."""

    message_id: UUID | None = None
    back: Annotated[str, Field(pattern="^(unknown|failed)?$")] = ""


class RenameForm(Form):
    name: Name


class ArchiveForm(Form):
    archived: Annotated[str, Field(pattern="^[01]$")] = "1"


def spread_seconds_of(form: StartForm) -> int:
    """The seconds that the letters are spread over; raises Invalid for hours that are none."""
    typed = form.spread_hours.strip().replace(",", ".") if form.spread == "own" else form.spread
    try:
        seconds = round(float(typed) * 3600)
    except (ValueError, OverflowError):
        raise Invalid(_("Type a number of hours, up to ${n}.", mapping={"n": MAX_SPREAD_HOURS})) from None
    least = 1 if form.spread == "own" else 0
    if not least <= seconds <= MAX_SPREAD_SECONDS:
        raise Invalid(_("Type a number of hours, up to ${n}.", mapping={"n": MAX_SPREAD_HOURS}))
    return seconds


def typed_addresses(value: str) -> list[str]:
    """The addresses of the test form, separated by commas, semicolons or white space; raises Invalid."""
    words = [word for word in value.replace(",", " ").replace(";", " ").split() if word]
    if not words:
        raise Invalid(_("Type at least one address."))
    found: dict[str, str] = {}
    for word in words:
        try:
            address = parse_address(word)
        except InvalidAddress:
            raise Invalid(_("“${address}” is not a valid e-mail address.", mapping={"address": word[:100]})) from None
        found.setdefault(address.key, address.email)
    if len(found) > MAX_TEST_ADDRESSES:
        raise Invalid(_("At most ${n} addresses are possible.", mapping={"n": MAX_TEST_ADDRESSES}))
    return list(found.values())


def local_moment(value: str, zone: ZoneInfo, now: datetime) -> datetime:
    """The moment that `datetime-local` means in the zone; raises Invalid for a gap of daylight saving and the past."""
    try:
        naive = datetime.fromisoformat(value)
    except ValueError:
        raise Invalid(_("Choose a day and a time.")) from None
    if naive.tzinfo is not None:
        raise Invalid(_("Choose a day and a time."))
    moment = naive.replace(tzinfo=zone)
    if moment.astimezone(ZoneInfo("UTC")).astimezone(zone).replace(tzinfo=None) != naive:
        raise Invalid(_("This time does not exist on that day: the clocks are put forward. Choose another one."))
    if moment <= now:
        raise Invalid(_("This moment is in the past."))
    if (moment - now).days > 366:
        raise Invalid(_("Choose a moment within a year."))
    return moment
