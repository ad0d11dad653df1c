"""The rows of any export, slice by slice: by numbers that were written down at the beginning, or along a key."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import IO, Any

from sqlalchemy.orm import Session

from mailhub.exports import logs, people
from mailhub.exports.wanted import Wanted, What
from mailhub.models import Project

#: Rows of a slice, which is a transaction of a job.
SLICE = 2_000
_BY_KEY = (What.MESSAGES, What.EVENTS)
_PEOPLE = (What.SUBSCRIBERS, What.LIST, What.SEGMENT, What.RECIPIENTS)


def columns(dbsession: Session, project: Project, wanted: Wanted) -> list[str]:
    """The head of the file."""
    if wanted.what in _PEOPLE:
        return people.columns(dbsession, project, wanted)
    return list(logs.COLUMNS[wanted.what])


def has_numbers(wanted: Wanted) -> bool:
    """Whether its rows are counted and written down at the beginning; else they are walked through along a key."""
    return wanted.what not in _BY_KEY


def write_numbers(
    dbsession: Session, project: Project, wanted: Wanted, file: IO[bytes], *, most: int | None = None
) -> int:
    """Write down whose rows the file will have: one statement, so one moment. Eight bytes each; gives how many.

    Raises WantedRefused.
    """
    of_people = wanted.what in _PEOPLE
    query = people.ids(dbsession, project, wanted) if of_people else logs.ids(project, wanted)
    if most is not None:
        query = query.limit(most)
    n = 0
    for some in dbsession.execute(query.execution_options(yield_per=20_000)).scalars().partitions():
        file.write(array("q", some).tobytes())
        n += len(some)
    return n


def start(dbsession: Session, wanted: Wanted) -> dict[str, Any]:
    """The first place."""
    return {"n": 0} if has_numbers(wanted) else logs.start(dbsession, wanted)


def step(
    dbsession: Session, project: Project, wanted: Wanted, place: Mapping[str, Any], numbers: IO[bytes] | None
) -> tuple[list[list[Any]], dict[str, Any] | None]:
    """The next rows, SLICE at most, and the place behind them; None: these were the last."""
    if numbers is None:
        return logs.walk(dbsession, project, wanted, place, most=SLICE)
    numbers.seek(place["n"] * 8)
    some = array("q")
    some.frombytes(numbers.read(SLICE * 8))
    if not some:
        return [], None
    of_people = wanted.what in _PEOPLE
    found = (people.rows if of_people else logs.rows)(dbsession, project, wanted, some.tolist())
    return found, {**place, "n": place["n"] + len(some)} if len(some) == SLICE else None
