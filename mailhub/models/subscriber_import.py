"""An import of a CSV file: the job, its rejected rows, and the staging table that COPY fills."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mailhub.models.base import Base, Now, ProjectId, RowId, one_of


class ImportState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class SubscriberImport(Base):
    """A CSV on its way in. The counters move with each merged batch; `byte_offset` is where a resumed run goes on."""

    __tablename__ = "subscriber_import"
    __table_args__ = (
        ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),
        ForeignKeyConstraint(["project_id", "list_id"], ["mailing_list.project_id", "mailing_list.id"]),
        one_of("state", ImportState),
        Index("ix_subscriber_import_id", "id"),
        Index("ix_subscriber_import_open", "state", postgresql_where=text("state IN ('pending', 'running')")),
    )

    project_id: Mapped[ProjectId]
    id: Mapped[RowId]
    list_id: Mapped[int]
    state: Mapped[str] = mapped_column(server_default=ImportState.PENDING)
    file_name: Mapped[str]
    #: The file's name inside `mailhub.home`/imports: ours, never the user's.
    stored_name: Mapped[str]
    encoding: Mapped[str]
    delimiter: Mapped[str]
    mapping: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    update_existing: Mapped[bool] = mapped_column(server_default=text("true"))
    bytes_total: Mapped[int] = mapped_column(server_default="0")
    bytes_done: Mapped[int] = mapped_column(server_default="0")
    rows_total: Mapped[int] = mapped_column(server_default="0")
    rows_created: Mapped[int] = mapped_column(server_default="0")
    rows_updated: Mapped[int] = mapped_column(server_default="0")
    rows_skipped: Mapped[int] = mapped_column(server_default="0")
    rows_rejected: Mapped[int] = mapped_column(server_default="0")
    #: The last line of the file that a committed batch has taken in.
    line_done: Mapped[int] = mapped_column(server_default="0")
    error: Mapped[str] = mapped_column(server_default="")
    created_by: Mapped[int | None]
    created_at: Mapped[Now]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]


class ImportRejectedRow(Base):
    """A row that was not taken, with its line in the file and a stable reason code."""

    __tablename__ = "import_rejected_row"
    __table_args__ = (
        ForeignKeyConstraint(
            ["project_id", "import_id"],
            ["subscriber_import.project_id", "subscriber_import.id"],
            ondelete="CASCADE",
        ),
    )

    project_id: Mapped[ProjectId]
    import_id: Mapped[int] = mapped_column(primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    reason: Mapped[str]
    #: The row's beginning as it stood in the file (at most 1,000 characters), so that it can be mended.
    raw: Mapped[str] = mapped_column(server_default="")


class ImportStaging(Base):
    """Rows of the batch that is being merged. UNLOGGED: a batch is read again from the file after a crash."""

    __tablename__ = "import_staging"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)

    project_id: Mapped[ProjectId]
    import_id: Mapped[int] = mapped_column(primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    email_key: Mapped[str]
    email_domain: Mapped[str]
    name: Mapped[str | None]
    fields: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
