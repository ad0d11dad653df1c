"""Reports are read on a connection that cannot write, and not for ever; each page says when and how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from pyramid.httpexceptions import HTTPServiceUnavailable
from pyramid.request import Request
from pyramid.view import exception_view_config
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from mailhub.db import reading
from mailhub.reporting import admin as reports
from mailhub.security.identity import is_api
from mailhub.web.i18n import _
from mailhub.web.problems import ApiProblem

Found = TypeVar("Found")

#: query_canceled: what PostgreSQL says when statement_timeout is over.
_CANCELED = "57014"


@dataclass(frozen=True)
class Report(Generic[Found]):
    """What was found, the database's moment for which it stands, and how long it took to read."""

    found: Found
    as_of: datetime
    seconds: float


class TooSlow(HTTPServiceUnavailable):
    """The report took longer than `mailhub.reports.statement_timeout_seconds`."""


def read(request: Request, query: Callable[[Session], Found]) -> Report[Found]:
    """Run `query(session)` read-only, each of its statements under the reports' time-out. Raises TooSlow."""
    limit = request.registry.mailhub.reports_statement_timeout_seconds
    started = time.monotonic()
    try:
        with reading(request.registry) as session:
            session.execute(text("SELECT set_config('statement_timeout', :limit, true)"), {"limit": f"{limit}s"})
            as_of = reports.clock(session)
            found = query(session)
    except OperationalError as failure:
        if getattr(failure.orig, "sqlstate", None) != _CANCELED:
            raise
        if is_api(request):
            raise ApiProblem(503, _("The report took longer than ${n} s.", mapping={"n": limit})) from None
        raise TooSlow() from None
    return Report(found, as_of, time.monotonic() - started)


@exception_view_config(TooSlow, renderer="admin/too_slow.html")
def too_slow(context: TooSlow, request: Request) -> dict[str, Any]:
    request.response.status_int = 503
    return {"limit": request.registry.mailhub.reports_statement_timeout_seconds}
