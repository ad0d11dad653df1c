"""What the page of exports takes: a table, its form, and what it is narrowed to."""

from __future__ import annotations

from datetime import date

from pydantic import Field, field_validator

from mailhub.web.forms import Form


class ExportForm(Form):
    """`of` is the list, segment or campaign. The filters have the names that the table of people has in its URL."""

    what: str = Field(max_length=20)
    format: str = Field(default="csv", max_length=10)
    of: int | None = Field(default=None, ge=1, lt=10**18)
    since: date | None = None
    until: date | None = None
    q: str = Field(default="", max_length=200)
    list: str = Field(default="", max_length=20)
    status: str = Field(default="", max_length=20)
    tag: str = Field(default="", max_length=20)
    segment: str = Field(default="", max_length=20)
    source: str = Field(default="", max_length=100)
    added_since: str = Field(default="", max_length=10)
    added_until: str = Field(default="", max_length=10)

    @field_validator("of", "since", "until", mode="before")
    @classmethod
    def _empty_is_none(cls, given: object) -> object:
        return None if given == "" else given

    def filters(self) -> dict[str, str]:
        """Those of the table of people, as it writes them into its URL."""
        named = {name: str(getattr(self, name)) for name in ("q", "list", "status", "tag", "segment", "source")}
        named |= {"since": self.added_since, "until": self.added_until}
        return {name: value for name, value in named.items() if value}
