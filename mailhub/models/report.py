"""What the reports process keeps: heavy reports as jobs, and what operators decided about suspects."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, Integer, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mailhub.models.base import Base, Now, ProjectId, RowId, one_of


class JobKind(StrEnum):
    """A heavy report: events by type and domain, refusals by their words, a project's recipients, a recount."""

    EVENTS = "events"
    REASONS = "reasons"
    RECIPIENTS = "recipients"
    RECOUNT = "recount"


class JobState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ReportJob(Base):
    """A heavy report that a worker makes slice by slice. `file_bytes` of its file are the slices that are done."""

    __tablename__ = "report_job"
    __table_args__ = (
        one_of("kind", JobKind),
        one_of("state", JobState),
        Index("ix_report_job_open", "state", postgresql_where=text("state IN ('pending', 'running')")),
        Index(None, "expires_at"),
    )

    id: Mapped[RowId]
    kind: Mapped[str]
    #: since, until (ISO dates), project_ids: what the kind takes (mailhub.jobs.kinds).
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    state: Mapped[str] = mapped_column(server_default=JobState.PENDING)
    slices_done: Mapped[int] = mapped_column(Integer, server_default="0")
    slices_total: Mapped[int] = mapped_column(Integer, server_default="0")
    rows: Mapped[int] = mapped_column(server_default="0")
    #: The file's name inside `mailhub.home`/reports: ours, never the user's. Empty: there is none (any more).
    file: Mapped[str] = mapped_column(server_default="")
    file_bytes: Mapped[int] = mapped_column(server_default="0")
    #: A stable word for what went wrong; the page has the sentence.
    error: Mapped[str] = mapped_column(server_default="")
    requested_by: Mapped[int | None] = mapped_column(ForeignKey("user_account.id", ondelete="SET NULL"))
    cancel_requested: Mapped[bool] = mapped_column(server_default=text("false"))
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    created_at: Mapped[Now]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]


class SuspectDecision(Base):
    """That an operator has looked at a suspect: it stays out of the list until `looked_until`. The newest counts."""

    __tablename__ = "suspect_decision"
    __table_args__ = (ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),)

    project_id: Mapped[ProjectId]
    id: Mapped[RowId]
    looked_until: Mapped[datetime]
    note: Mapped[str] = mapped_column(server_default="")
    decided_by: Mapped[int | None] = mapped_column(ForeignKey("user_account.id", ondelete="SET NULL"))
    created_at: Mapped[Now]
