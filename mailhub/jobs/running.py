"""A job in the hands of a worker: taken under a lease, moved on slice by slice, ended.

The slices that are done, their rows and the bytes of the file move in one statement: a worker that comes after a
killed one cuts the file back to those bytes and goes on with the next slice.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from mailhub import logs
from mailhub.db import Lock, side_transaction, try_lock
from mailhub.jobs import files, kinds, service

log = logs.get(__name__)

LEASE_SECONDS = 30
#: How often a running job looks whether it is still wanted.
LOOK_SECONDS = 1.0

# One job at a time: others wait as rows, not as workers that wait for a place.
_CLAIM = text(
    """
    UPDATE report_job AS j SET
        state = 'running', lease_owner = :owner, lease_until = clock_timestamp() + make_interval(secs => :seconds),
        started_at = coalesce(j.started_at, clock_timestamp()),
        file = CASE WHEN j.file = '' THEN :file ELSE j.file END
    WHERE j.id = :id
        AND (j.state = 'pending' OR (j.state = 'running' AND j.lease_until < clock_timestamp()))
        AND NOT EXISTS (
            SELECT FROM report_job AS o
            WHERE o.id <> j.id AND o.state = 'running' AND o.lease_until >= clock_timestamp()
        )
    RETURNING j.kind, j.parameters, j.slices_done, j.file, j.file_bytes, j.cancel_requested
    """
)
_PLAN = text("UPDATE report_job SET slices_total = :total WHERE id = :id AND lease_owner = :owner")
_MOVE = text(
    """
    UPDATE report_job SET
        slices_done = slices_done + 1, rows = rows + :rows, file_bytes = :bytes,
        lease_until = clock_timestamp() + make_interval(secs => :seconds)
    WHERE id = :id AND state = 'running' AND lease_owner = :owner
    RETURNING id
    """
)
_AGAIN = text("UPDATE report_job SET slices_done = 0, rows = 0, file_bytes = 0 WHERE id = :id AND lease_owner = :owner")
_LOOK = text(
    """
    UPDATE report_job SET lease_until = clock_timestamp() + make_interval(secs => :seconds)
    WHERE id = :id AND state = 'running' AND lease_owner = :owner
    RETURNING cancel_requested
    """
)
_FINISH = text(
    """
    UPDATE report_job SET
        state = :state, error = :error, lease_owner = NULL, lease_until = NULL, finished_at = statement_timestamp(),
        expires_at = statement_timestamp() + make_interval(days => :days),
        file = CASE WHEN :state = 'done' THEN file ELSE '' END,
        file_bytes = CASE WHEN :state = 'done' THEN file_bytes ELSE 0 END
    WHERE id = :id AND state = 'running' AND lease_owner = :owner
    RETURNING id
    """
)
_RELEASE = text(
    """
    UPDATE report_job SET state = 'pending', lease_owner = NULL, lease_until = NULL
    WHERE id = :id AND state = 'running' AND lease_owner = :owner
    """
)


class Over(Exception):
    """The job is not to go on: `why` is cancelled, lost (another has it) or stopped (this worker ends)."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True)
class Job:
    """A job that this worker holds."""

    id: int
    owner: str
    wanted: kinds.Wanted
    pieces: tuple[Any, ...]
    done: int
    file: str
    size: int
    cancel_requested: bool

    @property
    def key(self) -> dict[str, Any]:
        return {"id": self.id, "owner": self.owner}


def claim(dbsession: Session, job_id: int, owner: str) -> Job | None:
    """Take a waiting job, or one whose worker has gone. None: there is nothing to do, or another job runs."""
    if not try_lock(dbsession, Lock.REPORT_JOBS):
        return None
    values = {"id": job_id, "owner": owner, "seconds": LEASE_SECONDS, "file": files.new_name()}
    row = dbsession.execute(_CLAIM, values).first()
    if row is None:
        return None
    wanted = kinds.wanted_of(row.kind, row.parameters)
    pieces = tuple(kinds.slices(dbsession, wanted))
    dbsession.execute(_PLAN, {"id": job_id, "owner": owner, "total": len(pieces)})
    return Job(job_id, owner, wanted, pieces, row.slices_done, row.file, row.file_bytes, row.cancel_requested)


def move(dbsession: Session, job: Job, *, rows: int, size: int) -> None:
    """One slice more is done. Raises Over when another worker has the job."""
    values = job.key | {"rows": rows, "bytes": size, "seconds": LEASE_SECONDS}
    if dbsession.execute(_MOVE, values).first() is None:
        raise Over("lost")


def begin_again(dbsession: Session, job: Job) -> None:
    """Its file is not there: from the first slice."""
    dbsession.execute(_AGAIN, job.key)


def finish(dbsession: Session, job: Job, state: str, error: str = "") -> bool:
    """The end: done, cancelled, or failed with a stable word. False: another worker has the job by now."""
    values = job.key | {"state": state, "error": error, "days": service.KEPT_DAYS}
    return dbsession.execute(_FINISH, values).first() is not None


def release(dbsession: Session, job: Job) -> None:
    """Give it back at a worker's end; the next one goes on."""
    dbsession.execute(_RELEASE, job.key)


class Watch:
    """Looks, beside a running slice, whether the job is still wanted; keeps the lease; ends the slice's statement."""

    def __init__(self, registry: Any, job: Job) -> None:
        self._registry, self._job = registry, job
        self._ended = threading.Event()
        self._why = "cancelled" if job.cancel_requested else ""
        self._cancel: Callable[[], None] | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._look, name=f"report job {job.id}", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def why(self) -> str:
        """Why the job is over; empty while it goes on."""
        return self._why

    def check(self) -> None:
        """Raises Over if it is."""
        if self._why:
            raise Over(self._why)

    def statement(self, cancel: Callable[[], None] | None) -> None:
        """What ends the statement that runs from now on; None: none runs."""
        with self._lock:
            self._cancel = cancel

    def _look(self) -> None:
        values = self._job.key | {"seconds": LEASE_SECONDS}
        stop = getattr(self._registry, "stop_flag", None)
        while not self._ended.wait(LOOK_SECONDS):
            try:
                with side_transaction(self._registry) as session:
                    row = session.execute(_LOOK, values).first()
            except SQLAlchemyError:
                # The database is away; so is the slice, which says what is to be said.
                continue
            if row is None:
                self._why = "lost"
            elif row.cancel_requested:
                self._why = "cancelled"
            elif stop is not None and stop[0]:
                self._why = "stopped"
            if self._why:
                with self._lock:
                    if self._cancel is not None:
                        with contextlib.suppress(psycopg.Error):
                            self._cancel()
