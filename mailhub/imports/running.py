"""The import itself: a file read in batches, each merged in one transaction together with its counters.

The file's position (`line_done`) moves in the same transaction as its people, so that a worker that dies in the
middle of a batch leaves nothing of it, and the next one goes on with exactly the next row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from mailhub.imports.head import read_head
from mailhub.imports.merge import COUNT_KEYS, Merged, merge, touched
from mailhub.imports.opening import read_rows
from mailhub.imports.person import PersonReader
from mailhub.imports.reading import CSV, NotACsv, Reading
from mailhub.imports.rows import RAW_KEPT
from mailhub.models import SubscriberImport

LEASE_SECONDS = 60
FIRST_BATCH = 500

_CLAIM = text(
    """
    UPDATE subscriber_import SET
        state = 'running', lease_owner = :owner,
        lease_until = clock_timestamp() + make_interval(secs => :seconds),
        started_at = coalesce(started_at, clock_timestamp())
    WHERE project_id = :project AND id = :import AND mapping <> '{}'
        AND (state = 'pending' OR (state = 'running' AND lease_until < clock_timestamp()))
    RETURNING id
    """
)
_MOVE = text(
    """
    UPDATE subscriber_import SET
        rows_total = rows_total + :total, rows_created = rows_created + :created,
        rows_updated = rows_updated + :updated, rows_skipped = rows_skipped + :skipped,
        rows_rejected = rows_rejected + :rejected,
        line_done = :line, bytes_done = least(:bytes, bytes_total),
        lease_until = clock_timestamp() + make_interval(secs => :seconds)
    WHERE project_id = :project AND id = :import AND state = 'running' AND lease_owner = :owner
    """
)
_FINISH = text(
    """
    UPDATE subscriber_import SET
        state = :state, error = :error, finished_at = clock_timestamp(), lease_owner = NULL, lease_until = NULL,
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
    """Another worker has taken the import over, because this one was silent for too long."""


class FileGone(Exception):
    """The upload is not on this machine's disk."""


@dataclass(frozen=True)
class Job:
    """What a run must know of its import; read once, nothing of it changes while it runs."""

    project_id: int
    import_id: int
    list_id: int
    owner: str
    path: Path
    reading: Reading
    mapping: dict[str, str]
    update_existing: bool
    line_done: int


@dataclass
class Batch:
    """Rows that are merged together: people to stage, rows that were refused."""

    staged: list[tuple[Any, ...]] = field(default_factory=list)
    rejected: list[tuple[int, str, str]] = field(default_factory=list)
    rows: int = 0
    line: int = 0
    bytes_done: int = 0


def claim(dbsession: Session, *, project_id: int, import_id: int, owner: str, uploads: Path) -> Job | None:
    """Take a waiting import, or one whose worker has gone. None: there is nothing to do."""
    values = {"project": project_id, "import": import_id, "owner": owner, "seconds": LEASE_SECONDS}
    if dbsession.execute(_CLAIM, values).scalar_one_or_none() is None:
        return None
    row = dbsession.get_one(SubscriberImport, (project_id, import_id), populate_existing=True)
    return Job(
        project_id=project_id,
        import_id=import_id,
        list_id=row.list_id,
        owner=owner,
        path=uploads / row.stored_name,
        reading=Reading(row.encoding, row.delimiter, CSV),
        mapping=dict(row.mapping),
        update_existing=row.update_existing,
        line_done=row.line_done,
    )


def batches(job: Job, size: int) -> Iterator[Batch]:
    """The file's rows after `line_done`, in batches. Rows before it are read again to know which addresses came.

    The first batch is a small one: after it the planner can be told what is coming (merge.refresh_statistics).
    """
    wanted = min(size, FIRST_BATCH)
    if not job.path.is_file():
        raise FileGone
    try:
        head = read_head(job.path, job.reading)
    except NotACsv:
        raise FileGone from None
    read_person = PersonReader(head.headers, job.mapping)
    done = [0]

    def progress(read: int) -> None:
        done[0] = read

    batch = Batch()
    for row in read_rows(job.path, job.reading, columns=head.columns, progress=progress):
        if row.line < head.first_line:
            continue
        found = read_person(row)
        if row.end <= job.line_done:
            continue
        batch.rows += 1
        batch.line = row.end
        if isinstance(found, str):
            batch.rejected.append((row.line, found, row.raw.replace("\0", "\u2400")))
        else:
            address = found.address
            values = json.dumps(found.fields, ensure_ascii=False) if found.fields else "{}"
            person = (address.email, address.key, address.domain, found.name, values)
            batch.staged.append((job.project_id, job.import_id, row.line, *person))
        if batch.rows >= wanted:
            batch.bytes_done = done[0]
            yield batch
            batch, wanted = Batch(), size
    if batch.rows:
        batch.bytes_done = done[0]
        yield batch


def store(dbsession: Session, job: Job, batch: Batch) -> Merged:
    """Merge a batch, list its rejected rows, move the counters: one transaction, the caller's. Raises LeaseLost."""
    merged = merge(
        dbsession,
        project_id=job.project_id,
        import_id=job.import_id,
        list_id=job.list_id,
        staged=batch.staged,
        rejected=[(job.project_id, job.import_id, line, why, raw[:RAW_KEPT]) for line, why, raw in batch.rejected],
        update_existing=job.update_existing,
    )
    counts = {key: getattr(merged, key) for key in COUNT_KEYS}
    moved = touched(
        dbsession,
        _MOVE,
        {
            **counts,
            "total": batch.rows,
            "rejected": len(batch.rejected),
            "line": batch.line,
            "bytes": batch.bytes_done,
            "seconds": LEASE_SECONDS,
            "project": job.project_id,
            "import": job.import_id,
            "owner": job.owner,
        },
    )
    if not moved:
        raise LeaseLost
    return merged


def finish(dbsession: Session, job: Job, *, error: str = "") -> None:
    """The end: done, or failed with a stable reason that the page turns into a sentence."""
    values = {"project": job.project_id, "import": job.import_id, "owner": job.owner}
    dbsession.execute(_FINISH, {**values, "state": "failed" if error else "done", "error": error})


def release(dbsession: Session, job: Job) -> None:
    """Give the import back at a worker's end; the next one goes on."""
    values = {"project": job.project_id, "import": job.import_id, "owner": job.owner}
    dbsession.execute(_RELEASE, values)
