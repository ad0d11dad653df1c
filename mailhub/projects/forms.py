"""What the project's pages take. Domains, addresses and zones are looked at by the service."""

from __future__ import annotations

from pydantic import Field, field_validator

from mailhub.models import Role, Tracking
from mailhub.web.forms import Form


class NewProject(Form):
    name: str = Field(min_length=1, max_length=100)
    slug: str = Field(min_length=1, max_length=40)
    domain: str = Field(min_length=1, max_length=253)
    time_zone: str = Field(max_length=64)
    language: str = Field(max_length=8)


class ProjectSettings(Form):
    name: str = Field(min_length=1, max_length=100)
    domain: str = Field(min_length=1, max_length=253)
    time_zone: str = Field(max_length=64)
    language: str = Field(max_length=8)
    postal_address: str = Field(default="", max_length=500)
    notify_email: str = Field(default="", max_length=320)
    retention_days: int | None = Field(default=None, ge=7, le=3650)
    unconfirmed_days: int | None = Field(default=None, ge=4, le=365)
    messages_per_second: float | None = Field(default=None, ge=0.001, le=100_000, allow_inf_nan=False)
    tracking: Tracking = Tracking.FULL

    @field_validator("retention_days", "unconfirmed_days", mode="before")
    @classmethod
    def _nothing_is_none(cls, given: object) -> object:
        return None if given == "" else given

    @field_validator("messages_per_second", mode="before")
    @classmethod
    def _nothing_is_no_limit(cls, given: object) -> object:
        """An empty field means no limit; half of Europe writes 2,5."""
        return given.strip().replace(",", ".") or None if isinstance(given, str) else given


class SenderForm(Form):
    email: str = Field(min_length=1, max_length=320)
    name: str = Field(default="", max_length=100)
    reply_to: str = Field(default="", max_length=320)
    is_default: bool = False


class DomainForm(Form):
    domain: str = Field(min_length=1, max_length=253)


class Invitation(Form):
    email: str = Field(min_length=1, max_length=320)
    role: Role


class RoleChange(Form):
    role: Role
