"""Heavy reports of a few days in a page: events by type and domain, refusals by their words, who got the letters."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from pyramid.request import Request
from sqlalchemy.orm import Session

from mailhub.admin.filters import RawQuery
from mailhub.admin.sheet import Column, Line, Sheet, sorted_lines
from mailhub.jobs import kinds
from mailhub.jobs.kinds import Wanted
from mailhub.models import JobKind
from mailhub.reporting import raw_reports
from mailhub.reporting.raw_reports import RawRow
from mailhub.web import charts
from mailhub.web.formats import cldr, date_text, number_text
from mailhub.web.i18n import _, translate

#: Rows that a page or its CSV takes at most; a job has all.
MOST_ROWS = 20_000
_DAY = Column("day", _("Day"), "day")
_PROJECT = Column("project", _("Project"))
_DOMAIN = Column("email_domain", _("Domain"))
COLUMNS: dict[str, tuple[Column, ...]] = {
    "events": (
        _DAY, _PROJECT, Column("type", _("Event"), "event"), _DOMAIN, Column("events", _("Events"), "number"),
        Column("people", _("People"), "number"),
    ),
    "reasons": (
        _DAY, _PROJECT, Column("type", _("Event"), "event"), Column("code", _("Code"), "code"),
        Column("enhanced", _("Status"), "code"), Column("words", _("What the server said")),
        Column("events", _("Letters"), "number"), Column("domains", _("Domains"), "number"),
    ),
    "recipients": (
        _DAY, _PROJECT, Column("email", _("Address")), Column("source", _("Came from")),
        Column("known_since", _("Known since"), "time"), Column("sent", _("Sent"), "number"),
        Column("hardbounced", _("Hard"), "number"), Column("softbounced", _("Soft"), "number"),
        Column("blocked", _("Blocked"), "number"), Column("complained", _("Complained"), "number"),
        Column("unsubscribed", _("Unsubscribed"), "number"),
    ),
}  # fmt: skip
_COUNTED = {"events": "events", "reasons": "events", "recipients": "sent"}


@dataclass(frozen=True)
class Found:
    rows: list[RawRow]
    since: date
    until: date
    cut: bool


def wanted(name: str, asked: RawQuery, today: date, project_ids: list[int]) -> Wanted:
    """The job that makes the same report. Raises JobRefused."""
    since, until = asked.period(today)
    return kinds.check(JobKind(name), since=since, until=until, project_ids=project_ids)


def read(session: Session, want: Wanted) -> Found:
    """Two statements, the second one heavy."""
    assert want.since is not None
    assert want.until is not None
    window = raw_reports.window(session, want.since, want.until)
    if window is None:
        return Found([], want.since, want.until, cut=False)
    rows = list(
        raw_reports.rows(session, want.kind.value, window, project_ids=want.project_ids, most=MOST_ROWS + 1)
    )  # fmt: skip
    return Found(rows[:MOST_ROWS], want.since, want.until, cut=len(rows) > MOST_ROWS)


def sheet(request: Request, name: str, asked: RawQuery, found: Found) -> Sheet:
    columns = COLUMNS[name]
    lines = [Line(_values(row)) for row in found.rows]
    ordered, sort = sorted_lines(lines, columns, asked.sort, f"-{_COUNTED[name]}")
    note: Any = ""
    if found.cut:
        note = _("These are the first ${n} rows of the oldest days. A job has all of them.", mapping={"n": MOST_ROWS})
    return Sheet(columns=columns, lines=ordered, sort=sort, note=note, chart=_chart(request, name, found))


def _values(row: RawRow) -> dict[str, Any]:
    return asdict(row)


def _chart(request: Request, name: str, found: Found) -> charts.Chart | None:
    """The largest groups: event types, words, or domains."""
    by = {"events": "type", "reasons": "enhanced", "recipients": "email_domain"}[name]
    sums: dict[str, int] = {}
    for row in found.rows:
        key = str(getattr(row, by) or getattr(row, "code", "") or "—")
        sums[key] = sums.get(key, 0) + int(getattr(row, _COUNTED[name]))
    largest = sorted(sums.items(), key=lambda pair: (-pair[1], pair[0]))[:8]
    if not largest:
        return None
    locale = cldr(request.locale_name)
    finding = translate(
        request, _("${n} in all, from ${since} on."), n=number_text(sum(sums.values()), locale),
        since=date_text(found.since, locale, request.time_zone),
    )  # fmt: skip
    titles = {"events": _("Events by type"), "reasons": _("Refusals by status"), "recipients": _("Letters by domain")}
    return charts.bar_chart(
        "raw", translate(request, titles[name]), finding, [key for key, _n in largest],
        [charts.Series(translate(request, _("Number")), [n for _key, n in largest])],
    )  # fmt: skip
