"""A batch of an import, merged as sets: COPY into staging, then a statement for each thing that happens to people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import psycopg
from sqlalchemy import CursorResult, Executable
from sqlalchemy.orm import Session

from mailhub.imports import statements
from mailhub.imports.batches import Batch, Source, refused
from mailhub.lists.tags import ensure_tags
from mailhub.suppression import service as suppression

COUNT_KEYS = ("created", "updated", "unchanged", "skipped", "rejected")
#: Rows that were left alone on purpose stand with the rejected ones, under reasons with this beginning.
SKIPPED = "skipped_"
#: Addresses that are looked up on the stop lists together.
LOOKED_UP = 2_000


@dataclass
class Known:
    """Rows of a batch that are about people who are there already: line → person."""

    people: dict[int, int] = field(default_factory=dict)
    #: Line → why the row is left alone; these are not in `people`.
    alone: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Merged:
    """What became of a batch. `updated` are people who were known, and now have what the file says; `unchanged` are
    those of them who had it before. `first` and `last` are ids: the created people are between them.
    """

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    rejected: int = 0
    first: int | None = None
    last: int | None = None


def stage(dbsession: Session, source: Source, batch: Batch) -> Known:
    """Put a batch into import_staging, and its refused rows where they are listed; gives who is known.

    Rows that are left alone are listed too, and not in the staging any more. The same for a check and for an import.
    """
    values = {
        "project": source.project_id, "import": source.import_id, "lists": list(source.list_ids),
        "stopped": _stopped(dbsession, source.project_id, batch),
    }  # fmt: skip
    dbsession.execute(statements.PLAN)
    dbsession.execute(statements.SWEEP_OUT, values)
    connection = driver_connection(dbsession)
    with connection.cursor() as cursor:
        if batch.people:
            _copy(cursor, statements.STAGED, batch.staged)
    known = Known()
    if batch.people:
        for line, person, reason in dbsession.execute(statements.KNOWN, values):
            if reason:
                known.alone[line] = reason
            else:
                known.people[line] = person
    if known.alone:
        dbsession.execute(statements.LEAVE_ALONE, values | {"lines": list(known.alone)})
    listed = [refused(source, row, reason) for row, reason in batch.rejected]
    listed += [
        refused(source, row, SKIPPED + known.alone[row.line]) for row in batch.rows_of_people if row.line in known.alone
    ]
    if listed:
        with connection.cursor() as cursor:
            _copy(cursor, statements.REFUSED, listed)
    return known


def _stopped(dbsession: Session, project_id: int, batch: Batch) -> list[str]:
    """Addresses that are stopped otherwise than by their own name on the project's list: erased people, of whom there
    is a hash, and the operator's list. Most projects have neither, and nothing is asked then.
    """
    if not dbsession.execute(statements.HAS_OTHERS, {"project": project_id}).scalar_one():
        return []
    keys = [person.address.key for person in batch.people]
    found: set[str] = set()
    for start in range(0, len(keys), LOOKED_UP):
        found |= suppression.suppressed_among(dbsession, project_id, keys[start : start + LOOKED_UP])
    return sorted(found)


def take_turn(dbsession: Session, project_id: int) -> None:
    """Wait until no other import of the project merges."""
    dbsession.execute(statements.TURN, {"project": project_id})


def merge(dbsession: Session, source: Source, batch: Batch) -> Merged:
    """Merge a batch. Changes: subscriber, subscription, subscriber_tag, consent and the counters; import_change and
    import_rejected_row; import_staging is empty for this import afterwards.
    """
    take_turn(dbsession, source.project_id)
    known = stage(dbsession, source, batch)
    wanted = len(batch.people) - len(known.alone)
    rejected = len(batch.rejected)
    if not wanted:
        return Merged(skipped=len(known.alone), rejected=rejected)
    people = list(known.people.values())
    values: dict[str, Any] = {
        "project": source.project_id, "import": source.import_id, "lists": list(source.list_ids),
        "source": f"import:{source.import_id}", "status": source.rules.status, "people": people,
        "lines": list(known.people), "text": source.text_id, "records": source.text_id is not None,
        "kind": "asked" if source.rules.asks else "imported",
    }  # fmt: skip
    changed: set[int] = set()
    if people and source.rules.update:
        changed.update(dbsession.scalars(statements.BEFORE, values))
    new = dbsession.execute(statements.ALL_PEOPLE if source.rules.update else statements.NEW_PEOPLE, values).one()
    if people and not source.rules.asks:
        dbsession.execute(statements.LISTS_BEFORE, values)
    changed.update(dbsession.execute(statements.SUBSCRIPTIONS, values).scalar_one() or ())
    if any(person.consent_at or person.consent_source or person.consent_ip for person in batch.people):
        dbsession.execute(statements.CONSENT_WORDS, values)
        dbsession.execute(statements.CONSENTS, values)
    changed |= _tag(dbsession, source, values)
    dbsession.execute(statements.SWEEP_OUT, values)
    counted = _counted(source, wanted, new.n, len(changed), len(known.alone), rejected)
    return replace(counted, first=new.first, last=new.last)


def foretell(dbsession: Session, source: Source, batch: Batch) -> Merged:
    """What `merge` would make of a batch. Changes import_rejected_row and nothing else."""
    known = stage(dbsession, source, batch)
    values = {
        "project": source.project_id, "import": source.import_id, "lists": list(source.list_ids),
        "status": source.rules.status, "lines": list(known.people), "people": list(known.people.values()),
        "update": source.rules.update, "tags": list(source.rules.tags),
    }  # fmt: skip
    changed = int(dbsession.execute(statements.WOULD_CHANGE, values).scalar_one()) if known.people else 0
    dbsession.execute(statements.SWEEP_OUT, values)
    wanted = len(batch.people) - len(known.alone)
    return _counted(source, wanted, wanted - len(known.people), changed, len(known.alone), len(batch.rejected))


def _tag(dbsession: Session, source: Source, values: Mapping[str, Any]) -> set[int]:
    """Mark people with the tags of the rules and of their own cells; gives who of the known has new ones."""
    words = list(dbsession.scalars(statements.TAG_WORDS, values)) if _has_tags(source) else []
    if not words and not source.rules.tags:
        return set()
    own = ensure_tags(dbsession, source.project_id, source.rules.tags)
    pairs = [(word, tag.id) for word in words for tag in ensure_tags(dbsession, source.project_id, [word])]
    given = {
        "tags": [tag.id for tag in own], "words": [word for word, _tag in pairs],
        "word_tags": [tag for _word, tag in pairs],
    }  # fmt: skip
    return set(dbsession.scalars(statements.TAGS, dict(values) | given))


def _has_tags(source: Source) -> bool:
    return ":tags" in source.mapping.values()


def _counted(source: Source, wanted: int, created: int, changed: int, alone: int, rejected: int) -> Merged:
    found = wanted - created
    if source.rules.update:
        return Merged(created, found, max(0, found - changed), alone, rejected)
    # Their profiles stay as they are; they count as updated only where a list or a tag is new to them.
    changed = min(changed, found)
    return Merged(created, changed, 0, alone + found - changed, rejected)


def refresh_statistics(dbsession: Session) -> None:
    """Let the planner see a growing project; a transaction of its own. 0.2 s whatever the size."""
    for statement in statements.STATISTICS:
        dbsession.execute(statement)


def touched(dbsession: Session, statement: Executable, values: Mapping[str, Any]) -> int:
    """Execute, and say how many rows were written."""
    return cast("CursorResult[Any]", dbsession.execute(statement, values)).rowcount


def driver_connection(dbsession: Session) -> psycopg.Connection[Any]:
    """psycopg's own connection behind a session, inside its transaction: for COPY."""
    connection = dbsession.connection().connection.driver_connection
    assert isinstance(connection, psycopg.Connection)
    return connection


def _copy(cursor: psycopg.Cursor[Any], statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    with cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
