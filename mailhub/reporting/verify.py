"""Do the rollups say what the raw events say? A recount, and the mending of what differs while events come in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import tuple_row
from sqlalchemy import Connection, Engine, Row
from sqlalchemy.exc import OperationalError

from mailhub.mail.lane import LANES, lanes_of_domains
from mailhub.reporting import growth_verify, rollups
from mailhub.reporting.difference import Difference
from mailhub.reporting.named import SQL
from mailhub.reporting.rollups import COUNTS, HITS, LINK_HITS, LinkReaction, Moves, Reaction, Rollup

_PERSON = ("project_id", "campaign_id", "subscriber_id")
#: Every rollup by its name: single people before what counts them, then in the order in which they are written.
ALL: Mapping[str, Rollup] = {
    "reactions": Rollup("campaign_reaction", _PERSON, (*HITS, "left")),
    "link_reactions": Rollup("campaign_link_reaction", (*_PERSON[:2], "link_id", "subscriber_id"), LINK_HITS),
    **rollups.ROLLUPS,
}
#: Rollups whose last columns count people → how many columns come before.
_COUNT_PEOPLE = {"links": len(LINK_HITS), "campaigns": len(COUNTS)}
_SWEPT = ("sweep_campaign_days", "sweep_provider_days", "sweep_project_days")
_Found = dict[str, Sequence[Row[Any]]]


class RepairBusy(Exception):
    """Another repair goes on and does not end soon."""


def verify(engine: Engine, *, project_id: int | None = None, repair: bool = False) -> list[Difference]:
    """Every difference between rollups and raw events, of one project or of all; with `repair` they are mended.

    Of lists, the counters, the sums of the days and the sources of each day are compared with the rows. Of the rest,
    compared are days and campaigns that began after the oldest raw events, of the project where it keeps fewer. Nobody
    waits for it, and no week of raw events is dropped meanwhile. Providers' days are counted by the table of domains
    that this code has: after it has grown, one repair is due.
    """
    with engine.begin() as connection:
        projects = connection.execute(SQL["all_projects"].text, {"project_id": project_id}).scalars().all()
        found = differences(connection, projects)
    if not repair:
        return found
    return [one for wrong in sorted({one.project_id for one in found}) for one in repair_project(engine, wrong)]


def differences(connection: Connection, projects: Sequence[int]) -> list[Difference]:
    """As `verify`, in the transaction of a connection, whose statements have no limit of time from now on."""
    found = _differences(_recount(connection, projects))
    return found + growth_verify.recount(connection, projects)


def repair_project(engine: Engine, project_id: int, *, wait_seconds: float = 600) -> list[Difference]:
    """Add to a project's rollups what they lack; gives what differed.

    Exact while events are stored and marked: what a rollup lacks is read at one moment of rollup and events together
    and stays the same, and how many people are new is seen in their own rows under their locks. Repairs wait for one
    another: RepairBusy when that takes too long.
    """
    with engine.begin() as connection:
        _wait(connection, wait_seconds, "repair_alone")
        found = _recount(connection, [project_id])
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        with driver.cursor(row_factory=tuple_row) as cursor:
            _mend(cursor, found)
    for statement in _SWEPT:
        with engine.begin() as connection:
            connection.execute(SQL[statement].text, {"project_id": project_id})
    with engine.begin() as connection:
        _wait(connection, wait_seconds, "hold_list_days", project_id=project_id)
        of_lists = growth_verify.recount(connection, [project_id])
        if of_lists:
            growth_verify.mend(connection, project_id)
    return _differences(found) + of_lists


def cut_days_again(engine: Engine, project_id: int) -> list[Difference]:
    """After a change of a project's time zone: count its days again from the raw events; gives what differed.

    First everybody who may still cut by the old zone is waited for. Days whose raw events have been dropped stay; the
    days of lists have no raw events, and move as far as the rows tell (`growth_verify.cut_again`). Raises RepairBusy at
    once where another repair goes on.
    """
    with engine.begin() as connection:
        _wait(connection, 60, "hold_list_days", project_id=project_id)
        growth_verify.cut_again(connection, project_id)
    with engine.begin() as connection:
        _wait(connection, 60, "wait_for_projects", project_id=[project_id])
    return repair_project(engine, project_id, wait_seconds=0.1)


def _wait(connection: Connection, seconds: float, statement: str, **binds: Any) -> None:
    connection.execute(SQL["wait_at_most"].text, {"wait": f"{seconds * 1000:.0f}ms"})
    try:
        connection.execute(SQL[statement].text, binds)
    except OperationalError as error:
        if isinstance(error.orig, psycopg.errors.LockNotAvailable):
            raise RepairBusy("another repair of the rollups goes on; try again when it is done") from None
        raise


def _recount(connection: Connection, projects: Sequence[int]) -> _Found:
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    connection.execute(SQL["keep_partitions"].text)
    lanes = lanes_of_domains()
    providers = {"domains": list(lanes), "providers": [LANES[lane] for lane in lanes.values()]}
    found: dict[str, list[Row[Any]]] = {name: [] for name in ALL}
    for floor, some in _by_floor(connection, projects):
        binds = {"projects": some, "floor": floor, **providers}
        for name in ALL:
            statement = SQL[f"verify_{name}"]
            found[name] += connection.execute(statement.text, {bind: binds[bind] for bind in statement.binds})
    return dict(found)


def _by_floor(connection: Connection, projects: Sequence[int]) -> list[tuple[datetime, list[int]]]:
    """Projects by the moment from which on their raw events are all there: few moments, since days are cut whole."""
    oldest = connection.execute(SQL["raw_floor"].text).scalar_one()
    floors: dict[datetime, list[int]] = {}
    for row in connection.execute(SQL["project_floors"].text, {"projects": list(projects)}):
        floors.setdefault(max(oldest, row.raw_since or oldest), []).append(row.id)
    return sorted(floors.items())


def _differences(found: _Found) -> list[Difference]:
    return [
        Difference(name, row.project_id, where, column, rolled, recounted)
        for name, rollup in ALL.items()
        for row in found[name]
        for where in [" ".join(f"{key.removesuffix('_id')} {getattr(row, key)}" for key in rollup.key)]
        for column, rolled, recounted in zip(rollup.counts, row.rolled, row.recounted, strict=True)
        if rolled != recounted
    ]


def _mend(cursor: psycopg.Cursor[Any], found: _Found) -> None:
    moves = Moves()
    leavings = []
    for row in found["reactions"]:
        opened, redirected, by_machine, redirected_by_machine, left = _lacking(row)
        moves.people[tuple(row[:3])] = Reaction(
            opened, redirected, by_machine, redirected_by_machine, row.first_opened_at, row.first_redirected_at
        )
        if left:
            leavings.append((*row[:3], row.unsubscribed_at))
    for row in found["link_reactions"]:
        redirected, by_machine = _lacking(row)
        moves.clicks[tuple(row[:4])] = LinkReaction(redirected, by_machine, row.first_redirected_at)
    moves.meet(cursor)
    if leavings:
        rollups.run(cursor, "mend_leavings", (*_PERSON, "unsubscribed_at"), leavings)
    for name, rollup in rollups.ROLLUPS.items():
        for row in found[name]:
            key = tuple(row[: len(rollup.key)])
            lacking = _lacking(row)
            if name in _COUNT_PEOPLE:
                # What single rows lacked has just been counted; here people's own rows and their number are made equal.
                first = _COUNT_PEOPLE[name]
                lacking[first:] = [known - n for known, n in zip(row.known, row.rolled[first:], strict=True)]
            if name == "campaigns" and row.last_event_at is not None:
                moves.last_event_at[key] = row.last_event_at
            for place, n in enumerate(lacking):
                moves.add(name, key, place, n)
    moves.write(cursor)


def _lacking(row: Row[Any]) -> list[int]:
    return [recounted - rolled for rolled, recounted in zip(row.rolled, row.recounted, strict=True)]
