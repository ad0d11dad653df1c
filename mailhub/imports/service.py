"""An import before and after it runs: the uploaded file on disk, what is decided step by step, start, stop, the end."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from mailhub.imports.columns import has_addresses
from mailhub.imports.head import Head, look
from mailhub.imports.made_fields import MADE
from mailhub.imports.person import EMAIL, OWN_TARGETS, SEVERAL
from mailhub.imports.reading import NotACsv
from mailhub.imports.rules import Rules
from mailhub.lists import consents
from mailhub.lists.fields import TooManyFields, clean_field_name, declare_fields, has_room
from mailhub.models import FieldType, ImportList, ImportRejectedRow, ImportState, MailingList, SubscriberImport
from mailhub.settings import Settings
from mailhub.web.i18n import _

CHUNK = 1024 * 1024
#: What `reading` holds besides how the file is read: new fields, and the order of dates by field.
_MEANINGS = ("new", "orders")
#: Ends after which an import can go on where it stopped: its file is kept for `mailhub.import.keep_days`.
CANCELLED, INTERNAL = "cancelled", "internal"
RESUMABLE = (CANCELLED, INTERNAL)
#: What the person who imports states; the journal keeps the sentence with the import.
CONSENT = _("Everybody in this file has agreed to get these letters.")
TOO_MANY_FIELDS = _("The project has too many fields already. Ignore some columns.")
#: `error` of an import whose file was deleted, as an erased person's address stood in it (mailhub.privacy.files).
ERASED = "erased"
#: Why a file is not there any more, by `error`.
FILE_GONE = {
    "file_gone": _("The uploaded file is not there any more. Upload it again."),
    ERASED: _("Somebody in this file has been erased, so that the file was deleted. Upload it again: the rows of erased"
              " people are left out."),
}  # fmt: skip


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


class NotReady(ImportRefused):
    """A step is not through; `step` is its route's last word."""

    def __init__(self, step: str, message: Any) -> None:
        super().__init__(message)
        self.step = step


@dataclass(frozen=True)
class NewField:
    """A field that an import makes: its label and what it holds; `order` is that of its dates (imports.values)."""

    label: str
    type: str = FieldType.TEXT
    choices: tuple[str, ...] = ()
    order: str = "dmy"


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
    dbsession: Session,
    *,
    project_id: int,
    file_name: str,
    upload: Upload,
    user_id: int | None,
    list_id: int | None = None,
) -> SubscriberImport:
    """The row of an upload whose steps are still to be taken: nothing runs while it is a draft."""
    row = SubscriberImport(
        project_id=project_id,
        list_id=list_id,
        state=ImportState.DRAFT,
        file_name=shown_name(file_name),
        stored_name=upload.stored_name,
        encoding=upload.head.reading.encoding,
        delimiter=upload.head.reading.delimiter,
        reading=upload.head.reading.as_json(),
        headers=upload.head.headers,
        bytes_total=upload.size,
        created_by=user_id,
    )
    dbsession.add(row)
    dbsession.flush()
    if list_id is not None:
        dbsession.add(ImportList(project_id=project_id, import_id=row.id, list_id=list_id))
        dbsession.flush()
    dbsession.refresh(row)
    return row


def take_over(dbsession: Session, row: SubscriberImport, before: SubscriberImport) -> None:
    """Let another file take a draft's place: lists and rules are as they were, and columns of the same names too."""
    if row.list_id is None:
        dbsession.add_all(
            ImportList(project_id=row.project_id, import_id=row.id, list_id=one.id)
            for one in lists_of(dbsession, before)
        )
        row.list_id = before.list_id
    row.rules, row.update_existing, row.consent_text_id = before.rules, before.update_existing, before.consent_text_id
    if row.headers == before.headers:
        row.mapping = before.mapping
        row.reading = row.reading | _meanings(before)
    dbsession.flush()


def _meanings(row: SubscriberImport) -> dict[str, Any]:
    return {name: row.reading[name] for name in _MEANINGS if name in row.reading}


def shown_name(given: str) -> str:
    """A file's name as text: no folders, nothing that does not print."""
    name = given.replace("\\", "/").rpartition("/")[2]
    return "".join(char for char in name if char.isprintable())[:200] or "file.csv"


# The steps


def save_reading(dbsession: Session, row: SubscriberImport, head: Head) -> None:
    """How the file is read. Other headers than before have no meaning yet."""
    reading: dict[str, Any] = dict(head.reading.as_json())
    if row.headers != head.headers:
        row.mapping = {}
    else:
        reading |= _meanings(row)
    row.encoding, row.delimiter = head.reading.encoding, head.reading.delimiter
    row.reading, row.headers = reading, head.headers
    dbsession.flush()


