"""Volume, bounces and complaints of all projects: by day, project and provider, out of the rollups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from pyramid.request import Request
from sqlalchemy.orm import Session

from mailhub.admin.filters import GROUPS, NumbersQuery
from mailhub.admin.sheet import Column, Line, Sheet, share, sorted_lines
from mailhub.mail.lane import LANES
from mailhub.reporting import admin_numbers
from mailhub.reporting.admin_numbers import Numbers, ProjectName
from mailhub.reporting.queries import Counts
from mailhub.web import charts
from mailhub.web.formats import cldr, date_text, number_text, percent_text
from mailhub.web.i18n import _, translate

KEYS = {
    "day": Column("day", _("Day"), "day"),
    "project": Column("project", _("Project")),
    "provider": Column("provider", _("Provider"), "provider"),
}
_Value = Callable[[Counts], Any]


@dataclass(frozen=True)
class Measure:
    """A report's numbers: its columns and how each is read from the counts; which of them are lines of its chart."""

    columns: Sequence[tuple[Column, _Value]]
    charted: Sequence[str]
    chart_title: Any
    tiles: Sequence[str]
    default: str


def tried(counts: Counts) -> int:
    """Letters whose outcome is known: one that is refused at once was never sent."""
    return counts.sent + counts.bounced + counts.blocked


def returned(counts: Counts) -> int:
    """Letters that came back or were refused for good."""
    return counts.bounced + counts.blocked


VOLUME = Measure(
    columns=(
        (Column("sent", _("Sent"), "number"), lambda c: c.sent),
        (Column("human_opened", _("Opens by people"), "number"), lambda c: c.human_opened),
        (Column("machine_opened", _("Opens by machines"), "number"), lambda c: c.machine_opened),
        (Column("human_redirected", _("Clicks by people"), "number"), lambda c: c.human_redirected),
        (Column("machine_redirected", _("Clicks by machines"), "number"), lambda c: c.machine_redirected),
        (Column("bounced", _("Came back"), "number"), returned),
        (Column("unsubscribed", _("Unsubscribed"), "number"), lambda c: c.unsubscribed),
        (Column("complained", _("Complained"), "number"), lambda c: c.complained),
    ),
    charted=("sent", "human_opened", "human_redirected"),
    chart_title=_("Letters, opens and clicks a day"),
    tiles=("sent", "human_opened", "human_redirected", "bounced"),
    default="-sent",
)
BOUNCES = Measure(
    columns=(
        (Column("sent", _("Sent"), "number"), lambda c: c.sent),
        (Column("hardbounced", _("Hard"), "number"), lambda c: c.hardbounced),
        (Column("hard_rate", _("Hard, share"), "share"), lambda c: share(c.hardbounced, tried(c))),
        (Column("softbounced", _("Soft"), "number"), lambda c: c.softbounced),
        (Column("blocked", _("Blocked"), "number"), lambda c: c.blocked),
        (Column("blocked_rate", _("Blocked, share"), "share"), lambda c: share(c.blocked, tried(c))),
        (Column("bounce_rate", _("All, share"), "share"), lambda c: share(returned(c), tried(c))),
        (Column("deferred", _("Put off"), "number"), lambda c: c.deferred),
    ),
    charted=("hardbounced", "softbounced", "blocked", "deferred"),
    chart_title=_("Bounces a day"),
    tiles=("hardbounced", "hard_rate", "softbounced", "blocked"),
    default="-hardbounced",
)
COMPLAINTS = Measure(
    columns=(
        (Column("sent", _("Sent"), "number"), lambda c: c.sent),
        (Column("complained", _("Complained"), "number"), lambda c: c.complained),
        (Column("complaint_rate", _("Complained, share"), "share"), lambda c: share(c.complained, c.sent)),
        (Column("unsubscribed", _("Unsubscribed"), "number"), lambda c: c.unsubscribed),
        (Column("unsubscribe_rate", _("Unsubscribed, share"), "share"), lambda c: share(c.unsubscribed, c.sent)),
    ),
    charted=("complained", "unsubscribed"),
    chart_title=_("Complaints and unsubscriptions a day"),
    tiles=("complained", "complaint_rate", "unsubscribed", "unsubscribe_rate"),
    default="-complained",
)


