"""The JSON of imports."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from mailhub.models import SubscriberImport
from mailhub.web.api import utc
from mailhub.web.forms import Form

COUNTS = ("rows_total", "rows_created", "rows_updated", "rows_unchanged", "rows_skipped", "rows_rejected")


class ImportsQuery(Form):
    """Which imports, the newest first."""

    limit: int = Field(default=50, ge=1, le=500)
    after: str | None = Field(default=None, max_length=200)


class CheckOut(BaseModel):
    """What a dry run has found; the counts are there when it is done."""

    state: str
    counts: dict[str, int]
    error: str


class ImportOut(BaseModel):
    id: str
    state: str
    list_id: str | None
    list_ids: list[str]
    file_name: str
    encoding: str
    delimiter: str
    reading: dict[str, str]
    mapping: dict[str, str]
    rules: dict[str, Any]
    check: CheckOut | None
    grade: str | None
    bytes_total: int
    bytes_done: int
    rows_total: int
    rows_created: int
    rows_updated: int
    rows_unchanged: int
    rows_skipped: int
    rows_rejected: int
    rows_undone: int
    rows_kept: int
    rejected_url: str | None
    error: str
    created_at: str
    started_at: str | None
    finished_at: str | None
    rolled_back_at: str | None


class RulesIn(Form):
    """The part `rules` of an upload."""

    status: str = Field(default="subscribed", pattern="^(subscribed|unconfirmed)$")
    existing: str = Field(default="update", pattern="^(update|skip)$")
    tags: list[str] = Field(default=[], max_length=20)
    consent_source: str = Field(default="", max_length=500)
    bad_values: str = Field(default="reject", pattern="^(reject|leave_out)$")


def import_out(row: SubscriberImport, *, list_ids: list[int], rejected_url: str, check: CheckOut | None) -> ImportOut:
    reading = {name: text for name, text in row.reading.items() if isinstance(text, str)}
    rules = row.rules or {"update": row.update_existing}
    return ImportOut(
        id=str(row.id),
        state=row.state,
        list_id=str(row.list_id) if row.list_id is not None else None,
        list_ids=[str(one) for one in list_ids],
        file_name=row.file_name,
        encoding=row.encoding,
        delimiter=row.delimiter,
        reading=reading,
        mapping=row.mapping,
        rules={
            "status": rules.get("status", "subscribed"),
            "existing": "update" if rules.get("update", True) else "skip",
            "tags": rules.get("tags", []),
            "consent_source": rules.get("consent_source", ""),
            "bad_values": "reject" if rules.get("strict", True) else "leave_out",
        },
        check=check,
        grade=row.grade.get("letter"),
        bytes_total=row.bytes_total,
        bytes_done=row.bytes_done,
        **{name: getattr(row, name) for name in COUNTS},
        rows_undone=row.rows_undone,
        rows_kept=row.rows_kept,
        rejected_url=rejected_url,
        error=row.error,
        created_at=utc(row.created_at) or "",
        started_at=utc(row.started_at),
        finished_at=utc(row.finished_at),
        rolled_back_at=utc(row.undone_at),
    )
