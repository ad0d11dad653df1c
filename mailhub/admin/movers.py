"""Top movers: projects whose volume, bounces, complaints or unsubscriptions changed most against the period before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from pyramid.request import Request
from sqlalchemy.orm import Session

from mailhub.admin.filters import MoversQuery
from mailhub.admin.sheet import Column, Line, Sheet, share, sorted_lines
from mailhub.reporting import admin_numbers
from mailhub.reporting.admin_numbers import Mover, ProjectName
from mailhub.web import charts
from mailhub.web.formats import cldr, number_text
from mailhub.web.i18n import _, translate

#: A rate of fewer letters says nothing about a change.
LEAST = 100
CHARTED = 10


@dataclass(frozen=True)
class Metric:
    """What may have moved: a number or a rate of now and of before. A rate is None where too little was sent."""

    label: Any
    now: Callable[[Mover], float | None]
    before: Callable[[Mover], float | None]
    is_rate: bool = True


METRICS: dict[str, Metric] = {
    "volume": Metric(_("Volume"), lambda m: m.sent, lambda m: m.sent_before, is_rate=False),
    "bounces": Metric(
        _("Bounces"),
        lambda m: _rate(m.bounced, m.sent + m.bounced),
        lambda m: _rate(m.bounced_before, m.sent_before + m.bounced_before),
    ),
    "complaints": Metric(
        _("Complaints"), lambda m: _rate(m.complained, m.sent), lambda m: _rate(m.complained_before, m.sent_before)
    ),
    "unsubscribes": Metric(
        _("Unsubscriptions"),
        lambda m: _rate(m.unsubscribed, m.sent),
        lambda m: _rate(m.unsubscribed_before, m.sent_before),
    ),
}


@dataclass(frozen=True)
class Found:
    movers: list[Mover]
    names: dict[int, ProjectName]
    since: date
    until: date


def read(session: Session, asked: MoversQuery, today: date, project_id: int) -> Found:
    """Two statements on rollups."""
    since, until = asked.period(today)
    found = [
        one
        for one in admin_numbers.movers(session, since=since, until=until)
        if project_id in (0, one.project_id)
    ]  # fmt: skip
    return Found(found, admin_numbers.project_names(session, {one.project_id for one in found}), since, until)


def sheet(request: Request, asked: MoversQuery, found: Found) -> Sheet:
    """The largest changes first; projects about which nothing can be said are left out."""
    metric = METRICS[asked.metric]
    kind: Any = "share" if metric.is_rate else "number"
    columns = [
        Column("project", _("Project")),
        Column("before", _("Before"), kind),
        Column("now", _("Now"), kind),
        Column("change", _("Difference"), "points" if metric.is_rate else "number"),
        Column("ratio", _("Now / before"), "share"),
        Column("sent_before", _("Sent before"), "number"),
        Column("sent", _("Sent now"), "number"),
        Column("size", _("Size of the change"), "points" if metric.is_rate else "number"),
    ]
    lines = []
    for mover in found.movers:
        now, before = metric.now(mover), metric.before(mover)
        if now is None or before is None:
            continue
        project = found.names[mover.project_id]
        values = {
            "project": project.name, "slug": project.slug, "now": now, "before": before,
            "change": now - before, "ratio": share(now, before), "sent": mover.sent, "sent_before": mover.sent_before,
            "size": abs(now - before),
        }  # fmt: skip
        url = request.route_path("admin.project", project_id=project.id)
        lines.append(Line(values, url=url, sub=project.domain, archived=project.archived_at is not None))
    ordered, sort = sorted_lines(lines, columns, asked.sort, "-size")
    # What one sorts by need not be shown: the change itself has a sign.
    return Sheet(
        columns=columns[:-1], lines=ordered, sort=sort, chart=_chart(request, metric, lines),
        note=_("Projects that sent fewer than ${n} letters in either period are left out.", mapping={"n": LEAST})
        if metric.is_rate
        else "",
    )  # fmt: skip


def _chart(request: Request, metric: Metric, lines: list[Line]) -> charts.Chart | None:
    largest = sorted(lines, key=lambda line: -line.values["size"])[:CHARTED]
    if not largest:
        return None
    more = sum(1 for line in lines if line.values["change"] > 0)
    less = sum(1 for line in lines if line.values["change"] < 0)
    locale = cldr(request.locale_name)
    finding = translate(
        request,
        _("Up in ${more} projects, down in ${less}."),
        more=number_text(more, locale),
        less=number_text(less, locale),
    )
    return charts.bar_chart(
        "movers",
        translate(request, metric.label),
        finding,
        [line.values["project"] for line in largest],
        [
            charts.Series(translate(request, _("Before")), [line.values["before"] for line in largest]),
            charts.Series(translate(request, _("Now")), [line.values["now"] for line in largest]),
        ],
        label_name=translate(request, _("Project")),
    )


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole >= LEAST else None