def save_mapping(
    dbsession: Session, row: SubscriberImport, mapping: Mapping[str, str], new: Mapping[str, NewField] | None = None
) -> None:
    """What the columns mean; `new` are fields that the import is to make, by name. Raises MappingRefused."""
    clean = check_mapping(row.headers, mapping)
    if not has_room(dbsession, row.project_id, [target for target in clean.values() if target not in OWN_TARGETS]):
        raise MappingRefused({"": TOO_MANY_FIELDS})
    made = {name: field for name, field in (new or {}).items() if name in clean.values()}
    row.mapping = clean
    kept = {name: value for name, value in row.reading.items() if name not in _MEANINGS}
    row.reading = kept | {
        "new": {
            name: {"label": one.label, "type": one.type, "choices": list(one.choices)} for name, one in made.items()
        },
        "orders": {name: one.order for name, one in (new or {}).items() if name in clean.values()},
    }
    dbsession.flush()


def check_mapping(headers: Sequence[str], mapping: Mapping[str, str]) -> dict[str, str]:
    """The mapping with clean field names and without ignored columns. Raises MappingRefused."""
    errors: dict[str, Any] = {}
    clean: dict[str, str] = {}
    for header, meant in mapping.items():
        if header not in headers:
            errors[header] = _("The file has no such column.")
            continue
        if not meant:
            continue
        target = meant if meant in OWN_TARGETS else clean_field_name(meant)
        if not target:
            errors[header] = _("A field's name has letters, digits and underscores.")
        elif target in clean.values() and target not in SEVERAL:
            errors[header] = _("Two columns cannot go into the same field.")
        else:
            clean[header] = target
    if not errors and EMAIL not in clean.values():
        errors[""] = _("Say which column holds the e-mail addresses.")
    if errors:
        raise MappingRefused(errors)
    return clean


def save_rules(
    dbsession: Session, row: SubscriberImport, *, list_ids: Sequence[int], rules: Rules, statement: str
) -> None:
    """What happens with the people. `statement` are the words to which they have agreed, as the importer read them;
    empty: not stated, and nothing can start.
    """
    ids = sorted(set(list_ids))
    dbsession.execute(delete(ImportList).where(ImportList.project_id == row.project_id, ImportList.import_id == row.id))
    dbsession.add_all(ImportList(project_id=row.project_id, import_id=row.id, list_id=one) for one in ids)
    row.list_id = list_ids[0] if list_ids else None
    row.rules, row.update_existing = rules.as_json(), rules.update
    words = "\n".join(filter(None, (statement, rules.consent_source))) if statement else ""
    row.consent_text_id = consents.text_id(dbsession, row.project_id, words) if words else None
    dbsession.flush()


def lists_of(dbsession: Session, row: SubscriberImport) -> list[MailingList]:
    """The lists that an import fills, the first one first."""
    wanted = (
        select(MailingList)
        .join(
            ImportList,
            (ImportList.project_id == MailingList.project_id) & (ImportList.list_id == MailingList.id),
        )
        .where(ImportList.project_id == row.project_id, ImportList.import_id == row.id)
        .order_by(MailingList.name, MailingList.id)
    )
    return list(dbsession.scalars(wanted))


def settings_digest(dbsession: Session, row: SubscriberImport) -> str:
    """What a check is a check of: it is stale where this has changed."""
    lists = [one.id for one in lists_of(dbsession, row)]
    known = json.dumps([row.stored_name, row.reading, row.mapping, row.rules, lists], sort_keys=True)
    return hashlib.sha256(known.encode()).hexdigest()[:16]


def ready(dbsession: Session, row: SubscriberImport) -> None:
    """Whether every step is through. Raises NotReady with the first that is not."""
    if EMAIL not in row.mapping.values():
        raise NotReady("columns", _("Say which column holds the e-mail addresses."))
    lists = lists_of(dbsession, row)
    if not lists:
        raise NotReady("rules", _("Choose a list."))
    if any(one.archived_at is not None for one in lists):
        raise NotReady("rules", _("A list of this import is in the archive. Choose another one."))
    if row.consent_text_id is None:
        raise NotReady("rules", _("Import only people who have agreed to get these letters."))


# Start, stop, the end


