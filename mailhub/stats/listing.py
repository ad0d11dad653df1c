"""The campaigns of a period with their rates: the best ones, a table in an order of one's own, a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from mailhub.reporting import overview
from mailhub.reporting.overview import CampaignNumbers
from mailhub.security.context import ProjectContext
from mailhub.stats import periods
from mailhub.web import sheets

#: A year of several campaigns a day; more are not in the table, which says so.
MOST = 2_000
PERIODS = (7, 30, 90, 365)
BEST = 5
#: With fewer letters a rate is luck.
LEAST_LETTERS = 20
#: What may be sorted by. The order is looked up here, so that no text of a URL reaches a query.
SORTS: dict[str, Callable[[CampaignNumbers], Any]] = {
    "name": lambda one: one.name.casefold(),
    "started": lambda one: one.started_at,
    "sent": lambda one: one.counts.sent,
    "opened": lambda one: _or_less(one.open_rate),
    "clicked": lambda one: _or_less(one.click_rate),
    "bounced": lambda one: _or_less(one.bounce_rate),
    "unsubscribed": lambda one: _or_less(one.unsubscribe_rate),
    "complained": lambda one: _or_less(one.complaint_rate),
}
DEFAULT_SORT = "-started"
_COLUMNS = (
    "campaign_id", "name", "subject", "state", "started_at", "audience", "sent", "opened_people", "opened_people_all",
    "clicked_people", "clicked_people_all", "hardbounced", "softbounced", "unsubscribed", "complained", "open_rate",
    "click_rate", "bounce_rate", "unsubscribe_rate", "complaint_rate",
)  # fmt: skip


@view_config(route_name="stats.campaigns", permission="stats:view", request_method="GET",
             renderer="stats/listing.html")  # fmt: skip
@view_config(route_name="stats.campaigns", permission="stats:view", request_method="GET", hx_target="stats-campaigns",
             renderer="stats/_stats_campaigns.html")  # fmt: skip
def campaigns(context: ProjectContext, request: Request) -> dict[str, Any]:
    """Every campaign that was started in the period."""
    span, rows = _found(context, request)
    found, sort = in_order(rows, request.GET.get("sort", ""))
    return {"rows": found, "sort": sort, "span": span, "periods": PERIODS, "most": MOST}


@view_config(route_name="stats.campaigns_csv", permission="stats:view", request_method="GET")
def campaigns_csv(context: ProjectContext, request: Request) -> Response:
    span, rows = _found(context, request)
    found, _sort = in_order(rows, request.GET.get("sort", ""))
    name = f"{context.project.slug}-campaigns-{span.since}-{span.last}.csv"
    return sheets.answer(name, (_COLUMNS, *map(_line, found)))


def in_order(rows: Iterable[CampaignNumbers], sort: str) -> tuple[list[CampaignNumbers], str]:
    """The rows in the order `sort` ("name", "-sent"), and the order itself: the default for one that there is not."""
    sort = sort if sort.removeprefix("-") in SORTS else DEFAULT_SORT
    key = SORTS[sort.removeprefix("-")]
    return sorted(rows, key=lambda one: (key(one), one.campaign_id), reverse=sort.startswith("-")), sort


def best(rows: Iterable[CampaignNumbers]) -> list[CampaignNumbers]:
    """Up to BEST campaigns that people opened most, of those large enough for a rate to mean something."""
    large = [one for one in rows if one.sent_by_name >= LEAST_LETTERS and one.human_opened]
    return sorted(large, key=lambda one: (-(one.open_rate or 0), one.campaign_id))[:BEST]


def _found(context: ProjectContext, request: Request) -> tuple[periods.Span, list[CampaignNumbers]]:
    days = periods.days_of(request.GET.get("days"), PERIODS)
    span = periods.span_of(context.project, days, now=datetime.now(UTC))
    return span, overview.campaigns(request.dbsession, context.project.id, *span.moments, most=MOST)


def _or_less(rate: float | None) -> float:
    """Campaigns without a rate stand below those that have none of it."""
    return -1.0 if rate is None else rate


def _line(one: CampaignNumbers) -> tuple[Any, ...]:
    counts = one.counts
    return (
        one.campaign_id, one.name, one.subject, one.state, one.started_at.astimezone(UTC).isoformat(timespec="seconds"),
        one.audience, counts.sent, one.human_opened, one.unique_opened, one.human_redirected, one.unique_redirected,
        counts.hardbounced, counts.softbounced, counts.unsubscribed, counts.complained, one.open_rate, one.click_rate,
        one.bounce_rate, one.unsubscribe_rate, one.complaint_rate,
    )  # fmt: skip
