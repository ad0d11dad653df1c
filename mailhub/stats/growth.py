"""How a list grew, and all lists of a project: who joined, who left, who bounced, by day and by the way they came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from mailhub.lists.queries import lists_with_counts
from mailhub.lists.resources import ListContext
from mailhub.models import MailingList
from mailhub.reporting.growth import ListDay, SourceGrowth, growth_sources, list_days, project_list_days
from mailhub.security.context import ProjectContext
from mailhub.segments.engagement import Bands, bands
from mailhub.segments.vocabulary import BAND_NAMES
from mailhub.stats import periods
from mailhub.web import sheets
from mailhub.web.i18n import _

_COLUMNS = ("day", "joined", "unsubscribed", "removed", "net", "subscribed", "bounced")
SOURCE_NAMES: Mapping[str, Any] = {
    "form": _("Sign-up form"),
    "import": _("Import"),
    "api": _("API"),
    "hand": _("By hand"),
    "other": _("Other ways"),
}
#: Above these parts something is worth a look. Bounces of what has joined; people who left in 30 days, of all; people
#: who are asleep or have never taken part, of all.
MANY_BOUNCES, MANY_LEAVE, MANY_ASLEEP = 0.05, 0.02, 0.4
#: Fewer people than this are no statistics.
FEW = 20


@view_config(route_name="stats.list", permission="stats:view", request_method="GET", renderer="stats/list.html")
@view_config(route_name="stats.list", permission="stats:view", request_method="GET", hx_target="list-growth",
             renderer="stats/_list_growth.html")  # fmt: skip
def growth(context: ListContext, request: Request) -> dict[str, Any]:
    """The list's days of a period; the table is that of the chart."""
    list_id = context.mailing_list.id
    (counted,) = lists_with_counts(request.dbsession, project_id=context.project.id, list_id=list_id)
    # Not the last day's: after a move to a zone further west, what has just happened is a day ahead.
    return _page(context, request, context.mailing_list, counted.subscribed)


@view_config(route_name="stats.growth", permission="stats:view", request_method="GET", renderer="stats/growth.html")
@view_config(route_name="stats.growth", permission="stats:view", request_method="GET", hx_target="list-growth",
             renderer="stats/_list_growth.html")  # fmt: skip
def project_growth(context: ProjectContext, request: Request) -> dict[str, Any]:
    """The same of all lists in use."""
    counted = lists_with_counts(request.dbsession, project_id=context.project.id)
    return _page(context, request, None, sum(row.subscribed for row in counted))


@view_config(route_name="stats.list_csv", permission="stats:view", request_method="GET")
def growth_csv(context: ListContext, request: Request) -> Response:
    span, days = _found(context, request, context.mailing_list.id)
    return _file(f"{context.project.slug}-list-{context.mailing_list.id}-{span.since}-{span.last}.csv", days)


@view_config(route_name="stats.growth_csv", permission="stats:view", request_method="GET")
def project_growth_csv(context: ProjectContext, request: Request) -> Response:
    span, days = _found(context, request, None)
    return _file(f"{context.project.slug}-lists-{span.since}-{span.last}.csv", days)


def _page(
    context: ProjectContext, request: Request, mailing_list: MailingList | None, subscribed: int
) -> dict[str, Any]:
    list_id = mailing_list.id if mailing_list is not None else None
    span, days = _found(context, request, list_id)
    dbsession, project_id = request.dbsession, context.project.id
    sources = growth_sources(dbsession, project_id, list_id, span.since, span.until)
    engagement = bands(dbsession, project_id, list_id)
    busy = max(days, key=lambda day: (day.joined, day.date))
    return {
        "mailing_list": mailing_list,
        "span": span,
        "periods": periods.LIST_PERIODS,
        "days": days,
        "joined": sum(day.joined for day in days),
        "unsubscribed": sum(day.unsubscribed for day in days),
        "removed": sum(day.removed for day in days),
        "bounced": sum(day.bounced for day in days),
        "churn": churn_of(days),
        "sources": sources,
        "source_names": SOURCE_NAMES,
        "bands": engagement,
        "band_names": BAND_NAMES,
        "advice": advice_of(days, sources, engagement),
        "subscribed": subscribed,
        "best_day": busy if busy.joined else None,
        "as_of": datetime.now(UTC),
    }


def churn_of(days: Sequence[ListDay]) -> float | None:
    """The part of people who left by their own will, of those who were there at first or joined; None of nobody."""
    first = days[0]
    there = first.subscribed - first.net + sum(day.joined for day in days)
    return sum(day.unsubscribed for day in days) / there if there > 0 else None


def advice_of(days: Sequence[ListDay], sources: Sequence[SourceGrowth], engagement: Bands) -> tuple[str, Any]:
    """What to do, in one sentence, and of what kind it is (warn, info, ok): the most urgent thing."""
    churn = churn_of(days)
    worst = max(sources, key=lambda one: one.bounced / one.joined if one.joined >= FEW else 0, default=None)
    if worst is not None and worst.joined >= FEW and worst.bounced / worst.joined > MANY_BOUNCES:
        if worst.source == "import":
            return "warn", _("Many imported addresses bounce: check a file's age and origin before you import it.")
        if worst.source == "form":
            return "warn", _("Many addresses from the form bounce: let people confirm theirs (double opt-in).")
        return "warn", _("Many new addresses bounce: check them where they are typed in.")
    if churn is not None and churn / len(days) * 30 > MANY_LEAVE and sum(day.unsubscribed for day in days) >= 5:
        return "warn", _("Many people leave: write less often, or only to those whom a letter concerns.")
    asleep = sum(n for band, n in engagement.counts.items() if band.value in ("asleep", "never"))
    if engagement.total >= FEW and asleep / engagement.total > MANY_ASLEEP:
        return "info", _("Many people do not open letters any more: try to win them back, or leave them out.")
    if not any(day.joined for day in days):
        return "info", _("Nobody joined in these days: put the sign-up form where people see it.")
    if sum(day.net for day in days) > 0:
        return "ok", _("More people come than leave. Nothing here needs your attention.")
    return "info", _("As many people leave as come: new ones need a place to sign up.")


def _file(name: str, days: Sequence[ListDay]) -> Response:
    rows = (
        (day.date.isoformat(), day.joined, day.unsubscribed, day.removed, day.net, day.subscribed, day.bounced)
        for day in days
    )
    return sheets.answer(name, (_COLUMNS, *rows))


def _found(context: ProjectContext, request: Request, list_id: int | None) -> tuple[periods.Span, list[ListDay]]:
    days = periods.days_of(request.GET.get("days"), periods.LIST_PERIODS)
    span = periods.span_of(context.project, days, now=datetime.now(UTC))
    if list_id is None:
        return span, project_list_days(request.dbsession, context.project.id, span.since, span.until)
    return span, list_days(request.dbsession, context.project.id, list_id, span.since, span.until)
