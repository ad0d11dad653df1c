"""A person's letters and events without the person, and a project's old ones deleted, in slices along the keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from mailhub.reporting.named import SQL

#: Rows that a slice of the retention deletes at most.
SLICE = 5_000
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_ONE_BY_ONE = text(
    "SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),"
    " set_config('statement_timeout', '120s', true)"
)


@dataclass(frozen=True, slots=True)
class Letters:
    """The keys of some letters: when each was made, and its id."""

    at: tuple[datetime, ...]
    ids: tuple[UUID, ...]


def addresses_of(dbsession: Session, project_id: int, subscriber_id: int) -> set[str]:
    """Every address that this person's letters went to, also before it was changed."""
    binds = {"project_id": project_id, "subscriber_id": subscriber_id}
    return set(dbsession.scalars(SQL["person_addresses"].text, binds))


def letters_to(dbsession: Session, project_id: int, subscriber_id: int | None, addresses: Sequence[str]) -> Letters:
    """Letters to a person, or to one of these addresses (in lower case); by two indexes."""
    binds = {"project_id": project_id, "subscriber_id": subscriber_id, "addresses": list(addresses)}
    rows = dbsession.execute(SQL["letters_to"].text, binds).all()
    return Letters(tuple(row.created_at for row in rows), tuple(row.id for row in rows))


def erase_letters(dbsession: Session, project_id: int, letters: Letters) -> int:
    """Take out of the letters what tells who they went to, and what single ones said; gives how many had something.

    `email_domain` stays: numbers by domain are made of it.
    """
    if not letters.ids:
        return 0
    keys = {"project_id": project_id, "at": list(letters.at), "id": list(letters.ids)}
    dbsession.execute(SQL["erase_links"].text, keys)
    dbsession.execute(SQL["erase_contents"].text, keys)
    window = {"since": min(letters.at), "until": max(letters.at)}
    return len(dbsession.execute(SQL["erase_letters"].text, keys | window).all())


def erase_events(dbsession: Session, project_id: int, subscriber_id: int | None, letters: Letters) -> int:
    """Pseudonymise the events of a person and of these letters: the numbers of person, campaign and link stay."""
    binds = {"project_id": project_id, "subscriber_id": subscriber_id, "id": list(letters.ids)}
    return len(dbsession.execute(SQL["erase_events"].text, binds).all())


def still_flying(dbsession: Session, project_id: int, since: datetime) -> bool:
    """Whether a worker may still write down what it knew of people who were erased then."""
    binds = {"project_id": project_id, "until": since}
    return bool(dbsession.scalar(SQL["still_flying"].text, binds))


def delete_old(engine: Engine, project_id: int, *, before: datetime) -> tuple[int, int]:
    """Delete a project's letters and raw events from before a moment; gives how many of each.

    A transaction a slice of SLICE rows; may be stopped and run again at any time. Whoever recounts has to know of
    `before` first (project.raw_since): days and campaigns from before it can't be recounted any more.
    """
    return _old_letters(engine, project_id, before), _old_events(engine, project_id, before)


def _old_letters(engine: Engine, project_id: int, before: datetime) -> int:
    gone, at, id_ = 0, _BEGINNING, UUID(int=0)
    while True:
        binds = {"project_id": project_id, "after_at": at, "after_id": id_, "until": before, "most": SLICE}
        with engine.begin() as connection:
            connection.execute(_ONE_BY_ONE)
            row = connection.execute(SQL["old_letters"].text, binds).one()
        gone += row.gone
        if row.end_at is None:
            return gone
        at, id_ = row.end_at, row.end_id


def _old_events(engine: Engine, project_id: int, before: datetime) -> int:
    gone, position, id_ = 0, 0, 0
    while True:
        binds = {
            "project_id": project_id, "after_position": position, "after_id": id_, "since": _BEGINNING,
            "until": before, "most": SLICE,
        }  # fmt: skip
        with engine.begin() as connection:
            connection.execute(_ONE_BY_ONE)
            row = connection.execute(SQL["old_events"].text, binds).one()
        gone += row.gone
        if row.end_position is None:
            return gone
        position, id_ = row.end_position, row.end_id