@dataclass(frozen=True)
class Found:
    """Rows by what was asked for, and the days of the chart."""

    rows: list[Numbers]
    days: list[Numbers]
    names: dict[int, ProjectName]
    since: date
    until: date


def read(session: Session, asked: NumbersQuery, today: date, project_id: int) -> Found:
    """Two or three statements on rollups."""
    since, until = asked.period(today)

    def numbers(by: tuple[str, ...]) -> list[Numbers]:
        return admin_numbers.numbers(
            session, since=since, until=until, by=by, project_id=project_id, provider=asked.provider
        )

    rows = numbers(asked.groups)
    days = rows if asked.groups == ("day",) else numbers(("day",))
    names = admin_numbers.project_names(session, {row.project_id for row in rows if row.project_id is not None})
    if until > today + timedelta(days=1) and all(row.day is None or row.day <= today for row in days):
        # Nobody's tomorrow has begun yet.
        until = today + timedelta(days=1)
    return Found(rows, _every_day(days, since, until), names, since, until)


def sheet(request: Request, measure: Measure, asked: NumbersQuery, found: Found) -> Sheet:
    """What the report shows of it."""
    keys = [KEYS[key] for key in GROUPS if key in asked.groups]
    columns = [*keys, *(column for column, _value in measure.columns)]
    rows = found.days if asked.groups == ("day",) else found.rows
    lines = [_line(request, measure, asked, row, found.names) for row in rows]
    default = "-day" if asked.groups == ("day",) else measure.default
    ordered, sort = sorted_lines(lines, columns, asked.sort, default)
    total = sum((row.counts for row in found.rows), Counts())
    values = {column.key: value(total) for column, value in measure.columns}
    labels = {column.key: column for column, _value in measure.columns}
    return Sheet(
        columns=columns,
        lines=ordered,
        total=values,
        chart=_chart(request, measure, found, total),
        sort=sort,
        tiles=[(labels[key].label, values[key], labels[key].kind) for key in measure.tiles],
    )


def _line(
    request: Request, measure: Measure, asked: NumbersQuery, row: Numbers, names: Mapping[int, ProjectName]
) -> Line:
    values: dict[str, Any] = {column.key: value(row.counts) for column, value in measure.columns}
    project = names.get(row.project_id) if row.project_id is not None else None
    values |= {"day": row.day, "provider": row.provider, "project": project.name if project is not None else None}
    if project is None:
        return Line(values)
    return Line(
        values,
        url=request.route_path("admin.project", project_id=project.id, _query=_days(asked)),
        sub=project.domain,
        archived=project.archived_at is not None,
    )


def _days(asked: NumbersQuery) -> dict[str, str]:
    """The same period for another page."""
    if asked.since is None and asked.until is None:
        return {"days": str(asked.days)}
    days = {"since": asked.since, "until": asked.until}
    return {name: day.isoformat() for name, day in days.items() if day is not None}


def _every_day(days: list[Numbers], since: date, until: date) -> list[Numbers]:
    """Days without events included, oldest first."""
    known = {row.day: row for row in days}
    every = (since + timedelta(days=n) for n in range((until - since).days))
    return [known.get(day) or Numbers(day, None, None, Counts()) for day in every]


def _chart(request: Request, measure: Measure, found: Found, total: Counts) -> charts.Chart | None:
    if not found.days:
        return None
    locale = cldr(request.locale_name)
    by_key = {column.key: (column, value) for column, value in measure.columns}
    series = [
        charts.Series(translate(request, by_key[key][0].label), [by_key[key][1](row.counts) for row in found.days])
        for key in measure.charted
    ]
    back = share(returned(total), tried(total))
    finding = translate(
        request,
        _("${sent} letters sent; ${share} of what was tried came back; ${complained} complaints."),
        sent=number_text(total.sent, locale), share=percent_text(back, locale),
        complained=number_text(total.complained, locale),
    )  # fmt: skip
    labels = [date_text(row.day, locale, request.time_zone, "short") for row in found.days]
    return charts.line_chart(
        "numbers", translate(request, measure.chart_title), finding, labels, series,
        label_name=translate(request, _("Day")),
    )  # fmt: skip


#: What the filter by provider offers.
PROVIDERS = LANES
