"""An import of a file: the job with its rules, what it rejected and changed, and the staging table that COPY fills."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index, text
from sqlalchemy.dialects.postgresql import INET, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mailhub.models.base import Base, Now, ProjectId, RowId, one_of


class ImportState(StrEnum):
    #: The file has arrived; its steps are not through.
    DRAFT = "draft"
    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"


class SubscriberImport(Base):
    """A file on its way in. The counters move with each merged batch; a resumed run goes on after `line_done`.

    `rows_total` = created + updated + skipped + rejected; `rows_unchanged` are those of `rows_updated` who had
    everything already.
    """

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
    #: The first of its lists (`import_list` has all); None before they are chosen.
    list_id: Mapped[int | None]
    state: Mapped[str] = mapped_column(server_default=ImportState.PENDING)
    file_name: Mapped[str]
    #: The file's name inside `mailhub.home`/imports: ours, never the user's.
    stored_name: Mapped[str]
    encoding: Mapped[str]
    delimiter: Mapped[str]
    #: How the file is read (imports.reading.Reading), and its own headers.
    reading: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    headers: Mapped[list[str]] = mapped_column(JSONB, server_default=text("'[]'"))
    mapping: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    #: What happens with the people (imports.rules.Rules).
    rules: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    update_existing: Mapped[bool] = mapped_column(server_default=text("true"))
    #: The words to which the importer says that everybody has agreed.
    consent_text_id: Mapped[int | None]
    #: What the last check has found (imports.checking), and the job that finds it.
    checked: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    check_job_id: Mapped[int | None]
    #: The quality of the addresses (mail.quality).
    grade: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    bytes_total: Mapped[int] = mapped_column(server_default="0")
    bytes_done: Mapped[int] = mapped_column(server_default="0")
    rows_total: Mapped[int] = mapped_column(server_default="0")
    rows_created: Mapped[int] = mapped_column(server_default="0")
    rows_updated: Mapped[int] = mapped_column(server_default="0")
    rows_unchanged: Mapped[int] = mapped_column(server_default="0")
    rows_skipped: Mapped[int] = mapped_column(server_default="0")
    rows_rejected: Mapped[int] = mapped_column(server_default="0")
    #: People who were created have ids between these; a roll-back looks for them there.
    first_created: Mapped[int | None]
    last_created: Mapped[int | None]
    #: The last line of the file that a committed batch has taken in.
    line_done: Mapped[int] = mapped_column(server_default="0")
    #: Confirmation letters are still to be sent; `letters` says how far they have come.
    letters_open: Mapped[bool] = mapped_column(server_default=text("false"))
    letters: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    #: The roll-back: its job, and how many people are as before or were kept.
    undo_job_id: Mapped[int | None]
    rows_undone: Mapped[int] = mapped_column(server_default="0")
    rows_kept: Mapped[int] = mapped_column(server_default="0")
    error: Mapped[str] = mapped_column(server_default="")
    created_by: Mapped[int | None]
    created_at: Mapped[Now]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    undone_at: Mapped[datetime | None]
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]


class ImportList(Base):
    """A list that an import fills."""

    __tablename__ = "import_list"
    __table_args__ = (
        ForeignKeyConstraint(
            ["project_id", "import_id"],
            ["subscriber_import.project_id", "subscriber_import.id"],
            ondelete="CASCADE",
        ),
        ForeignKeyConstraint(["project_id", "list_id"], ["mailing_list.project_id", "mailing_list.id"]),
        Index(None, "project_id", "list_id"),
    )

    project_id: Mapped[ProjectId]
    import_id: Mapped[int] = mapped_column(primary_key=True)
    list_id: Mapped[int] = mapped_column(primary_key=True)


class ImportChange(Base):
    """What a person whom an import found was like before, so that it can be taken back; or why it was not.

    What the import has not touched is None or empty. `lists_before` holds subscriptions that it changed, by list:
    {"12": {"status": …, "source": …}}; one that it made is known by its own source.
    """

    __tablename__ = "import_change"
    __table_args__ = (
        ForeignKeyConstraint(
            ["project_id", "import_id"],
            ["subscriber_import.project_id", "subscriber_import.id"],
            ondelete="CASCADE",
        ),
        ForeignKeyConstraint(
            ["project_id", "subscriber_id"], ["subscriber.project_id", "subscriber.id"], ondelete="CASCADE"
        ),
        Index(None, "project_id", "subscriber_id"),
        Index("ix_import_change_kept", "project_id", "import_id", "subscriber_id", postgresql_where=text("kept <> ''")),
    )

    project_id: Mapped[ProjectId]
    import_id: Mapped[int] = mapped_column(primary_key=True)
    subscriber_id: Mapped[int] = mapped_column(primary_key=True)
    name_before: Mapped[str | None]
    name_given: Mapped[str | None]
    fields_before: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    fields_given: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    updated_before: Mapped[datetime | None]
    #: When the import has changed the person.
    changed_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    lists_before: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    tags_added: Mapped[list[int]] = mapped_column(JSONB, server_default=text("'[]'"))
    #: Why a roll-back has left the person as they are (a key of imports.undo.KEPT); empty: it has not.
    kept: Mapped[str] = mapped_column(server_default="")


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
    #: Its cells, where the row has cells: they stand under the file's own headers.
    cells: Mapped[list[str] | None] = mapped_column(JSONB)


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
    #: Names of tags, and the record of consent, from the file's own columns.
    tags: Mapped[list[str]] = mapped_column(JSONB, server_default=text("'[]'"))
    consent_at: Mapped[datetime | None]
    consent_source: Mapped[str] = mapped_column(server_default="")
    consent_ip: Mapped[str | None] = mapped_column(INET)
