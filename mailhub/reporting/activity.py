"""People's latest activity, taken up from the events, and how many people are how active.

All on a psycopg connection in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import tuple_row

from mailhub.reporting.feed import BEGINNING
from mailhub.reporting.named import SQL


@dataclass(frozen=True, slots=True)
class Letters:
    """What one slice of letters did: events that were looked at, people who got a letter."""

    events: int
    people: int


@dataclass(frozen=True, slots=True)
class Reactions:
    """What one slice of hits did; `place` is the last one's, None where there was none."""

    hits: int
    place: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class BandCount:
    """How many people of a list (0: active people of the project) are in a band."""

    list_id: int
    band: str
    n: int


def projects_with_news(connection: Connection[Any], most: int) -> list[int]:
    """Projects with events that were not taken up yet."""
    return [row[0] for row in _in_order(connection, "activity_projects", most=most)]


def follow_letters(connection: Connection[Any], project_id: int, most: int) -> Letters:
    """Take up a project's next events; its place moves with them."""
    found = _rows(connection, "activity_place_of", project_id=project_id)
    position, id_ = found[0] if found else BEGINNING
    row = _in_order(connection, "follow_letters", project_id=project_id, position=position, id=id_, most=most)[0]
    return Letters(*row)


def follow_reactions(connection: Connection[Any], after: tuple[int, int], classifier: str, most: int) -> Reactions:
    """Take up the next hits behind a place that the classifier has been at; the caller moves the place."""
    position, id_ = after
    found = _in_order(connection, "follow_reactions", position=position, id=id_, classifier=classifier, most=most)
    hits, *place = found[0]
    return Reactions(hits, (place[0], place[1]) if hits else None)


def recount_reactions(connection: Connection[Any], people: Sequence[tuple[int, int]]) -> None:
    """Set the latest open and click of these (project, person) anew."""
    if people:
        projects, ids = [list(column) for column in zip(*people, strict=True)]
        connection.execute(SQL["recount_reactions"].psycopg, {"project_id": projects, "subscriber_id": ids})


def join(connection: Connection[Any], project_id: int, *, winner_id: int, loser_id: int) -> None:
    """Make the loser's activity the winner's."""
    binds = {"project_id": project_id, "winner_id": winner_id, "loser_id": loser_id}
    connection.execute(SQL["join_activity"].psycopg, binds)


def rebuild(connection: Connection[Any], project_id: int) -> int:
    """Count a project's activity anew from the events that are kept; gives how many people it was written for."""
    return int(_rows(connection, "rebuild_activity", project_id=project_id)[0][0])


def as_of(connection: Connection[Any], project_id: int, reader: str) -> datetime:
    """The moment up to which a project's activity is complete."""
    moment: datetime = _in_order(connection, "activity_as_of", project_id=project_id, reader=reader)[0][0]
    return moment


def count_bands(
    connection: Connection[Any],
    project_id: int,
    *,
    new_at: datetime,
    active_at: datetime,
    warm_at: datetime,
    cooling_at: datetime,
    letters: int,
) -> list[BandCount]:
    """People by list and band, those lists and bands left out that have none."""
    rows = _rows(
        connection, "count_bands", project_id=project_id, new_at=new_at, active_at=active_at, warm_at=warm_at,
        cooling_at=cooling_at, letters=letters,
    )  # fmt: skip
    return [BandCount(*row) for row in rows]


def _in_order(connection: Connection[Any], name: str, **binds: Any) -> list[tuple[Any, ...]]:
    """The rows of a statement that goes along an index (see reporting.hits)."""
    connection.execute("SET LOCAL enable_sort = off")
    found = _rows(connection, name, **binds)
    connection.execute("SET LOCAL enable_sort = on")
    return found


def _rows(connection: Connection[Any], name: str, **binds: Any) -> list[tuple[Any, ...]]:
    with connection.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(SQL[name].psycopg, binds).fetchall()
