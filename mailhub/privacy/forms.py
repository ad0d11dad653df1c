"""What the pages of this room take."""

from __future__ import annotations

from pydantic import Field

from mailhub.web.forms import Form


class ConfirmForm(Form):
    """The address, typed: who erases should know whom."""

    email: str = Field(min_length=1, max_length=320)


class ManyForm(Form):
    """Addresses, one a line or with commas between them; `sure` is the ticked box."""

    emails: str = Field(min_length=1, max_length=400_000)
    sure: bool


class OwnForm(Form):
    """`action` keep takes a wish back."""

    email: str = Field(default="", max_length=320)
    action: str = Field(default="erase", pattern="^(erase|keep|data)$")
