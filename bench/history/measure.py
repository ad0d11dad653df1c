"""The measurements on a history: the series beside the seed's queries, and every statement of every page."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Executable, text
from sqlalchemy.orm import Session

from bench.history import queries, seed, subject
from bench.history.queries import Asked, Kind
from bench.history.subject import Subject
from bench.history.timing import Timed, timed, timed_in_turn
from mailhub.db import make_engine
from mailhub.reporting.queries import project_days

RUNS = 30
SERIES_RUNS = 200


@dataclass(frozen=True, slots=True)
class Measured:
    """A statement's time."""

    asked: Asked
    timed: Timed
    rows: int


@contextlib.contextmanager
def session(url: str) -> Iterator[Session]:
    """A session as the site's, with a time-out that lets slow statements be seen."""
    engine = make_engine(url, name="bench", statement_timeout_seconds=600)
    try:
        with Session(engine) as opened:
            yield opened
    finally:
        engine.dispose()


def series(url: str, about: Subject) -> Callable[[Session], Any]:
    """What the project's page does for its 31 days."""
    since, until = about.series
    return lambda dbsession: project_days(dbsession, about.project_id, since, until)


def series_times(urls: list[str]) -> list[Timed]:
    """The series in each of these histories, in turn."""
    with contextlib.ExitStack() as stack:
        calls = []
        for url in urls:
            dbsession, ask = stack.enter_context(session(url)), series(url, subject.find(url))
            assert any(day.counts.sent for day in ask(dbsession)), "the series is empty"
            calls.append(lambda ask=ask, dbsession=dbsession: ask(dbsession))
        return timed_in_turn(calls, runs=SERIES_RUNS)


def seed_times(url: str) -> tuple[Timed, Timed, int]:
    """The seed's first and second query about the same project and days; the number of ids in the first."""
    about = subject.find(url)
    asked = seed.queries(url, about.project_id, *about.series)
    with session(url) as dbsession:
        found = []
        for statement, binds in (asked.first, asked.second):
            rows = dbsession.execute(statement, binds).all()
            assert sum(row.sent for row in rows) > 0, "the seed's query finds nothing"
            found.append(timed(_asking(dbsession, statement, binds), runs=RUNS, patience_seconds=60))
    return found[0], found[1], asked.letters


def page_times(url: str) -> tuple[list[Measured], list[str]]:
    """Every statement of every page and report, the slowest first; sentences about those that could not be asked."""
    asked, faults = queries.of_pages(subject.find(url))
    found = []
    with session(url) as dbsession:
        there = {row[0] for row in dbsession.execute(text("SELECT extname FROM pg_extension"))}
        for one in asked:
            if queries.NEEDS.get(one.name, "plpgsql") not in there:
                continue
            rows = len(dbsession.execute(one.statement.text, one.binds).all())
            runs = 1 if one.kind is Kind.JOB else RUNS
            taken = timed(_asking(dbsession, one.statement.text, one.binds), runs=runs)
            dbsession.rollback()
            found.append(Measured(one, taken, rows))
    return sorted(found, key=lambda one: -one.timed.median_ms), faults


def _asking(dbsession: Session, statement: Executable, binds: Mapping[str, Any]) -> Callable[[], object]:
    """What asks this one question, with all its rows."""
    return lambda: dbsession.execute(statement, binds).all()
