"""The pages of the number reports and their CSV: one frame for all, filters in the URL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config
from sqlalchemy.orm import Session

from mailhub.admin import filters, heavy, movers, numbers, raw, reading, suspects
from mailhub.admin.forms import PERIODS, Range
from mailhub.admin.sheet import Sheet
from mailhub.admin.suspect_sheet import sheet as suspect_sheet
from mailhub.jobs.kinds import JobRefused, Wanted
from mailhub.reporting import admin_numbers
from mailhub.security import audit
from mailhub.security.context import number_of
from mailhub.web import forms, htmx
from mailhub.web.forms import Form, FormResult, Invalid
from mailhub.web.i18n import _


@dataclass(frozen=True)
class Spec:
    """A report: what it is called, its filters, how it is read and shown. `find` gives what `show` takes."""

    title: Any
    sub: Any
    query: type[Range]
    find: Callable[[Request, Any, list[int]], reading.Report[Any]]
    show: Callable[[Request, Any, Any], Sheet]
    periods: tuple[int, ...] = PERIODS
    #: Raw rows: read only on request, and offered as a job of this kind.
    job: str = ""
    needs_project: bool = False


def today() -> Any:
    return datetime.now(UTC).date()


def _light(read: Callable[[Session, Any, Any, int], Any]) -> Callable[[Request, Any, list[int]], reading.Report[Any]]:
    def find(request: Request, asked: Any, ids: list[int]) -> reading.Report[Any]:
        return reading.read(request, lambda session: read(session, asked, today(), ids[0] if ids else 0))

    return find


def _suspects(request: Request, asked: Any, ids: list[int]) -> reading.Report[Any]:
    now = datetime.now(UTC)
    return heavy.read(request, lambda session: suspects.read(session, asked, now, ids[0] if ids else 0))


def _raw(name: str) -> Callable[[Request, Any, list[int]], reading.Report[Any]]:
    def find(request: Request, asked: Any, ids: list[int]) -> reading.Report[Any]:
        want = raw.wanted(name, asked, today(), ids)
        return heavy.read(request, lambda session: raw.read(session, want), want)

    return find


def _measure(measure: numbers.Measure) -> Callable[[Request, Any, Any], Sheet]:
    return lambda request, asked, found: numbers.sheet(request, measure, asked, found)


def _rows(name: str) -> Callable[[Request, Any, Any], Sheet]:
    return lambda request, asked, found: raw.sheet(request, name, asked, found)


SPECS: dict[str, Spec] = {
    "volume": Spec(
        _("Volume"), _("What all projects send, and what comes back."), filters.NumbersQuery, _light(numbers.read),
        _measure(numbers.VOLUME),
    ),
    "bounces": Spec(
        _("Bounces"), _("Letters that came back, were refused or put off."), filters.NumbersQuery,
        _light(numbers.read), _measure(numbers.BOUNCES),
    ),
    "complaints": Spec(
        _("Complaints"), _("People who called a letter spam, and people who left."), filters.NumbersQuery,
        _light(numbers.read), _measure(numbers.COMPLAINTS),
    ),
    "movers": Spec(
        _("Movers"), _("What changed most against as many days before; today is not counted."), filters.MoversQuery,
        _light(movers.read), movers.sheet,
    ),
    "suspects": Spec(
        _("Suspects"), _("Projects that send like spammers, with the evidence."), filters.SuspectsQuery, _suspects,
        suspect_sheet,
    ),
    "events": Spec(
        _("Raw events"), _("Events by type and domain, counted from the raw rows."), filters.RawQuery, _raw("events"),
        _rows("events"), filters.RAW_PERIODS, "events",
    ),
    "reasons": Spec(
        _("Refusals"), _("What mail servers said, in groups of the same words."), filters.RawQuery, _raw("reasons"),
        _rows("reasons"), filters.RAW_PERIODS, "reasons",
    ),
    "recipients": Spec(
        _("Recipients"), _("To whom a project wrote, where it has them from, and what came of it."),
        filters.RawQuery, _raw("recipients"), _rows("recipients"), filters.RAW_PERIODS, "recipients", True,
    ),
}  # fmt: skip


@view_config(route_name="admin.numbers", request_method="GET", permission="admin", renderer="admin/numbers.html")
@view_config(
    route_name="admin.numbers",
    request_method="GET",
    permission="admin",
    renderer="admin/_number_sheet.html",
    hx_target="number-sheet",
)
def page(request: Request) -> dict[str, Any]:
    name, spec = _spec(request)
    asked = filters.asked(request, spec.query)
    ids = _check(request, spec, asked)
    values: dict[str, Any] = {
        "name": name, "spec": spec, "asked": asked.value, "errors": asked.errors, "sheet": None,
        "values": dict.fromkeys(spec.query.model_fields, "") | asked.values,
        "report": None, "offer": None, "providers": numbers.PROVIDERS, "metrics": movers.METRICS, "specs": SPECS,
        "projects": [] if spec.job else _projects(request),
    }  # fmt: skip
    if asked.value is None:
        request.response.status_int = 422
        return values
    if spec.job:
        want = _offer(name, asked, ids)
        values["offer"] = None if want is None else heavy.job_fields(want, asked.values.get("project", ""))
        if want is None or not getattr(asked.value, "run", ""):
            return values
    report = spec.find(request, asked.value, ids)
    return values | {"report": report, "sheet": spec.show(request, asked.value, report.found)}


@view_config(route_name="admin.numbers_csv", request_method="GET", permission="admin")
def as_csv(request: Request) -> Response:
    name, spec = _spec(request)
    asked = filters.asked(request, spec.query)
    ids = _check(request, spec, asked)
    if asked.value is None or (spec.job and _offer(name, asked, ids) is None):
        # The page says what is wrong.
        return htmx.redirect(request, request.route_path("admin.numbers", report=name, _query=dict(request.GET)))
    report = spec.find(request, asked.value, ids)
    sheet = spec.show(request, asked.value, report.found)
    response = Response(sheet.as_csv(), content_type="text/csv", charset="utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}-{report.as_of:%Y-%m-%d}.csv"'
    response.headers["Cache-Control"] = "no-store"
    return response


class Looked(Form):
    """An operator's decision about a suspect; `days` from now on."""

    days: int
    note: str = ""


