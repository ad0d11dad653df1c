"""What a form asks, says and looks like: the document in `sign_up_form.design`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from mailhub.lists.fields import clean_field_name
from mailhub.mail.url import UnsafeUrl, safe_url
from mailhub.signup.colours import MIN_TEXT, contrast, hex_colour
from mailhub.web.forms import Invalid
from mailhub.web.i18n import _

#: Fields that every person has; the others are the project's own.
BUILT_IN = ("email", "name")
MAX_FIELDS = 30
MAX_BOXES = 4

_LINK = re.compile(r"\[([^\[\]]{1,200})\]\(([^()\s]{1,1000})\)")


def _line(text: str) -> str:
    if any(not char.isprintable() for char in text):
        raise Invalid(_("Line breaks and invisible characters are not possible here."))
    return text


def _colour(text: str) -> str:
    found = hex_colour(text)
    if found is None:
        raise Invalid(_("Write the colour like #3b4fd8."))
    return found


def https_url(text: str) -> str:
    """An https address that a browser may be sent to, or nothing; raises Invalid."""
    if not text:
        return ""
    try:
        url = safe_url(text)
    except UnsafeUrl:
        raise Invalid(_("Write a whole address that begins with https://.")) from None
    if not url.startswith("https://"):
        raise Invalid(_("Write a whole address that begins with https://."))
    return url


def _consent(text: str) -> str:
    for _label, url in _LINK.findall(text):
        https_url(url)
    return text


Line = Annotated[str, Field(max_length=300), AfterValidator(_line)]
Colour = Annotated[str, Field(max_length=20), AfterValidator(_colour)]
HttpsUrl = Annotated[str, Field(max_length=2000), AfterValidator(https_url)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, frozen=True)

    @field_validator("*")
    @classmethod
    def no_nul(cls, value: Any) -> Any:
        """Neither PostgreSQL's texts nor its JSON have a place for it."""
        if isinstance(value, str) and "\0" in value:
            raise Invalid(_("Line breaks and invisible characters are not possible here."))
        return value


class Asked(_Part):
    """A field of the form. An empty label is the field's own."""

    name: Annotated[str, Field(max_length=60)]
    label: Line = ""
    hint: Line = ""
    required: bool = False

    @field_validator("name")
    @classmethod
    def known_form(cls, name: str) -> str:
        if name not in BUILT_IN and clean_field_name(name) != name:
            raise Invalid(_("There is no such field."))
        return name


class Texts(_Part):
    """What the form says; empty texts are ours, in the form's language."""

    title: Line = ""
    intro: Annotated[str, Field(max_length=2000)] = ""
    button: Annotated[str, Field(max_length=60), AfterValidator(_line)] = ""
    thanks: Annotated[str, Field(max_length=2000)] = ""
    already: Annotated[str, Field(max_length=2000)] = ""
    privacy_label: Line = ""
    privacy_url: HttpsUrl = ""


class Box(_Part):
    """A box that nobody ticks but the person. `[words](https://…)` in it is a link."""

    text: Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_consent)]
    required: bool = False


class Colours(_Part):
    """`#rrggbb`; texts and their backgrounds can be told apart by people who see less well."""

    page: Colour = "#f6f7f9"
    card: Colour = "#ffffff"
    text: Colour = "#14181f"
    button: Colour = "#3b4fd8"
    button_text: Colour = "#ffffff"

    @model_validator(mode="after")
    def readable(self) -> Colours:
        for one, other, sentence in (
            (self.text, self.card, _("The text cannot be read on the card: its contrast is ${n}, and 4.5 is needed.",
                                     mapping={"n": f"{contrast(self.text, self.card):.1f}"})),
            (self.text, self.page, _("The text cannot be read on the page: its contrast is ${n}, and 4.5 is needed.",
                                     mapping={"n": f"{contrast(self.text, self.page):.1f}"})),
            (self.button_text, self.button,
             _("The words on the button cannot be read: their contrast is ${n}, and 4.5 is needed.",
               mapping={"n": f"{contrast(self.button_text, self.button):.1f}"})),
        ):  # fmt: skip
            if contrast(one, other) < MIN_TEXT:
                raise Invalid(sentence)
        return self


class Design(_Part):
    """The whole of it. The address is always asked for, and always needed."""

    fields: Annotated[list[Asked], Field(max_length=MAX_FIELDS)] = Field(
        default_factory=lambda: [Asked(name="email", required=True), Asked(name="name")]
    )
    texts: Texts = Field(default_factory=Texts)
    boxes: Annotated[list[Box], Field(max_length=MAX_BOXES)] = Field(default_factory=list)
    colours: Colours = Field(default_factory=Colours)
    show_brand: bool = True

    @field_validator("fields")
    @classmethod
    def with_address(cls, fields: list[Asked]) -> list[Asked]:
        names = [one.name for one in fields]
        if len(set(names)) != len(names):
            raise Invalid(_("A field can be asked for once only."))
        if "email" not in names:
            return [Asked(name="email", required=True), *fields]
        return [one.model_copy(update={"required": True}) if one.name == "email" else one for one in fields]


@dataclass(frozen=True)
class Run:
    """A stretch of a sentence; with a URL it is a link."""

    text: str
    url: str = ""


def runs(text: str) -> list[Run]:
    """A consent's sentence in stretches of plain text and links; what is no good link stays as it was typed."""
    return list(_runs(text))


def plain(text: str) -> str:
    """The same sentence without the marks of its links, as it is kept in the record: links stand in brackets."""
    return "".join(f"{one.text} ({one.url})" if one.url else one.text for one in runs(text))


def _runs(text: str) -> Iterator[Run]:
    place = 0
    for match in _LINK.finditer(text):
        try:
            url = https_url(match[2])
        except Invalid:
            continue
        if match.start() > place:
            yield Run(text[place : match.start()])
        yield Run(match[1], url)
        place = match.end()
    if place < len(text):
        yield Run(text[place:])


def of_form(document: dict[str, Any]) -> Design:
    """The design of a stored form. What was right when it was saved is read as it is."""
    return Design.model_validate(document)
