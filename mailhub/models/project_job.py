"""What a project's people have asked for and takes longer than a page: bulk changes, exports, erasures, counts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mailhub.models.base import Base, Now, ProjectId, RowId, one_of
from mailhub.models.report import JobState


class ProjectJob(Base):
    """A job that a worker does slice by slice (mailhub.background); `place` says where the next slice begins."""

    __tablename__ = "project_job"
    __table_args__ = (
        ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),
        one_of("state", JobState),
        Index("ix_project_job_id", "id"),
        Index("ix_project_job_open", "state", postgresql_where=text("state IN ('pending', 'running')")),
        Index("ix_project_job_listed", "project_id", "kind", "id"),
        Index(None, "expires_at"),
    )

    project_id: Mapped[ProjectId]
    id: Mapped[RowId]
    #: The name of a handler: `@project_job(kind)`.
    kind: Mapped[str]
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    state: Mapped[str] = mapped_column(server_default=JobState.PENDING)
    done: Mapped[int] = mapped_column(server_default="0")
    total: Mapped[int] = mapped_column(server_default="0")
    place: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    #: What the page says of it when it is done: counts by a stable word.
    result: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    #: The file's name inside `mailhub.home`/exports: ours, never the user's. Empty: there is none (any more).
    file: Mapped[str] = mapped_column(server_default="")
    file_name: Mapped[str] = mapped_column(server_default="")
    file_bytes: Mapped[int] = mapped_column(server_default="0")
    #: A stable word for what went wrong; the page has the sentence.
    error: Mapped[str] = mapped_column(server_default="")
    requested_by: Mapped[int | None]
    cancel_requested: Mapped[bool] = mapped_column(server_default=text("false"))
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    created_at: Mapped[Now]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
