"""All projects by what they send: rows for the page and the CSV, in an order that the user chose."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from typing import Any

from mailhub.reporting.admin import Volume
from mailhub.reporting.queries import Counts
from mailhub.web import spreadsheet

#: What may be sorted by. The order is looked up here, so that no text of a URL reaches a query.
SORTS: dict[str, Callable[[Volume], Any]] = {
    "name": lambda one: (one.name.casefold(), one.id),
    "sent": lambda one: (one.counts.sent, one.id),
    "opened": lambda one: (one.counts.human_opened, one.id),
    "clicked": lambda one: (one.counts.human_redirected, one.id),
    "bounced": lambda one: (one.counts.bounced, one.id),
    "unsubscribed": lambda one: (one.counts.unsubscribed, one.id),
    "complained": lambda one: (one.counts.complained, one.id),
}
DEFAULT_SORT = "-sent"
_COLUMNS = (
    "sent", "opened", "redirected", "hardbounced", "softbounced", "unsubscribed", "complained", "machine_opened",
    "machine_redirected",
)  # fmt: skip


def sorted_volumes(volumes: Iterable[Volume], sort: str) -> tuple[list[Volume], str]:
    """The rows in the order `sort` ("name", "-sent"), and the order itself: the default for one that there is not."""
    sort = sort if sort.removeprefix("-") in SORTS else DEFAULT_SORT
    return sorted(volumes, key=SORTS[sort.removeprefix("-")], reverse=sort.startswith("-")), sort


def total(volumes: Iterable[Volume]) -> Counts:
    return sum((one.counts for one in volumes), Counts())


def by_day(volumes: Iterable[Volume]) -> list[tuple[date, int]]:
    """How much all of them sent on each day, oldest first; each project's day is its own."""
    days: dict[date, int] = {}
    for one in volumes:
        for day, sent in zip(one.days, one.sent_by_day, strict=True):
            days[day] = days.get(day, 0) + sent
    return sorted(days.items())


def as_csv(volumes: Iterable[Volume]) -> str:
    """One line a project. Texts that a spreadsheet would calculate get an apostrophe."""
    head = ("project", "name", "domain", "time_zone", "since", "until", *_COLUMNS)
    rows = (
        (one.slug, one.name, one.domain, one.time_zone, one.since, one.until,
         *(getattr(one.counts, column) for column in _COLUMNS))
        for one in volumes
    )  # fmt: skip
    return spreadsheet.MARK + spreadsheet.lines([head, *rows])