@view_config(route_name="admin.suspect_look", request_method="POST", permission="admin")
def look(request: Request) -> Response:
    """Mark a suspect as looked at, or take that back with 0 days."""
    given = forms.read(request, Looked).value
    back = request.route_path("admin.numbers", report="suspects")
    if given is None or not 0 <= given.days <= suspects.MOST_LOOKED_DAYS or len(given.note) > 500:
        request.notice(_("Choose 0 to 366 days, and use at most 500 characters."), "bad")
        return htmx.redirect(request, back)
    until = datetime.now(UTC) + timedelta(days=given.days)
    project = suspects.decide(
        request.dbsession, number_of(request, "project_id"), looked_until=until, note=given.note,
        user_id=request.user.id,
    )  # fmt: skip
    if project is None:
        raise HTTPNotFound()
    action = "suspect.looked" if given.days else "suspect.reopened"
    audit.note(request, action, project, name=project.name, days=given.days, note=given.note)
    if given.days:
        request.notice(_("${name} is looked at again in ${n} days.", mapping={"name": project.name, "n": given.days}))
    else:
        request.notice(_("${name} is on the list again.", mapping={"name": project.name}))
    return htmx.redirect(request, back)


def _projects(request: Request) -> list[tuple[str, str]]:
    """What the filter by project offers: slug and name."""
    if htmx.is_fragment(request):
        return []
    found = reading.read(request, admin_numbers.project_list).found
    return [(one.slug, one.name) for one in found]


def _spec(request: Request) -> tuple[str, Spec]:
    name = request.matchdict["report"]
    if name not in SPECS:
        raise HTTPNotFound()
    return name, SPECS[name]


def _check(request: Request, spec: Spec, asked: FormResult[Any]) -> list[int]:
    """What only the database and the clock know about the filters; gives the projects' ids, none for all."""
    query: Any = asked.value
    ids: list[int] = []
    if query is None:
        return ids
    try:
        query.period(today())
    except Invalid as refusal:
        asked.refuse("since", refusal.message)
    slugs = query.slugs if isinstance(query, filters.RawQuery) else [query.project] if query.project else []
    known = reading.read(request, lambda session: [admin_numbers.project_id_of(session, one) for one in slugs])
    for slug, found in zip(slugs, known.found, strict=True):
        if found is None:
            asked.refuse("project", _("There is no project ${slug}.", mapping={"slug": slug}))
        else:
            ids.append(found)
    if spec.needs_project and not slugs and query.run:
        asked.refuse("project", _("Name a project."))
    return ids


def _offer(name: str, asked: FormResult[Any], ids: list[int]) -> Wanted | None:
    """The job of a heavy report, None where it cannot be made yet."""
    try:
        return None if asked.value is None else raw.wanted(name, asked.value, today(), ids)
    except JobRefused:
        return None
