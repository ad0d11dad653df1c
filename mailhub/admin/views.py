"""The reports' front page, all projects, and one of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from mailhub.accounts import sign_in
from mailhub.admin import queues, reading, volumes
from mailhub.admin.forms import PERIODS, Range
from mailhub.reporting import admin as reports
from mailhub.reporting import queries
from mailhub.reporting.admin import Volume
from mailhub.reporting.queries import Counts
from mailhub.security.context import number_of
from mailhub.web import charts, htmx
from mailhub.web.formats import cldr, date_text, number_text
from mailhub.web.forms import Invalid
from mailhub.web.i18n import _, translate
from mailhub.web.local_path import local_path

#: A page with more rows helps nobody: the filter narrows it, the CSV has all.
ROWS = 200


# Signing in


@view_config(
    route_name="accounts.sign_in",
    request_method="GET",
    renderer="admin/sign_in.html",
    permission=NO_PERMISSION_REQUIRED,
)
def sign_in_page(request: Request) -> dict[str, Any] | Response:
    back = local_path(request.GET.get("next"))
    if request.user is not None and request.user.is_admin:
        return htmx.redirect(request, back)
    return {"values": {}, "errors": {}, "wait": 0, "next": back}


@view_config(
    route_name="accounts.sign_in",
    request_method="POST",
    renderer="admin/sign_in.html",
    permission=NO_PERMISSION_REQUIRED,
)
def sign_in_by_password(request: Request) -> dict[str, Any] | Response:
    wrong = _("The address or the password is not right, or it is not an administrator's.")
    return sign_in.answer(request, lambda user: user.is_admin, wrong)


# Pages


@view_config(route_name="admin.home", request_method="GET", permission="admin")
def home(request: Request) -> Response:
    return htmx.redirect(request, request.route_path("admin.index"))


@view_config(route_name="admin.index", request_method="GET", permission="admin", renderer="admin/index.html")
def index(request: Request) -> dict[str, Any]:
    report = reading.read(request, lambda session: (reports.project_volumes(session, days=30), queues.state(session)))
    found, state = report.found
    return {
        "report": report,
        "total": volumes.total(found),
        "chart": _volume_chart(request, found),
        "projects": len(found),
        "busiest": [one for one in volumes.sorted_volumes(found, "-sent")[0][:5] if one.counts.sent],
        "queues": state.queues,
        "faults": [one for one in state.periodic if one.error],
    }


@view_config(route_name="admin.projects", request_method="GET", permission="admin", renderer="admin/projects.html")
@view_config(
    route_name="admin.projects",
    request_method="GET",
    permission="admin",
    renderer="admin/_project_rows.html",
    hx_target="project-rows",
)
def projects(request: Request) -> dict[str, Any]:
    asked = _asked(request)
    report = reading.read(request, lambda session: reports.project_volumes(session, **asked))
    rows, sort = volumes.sorted_volumes(report.found, request.GET.get("sort", ""))
    return {
        "report": report,
        "rows": rows[:ROWS],
        "all": len(rows),
        "total": volumes.total(rows),
        "chart": _volume_chart(request, rows),
        "sort": sort,
        "q": asked["text"],
        "days": asked["days"],
        "periods": PERIODS,
    }


@view_config(route_name="admin.projects_csv", request_method="GET", permission="admin")
def projects_csv(request: Request) -> Response:
    asked = _asked(request)
    report = reading.read(request, lambda session: reports.project_volumes(session, **asked))
    rows, _sort = volumes.sorted_volumes(report.found, request.GET.get("sort", ""))
    response = Response(volumes.as_csv(rows), content_type="text/csv", charset="utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="projects-{report.as_of:%Y-%m-%d}.csv"'
    response.headers["Cache-Control"] = "no-store"
    return response


@view_config(route_name="admin.project", request_method="GET", permission="admin", renderer="admin/project.html")
def project(request: Request) -> dict[str, Any]:
    volume, days, report = project_days(request, number_of(request, "project_id"), _asked(request))
    shown = charts.line_chart(
        "project-days",
        translate(request, _("Events a day")),
        _finding(request, volume.counts.sent, len(days)),
        [_day_label(request, one.date) for one in days],
        [
            charts.Series(translate(request, _("Sent")), [one.counts.sent for one in days]),
            charts.Series(translate(request, _("Opens by people")), [one.counts.human_opened for one in days]),
            charts.Series(translate(request, _("Clicks by people")), [one.counts.human_redirected for one in days]),
        ],
        label_name=translate(request, _("Day")),
    )
    return {
        "report": report,
        "project": volume,
        "rows": list(reversed(days)),
        "chart": shown,
        "days": _asked(request)["days"],
        "periods": PERIODS,
    }


def project_days(
    request: Request, project_id: int, asked: dict[str, Any]
) -> tuple[Volume, list[queries.Day], reading.Report[Any]]:
    """A project's range, its days, and when they were read; 404 for one that there is not."""

    def both(session: Any) -> tuple[Volume, list[queries.Day]] | None:
        found = reports.project_volumes(
            session, since=asked["since"], until=asked["until"], days=asked["days"], after_id=project_id - 1, most=1
        )
        if not found or found[0].id != project_id:
            return None
        return found[0], queries.project_days(session, project_id, found[0].since, found[0].until)

    report = reading.read(request, both)
    if report.found is None:
        raise HTTPNotFound()
    return report.found[0], report.found[1], report


# What was asked for


def _asked(request: Request) -> dict[str, Any]:
    """The filters of a page's URL. What makes no sense is taken as not asked for: a report's address may be old."""
    days = request.GET.get("days", "")
    since = until = None
    try:
        given = {name: request.GET[name] for name in ("since", "until") if request.GET.get(name)}
        since, until = Range.model_validate(given).bounds(datetime.now(UTC).date())
    except (ValidationError, Invalid):
        pass
    return {
        "since": since,
        "until": until,
        "days": int(days) if days in map(str, PERIODS) else 30,
        "text": request.GET.get("q", "").strip()[:100],
    }


def _volume_chart(request: Request, found: list[Volume]) -> charts.Chart | None:
    by_day = volumes.by_day(found)
    if not by_day:
        return None
    return charts.line_chart(
        "volume",
        translate(request, _("Letters sent a day")),
        _finding(request, sum(sent for _day, sent in by_day), len(by_day)),
        [_day_label(request, day) for day, _sent in by_day],
        [charts.Series(translate(request, _("Sent")), [sent for _day, sent in by_day])],
        label_name=translate(request, _("Day")),
    )


def _finding(request: Request, sent: int, days: int) -> str:
    """The sentence under a chart of letters."""
    locale = cldr(request.locale_name)
    mean = number_text(round(sent / max(days, 1)), locale)
    return translate(request, _("${sent} letters in all, ${mean} a day."), sent=number_text(sent, locale), mean=mean)


def _day_label(request: Request, day: Any) -> str:
    return date_text(day, cldr(request.locale_name), request.time_zone, "short")


def counts_of(counts: Counts) -> dict[str, int]:
    return {name: getattr(counts, name) for name in queries.COUNTS}
