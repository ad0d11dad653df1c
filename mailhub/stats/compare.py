"""Two campaigns side by side: rates with their difference, the first three days, the links."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.view import view_config

from mailhub.reporting import overview, queries
from mailhub.reporting.campaign_pages import Measure, Rate
from mailhub.reporting.overview import HOURS, CampaignNumbers, Hours
from mailhub.reporting.queries import LinkClicks, share
from mailhub.security.context import ProjectContext

RATES: dict[Measure, Callable[[CampaignNumbers], float | None]] = {
    "opened": lambda one: one.open_rate,
    "clicked": lambda one: one.click_rate,
    "bounced": lambda one: one.bounce_rate,
    "unsubscribed": lambda one: one.unsubscribe_rate,
    "complained": lambda one: one.complaint_rate,
}
#: How many campaigns there are to choose from; an older one can still be named in the URL.
CHOICE = 200


@dataclass(frozen=True)
class LinkPair:
    """A URL and what people did with it in each of the letters; None where the letter does not have it."""

    url: str
    label: str
    a: int | None
    b: int | None


@dataclass(frozen=True)
class Comparison:
    """Two campaigns of a project. A rate is that of the second, with the first's as the usual one.

    Curves are people's opens and clicks up to the end of each hour, per letter sent.
    """

    a: CampaignNumbers
    b: CampaignNumbers
    rates: dict[Measure, Rate]
    opens: tuple[list[float | None], list[float | None]]
    clicks: tuple[list[float | None], list[float | None]]
    links: list[LinkPair]

    @property
    def hours(self) -> range:
        return range(1, HOURS + 1)


@view_config(route_name="stats.compare", permission="stats:view", request_method="GET", renderer="stats/compare.html")
def compare(context: ProjectContext, request: Request) -> dict[str, Any]:
    """The pickers, and the comparison once both are chosen. A campaign that is none of the project's is not there."""
    project_id = context.project.id
    chosen = [_chosen(request, name) for name in ("a", "b")]
    wanted = sorted({one for one in chosen if one is not None})
    found = overview.compared(request.dbsession, project_id, wanted) if wanted else {}
    if len(found) < len(wanted):
        raise HTTPNotFound()
    choice = overview.started_campaigns(request.dbsession, project_id, most=CHOICE)
    options = {one.campaign_id: (one.name, one.started_at) for one in choice}
    options |= {one.campaign_id: (one.name, one.started_at) for one in found.values()}
    a, b = (found.get(one) if one is not None else None for one in chosen)
    return {
        "options": options,
        "a": a,
        "b": b,
        "as_of": datetime.now(UTC),
        "same": a is not None and a == b,
        "comparison": _comparison(request, project_id, a, b) if a is not None and b is not None and a != b else None,
    }


def _chosen(request: Request, name: str) -> int | None:
    """A campaign's id out of the query; None where nothing is chosen, 404 for what is no id."""
    text = request.GET.get(name, "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise HTTPNotFound()
    return int(text)


def _comparison(request: Request, project_id: int, a: CampaignNumbers, b: CampaignNumbers) -> Comparison:
    both = (a, b)
    hours = overview.hours(request.dbsession, project_id, [one.campaign_id for one in both])
    links = [queries.campaign_links(request.dbsession, project_id, one.campaign_id) for one in both]
    now = datetime.now(UTC)
    begun = [int((now - one.started_at) / timedelta(hours=1)) + 1 for one in both]

    def curves(part: Callable[[Hours], Sequence[int]]) -> tuple[list[float | None], list[float | None]]:
        first, second = (
            curve(part(hours[one.campaign_id]), one.sent_tracked, so_far)
            for one, so_far in zip(both, begun, strict=True)
        )
        return first, second

    return Comparison(
        a=a,
        b=b,
        rates={name: Rate(name, rate(b), rate(a)) for name, rate in RATES.items()},
        opens=curves(lambda one: one.opened),
        clicks=curves(lambda one: one.redirected),
        links=pairs(*links),
    )


def curve(hits: Sequence[int], sent: int, begun: int) -> list[float | None]:
    """Hits up to the end of each hour per letter sent; a gap for hours that have not begun."""
    return [share(so_far, sent) if hour < begun else None for hour, so_far in enumerate(accumulate(hits))]


def pairs(a: Sequence[LinkClicks], b: Sequence[LinkClicks]) -> list[LinkPair]:
    """The links of both letters by their URL, those that most people clicked first."""
    sides = [_by_url(a), _by_url(b)]
    labels = {link.url: link.label for link in [*b, *a]}
    found = [LinkPair(url, label, sides[0].get(url), sides[1].get(url)) for url, label in labels.items()]
    return sorted(found, key=lambda pair: (-(pair.a or 0) - (pair.b or 0), pair.url))


def _by_url(links: Sequence[LinkClicks]) -> dict[str, int]:
    """People who clicked; a URL that stands twice in a letter counts its clickers twice."""
    found: dict[str, int] = {}
    for link in links:
        found[link.url] = found.get(link.url, 0) + link.human_unique
    return found
