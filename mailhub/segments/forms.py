"""What people may say to this room, beside the builder's rules (builder.py)."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from mailhub.web.forms import Form, Invalid
from mailhub.web.i18n import _


def _one_line(text: str) -> str:
    if any(not char.isprintable() for char in text):
        raise Invalid(_("Line breaks and invisible characters are not possible here."))
    return text


SegmentName = Annotated[str, Field(min_length=1, max_length=120), AfterValidator(_one_line)]
Description = Annotated[str, Field(max_length=1000)]


class HeadForm(Form):
    """The part of the builder's form that is no rule."""

    name: SegmentName
    description: Description = ""
