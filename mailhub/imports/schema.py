"""The JSON of imports."""

from __future__ import annotations

from mailhub.models import SubscriberImport
from mailhub.web.api import utc
from mailhub.web.forms import Form


class ImportOut(Form):
    id: str
    state: str
    list_id: str
    file_name: str
    encoding: str
    delimiter: str
    mapping: dict[str, str]
    bytes_total: int
    bytes_done: int
    rows_total: int
    rows_created: int
    rows_updated: int
    rows_skipped: int
    rows_rejected: int
    rejected_url: str | None
    error: str
    created_at: str
    started_at: str | None
    finished_at: str | None


def import_out(row: SubscriberImport, rejected_url: str) -> ImportOut:
    return ImportOut(
        id=str(row.id),
        state=row.state,
        list_id=str(row.list_id),
        file_name=row.file_name,
        encoding=row.encoding,
        delimiter=row.delimiter,
        mapping=row.mapping,
        bytes_total=row.bytes_total,
        bytes_done=row.bytes_done,
        rows_total=row.rows_total,
        rows_created=row.rows_created,
        rows_updated=row.rows_updated,
        rows_skipped=row.rows_skipped,
        rows_rejected=row.rows_rejected,
        rejected_url=rejected_url,
        error=row.error,
        created_at=utc(row.created_at) or "",
        started_at=utc(row.started_at),
        finished_at=utc(row.finished_at),
    )
