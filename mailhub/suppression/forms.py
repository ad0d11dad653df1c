"""Input of the stop list's pages."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from mailhub.models import SuppressionReason
from mailhub.web.forms import Form
from mailhub.web.i18n import _

#: The reasons that people may give; erased people come here by being erased.
Given = Literal["manual", "unsubscribed", "complaint", "hard_bounce"]
GIVEN: tuple[str, ...] = get_args(Given)
#: Entries with these reasons are taken off only by somebody who says that they mean it.
NEEDS_CONFIRMATION = frozenset(
    {SuppressionReason.COMPLAINT.value, SuppressionReason.HARD_BOUNCE.value, SuppressionReason.ERASED.value}
)
REASON_NAMES: dict[str, Any] = {
    "hard_bounce": _("Bounced for good"),
    "complaint": _("Complained"),
    "unsubscribed": _("Unsubscribed"),
    "manual": _("By hand"),
    "erased": _("Erased person"),
}
#: For how long, in days; 0 is for good.
EXPIRIES = (0, 30, 90, 365)

Note = Annotated[str, Field(max_length=500)]


class AddForm(Form):
    """Addresses, pasted or uploaded (`file` is read by the view), why, and for how long."""

    addresses: Annotated[str, Field(max_length=4_000_000)] = ""
    reason: Given = "manual"
    note: Note = ""
    days: Annotated[int, Field(ge=0, le=36_500)] = 0


class RemoveForm(Form):
    """Why the entry goes. `sure`: needed for complaints, hard bounces and the erased."""

    note: Annotated[str, Field(min_length=1, max_length=500)]
    sure: str = ""


def end_of(days: int, now: datetime) -> datetime | None:
    """When an entry of so many days runs out; None for good."""
    return now + timedelta(days=days) if days else None
