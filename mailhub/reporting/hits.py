"""Opens and clicks for the classifier: the next ones in order, what lies around them, what is remembered of addresses.

All on a psycopg connection in the caller's transaction. Arrays go in, one statement each, whatever their number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.rows import tuple_row

from mailhub.reporting.named import SQL

#: As many clicks of an address are looked at in a range, so that a batch costs no more where all hits come from one.
MOST_CLICKS = 5_000


@dataclass(frozen=True, slots=True)
class Place:
    """How far a reader has come, and the database's clock."""

    position: int
    id: int
    now: datetime


@dataclass(frozen=True, slots=True)
class StoredHit:
    """An open or a click as it is stored; `ip` is empty where none is known."""

    project_id: int
    position: int
    id: int
    at: datetime
    type: str
    message_id: UUID | None
    campaign_id: int | None
    subscriber_id: int | None
    email_domain: str
    ip: str
    user_agent: str
    detail: str
    actor: str
    cause: str


@dataclass(frozen=True, slots=True)
class LetterRange:
    """A letter, by person and campaign or by its id, and the time around its hits."""

    project_id: int
    campaign_id: int | None
    subscriber_id: int | None
    message_id: UUID | None
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Around:
    """A delivery (`SENT`) or a click of a letter."""

    type: str
    at: datetime
    link_id: int | None
    ip: str


@dataclass(frozen=True, slots=True)
class AddressRange:
    """An address that clicks, and the time around its hits."""

    project_id: int
    ip: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class StoredTaint:
    """What is remembered of an address with a program (`agent` is a digest of its User-Agent)."""

    project_id: int
    ip: str
    agent: UUID
    since: datetime
    until: datetime
    caught_at: datetime


def place_of(connection: Connection[Any], reader: str) -> Place | None:
    """A reader's place, locked until the transaction ends; None where it has none."""
    row = _rows(connection, "place_of", reader=reader)
    return Place(*row[0]) if row else None


def begin_place(connection: Connection[Any], reader: str, position: int = 0, id: int = 0) -> None:
    """Make a reader's place unless it has one."""
    _run(connection, "begin_place", reader=reader, position=position, id=id)


def move_place(connection: Connection[Any], reader: str, position: int, id: int) -> None:
    """Everything up to (position, id) is done."""
    _run(connection, "move_place", reader=reader, position=position, id=id)


def forget_place(connection: Connection[Any], reader: str) -> None:
    """A reader that is done needs no place."""
    _run(connection, "forget_place", reader=reader)


def next_hits(connection: Connection[Any], after: Place, most: int) -> list[StoredHit]:
    """The hits behind a place, in the order in which all readers see them."""
    return [_hit(row) for row in _in_order(connection, "next_hits", position=after.position, id=after.id, most=most)]


def kept_hits(
    connection: Connection[Any], after: Place, last: Place, *, since: datetime, project_id: int, most: int
) -> list[StoredHit]:
    """The hits since a moment between two places, of one project or of all (0)."""
    rows = _in_order(
        connection, "kept_hits", position=after.position, id=after.id, last_position=last.position, last_id=last.id,
        since=since, project_id=project_id, most=most,
    )  # fmt: skip
    return [_hit(row) for row in rows]


def seconds_overdue(connection: Connection[Any], reader: str, task: str) -> float:
    """The age of the first hit behind a reader's place; 0 where there is none or the reader's task is paused."""
    rows = _in_order(connection, "overdue_hit", reader=reader, task=task)
    return max(0.0, (rows[0][1] - rows[0][0]).total_seconds()) if rows else 0.0


def around_letters(connection: Connection[Any], letters: Sequence[LetterRange]) -> list[list[Around]]:
    """For each letter its deliveries and clicks in its range; letters without person and id have none."""
    found: list[list[Around]] = [[] for _letter in letters]
    of_people = [n for n, one in enumerate(letters) if one.campaign_id is not None and one.subscriber_id is not None]
    single = [n for n, one in enumerate(letters) if one.campaign_id is None and one.message_id is not None]
    for statement, places, keys in (
        ("around_letters_of_people", of_people, ("campaign_id", "subscriber_id")),
        ("around_single_letters", single, ("message_id",)),
    ):
        if not places:
            continue
        asked = [letters[n] for n in places]
        binds = {name: [getattr(one, name) for one in asked] for name in ("project_id", *keys, "since", "until")}
        for n, type_, at, link_id, ip in _rows(connection, statement, **binds, **_whole(asked)):
            found[places[n - 1]].append(Around(type_, at, link_id, ip or ""))
    return found


