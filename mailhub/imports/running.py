"""The import itself: a file read in batches, each merged in one transaction together with its counters.

The file's position (`line_done`) moves in the same transaction as its people, so that a worker that dies in the
middle of a batch leaves nothing of it, and the next one goes on with exactly the next row.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.orm import Session

from mailhub.imports.batches import Batch, Source, source_of
from mailhub.imports.merge import COUNT_KEYS, Merged, merge, touched
from mailhub.models import SubscriberImport

LEASE_SECONDS = 60

_CLAIM = text(
    """
    UPDATE subscriber_import SET
        state = 'running', lease_owner = :owner,
        lease_until = clock_timestamp() + make_interval(secs => :seconds),
        started_at = coalesce(started_at, clock_timestamp())
    WHERE project_id = :project AND id = :import
        AND (state = 'pending' OR (state = 'running' AND lease_until < clock_timestamp()))
    RETURNING line_done
    """
)
# What a check before has listed is listed once more, by the import.
_FORGET_CHECK = text("DELETE FROM import_rejected_row WHERE project_id = :project AND import_id = :import")
_MOVE = text(
    """
    UPDATE subscriber_import SET
        rows_total = rows_total + :total, rows_created = rows_created + :created,
        rows_updated = rows_updated + :updated, rows_unchanged = rows_unchanged + :unchanged,
        rows_skipped = rows_skipped + :skipped, rows_rejected = rows_rejected + :rejected,
        first_created = least(first_created, CAST(:first AS bigint)),
        last_created = greatest(last_created, CAST(:last AS bigint)),
        line_done = :line, bytes_done = least(:bytes, bytes_total),
        lease_until = clock_timestamp() + make_interval(secs => :seconds)
    WHERE project_id = :project AND id = :import AND state = 'running' AND lease_owner = :owner
    """
)
_FINISH = text(
    """
    UPDATE subscriber_import SET
        state = :state, error = :error, finished_at = clock_timestamp(), lease_owner = NULL, lease_until = NULL,
        letters_open = :state = 'done' AND rules @> '{"status": "unconfirmed"}',
        bytes_done = CASE WHEN :state = 'done' THEN bytes_total ELSE bytes_done END
    WHERE project_id = :project AND id = :import AND state = 'running' AND lease_owner = :owner
    """
)
_RELEASE = text(
    """
    UPDATE subscriber_import SET state = 'pending', lease_owner = NULL, lease_until = NULL
    WHERE project_id = :project AND id = :import AND state = 'running' AND lease_owner = :owner
    """
)


class LeaseLost(Exception):
    """The import was cancelled, or another worker has taken it over because this one was silent for too long."""


@dataclass(frozen=True)
class Job:
    """An import in the hands of a worker."""

    source: Source
    owner: str

    @property
    def key(self) -> dict[str, object]:
        return {"project": self.source.project_id, "import": self.source.import_id, "owner": self.owner}


def claim(dbsession: Session, *, project_id: int, import_id: int, owner: str, uploads: Path) -> Job | None:
    """Take a waiting import, or one whose worker has gone. None: there is nothing to do."""
    values = {"project": project_id, "import": import_id, "owner": owner, "seconds": LEASE_SECONDS}
    taken = dbsession.execute(_CLAIM, values).one_or_none()
    if taken is None:
        return None
    if taken.line_done == 0:
        dbsession.execute(_FORGET_CHECK, values)
    row = dbsession.get_one(SubscriberImport, (project_id, import_id), populate_existing=True)
    return Job(source_of(dbsession, row, uploads), owner)


def store(dbsession: Session, job: Job, batch: Batch) -> Merged:
    """Merge a batch, list its rejected rows, move the counters: one transaction, the caller's. Raises LeaseLost."""
    merged = merge(dbsession, job.source, batch)
    values = job.key | {key: getattr(merged, key) for key in COUNT_KEYS}
    values |= {
        "total": batch.rows, "first": merged.first, "last": merged.last, "line": batch.line, "bytes": batch.bytes_done,
        "seconds": LEASE_SECONDS,
    }  # fmt: skip
    if not touched(dbsession, _MOVE, values):
        raise LeaseLost
    return merged


def finish(dbsession: Session, job: Job, *, error: str = "") -> None:
    """The end: done, or failed with a stable reason that the page turns into a sentence."""
    dbsession.execute(_FINISH, job.key | {"state": "failed" if error else "done", "error": error})


def release(dbsession: Session, job: Job) -> None:
    """Give the import back at a worker's end; the next one goes on."""
    dbsession.execute(_RELEASE, job.key)
