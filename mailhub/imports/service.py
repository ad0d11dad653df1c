"""An import before it runs: the uploaded file on disk, its columns, the decision to start."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import delete, func, or_, update
from sqlalchemy.orm import Session

from mailhub.imports.columns import has_addresses
from mailhub.imports.head import Head, look
from mailhub.imports.person import EMAIL, OWN_TARGETS
from mailhub.imports.reading import NotACsv
from mailhub.lists.fields import TooManyFields, clean_field_name, declare_fields
from mailhub.models import ImportState, SubscriberImport
from mailhub.settings import Settings
from mailhub.web.i18n import _

CHUNK = 1024 * 1024
#: Failures after which an import can go on where it stopped: its file is kept for two days.
CANCELLED, INTERNAL = "cancelled", "internal"
RESUMABLE = (CANCELLED, INTERNAL)
#: What the person who imports states; the journal keeps the sentence with the import.
CONSENT = _("Everybody in this file has agreed to get these letters.")


class UploadTooLarge(Exception):
    """The file is larger than `mailhub.upload.max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(str(max_bytes))
        self.message = _("The file is larger than ${mb} MB. Split it and import the parts.",
                         mapping={"mb": max_bytes // 1_000_000})  # fmt: skip


class MappingRefused(Exception):
    """The columns cannot be used like this; `errors` has a sentence by header ("" for the whole)."""

    def __init__(self, errors: Mapping[str, Any]) -> None:
        super().__init__("; ".join(errors))
        self.errors = dict(errors)


class ImportRefused(Exception):
    """The import's state does not allow it; `message` says why (translatable)."""

    def __init__(self, message: Any) -> None:
        super().__init__(str(message))
        self.message = message


@dataclass(frozen=True)
class Upload:
    """A file that has arrived: our name for it, its size, and how it begins."""

    stored_name: str
    size: int
    head: Head


def folder(settings: Settings) -> Path:
    """Where uploads wait for their import."""
    path = settings.home / "imports"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def path_of(settings: Settings, stored_name: str) -> Path:
    return folder(settings) / stored_name


def receive(settings: Settings, file: BinaryIO, *, is_mapped: bool = False) -> Upload:
    """Keep an uploaded file under a name of our own and look at it. Raises UploadTooLarge and NotACsv; nothing stays.

    `is_mapped`: the caller knows the columns, so that none has to look like addresses.
    """
    stored_name = f"{secrets.token_hex(16)}.csv"
    path = path_of(settings, stored_name)
    try:
        size = _keep(path, file, settings.upload_max_bytes)
        head = look(path)
        if not is_mapped:
            _expect_addresses(head)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Upload(stored_name, size, head)


def _keep(path: Path, file: BinaryIO, max_bytes: int) -> int:
    size = 0
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as kept:
        while chunk := file.read(CHUNK):
            size += len(chunk)
            if size > max_bytes:
                raise UploadTooLarge(max_bytes)
            kept.write(chunk)
    return size


def _expect_addresses(head: Head) -> None:
    if not has_addresses(head):
        raise NotACsv("no_address")


def create_import(
    dbsession: Session, *, project_id: int, list_id: int, file_name: str, upload: Upload, user_id: int | None
) -> SubscriberImport:
    """The row of an upload whose columns are still to be decided: nothing runs while `mapping` is empty."""
    row = SubscriberImport(
        project_id=project_id,
        list_id=list_id,
        file_name=shown_name(file_name),
        stored_name=upload.stored_name,
        encoding=upload.head.reading.encoding,
        delimiter=upload.head.reading.delimiter,
        bytes_total=upload.size,
        created_by=user_id,
    )
    dbsession.add(row)
    dbsession.flush()
    dbsession.refresh(row)
    return row


def shown_name(given: str) -> str:
    """A file's name as text: no folders, nothing that does not print."""
    name = given.replace("\\", "/").rpartition("/")[2]
    return "".join(char for char in name if char.isprintable())[:200] or "file.csv"


def check_mapping(head: Head, mapping: Mapping[str, str]) -> dict[str, str]:
    """The mapping with clean field names and without ignored columns. Raises MappingRefused."""
    errors: dict[str, Any] = {}
    clean: dict[str, str] = {}
    for header, meant in mapping.items():
        if header not in head.headers:
            errors[header] = _("The file has no such column.")
            continue
        if not meant:
            continue
        target = meant if meant in OWN_TARGETS else clean_field_name(meant)
        if not target:
            errors[header] = _("A field's name has letters, digits and underscores.")
        elif target in clean.values():
            errors[header] = _("Two columns cannot go into the same field.")
        else:
            clean[header] = target
    if not errors and EMAIL not in clean.values():
        errors[""] = _("Say which column holds the e-mail addresses.")
    if errors:
        raise MappingRefused(errors)
    return clean


def start_import(
    dbsession: Session, row: SubscriberImport, *, head: Head, mapping: Mapping[str, str], update_existing: bool
) -> bool:
    """Decide the columns of a waiting import. The caller enqueues the task. False: it had been started before.

    Raises MappingRefused. Columns that are no known field become fields of the project.
    """
    clean = check_mapping(head, mapping)
    labels = {target: header for header, target in clean.items() if target not in OWN_TARGETS}
    try:
        declare_fields(dbsession, project_id=row.project_id, labels=labels)
    except TooManyFields:
        raise MappingRefused({"": _("The project has too many fields already. Ignore some columns.")}) from None
    started = dbsession.scalars(
        update(SubscriberImport)
        .where(
            SubscriberImport.project_id == row.project_id,
            SubscriberImport.id == row.id,
            SubscriberImport.state == ImportState.PENDING,
            SubscriberImport.mapping == {},
        )
        .values(
            mapping=clean,
            update_existing=update_existing,
            list_id=row.list_id,
            encoding=head.reading.encoding,
            delimiter=head.reading.delimiter,
        )
        .returning(SubscriberImport.id)
        .execution_options(synchronize_session="fetch")
    )
    return started.one_or_none() is not None


def is_waiting(row: SubscriberImport) -> bool:
    """Whether the file has arrived and nobody has said yet what its columns are."""
    return row.state == ImportState.PENDING and not row.mapping


def discard(dbsession: Session, settings: Settings, row: SubscriberImport) -> None:
    """Forget an upload that was never started."""
    path_of(settings, row.stored_name).unlink(missing_ok=True)
    dbsession.delete(row)


def cancel(dbsession: Session, row: SubscriberImport) -> None:
    """Stop an import that waits or runs; what is merged stays. A worker that runs it notices with its next batch.

    Raises ImportRefused for one that has ended.
    """
    stopped = dbsession.scalars(
        update(SubscriberImport)
        .where(
            SubscriberImport.project_id == row.project_id,
            SubscriberImport.id == row.id,
            SubscriberImport.state.in_((ImportState.PENDING, ImportState.RUNNING)),
            SubscriberImport.mapping != {},
        )
        .values(
            state=ImportState.FAILED,
            error=CANCELLED,
            finished_at=func.clock_timestamp(),
            lease_owner=None,
            lease_until=None,
        )
        .returning(SubscriberImport.id)
        .execution_options(synchronize_session=False)
    )
    if stopped.one_or_none() is None:
        raise ImportRefused(_("This import does not run."))


def retry(dbsession: Session, row: SubscriberImport) -> None:
    """Let a stopped or failed import go on after the last row that is in. The sweep wakes it within seconds.

    Raises ImportRefused where it can't: it has not failed, or its file is gone.
    """
    again = dbsession.scalars(
        update(SubscriberImport)
        .where(
            SubscriberImport.project_id == row.project_id,
            SubscriberImport.id == row.id,
            SubscriberImport.state == ImportState.FAILED,
            SubscriberImport.error.in_(RESUMABLE),
        )
        .values(state=ImportState.PENDING, error="", finished_at=None, lease_owner=None, lease_until=None)
        .returning(SubscriberImport.id)
        .execution_options(synchronize_session=False)
    )
    if again.one_or_none() is None:
        raise ImportRefused(_("Only an import that was stopped or has failed on our side can go on."))


def remove(dbsession: Session, settings: Settings, row: SubscriberImport) -> None:
    """Forget an import that has ended, or that was never started; the people whom it brought stay.

    Raises ImportRefused while it waits or runs.
    """
    gone = dbsession.scalars(
        delete(SubscriberImport)
        .where(
            SubscriberImport.project_id == row.project_id,
            SubscriberImport.id == row.id,
            or_(
                SubscriberImport.state.in_((ImportState.DONE, ImportState.FAILED)),
                SubscriberImport.mapping == {},
            ),
        )
        .returning(SubscriberImport.stored_name)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if gone is None:
        raise ImportRefused(_("This import runs. Stop it first."))
    path_of(settings, gone).unlink(missing_ok=True)
