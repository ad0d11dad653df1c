"""What is asked for: which table, in which form, narrowed to what. Kept as JSON in a job's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any


class What(StrEnum):
    """The tables that can be exported."""

    SUBSCRIBERS = "subscribers"
    LIST = "list"
    SEGMENT = "segment"
    RECIPIENTS = "recipients"
    SUPPRESSIONS = "suppressions"
    MESSAGES = "messages"
    EVENTS = "events"
    TAGS = "tags"


class Format(StrEnum):
    CSV = "csv"
    XLSX = "xlsx"


#: The object that a table is of: what → the name of its id.
OF = {What.LIST: "list_id", What.SEGMENT: "segment_id", What.RECIPIENTS: "campaign_id"}


class WantedRefused(Exception):
    """There is no such export: `field` and a stable word, `unknown`, `missing` or `range`."""

    def __init__(self, name: str, word: str) -> None:
        super().__init__(f"{name}: {word}")
        self.field, self.word = name, word


@dataclass(frozen=True, slots=True)
class Wanted:
    """`of` is the list, segment or campaign; `filters` are the parameters of the table of people, as its URL has them;
    `since` and `until` (half-open, days of the project's zone) are for letters and events.
    """

    what: What
    format: Format
    of: int | None = None
    filters: Mapping[str, str] = field(default_factory=dict)
    ids: tuple[int, ...] = ()
    since: date | None = None
    until: date | None = None

    def parameters(self) -> dict[str, Any]:
        """As JSON; `wanted_of` gives it back."""
        found: dict[str, Any] = {"what": self.what.value, "format": self.format.value}
        if self.of is not None:
            found["of"] = self.of
        if self.filters:
            found["filters"] = dict(self.filters)
        if self.ids:
            found["ids"] = list(self.ids)
        for name in ("since", "until"):
            day: date | None = getattr(self, name)
            if day is not None:
                found[name] = day.isoformat()
        return found


def wanted_of(parameters: Mapping[str, Any]) -> Wanted:
    """From a job's parameters."""
    days = {name: date.fromisoformat(parameters[name]) for name in ("since", "until") if name in parameters}
    return Wanted(
        What(parameters["what"]), Format(parameters["format"]), parameters.get("of"), parameters.get("filters", {}),
        tuple(parameters.get("ids", ())), **days,
    )  # fmt: skip


def checked(
    what: str,
    format_: str,
    *,
    of: int | None = None,
    filters: Mapping[str, str] | None = None,
    ids: tuple[int, ...] = (),
    since: date | None = None,
    until: date | None = None,
) -> Wanted:
    """A wish that makes sense; whether the list, segment or campaign exists is the table's to say.

    Raises WantedRefused.
    """
    try:
        known = What(what)
    except ValueError:
        raise WantedRefused("what", "unknown") from None
    try:
        form = Format(format_)
    except ValueError:
        raise WantedRefused("format", "unknown") from None
    if known in OF and of is None:
        raise WantedRefused(OF[known], "missing")
    if since is not None and until is not None and since >= until:
        raise WantedRefused("until", "range")
    if any(day is not None and not 1970 <= day.year <= 2999 for day in (since, until)):
        raise WantedRefused("since", "range")
    is_dated = known in (What.MESSAGES, What.EVENTS)
    is_people = known == What.SUBSCRIBERS
    return Wanted(
        known, form, of if known in OF else None, dict(filters or {}) if is_people else {}, ids if is_people else (),
        since if is_dated else None, until if is_dated else None,
    )  # fmt: skip
