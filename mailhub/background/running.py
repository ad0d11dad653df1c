"""A job in the hands of a worker: taken under a lease, moved on in the transactions of its slices, ended."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from mailhub.background import service
from mailhub.db import side_transaction

LEASE_SECONDS = 60
#: How often the lease of a running job is drawn out.
BEAT_SECONDS = 15.0

_CLAIM = text(
    """
    UPDATE project_job SET
        state = 'running', lease_owner = :owner, lease_until = clock_timestamp() + make_interval(secs => :seconds),
        started_at = coalesce(started_at, clock_timestamp())
    WHERE project_id = :project AND id = :id
        AND (state = 'pending' OR (state = 'running' AND lease_until < clock_timestamp()))
    RETURNING kind, parameters, place, done, total, file, file_bytes, requested_by, result
    """
)
_MOVE = text(
    """
    UPDATE project_job SET
        done = done + :done, place = coalesce(CAST(:place AS jsonb), place),
        result = result || CAST(:result AS jsonb),
        total = coalesce(:total, total), file = coalesce(:file, file), file_bytes = coalesce(:bytes, file_bytes),
        lease_until = clock_timestamp() + make_interval(secs => :seconds)
    WHERE project_id = :project AND id = :id AND state = 'running' AND lease_owner = :owner
    RETURNING cancel_requested
    """
)
_BEAT = text(
    "UPDATE project_job SET lease_until = clock_timestamp() + make_interval(secs => :seconds)"
    " WHERE project_id = :project AND id = :id AND state = 'running' AND lease_owner = :owner"
)
_FINISH = text(
    """
    UPDATE project_job SET
        state = :state, error = :error, result = result || CAST(:result AS jsonb), lease_owner = NULL,
        lease_until = NULL, finished_at = clock_timestamp(),
        expires_at = clock_timestamp() + make_interval(days => :days)
    WHERE project_id = :project AND id = :id AND state = 'running' AND lease_owner = :owner
    RETURNING file
    """
)
_RELEASE = text(
    """
    UPDATE project_job SET state = 'pending', lease_owner = NULL, lease_until = NULL
    WHERE project_id = :project AND id = :id AND state = 'running' AND lease_owner = :owner
    """
)


class Over(Exception):
    """The job is not to go on: `why` is cancelled, lost (another has it) or stopped (this worker ends)."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Failed(Exception):
    """The job can't be done; `error` is a stable word for the page."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


@dataclass
class Running:
    """A job that this worker holds. `place` and `done` are as of the last committed slice."""

    registry: Any
    project_id: int
    id: int
    owner: str
    kind: str
    parameters: dict[str, Any]
    place: dict[str, Any]
    done: int
    total: int
    file: str
    file_bytes: int
    requested_by: int | None
    result: dict[str, Any]
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def move(
        self,
        dbsession: Session,
        *,
        done: int = 0,
        place: Mapping[str, Any] | None = None,
        total: int | None = None,
        result: Mapping[str, Any] | None = None,
        file: str | None = None,
        file_bytes: int | None = None,
    ) -> None:
        """Say in a slice's own transaction how far it has come. Raises Over when the job is not to go on.

        Over in the middle of a transaction takes the slice back, as it should: it was not committed.
        """
        stop = getattr(self.registry, "stop_flag", None)
        if stop is not None and stop[0]:
            raise Over("stopped")
        values = self._key | {
            "done": done, "place": None if place is None else json.dumps(place), "total": total,
            "result": json.dumps(result or {}), "file": file, "bytes": file_bytes, "seconds": LEASE_SECONDS,
        }  # fmt: skip
        row = dbsession.execute(_MOVE, values).first()
        if row is None:
            raise Over("lost")
        if row.cancel_requested:
            raise Over("cancelled")
        self.done += done
        if place is not None:
            self.place = dict(place)

    def finish(self, dbsession: Session, state: str, error: str, result: Mapping[str, Any]) -> str | None:
        """The end; gives the file's name. None: another worker has the job by now."""
        values = self._key | {
            "state": state, "error": error, "result": json.dumps(result), "days": service.KEPT_DAYS
        }  # fmt: skip
        row = dbsession.execute(_FINISH, values).first()
        return row.file if row is not None else None

    def release(self, dbsession: Session) -> None:
        """Give it back at a worker's end; the next one goes on."""
        dbsession.execute(_RELEASE, self._key)

    def __enter__(self) -> Running:
        """While it is entered the lease is drawn out, however long a statement takes."""
        self._thread = threading.Thread(target=self._beat, name=f"project job {self.id}", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _value: BaseException | None, _where: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    @property
    def _key(self) -> dict[str, Any]:
        return {"project": self.project_id, "id": self.id, "owner": self.owner}

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            try:
                with side_transaction(self.registry) as session:
                    session.execute(_BEAT, self._key | {"seconds": LEASE_SECONDS})
            except SQLAlchemyError:
                # The database is away; so is the slice, which says what is to be said.
                continue


def claim(dbsession: Session, registry: Any, project_id: int, job_id: int, owner: str) -> Running | None:
    """Take a waiting job, or one whose worker has gone. None: there is nothing to do."""
    values = {"project": project_id, "id": job_id, "owner": owner, "seconds": LEASE_SECONDS}
    row = dbsession.execute(_CLAIM, values).first()
    if row is None:
        return None
    return Running(
        registry, project_id, job_id, owner, row.kind, dict(row.parameters), dict(row.place), row.done, row.total,
        row.file, row.file_bytes, row.requested_by, dict(row.result),
    )  # fmt: skip
