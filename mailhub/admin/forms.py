"""What the reports' filters take."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal
from uuid import UUID

from pydantic import Field, ValidationInfo, field_validator

from mailhub.models import CampaignState, ImportState, MessageKind, MessageState
from mailhub.web.forms import Form, Invalid
from mailhub.web.i18n import _

PERIODS = (7, 30, 90)
#: A longer range is asked for in pieces.
MOST_DAYS = 366
_EARLIEST, _LATEST = date(2000, 1, 1), date(2100, 1, 1)


class Range(Form):
    """Half-open: `until` is the first day that is not counted. Without it the range ends with today."""

    since: date | None = Field(default=None, ge=_EARLIEST, le=_LATEST)
    until: date | None = Field(default=None, ge=_EARLIEST, le=_LATEST)

    @field_validator("until")
    @classmethod
    def after_since(cls, value: date | None, info: ValidationInfo) -> date | None:
        since = info.data.get("since")
        if value is not None and since is not None and value <= since:
            raise Invalid(_("This must be after the first day."))
        return value

    def bounds(self, today: date) -> tuple[date | None, date | None]:
        """Both ends, or none where no range was asked for. Raises Invalid for more than MOST_DAYS days."""
        if self.since is None and self.until is None:
            return None, None
        # A project's today may be tomorrow here.
        until = self.until or today + timedelta(days=2)
        since = self.since or until - timedelta(days=30)
        if not 0 < (until - since).days <= MOST_DAYS:
            raise Invalid(_("Ask for 1 to ${n} days.", mapping={"n": MOST_DAYS}))
        return since, until


class ProjectsQuery(Range):
    """`project` is a slug; `after` the id of the last project of the page before."""

    project: str = Field(default="", max_length=40)
    limit: int = Field(default=100, ge=1, le=500)
    after: int = Field(default=0, ge=0, lt=2**62)


class ObjectsQuery(Range):
    """Filters that every list of objects has. Days are UTC's; `after` is the id of the last row of the page before."""

    project: str = Field(default="", max_length=40)
    text: str = Field(default="", max_length=200)
    limit: int = Field(default=100, ge=1, le=500)
    after: int | None = Field(default=None, ge=0, lt=2**62)


class UsersQuery(ObjectsQuery):
    state: Literal["active", "disabled", "admin"] | None = None


class CampaignsQuery(ObjectsQuery):
    state: CampaignState | None = None


class ImportsQuery(ObjectsQuery):
    state: ImportState | None = None


class MessagesQuery(Range):
    """Without dates and `to` (a whole address): the letters of the last day."""

    project: str = Field(default="", max_length=40)
    to: str = Field(default="", max_length=320)
    state: MessageState | None = None
    kind: MessageKind | None = None
    limit: int = Field(default=100, ge=1, le=500)
    after: UUID | None = None
