"""The JSON of exports."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import Field

from mailhub.models import ProjectJob
from mailhub.web.api import utc
from mailhub.web.forms import Form

_Id = Annotated[str, Field(pattern=r"^[0-9]{1,18}$")]


class ExportIn(Form):
    """`what` subscribers, list, segment, recipients, suppressions, messages, events, tags; `format` csv or xlsx.

    `filters` of subscribers are those of the page's URL: q, list, status, tag, segment, source, since, until.
    """

    what: str = Field(max_length=20)
    format: str = Field(default="csv", max_length=10)
    list_id: _Id | None = None
    segment_id: _Id | None = None
    campaign_id: _Id | None = None
    ids: list[_Id] = Field(default=[], max_length=1000)
    filters: dict[str, str] = Field(default={})
    since: date | None = None
    until: date | None = None


class ExportOut(Form):
    """`state` pending, running, done, failed, cancelled; `rows_total` is 0 where it is not known beforehand."""

    id: str
    state: str
    what: str
    format: str
    file_name: str
    rows: int
    rows_total: int
    bytes: int
    file_url: str | None
    error: str
    created_at: str
    finished_at: str | None
    expires_at: str | None


class PageQuery(Form):
    limit: int = Field(default=50, ge=1, le=500)


def export_out(job: ProjectJob, file_url: str | None) -> ExportOut:
    parameters: dict[str, Any] = job.parameters
    return ExportOut(
        id=str(job.id),
        state=job.state,
        what=parameters["what"],
        format=parameters["format"],
        file_name=job.file_name,
        rows=job.done,
        rows_total=job.total,
        bytes=job.file_bytes,
        file_url=file_url,
        error=job.error,
        created_at=utc(job.created_at) or "",
        finished_at=utc(job.finished_at),
        expires_at=utc(job.expires_at),
    )
