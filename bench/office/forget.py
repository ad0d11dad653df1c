"""What it costs to keep less: old letters and events deleted, a look when nothing is old, a walk for traces."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from bench.office.campaign import Asked, Figures, office
from mailhub.privacy import walk
from mailhub.privacy.places import places
from mailhub.privacy.traces import Traces
from mailhub.reporting import erasure
from tests.faults.crowd import crowd

#: Letters, and as many events; the first half is old.
NUMBER = 400_000
_LETTERS = """
    INSERT INTO message (
        project_id, created_at, kind, queue, state, email, email_domain, subject, smtp_reply, settled_at
    )
    SELECT %(project)s, CAST(%(since)s AS timestamptz) + n * interval '10 milliseconds', 'transactional',
        'transactional', 'sent', 'p' || n || '@mail.test', 'mail.test', 'Order ' || n, '250 2.0.0 Ok: queued', now()
    FROM generate_series(1, %(number)s::int) AS n
"""
_EVENTS = """
    INSERT INTO message_event (project_id, type, kind, at, email, email_domain, detail, user_agent)
    SELECT %(project)s, 'SENT', 'transactional', CAST(%(since)s AS timestamptz) + n * interval '10 milliseconds',
        'p' || n || '@mail.test', 'mail.test', '250 2.0.0 Ok: queued', 'Mail/1.0'
    FROM generate_series(1, %(number)s::int) AS n
"""


def forget(folder: Path, asked: Asked) -> Figures:
    """Rows a second and milliseconds, one process."""
    figures: Figures = {}
    with office(folder / "forget", asked, {"default": "smtp://127.0.0.1:9"}, 1) as stand:
        made = crowd(stand, 10)
        since = datetime.now(UTC) - timedelta(seconds=NUMBER / 100)
        before = since + timedelta(seconds=NUMBER / 200)
        for statement in (_LETTERS, _EVENTS):
            stand.query(statement, {"project": made.project_id, "since": since, "number": NUMBER})
        for table in ("message", "message_event"):
            stand.query(f"VACUUM ANALYZE {table}")
        engine = stand.live.registry.engine
        began = time.perf_counter()
        letters, events = erasure.delete_old(engine, made.project_id, before=before)
        figures["retention_rows_per_second"] = round((letters + events) / (time.perf_counter() - began))
        began = time.perf_counter()
        assert erasure.delete_old(engine, made.project_id, before=before) == (0, 0)
        figures["retention_nothing_old_ms"] = round((time.perf_counter() - began) * 1000, 1)
        figures["walk_rows_per_second"] = round((2 * NUMBER - letters - events) / walked(engine, made.project_id))
    return figures


def walked(engine: Engine, project_id: int) -> float:
    """Seconds of a walk through letters and events for one address."""
    traces = Traces(["somebody.else@mail.test"])
    began = time.perf_counter()
    with Session(engine) as dbsession:
        for place in places():
            after: list[Any] | None = None
            while place.table.name in ("message", "message_event"):
                _n, after = walk.slice_of(dbsession, place, project_id, traces, after)
                dbsession.commit()
                if after is None:
                    break
    return time.perf_counter() - began
