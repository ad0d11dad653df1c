"""Names in letters and events that follow a change, in slices along the primary keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from mailhub.reporting.named import SQL

_ONE_BY_ONE = text("SELECT set_config('enable_hashjoin', :others, true), set_config('enable_mergejoin', :others, true)")


@dataclass(frozen=True, slots=True)
class Name:
    """A name as it is now; `is_sending`: somebody is at work who may still write the old one."""

    value: str
    is_sending: bool


@dataclass(frozen=True, slots=True)
class LetterSlice:
    """Letters that were looked at; without an end there are no more."""

    seen: int
    changed: int
    end_at: datetime | None
    end_id: UUID | None


@dataclass(frozen=True, slots=True)
class EventSlice:
    """Events that were looked at; without an end there are no more below the horizon."""

    seen: int
    changed: int
    end_position: int | None
    end_id: int | None
    end_at: datetime | None


@dataclass(frozen=True, slots=True)
class Place:
    """The number of this transaction, and the horizon: below it every transaction has ended."""

    position: int
    horizon: int


@dataclass(frozen=True, slots=True)
class Following:
    """A rename whose copies have not all followed. `share` is from 0 to 1."""

    kind: str
    object_id: int
    state: str
    rows_changed: int
    share: float


def name_of(dbsession: Session, kind: str, project_id: int, object_id: int) -> Name | None:
    """The present name of a project's domain, campaign or list; None when it is gone."""
    binds = {"kind": kind, "project_id": project_id, "object_id": object_id}
    row = dbsession.execute(SQL["rename_value"].text, binds).one_or_none()
    return None if row is None else Name(*tuple(row))


def letters(
    dbsession: Session, kind: str, project_id: int, object_id: int, value: str, *,
    after: tuple[datetime, UUID], most: int,
) -> LetterSlice:  # fmt: skip
    """Rename in the next `most` letters of the project after (created_at, id)."""
    binds = {"kind": kind, "project_id": project_id, "object_id": object_id, "value": value,
             "after_at": after[0], "after_id": after[1], "most": most}  # fmt: skip
    return LetterSlice(*_in_order(dbsession, "rename_letters", binds))


def events(
    dbsession: Session, kind: str, project_id: int, object_id: int, value: str, *, after: tuple[int, int], most: int
) -> EventSlice:
    """Rename in the next `most` events of the project after (position, id), below the horizon."""
    binds = {"kind": kind, "project_id": project_id, "object_id": object_id, "value": value,
             "after_position": after[0], "after_id": after[1], "most": most}  # fmt: skip
    return EventSlice(*_in_order(dbsession, "rename_events", binds))


def _in_order(dbsession: Session, statement: str, binds: dict[str, Any]) -> tuple[Any, ...]:
    """The row of a statement that looks its slice's rows up one by one.

    By a hash the planner would read the whole table for each slice, until it is very large, and lock the rows in the
    order in which they lie there: whoever marks hits or settles letters locks them by their keys, and the two would
    wait for each other.
    """
    dbsession.execute(_ONE_BY_ONE, {"others": "off"})
    found = tuple(dbsession.execute(SQL[statement].text, binds).one())
    dbsession.execute(_ONE_BY_ONE, {"others": "on"})
    return found


def place(dbsession: Session) -> Place:
    """Where the feed is now; gives the transaction a number if it has none."""
    return Place(*tuple(dbsession.execute(SQL["rename_position"].text).one()))


def following(dbsession: Session, project_id: int) -> list[Following]:
    """The project's renames that go on."""
    rows = dbsession.execute(SQL["rename_progress"].text, {"project_id": project_id})
    return [Following(*tuple(row)) for row in rows]
