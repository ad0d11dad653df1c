"""Heavy reports in a page: at most two at once, and what is too slow or comes too late is offered as a job."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from pyramid.httpexceptions import HTTPServiceUnavailable
from pyramid.request import Request
from pyramid.view import exception_view_config
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from mailhub.admin.reading import Report
from mailhub.db import reading
from mailhub.jobs import heavy
from mailhub.jobs.kinds import Wanted
from mailhub.reporting import admin as reports
from mailhub.security.identity import is_api
from mailhub.web.i18n import _
from mailhub.web.problems import ApiProblem

Found = TypeVar("Found")

#: query_canceled: what PostgreSQL says when statement_timeout is over.
_CANCELED = "57014"
#: In seconds: by then one of the two has ended, or its job is the better way.
RETRY_AFTER = 10


class Refused(HTTPServiceUnavailable):
    """A heavy report was not made. `offer` is the job that can be made of it, if there is one."""

    def __init__(self, offer: Wanted | None, *, is_busy: bool) -> None:
        super().__init__()
        self.offer = offer
        self.is_busy = is_busy
        self.headers["Retry-After"] = str(RETRY_AFTER)


def read(request: Request, query: Callable[[Session], Found], offer: Wanted | None = None) -> Report[Found]:
    """Run `query(session)` read-only in one of the two places, each statement under the reports' time-out.

    Raises Refused, for programs a 503.
    """
    limit = request.registry.mailhub.reports_statement_timeout_seconds
    started = time.monotonic()
    try:
        with reading(request.registry) as session:
            heavy.take(session, seconds=limit)
            as_of = reports.clock(session)
            found = query(session)
    except heavy.Busy:
        raise _refused(request, offer, is_busy=True) from None
    except OperationalError as failure:
        if getattr(failure.orig, "sqlstate", None) != _CANCELED:
            raise
        raise _refused(request, offer, is_busy=False) from None
    return Report(found, as_of, time.monotonic() - started)


def _refused(request: Request, offer: Wanted | None, *, is_busy: bool) -> Exception:
    if not is_api(request):
        return Refused(offer, is_busy=is_busy)
    if is_busy:
        return ApiProblem(503, _("Two heavy reports are running. Try again, or make it a job."))
    seconds = request.registry.mailhub.reports_statement_timeout_seconds
    return ApiProblem(503, _("The report took longer than ${n} s. Make it a job.", mapping={"n": seconds}))


@exception_view_config(Refused, renderer="admin/refused.html")
def refused(context: Refused, request: Request) -> dict[str, Any]:
    request.response.status_int = 503
    request.response.headers["Retry-After"] = str(RETRY_AFTER)
    offer = context.offer
    return {
        "busy": context.is_busy,
        "limit": request.registry.mailhub.reports_statement_timeout_seconds,
        "offer": {} if offer is None else job_fields(offer, request.GET.get("project", "")),
    }


def job_fields(offer: Wanted, project: str) -> dict[str, str]:
    """The fields of the form that makes a job of a report."""
    days = {"since": offer.since, "until": offer.until}
    return {"kind": offer.kind.value, "project": project} | {
        name: day.isoformat() for name, day in days.items() if day is not None
    }
