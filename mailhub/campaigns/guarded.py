"""Questions about people that may take too long: asked for a while, then given up; the request goes on."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

#: An exact count that takes longer than this is given up: the page then says "at most".
COUNT_SECONDS = 2.0
_QUERY_CANCELLED = "57014"
# More memory than usual: a hash of a million people that does not fit goes by way of the disk.
_BEFORE = text(
    "SELECT set_config('statement_timeout', :ms, true), set_config('work_mem', '64MB', true),"
    " set_config('jit', 'off', true)"
)
_AFTER = text("SET LOCAL statement_timeout TO DEFAULT; SET LOCAL work_mem TO DEFAULT; SET LOCAL jit TO DEFAULT")


def rows_of(dbsession: Session, statement: Any, *, seconds: float = COUNT_SECONDS) -> list[Any] | None:
    """The statement's rows; None if it took longer than `seconds`."""
    try:
        # A savepoint: after a cancelled statement the rest of the request goes on.
        with dbsession.begin_nested():
            dbsession.execute(_BEFORE, {"ms": str(max(1, int(seconds * 1000)))})
            rows = list(dbsession.execute(statement).all())
            dbsession.execute(_AFTER)
    except OperationalError as failure:
        if getattr(failure.orig, "sqlstate", None) != _QUERY_CANCELLED:
            raise
        return None
    return rows