def links_of_campaigns(
    connection: Connection[Any], campaigns: Sequence[tuple[int, int]]
) -> Mapping[tuple[int, int], int]:
    """How many links each (project, campaign) has."""
    if not campaigns:
        return {}
    projects, ids = [list(column) for column in zip(*campaigns, strict=True)]
    rows = _rows(connection, "links_of_campaigns", project_id=projects, campaign_id=ids)
    return {(project, campaign): links for project, campaign, links in rows}


def clicks_of_addresses(
    connection: Connection[Any], addresses: Sequence[AddressRange], most: int = MOST_CLICKS
) -> dict[tuple[int, str, str], list[tuple[datetime, str]]]:
    """By project, address and mail domain: the moments of the address's clicks, and for whom. The first ones of each
    range, `most` at most."""
    found: dict[tuple[int, str, str], list[tuple[datetime, str]]] = {}
    if addresses:
        binds = {name: [getattr(one, name) for one in addresses] for name in ("project_id", "ip", "since", "until")}
        for n, at, domain, who in _rows(connection, "clicks_of_addresses", **binds, **_whole(addresses), most=most):
            found.setdefault((addresses[n - 1].project_id, addresses[n - 1].ip, domain), []).append((at, who))
    return found


def taints_of(
    connection: Connection[Any], reader: str, keys: Sequence[tuple[int, str, UUID]]
) -> dict[tuple[int, str, UUID], StoredTaint]:
    """What the reader remembers of these (project, address, digest of the program)."""
    if not keys:
        return {}
    projects, ips, agents = [list(column) for column in zip(*keys, strict=True)]
    rows = _rows(connection, "taints_of", reader=reader, project_id=projects, ip=ips, agent=agents)
    found = {}
    for n, since, until, caught_at in rows:
        project_id, ip, agent = key = keys[n - 1]
        found[key] = StoredTaint(project_id, ip, agent, since, until, caught_at)
    return found


def remember_taints(connection: Connection[Any], reader: str, taints: Sequence[StoredTaint]) -> None:
    """Set what the reader remembers."""
    if taints:
        columns = {"project_id": "project_id", "ip": "ip", "agent": "agent", "since_at": "since", "until_at": "until",
                   "caught_at": "caught_at"}  # fmt: skip
        binds = {bind: [getattr(one, name) for one in taints] for bind, name in columns.items()}
        _run(connection, "remember_taints", reader=reader, **binds)


def forget_taints(connection: Connection[Any], reader: str, until: datetime) -> None:
    """Forget addresses that were scanners until before this moment."""
    _run(connection, "forget_taints", reader=reader, until_at=until)


def _whole(ranges: Sequence[LetterRange] | Sequence[AddressRange]) -> dict[str, datetime]:
    return {"first": min(one.since for one in ranges), "last": max(one.until for one in ranges)}


def _hit(row: tuple[Any, ...]) -> StoredHit:
    values = list(row)
    values[9] = values[9] or ""
    return StoredHit(*values)


def _in_order(connection: Connection[Any], name: str, **binds: Any) -> list[tuple[Any, ...]]:
    """The rows of a statement that goes along an index.

    The planner knows nothing of what was stored since the last ANALYZE: it would take a million hits that wait for a
    handful, and read and sort all of them for each batch.
    """
    connection.execute("SET LOCAL enable_sort = off")
    found = _rows(connection, name, **binds)
    connection.execute("SET LOCAL enable_sort = on")
    return found


def _rows(connection: Connection[Any], name: str, **binds: Any) -> list[tuple[Any, ...]]:
    with connection.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(SQL[name].psycopg, binds).fetchall()


def _run(connection: Connection[Any], name: str, **binds: Any) -> None:
    connection.execute(SQL[name].psycopg, binds)
