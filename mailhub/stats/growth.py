"""How a list grew: who joined, who left, day by day."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from mailhub.lists.queries import lists_with_counts
from mailhub.lists.resources import ListContext
from mailhub.reporting.growth import ListDay, list_days
from mailhub.stats import periods
from mailhub.web import sheets

_COLUMNS = ("day", "joined", "unsubscribed", "removed", "net", "subscribed")


@view_config(route_name="stats.list", permission="stats:view", request_method="GET", renderer="stats/list.html")
@view_config(route_name="stats.list", permission="stats:view", request_method="GET", hx_target="list-growth",
             renderer="stats/_list_growth.html")  # fmt: skip
def growth(context: ListContext, request: Request) -> dict[str, Any]:
    """The list's days of a period; the table is that of the chart."""
    span, days = _found(context, request)
    list_id = context.mailing_list.id
    (counted,) = lists_with_counts(request.dbsession, project_id=context.project.id, list_id=list_id)
    busy = max(days, key=lambda day: (day.joined, day.date))
    return {
        "mailing_list": context.mailing_list,
        "span": span,
        "periods": periods.LIST_PERIODS,
        "days": days,
        "joined": sum(day.joined for day in days),
        "unsubscribed": sum(day.unsubscribed for day in days),
        "removed": sum(day.removed for day in days),
        # Not the last day's: after a move to a zone further west, what has just happened is a day ahead.
        "subscribed": counted.subscribed,
        "best_day": busy if busy.joined else None,
        "as_of": datetime.now(UTC),
    }


@view_config(route_name="stats.list_csv", permission="stats:view", request_method="GET")
def growth_csv(context: ListContext, request: Request) -> Response:
    span, days = _found(context, request)
    name = f"{context.project.slug}-list-{context.mailing_list.id}-{span.since}-{span.last}.csv"
    rows = (
        (day.date.isoformat(), day.joined, day.unsubscribed, day.removed, day.net, day.subscribed) for day in days
    )
    return sheets.answer(name, (_COLUMNS, *rows))


def _found(context: ListContext, request: Request) -> tuple[periods.Span, list[ListDay]]:
    days = periods.days_of(request.GET.get("days"), periods.LIST_PERIODS)
    span = periods.span_of(context.project, days, now=datetime.now(UTC))
    return span, list_days(request.dbsession, context.project.id, context.mailing_list.id, span.since, span.until)
