"""A file as batches of people, for the check and for the import alike: both must see exactly the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from mailhub.imports.head import read_head
from mailhub.imports.opening import read_rows
from mailhub.imports.person import OWN_TARGETS, Person, PersonReader
from mailhub.imports.reading import CSV, NotACsv, Reading
from mailhub.imports.rows import RAW_KEPT, Row
from mailhub.imports.rules import Rules
from mailhub.imports.values import reader
from mailhub.models import ImportList, SubscriberField, SubscriberImport

#: The first batch is a small one: after it the planner can be told what is coming (merge.refresh_statistics).
FIRST_BATCH = 500
#: Longer rows are kept by their beginning alone where they are rejected.
CELLS_KEPT = 8_000


class FileGone(Exception):
    """The upload is not on this machine's disk, or is not what it was."""


@dataclass(frozen=True)
class Source:
    """What a run must know of its import; read once, nothing of it changes while it runs."""

    project_id: int
    import_id: int
    path: Path
    reading: Reading
    mapping: Mapping[str, str]
    #: Field → (type, choices) of those with a type; `orders` is the order of day and month by field.
    types: Mapping[str, tuple[str, tuple[str, ...]]]
    orders: Mapping[str, str]
    rules: Rules
    list_ids: tuple[int, ...]
    text_id: int | None
    line_done: int
    bytes_total: int


@dataclass
class Batch:
    """Rows that belong together: people to stage, rows that were refused, both with the row as it stands."""

    people: list[Person] = field(default_factory=list)
    rows_of_people: list[Row] = field(default_factory=list)
    #: The people as rows of import_staging.
    staged: list[tuple[Any, ...]] = field(default_factory=list)
    rejected: list[tuple[Row, str]] = field(default_factory=list)
    rows: int = 0
    line: int = 0
    bytes_done: int = 0


def source_of(dbsession: Session, row: SubscriberImport, uploads: Path) -> Source:
    """The import's own words and the project's fields. Two queries."""
    key = (row.project_id, row.id)
    lists = select(ImportList.list_id).where(ImportList.project_id == key[0], ImportList.import_id == key[1])
    wanted = [target for target in row.mapping.values() if target not in OWN_TARGETS]
    typed = select(SubscriberField).where(
        SubscriberField.project_id == row.project_id, SubscriberField.name.in_(wanted), SubscriberField.type != "text"
    )
    reading = Reading.from_json(row.reading) if row.reading else Reading(row.encoding, row.delimiter, CSV)
    return Source(
        project_id=row.project_id,
        import_id=row.id,
        path=uploads / row.stored_name,
        reading=reading,
        mapping=dict(row.mapping),
        types={one.name: (one.type, tuple(one.choices)) for one in dbsession.scalars(typed)},
        orders=dict(row.reading.get("orders", {})),
        rules=Rules.from_json(row.rules or {"update": row.update_existing}),
        list_ids=tuple(dbsession.scalars(lists.order_by(ImportList.list_id))),
        text_id=row.consent_text_id,
        line_done=row.line_done,
        bytes_total=row.bytes_total,
    )


def batches(source: Source, size: int, *, after: int = 0) -> Iterator[Batch]:
    """The file's rows after line `after`; those before are read too, to know which addresses came. Raises FileGone."""
    wanted = min(size, FIRST_BATCH)
    if not source.path.is_file():
        raise FileGone
    try:
        head = read_head(source.path, source.reading)
    except NotACsv:
        raise FileGone from None
    read_person = PersonReader(
        head.headers, source.mapping, _readers(source), strict=source.rules.strict, asks=source.rules.asks
    )
    done = [0]

    def progress(read: int) -> None:
        done[0] = read

    batch = Batch()
    for row in read_rows(source.path, source.reading, columns=head.columns, progress=progress):
        if row.line < head.first_line:
            continue
        found = read_person(row)
        if row.end <= after:
            continue
        batch.rows += 1
        batch.line = row.end
        if isinstance(found, str):
            batch.rejected.append((row, found))
        else:
            batch.people.append(found)
            batch.rows_of_people.append(row)
            batch.staged.append(staged(source, found))
        if batch.rows >= wanted:
            batch.bytes_done = done[0]
            yield batch
            batch, wanted = Batch(), size
    if batch.rows:
        batch.bytes_done = done[0]
        yield batch


def _readers(source: Source) -> dict[str, Callable[[str], Any]]:
    found = {}
    for name, (kind, choices) in source.types.items():
        read = reader(kind, choices=choices, order=source.orders.get(name, "dmy"))
        if read is not None:
            found[name] = read
    return found


def staged(source: Source, person: Person) -> tuple[Any, ...]:
    """A person as a row of import_staging, in the order of merge.STAGED."""
    address = person.address
    return (
        source.project_id,
        source.import_id,
        person.line,
        address.email,
        address.key,
        address.domain,
        person.name,
        json.dumps(person.fields, ensure_ascii=False) if person.fields else "{}",
        json.dumps(person.tags, ensure_ascii=False) if person.tags else "[]",
        person.consent_at,
        person.consent_source,
        person.consent_ip,
    )


def refused(source: Source, row: Row, reason: str) -> tuple[Any, ...]:
    """A row of import_rejected_row: with its cells, so that it can be given back under the file's own headers."""
    raw = row.raw[:RAW_KEPT].replace("\0", "\u2400")
    cells = None
    if row.cells and sum(map(len, row.cells)) <= CELLS_KEPT:
        cells = json.dumps([cell.replace("\0", "\u2400") for cell in row.cells], ensure_ascii=False)
    return source.project_id, source.import_id, row.line, reason, raw, cells
