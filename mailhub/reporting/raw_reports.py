"""Heavy reports over raw events. Ask for them under `heavy.take` only."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy.orm import Session

from mailhub.reporting.named import SQL

#: As many rows as there are.
ALL = 2**62
_FETCHED = 5_000


@dataclass(frozen=True, slots=True)
class Window:
    """From when until when the days of a range are, in whatever time zone a project has."""

    since: date
    until: date
    since_at: datetime
    until_at: datetime


@dataclass(frozen=True, slots=True)
class EventsRow:
    """Events of a type, to a domain, on a day of the project's own; `people` are different ones."""

    day: date
    project: str
    type: str
    email_domain: str
    events: int
    people: int


@dataclass(frozen=True, slots=True)
class ReasonsRow:
    """Refusals of a day in the same words. `words` have no addresses; `enhanced` is like 5.1.1 or empty."""

    day: date
    project: str
    type: str
    code: int | None
    enhanced: str
    words: str
    events: int
    domains: int


@dataclass(frozen=True, slots=True)
class RecipientsRow:
    """What became of a day's letters to an address; `source` and `known_since` are None for one that is gone."""

    day: date
    project: str
    email: str
    email_domain: str
    source: str | None
    known_since: datetime | None
    sent: int
    hardbounced: int
    softbounced: int
    blocked: int
    complained: int
    unsubscribed: int


RawRow = EventsRow | ReasonsRow | RecipientsRow
#: Report → its statement and its rows.
REPORTS: dict[str, tuple[str, type[RawRow]]] = {
    "events": ("raw_events", EventsRow),
    "reasons": ("raw_reasons", ReasonsRow),
    "recipients": ("raw_recipients", RecipientsRow),
}


def window(session: Session, since: date, until: date) -> Window | None:
    """The moments that the days since..until (half-open) take in all projects together; None without projects."""
    row = session.execute(SQL["raw_window"].text, {"since": since, "until": until}).one()
    return Window(since, until, row.since_at, row.until_at) if row.since_at is not None else None


def rows(
    session: Session, report: str, of: Window, *, project_ids: Collection[int] = (), most: int = ALL
) -> Iterator[RawRow]:
    """The rows of events, reasons or recipients, fetched as they are read. No project_ids: all projects.

    Recipients without project_ids are none: nobody needs everybody's addresses.
    """
    statement, kind = REPORTS[report]
    binds: dict[str, Any] = {
        "since": of.since, "until": of.until, "since_at": of.since_at, "until_at": of.until_at,
        "project_ids": sorted(project_ids), "most": most,
    }  # fmt: skip
    found = session.execute(SQL[statement].text, binds, execution_options={"yield_per": _FETCHED})
    return (kind(*tuple(row)) for row in found)
