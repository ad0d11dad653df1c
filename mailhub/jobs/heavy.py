"""Heavy queries: two at a time over all processes, on one processor each, and never longer than they may.

The two places are advisory locks of the query's own transaction, so that they are free again when the query has ended,
whatever became of who asked for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.orm import Session

from mailhub import priority
from mailhub.db import Lock, try_lock

#: A page takes the first that is free; jobs take the second only, so that a page can always be made beside a job.
PLACES = (Lock.HEAVY_1, Lock.HEAVY_2)
JOBS_PLACES = (Lock.HEAVY_2,)
#: How long a page waits for a place, in seconds: longer than a short query takes, shorter than somebody's patience.
WAIT_SECONDS = 2.0
_PAUSE = 0.1
#: How far behind the others a heavy query's server process stands on its machine (nice).
NICE = 10

_TIMEOUT = text("SELECT set_config('statement_timeout', :limit, true)")
# No helpers: each would take a processor from those who send. Little memory: what does not fit goes to the disk.
_ALONE = text(
    "SELECT set_config('max_parallel_workers_per_gather', '0', true), set_config('work_mem', '32MB', true),"
    " set_config('jit', 'off', true), set_config('idle_in_transaction_session_timeout', '1h', true)"
)


class Busy(Exception):
    """Both places were taken for as long as one was willing to wait."""


def take(
    session: Session,
    *,
    seconds: float,
    places: Sequence[Lock] = PLACES,
    wait_seconds: float | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Take a place for this transaction, whose statements may then last `seconds` each. Raises Busy.

    On the database server's own machine the session's server process stands back behind all others from now on.
    """
    deadline = time.monotonic() + (WAIT_SECONDS if wait_seconds is None else wait_seconds)
    while not any(try_lock(session, place) for place in places):
        if time.monotonic() >= deadline:
            raise Busy
        sleep(_PAUSE)
    session.execute(_TIMEOUT, {"limit": f"{max(1, round(seconds * 1000))}ms"})
    session.execute(_ALONE)
    stand_back(session)


def stand_back(session: Session) -> None:
    """Let the others go first: give this session's server process a low priority, where it is ours and here.

    Another machine's server, or another user's, is left as it is: its number means nothing here, or is refused.
    """
    driver = session.connection().connection.driver_connection
    info = getattr(driver, "info", None)
    if info is None or not (info.host.startswith("/") or info.host in ("localhost", "127.0.0.1", "::1", "")):
        return
    try:
        # With another machine's or container's number we might mean somebody else.
        if not Path(f"/proc/{info.backend_pid}/cmdline").read_bytes().startswith(b"postgres:"):
            return
        priority.stand_back(info.backend_pid, NICE)
    except OSError:
        return
