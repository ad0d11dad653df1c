"""The feed: events in a fixed order, each once, however their transactions ended; and what a restore does to it.

An event's position is the number of the transaction that stored it. A reader sees what is below the horizon, under
which every transaction has ended, and goes on from the (position, id) of the last event that it has seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from mailhub.reporting.named import SQL

#: Before every event.
BEGINNING = (0, 0)


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """An event as a follower sees it. `actor` is empty until a hit is classified, and on all that is no hit."""

    position: int
    id: int
    type: str
    kind: str
    at: datetime
    message_id: UUID | None
    campaign_id: int | None
    list_id: int | None
    subscriber_id: int | None
    email: str
    link_id: int | None
    url: str
    code: int | None
    detail: str
    device: str
    client: str
    actor: str

    @property
    def place(self) -> tuple[int, int]:
        """Where a reader goes on."""
        return self.position, self.id


@dataclass(frozen=True, slots=True)
class Positions:
    """The greatest position stored, the next one to be given, and what is added to the cluster's own numbers."""

    stored: int
    next: int
    added: int

    @property
    def behind(self) -> int:
        """By how much new positions would be too low; 0 where all is well."""
        return max(0, self.stored + 1 - self.next)


def events_after(
    dbsession: Session, project_id: int, after: tuple[int, int] = BEGINNING, *, most: int = 100
) -> list[FeedEvent]:
    """A project's next events behind a place, oldest first; none where there are none yet.

    An event appears when every transaction of the cluster that began to write before its own has ended: after a moment,
    usually, and after a minute at most beside ours, which are cut off when they idle.
    """
    position, id_ = after
    binds = {"project_id": project_id, "position": position, "id": id_, "most": most}
    return [FeedEvent(*tuple(row)) for row in dbsession.execute(SQL["events_after"].text, binds)]


def positions(engine: Engine) -> Positions:
    """How the positions stand: after a restore into a cluster that has counted less they are `behind`."""
    with engine.connect() as connection:
        return Positions(*tuple(connection.execute(SQL["feed_state"].text).one()))


# What revision 0010 made, with another number in the end.
_FUNCTIONS = (
    """
    CREATE OR REPLACE FUNCTION feed_position() RETURNS bigint LANGUAGE sql VOLATILE AS $$
        SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint) + {}
    $$
    """,
    """
    CREATE OR REPLACE FUNCTION feed_horizon() RETURNS bigint LANGUAGE sql STABLE AS $$
        SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) + {}
    $$
    """,
)


def lift_positions(engine: Engine) -> int:
    """After a restore into another cluster: let positions go on above those that are stored; gives by how much.

    0 where nothing was to be done. Until it is called, readers would take new events for old ones.
    """
    if not positions(engine).behind:
        return 0
    with engine.begin() as connection:
        connection.execute(SQL["stop_positions"].text)
        state = Positions(*tuple(connection.execute(SQL["feed_state"].text).one()))
        driver: Any = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        for function in _FUNCTIONS:
            driver.execute(sql.SQL(function).format(sql.Literal(state.added + state.behind)))
    return state.behind
