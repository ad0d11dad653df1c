"""A campaign's report for whoever was given the link: no session, no cookie, no people, no way into the site."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from mailhub.stats import campaign_report, share_links
from mailhub.stats.campaign_page import report_values
from mailhub.web.i18n import DEFAULT_LANGUAGE, LANGUAGES, use_language

#: Longer than any token of ours: what is longer need not be looked up.
MAX_TOKEN = 64


@view_config(route_name="stats.shared", request_method="GET", permission=NO_PERMISSION_REQUIRED,
             renderer="stats/shared.html")  # fmt: skip
def shared(request: Request) -> dict[str, Any] | Response:
    """The report, or a page that says that the link does not work: 404 for what never was, what is over, what was
    revoked, so that a guess learns nothing. A token has 256 bits; guessing needs no limit.
    """
    use_language(request, _language(request, DEFAULT_LANGUAGE))
    token, now = request.matchdict["token"], datetime.now(UTC)
    found = share_links.follow(request.dbsession, token, now=now) if len(token) <= MAX_TOKEN else None
    headers = request.response.headers
    headers["X-Robots-Tag"] = "noindex, nofollow"
    headers["Referrer-Policy"] = "no-referrer"
    if found is None:
        request.response.status_int = 404
        return {"report": None, "project": None, "share": None}
    use_language(request, _language(request, found.project.language))
    # Times are the project's, as the days are; nobody is signed in here, whatever cookie the browser may have.
    request.__dict__["time_zone"] = ZoneInfo(found.project.time_zone)
    report = campaign_report.read(request.dbsession, found.project, found.campaign)
    assert report is not None
    values = report_values(request, report.without_people())
    return {**values, "project": found.project, "share": found.share}


def _language(request: Request, otherwise: str) -> str:
    """As the link asks, as the browser does, as the project is."""
    asked = request.GET.get("lang")
    if asked in LANGUAGES:
        return str(asked)
    best: str = request.accept_language.lookup(list(LANGUAGES), default=otherwise or DEFAULT_LANGUAGE)
    return best
