"""What the account's pages take."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints, ValidationInfo, field_validator

from mailhub.models import Theme
from mailhub.security.permissions import SCOPES
from mailhub.web.forms import Form, Invalid
from mailhub.web.i18n import LANGUAGES, _
from mailhub.web.time_zones import is_zone

#: As typed: a space at an end of a password belongs to it. The upper bound only keeps the hash from being fed a novel.
Password = Annotated[str, StringConstraints(strip_whitespace=False, min_length=1, max_length=1000)]


def _language(value: str) -> str:
    if value not in LANGUAGES:
        raise Invalid(_("This is not one of the choices."))
    return value


def _zone(value: str) -> str:
    if value and not is_zone(value):
        raise Invalid(_("There is no such time zone."))
    return value


Language = Annotated[str, BeforeValidator(_language)]
#: Empty: none is chosen.
Zone = Annotated[str, BeforeValidator(_zone)]


class SignIn(Form):
    email: str = Field(min_length=1, max_length=320)
    password: Password
    next: str = ""


class OpenLink(Form):
    """The button of a one-time link: nothing but the token of the form."""


class Profile(Form):
    name: str = Field(default="", max_length=200)
    language: Language
    time_zone: Zone = ""


class Appearance(Form):
    """The menu sends one of the two, the page sends both."""

    theme: Theme | None = None
    language: Language | None = None
    next: str = ""


class NewPassword(Form):
    """`current` is asked for only of a person who has a password."""

    current: Annotated[str, StringConstraints(strip_whitespace=False, max_length=1000)] = ""
    password: Password
    repeat: Annotated[str, StringConstraints(strip_whitespace=False, max_length=1000)]

    @field_validator("repeat")
    @classmethod
    def same(cls, value: str, info: ValidationInfo) -> str:
        if value != info.data.get("password", value):
            raise Invalid(_("The two passwords are not the same."))
        return value


class NewApiKey(Form):
    """`access` full: the key has no scopes and may all that a key can do."""

    name: str = Field(min_length=1, max_length=100)
    access: Literal["full", "limited"]
    scopes: list[str] = Field(default=[], validate_default=True)
    expires_on: date | None = Field(default=None, le=date(2100, 1, 1))

    @field_validator("expires_on", mode="before")
    @classmethod
    def none_given(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("scopes")
    @classmethod
    def known(cls, value: list[str], info: ValidationInfo) -> list[str]:
        if set(value) - set(SCOPES):
            raise Invalid(_("This is not one of the choices."))
        if info.data.get("access") == "limited" and not value:
            raise Invalid(_("Choose at least one thing that the key may do."))
        return value
