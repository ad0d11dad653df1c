"""A form's numbers: views, submits, confirmations a day, by the site that people came from.

Submits and confirmations are counted in the transaction of what they count. Views are collected in memory and written
every few seconds: a page that many look at must not wait for one row, and a killed process loses a few views at most.
"""

from __future__ import annotations

import atexit
import threading
from collections import Counter
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from mailhub import logs
from mailhub.db import side_transaction

log = logs.get(__name__)

#: Sites of a form that have a row of their own in a day; anybody can invent more.
MAX_HOSTS = 100
OTHER = "other"
#: So many different pages wait in memory at most; then they are written at once.
MAX_WAITING = 1_000

_ADD = text(
    """
    INSERT INTO sign_up_day AS d (project_id, form_id, day, host, views, submits, confirmations)
    SELECT p.id, f.id, today.day,
        CASE WHEN (SELECT count(*) FROM sign_up_day AS s
                   WHERE s.project_id = p.id AND s.form_id = f.id AND s.day = today.day AND s.host <> :host)
            < :most_hosts THEN :host ELSE :other END,
        :views, :submits, :confirmations
    FROM project AS p
    JOIN sign_up_form AS f ON f.project_id = p.id AND f.id = :form
    CROSS JOIN LATERAL (SELECT CAST(clock_timestamp() AT TIME ZONE p.time_zone AS date) AS day) AS today
    WHERE p.id = :project
    ON CONFLICT (project_id, form_id, day, host) DO UPDATE SET
        views = d.views + excluded.views,
        submits = d.submits + excluded.submits,
        confirmations = d.confirmations + excluded.confirmations
    """
)


def add(
    dbsession: Session,
    *,
    project_id: int,
    form_id: int,
    host: str = "",
    views: int = 0,
    submits: int = 0,
    confirmations: int = 0,
) -> None:
    """Add to the numbers of today, in the project's time zone."""
    dbsession.execute(
        _ADD,
        {
            "project": project_id, "form": form_id, "host": host, "views": views, "submits": submits,
            "confirmations": confirmations, "most_hosts": MAX_HOSTS, "other": OTHER,
        },
    )  # fmt: skip


class Views:
    """Views that wait to be written. Safe for the threads of a process."""

    def __init__(self, registry: Any, seconds: float) -> None:
        self._registry = registry
        self._seconds = seconds
        self._lock = threading.Lock()
        self._waiting: Counter[tuple[int, int, str]] = Counter()
        self._timer: threading.Timer | None = None
        if seconds:
            atexit.register(self.flush)

    def seen(self, project_id: int, form_id: int, host: str) -> None:
        """Count one view."""
        with self._lock:
            self._waiting[project_id, form_id, host] += 1
            now = not self._seconds or len(self._waiting) >= MAX_WAITING
            if not now and self._timer is None:
                self._timer = threading.Timer(self._seconds, self.flush)
                self._timer.daemon = True
                self._timer.start()
        if now:
            self.flush()

    def flush(self) -> None:
        """Write what waits; what the database does not take now is lost: these are views, not people."""
        with self._lock:
            waiting, self._waiting = self._waiting, Counter()
            self._timer = None
        if not waiting:
            return
        try:
            with side_transaction(self._registry) as session:
                # In one order everywhere, so that two processes never wait for each other.
                for (project_id, form_id, host), n in sorted(waiting.items()):
                    add(session, project_id=project_id, form_id=form_id, host=host, views=n)
        except SQLAlchemyError as failure:
            log.warning("sign_up.views_lost", views=waiting.total(), error=type(failure).__name__)


def views_of(registry: Any) -> Views:
    """The views of this process's application."""
    if not hasattr(registry, "sign_up_views"):
        registry.sign_up_views = Views(registry, registry.mailhub.sign_up_views_seconds)
    found: Views = registry.sign_up_views
    return found
