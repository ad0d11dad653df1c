"""A campaign's report as CSV: each of its tables, or all numbers in one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from mailhub.reporting.campaign_pages import Measure
from mailhub.reporting.queries import Counts, share
from mailhub.stats.campaign_report import Hits, Report
from mailhub.web.i18n import _
from mailhub.web.sheets import Cell

Row = tuple[Cell, ...]

_COUNTS = (
    _("Sent"), _("Opens by people"), _("Opens, machines included"), _("Clicks by people"),
    _("Clicks, machines included"), _("Bounced for good"), _("Bounced for now"), _("Unsubscribed"), _("Complaints"),
)  # fmt: skip
_HITS = (
    _("Opens by people"), _("Opens, machines included"), _("Clicks by people"), _("Clicks, machines included"),
)  # fmt: skip


@dataclass(frozen=True)
class Table:
    """`columns` are lazy texts; the first `keys` of them say what a row is about, the others are numbers or texts."""

    columns: Sequence[Any]
    keys: int
    rows: Callable[[Report], Iterator[Row]]


def _totals(report: Report) -> Iterator[Row]:
    totals, counts = report.totals, report.counts
    yield ("audience", totals.audience, None, None)
    yield ("sent", counts.sent, None, None)
    people: tuple[tuple[Measure, int], ...] = (
        ("opened", totals.human_opened), ("clicked", totals.human_redirected), ("bounced", counts.bounced),
        ("unsubscribed", counts.unsubscribed), ("complained", counts.complained),
    )  # fmt: skip
    for measure, n in people:
        rate = report.rates[measure]
        yield (measure, n, _share(rate.now), _share(rate.usual))
    yield ("opened_with_machines", totals.unique_opened, _share(totals.open_rate), None)
    yield ("clicked_with_machines", totals.unique_redirected, _share(totals.click_rate), None)
    yield ("opens_by_people", counts.human_opened, None, None)
    yield ("opens_with_machines", counts.opened, None, None)
    yield ("clicks_by_people", counts.human_redirected, None, None)
    yield ("clicks_with_machines", counts.redirected, None, None)
    yield ("bounced_for_good", counts.hardbounced, None, None)
    yield ("bounced_for_now", counts.softbounced, None, None)


def _hours(report: Report) -> Iterator[Row]:
    for one in report.hours_so_far:
        yield (one.hour, _moment(report.hour_begins(one.hour), report.zone), *_counts(one.counts))


def _days(report: Report) -> Iterator[Row]:
    for day in report.days:
        yield (day.date.isoformat(), *_counts(day.counts))


def _links(report: Report) -> Iterator[Row]:
    whole = report.link_clicks
    for number, link in enumerate(report.links, start=1):
        yield (
            number, link.url, link.label, link.human_unique, link.unique_redirected, link.human_redirected,
            link.redirected, _share(share(link.human_redirected, whole)),
        )  # fmt: skip


def _domains(report: Report) -> Iterator[Row]:
    for one in report.domains:
        yield (one.domain, *_counts(one.counts))


def _devices(report: Report) -> Iterator[Row]:
    return (_hits(one) for one in report.devices)


def _clients(report: Report) -> Iterator[Row]:
    return (_hits(one) for one in report.clients)


def _errors(report: Report) -> Iterator[Row]:
    for code in report.refused:
        for kind in code.kinds:
            yield (code.code, kind.state, kind.reason, kind.n, kind.reply)


#: By the name in the URL.
TABLES: dict[str, Table] = {
    "totals": Table((_("Number"), _("Count"), _("Share"), _("Usual share")), 1, _totals),
    "hours": Table((_("Hour"), _("Begins at"), *_COUNTS), 2, _hours),
    "days": Table((_("Day"), *_COUNTS), 1, _days),
    "links": Table(
        (
            _("Number"),
            _("Address"),
            _("Link"),
            _("People"),
            _("People and machines"),
            _("Clicks by people"),
            _("Clicks, machines included"),
            _("Share of clicks"),
        ),
        3,
        _links,
    ),
    "domains": Table((_("Domain"), *_COUNTS), 1, _domains),
    "devices": Table((_("Device"), *_HITS), 1, _devices),
    "clients": Table((_("Program"), *_HITS), 1, _clients),
    "errors": Table((_("Code"), _("State"), _("Reason"), _("Letters"), _("What the server said")), 3, _errors),
}
WHOLE = "report"


def rows_of(report: Report, table: str, say: Callable[[Any], str]) -> Iterator[Row]:
    """A table with its head, or with WHOLE every number of the report as (table, what, number's name, number).

    `say` puts a lazy text into the reader's language. Raises KeyError for a table that there is not.
    """
    if table == WHOLE:
        return _whole(report, say)
    one = TABLES[table]
    return _with_head(one, report, say)


def _with_head(table: Table, report: Report, say: Callable[[Any], str]) -> Iterator[Row]:
    yield tuple(say(column) for column in table.columns)
    yield from table.rows(report)


def _whole(report: Report, say: Callable[[Any], str]) -> Iterator[Row]:
    yield tuple(say(text) for text in (_("Table"), _("What"), _("Number"), _("Value")))
    yield ("report", "campaign", say(_("Campaign")), report.name)
    yield ("report", "started_at", say(_("Started")), _moment(report.started_at, report.zone))
    yield ("report", "as_of", say(_("As of")), _moment(report.totals.as_of, report.zone))
    yield ("report", "time_zone", say(_("Days and hours of the time zone")), report.zone)
    for name, table in TABLES.items():
        for row in table.rows(report):
            what = " | ".join(str(cell) for cell in row[: table.keys] if cell not in (None, ""))
            for column, value in zip(table.columns[table.keys :], row[table.keys :], strict=True):
                if value not in (None, ""):
                    yield (name, what, say(column), value)


def _counts(counts: Counts) -> Row:
    return (
        counts.sent, counts.human_opened, counts.opened, counts.human_redirected, counts.redirected,
        counts.hardbounced, counts.softbounced, counts.unsubscribed, counts.complained,
    )  # fmt: skip


def _hits(one: Hits) -> Row:
    return (one.name, one.human_opened, one.opened, one.human_redirected, one.redirected)


def _share(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _moment(moment: datetime, zone: str) -> str:
    return moment.astimezone(ZoneInfo(zone)).isoformat(timespec="seconds")
