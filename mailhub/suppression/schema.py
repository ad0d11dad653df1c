"""The stop list in the JSON API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from mailhub.suppression.forms import Given, Note
from mailhub.suppression.queries import Row
from mailhub.suppression.service import Stopped
from mailhub.web.api import utc
from mailhub.web.forms import Form, Invalid
from mailhub.web.i18n import _
from mailhub.web.paging import API_LIMIT, API_LIMIT_MAX

#: Addresses of one request.
MOST = 1_000


def _in_future(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise Invalid(_("Write the time with its zone, like 2026-11-23T10:00:00Z."))
    if value <= datetime.now(UTC):
        raise Invalid(_("This must be in the future."))
    return value.astimezone(UTC)


Email = Annotated[str, Field(min_length=3, max_length=254)]


class SuppressionQuery(Form):
    """`email` is the beginning of an address; then the order is that of addresses, else the newest come first."""

    email: Annotated[str, Field(max_length=254)] = ""
    reason: Given | Literal["erased"] | None = None
    limit: Annotated[int, Field(ge=1, le=API_LIMIT_MAX)] = API_LIMIT
    after: str | None = None


class SuppressionIn(Form):
    """`email`, or `emails` with up to 1,000; without `expires_at` for good.

    An entry in force stays unless the new reason weighs more (unsubscribed, manual, hard_bounce, complaint) or lasts
    longer.
    """

    email: Email | None = None
    emails: Annotated[list[Email], Field(min_length=1, max_length=MOST)] | None = None
    reason: Given = "manual"
    note: Note = ""
    expires_at: Annotated[datetime, AfterValidator(_in_future)] | None = None


class SuppressionDelete(Form):
    """`email`: the whole address. `confirm` is needed for complaints and hard bounces."""

    email: Email
    note: Note = ""
    confirm: bool = False


class SuppressionOut(BaseModel):
    """An entry. `email` is null for somebody who was erased."""

    id: str
    email: str | None
    reason: str
    note: str
    event_id: str | None
    campaign_id: str | None
    added_by: str | None
    created_at: str | None
    expires_at: str | None


class AddedOut(BaseModel):
    """How many addresses were given, each once, and for how many of them the list says something new."""

    given: int
    changed: int


class CheckOut(BaseModel):
    """Whether campaigns reach the address. `reason` `global`: the operator stops it for all projects."""

    email: str
    suppressed: bool
    reason: str | None
    expires_at: str | None


def suppression_out(row: Row) -> SuppressionOut:
    entry = row.entry
    return SuppressionOut(
        id=str(entry.id),
        email=entry.email_key,
        reason=entry.reason,
        note=entry.note,
        event_id=str(entry.event_id) if entry.event_id is not None else None,
        campaign_id=str(entry.campaign_id) if entry.campaign_id is not None else None,
        added_by=row.added_by,
        created_at=utc(entry.created_at),
        expires_at=utc(entry.expires_at),
    )


def check_out(email: str, stopped: Stopped | None) -> CheckOut:
    return CheckOut(
        email=email,
        suppressed=stopped is not None,
        reason=stopped.reason if stopped is not None else None,
        expires_at=utc(stopped.expires_at) if stopped is not None else None,
    )
