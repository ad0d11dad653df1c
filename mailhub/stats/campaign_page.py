"""What the templates of a campaign's report are given: for its own page, for the campaign's page, for a shared link."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pyramid.request import Request

from mailhub.reporting.queries import CampaignTotals
from mailhub.stats.campaign_report import Report
from mailhub.web.formats import cldr, datetime_text

#: Gives the address of a list of people or of a CSV: `who(did="opened")`, `csv("links")`.
Address = Callable[..., str]


def report_values(
    request: Request,
    report: Report,
    *,
    poll_url: str | None = None,
    map_url: str | None = None,
    who: Address | None = None,
    csv: Address | None = None,
    named: bool = False,
) -> dict[str, Any]:
    """For `stats/_campaign_report.html` and `stats/_campaign_map.html`.

    Without `who` no number leads to people, without `csv` nothing can be downloaded, without `map_url` there is no
    click map, without `poll_url` nothing is refreshed. `named`: the words of mail servers may be shown.
    """
    live = poll_url is not None and report.totals.is_live(report.started_at)
    return {
        "report": report,
        "who": who,
        "csv": csv,
        "map_url": map_url,
        "poll_url": poll_url,
        "live": live,
        "version": version_of(request, report.totals, live=live),
        "named": named,
        "hour_label": _hour_label(request, report.zone),
    }


def version_of(request: Request, totals: CampaignTotals, *, live: bool) -> str:
    """Changes with any number of the report, with the reader's language, and when it ceases to be live."""
    return f"{totals.version}-{int(live)}-{request.locale_name}"


def _hour_label(request: Request, zone: str) -> Callable[[datetime], str]:
    """Fri 14:05, in the project's zone."""
    locale, place = cldr(request.locale_name), ZoneInfo(zone)
    return lambda moment: datetime_text(moment, locale, place, "EEE HH:mm")