def start(dbsession: Session, row: SubscriberImport) -> bool:
    """Start a draft. The caller enqueues the task. False: it had been started before.

    Raises NotReady, and MappingRefused where the project has no room for the new fields.
    """
    ready(dbsession, row)
    new = row.reading.get("new", {})
    names = [target for target in row.mapping.values() if target not in OWN_TARGETS]
    headers = {target: header for header, target in row.mapping.items()}
    try:
        made = declare_fields(
            dbsession,
            project_id=row.project_id,
            labels={name: new.get(name, {}).get("label") or headers[name] for name in names},
            types={name: one["type"] for name, one in new.items()},
            choices={name: one["choices"] for name, one in new.items()},
        )
    except TooManyFields:
        raise MappingRefused({"": TOO_MANY_FIELDS}) from None
    if made:
        row.reading = row.reading | {MADE: made}
        dbsession.flush()
    started = dbsession.scalars(
        update(SubscriberImport)
        .where(
            SubscriberImport.project_id == row.project_id,
            SubscriberImport.id == row.id,
            SubscriberImport.state == ImportState.DRAFT,
        )
        .values(state=ImportState.PENDING)
        .returning(SubscriberImport.id)
        .execution_options(synchronize_session="fetch")
    )
    return started.one_or_none() is not None


def start_import(
    dbsession: Session,
    row: SubscriberImport,
    *,
    head: Head,
    mapping: Mapping[str, str],
    update_existing: bool,
    rules: Rules | None = None,
    list_ids: Sequence[int] = (),
) -> bool:
    """All steps at once, for programs: their upload states the consent. False: it had been started before.

    Raises MappingRefused. Columns that are no known field become fields of the project.
    """
    if row.state != ImportState.DRAFT:
        return False
    save_reading(dbsession, row, head)
    save_mapping(dbsession, row, mapping)
    ids = list(list_ids) or ([row.list_id] if row.list_id is not None else [])
    save_rules(
        dbsession, row, list_ids=ids, rules=rules or Rules(update=update_existing), statement=str(CONSENT)
    )  # fmt: skip
    return start(dbsession, row)


def is_waiting(row: SubscriberImport) -> bool:
    """Whether the file has arrived and its steps are still being taken."""
    return row.state == ImportState.DRAFT


def discard(dbsession: Session, settings: Settings, row: SubscriberImport) -> None:
    """Forget an upload that was never started."""
    path_of(settings, row.stored_name).unlink(missing_ok=True)
    dbsession.delete(row)


def cancel(dbsession: Session, row: SubscriberImport) -> None:
    """Stop an import that waits or runs; what is merged stays. A worker that runs it notices with its next batch.

    Raises ImportRefused for one that has ended.
    """
    stopped = dbsession.scalars(
        _this(update(SubscriberImport), row, ImportState.PENDING, ImportState.RUNNING)
        .values(
            state=ImportState.CANCELLED,
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
    dbsession.refresh(row)


def retry(dbsession: Session, row: SubscriberImport) -> None:
    """Let a stopped or failed import go on after the last row that is in. The sweep wakes it within seconds.

    Raises ImportRefused where it can't: it has not failed, or its file is gone.
    """
    again = dbsession.scalars(
        _this(update(SubscriberImport), row, ImportState.FAILED, ImportState.CANCELLED)
        .where(SubscriberImport.error.in_(RESUMABLE))
        .values(state=ImportState.PENDING, error="", finished_at=None, lease_owner=None, lease_until=None)
        .returning(SubscriberImport.id)
        .execution_options(synchronize_session=False)
    )
    if again.one_or_none() is None:
        raise ImportRefused(_("Only an import that was stopped or has failed on our side can go on."))
    dbsession.refresh(row)


def remove(dbsession: Session, settings: Settings, row: SubscriberImport) -> None:
    """Forget an import that has ended, or that was never started; the people whom it brought stay.

    Raises ImportRefused while it waits, runs or is taken back.
    """
    ended = (
        ImportState.DRAFT, ImportState.DONE, ImportState.FAILED, ImportState.CANCELLED, ImportState.ROLLED_BACK
    )  # fmt: skip
    gone = dbsession.scalars(
        _this(delete(SubscriberImport), row, *ended)
        .returning(SubscriberImport.stored_name)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if gone is None:
        raise ImportRefused(_("This import runs. Stop it first."))
    path_of(settings, gone).unlink(missing_ok=True)


def forget_rejected(dbsession: Session, row: SubscriberImport) -> None:
    """The rows that a check has listed, before another check."""
    dbsession.execute(
        delete(ImportRejectedRow).where(
            ImportRejectedRow.project_id == row.project_id, ImportRejectedRow.import_id == row.id
        )
    )


def _this(statement: Any, row: SubscriberImport, *states: ImportState) -> Any:
    """The statement for this import, if it is in one of the states."""
    return statement.where(
        SubscriberImport.project_id == row.project_id,
        SubscriberImport.id == row.id,
        SubscriberImport.state.in_(states),
    )
