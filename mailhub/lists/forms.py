"""What people and programs may say to this room."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from mailhub.mail.address import InvalidAddress, parse_address
from mailhub.models import OptIn, Tracking, Visibility
from mailhub.web.forms import Form, Invalid
from mailhub.web.i18n import LANGUAGES, _

#: Why an address is refused, by mail.address's reason codes.
ADDRESS_FAULTS = {
    "empty": _("The address is empty."),
    "no_at": _("The address has no @ sign, or more than one."),
    "local_part": _("The part before the @ sign is not valid."),
    "domain": _("The part after the @ sign is not a valid domain."),
    "too_long": _("The address is too long: 64 characters before the @ sign and 254 in all are allowed."),
    "control": _("The address contains a space, a line break or an invisible character."),
    "unsupported": _("Addresses of this form are not supported."),
}

MAX_VALUE = 10_000


def _address(text: str) -> str:
    try:
        return parse_address(text).email
    except InvalidAddress as refusal:
        raise Invalid(ADDRESS_FAULTS[refusal.reason_code]) from None


def one_line(text: str) -> str:
    """For validators: the text, if it is printable and of one line."""
    if any(not char.isprintable() for char in text):
        raise Invalid(_("Line breaks and invisible characters are not possible here."))
    return text


def _language(text: str) -> str:
    if text and text not in LANGUAGES:
        raise Invalid(_("This is not one of the choices."))
    return text


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise Invalid(_("Line breaks and invisible characters are not possible here."))
    return text


def row_id(text: Any) -> int:
    """Ids are strings in JSON and in forms."""
    if isinstance(text, bool) or not isinstance(text, str | int):
        raise Invalid(_("This is not an id."))
    number = str(text)
    if not number.isascii() or not number.isdigit() or len(number) > 18:
        raise Invalid(_("This is not an id."))
    return int(number)


def id_in(text: str) -> int | None:
    """The id that a text is; None for anything else, also for what only looks like digits or is too large."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


Address = Annotated[str, Field(max_length=1000), AfterValidator(_address)]
PersonName = Annotated[str, Field(max_length=300), AfterValidator(one_line)]
ListName = Annotated[str, Field(min_length=1, max_length=120), AfterValidator(one_line)]
Description = Annotated[str, Field(max_length=1000), AfterValidator(_no_nul)]
Language = Annotated[str, AfterValidator(_language)]
RowIdText = Annotated[int, BeforeValidator(row_id)]
Text = Annotated[str, Field(max_length=MAX_VALUE), AfterValidator(_no_nul)]


class ListForm(Form):
    name: ListName
    description: Description = ""
    opt_in: OptIn = OptIn.SINGLE
    visibility: Visibility = Visibility.PRIVATE
    language: Language = ""
    tracking: Tracking = Tracking.FULL


class DeleteForm(Form):
    """The name of what is deleted, typed by hand."""

    name: str = Field(max_length=1000)


class SubscriberForm(Form):
    """A person; `field_<name>` are the project's custom fields, which the view adds to the model."""

    email: Address
    name: PersonName = ""


class NewSubscriberForm(SubscriberForm):
    list_ids: list[RowIdText] = Field(default_factory=list)
    consent: Literal["1"] | None = None


class OneListForm(Form):
    list_id: RowIdText


class UnsubscribeForm(Form):
    """One list, or all of them where none is named."""

    list_id: RowIdText | None = None


class SignUpForm(Form):
    """`website` is bait for programs; `stamp` says when the form was shown."""

    email: Address
    name: PersonName = ""
    website: str = Field(default="", max_length=1000)
    stamp: str = Field(default="", max_length=200)
