"""The follower of activity: when everybody was last sent a letter, last opened and last clicked, themselves.

It goes behind the events by (position, id), a slice a transaction with its place in it, so that each letter counts
exactly once and nothing that stores events ever waits for it. Hits are taken up when the classifier has said who made
them; machines' never count.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from sqlalchemy.orm import Session

from mailhub.db import Lock
from mailhub.events import classifier
from mailhub.events.service import driver_connection
from mailhub.reporting import activity, hits

#: The name of the place in the hits.
READER = "activity"
#: Events in one transaction.
SLICE = 5_000
#: Projects that are looked after in one round.
PROJECTS = 200


@dataclass(frozen=True, slots=True)
class Done:
    """What one transaction did: events looked at, and whether there may be more."""

    events: int
    is_more: bool


def projects(dbsession: Session) -> list[int]:
    """Projects whose letters are to be taken up."""
    return activity.projects_with_news(driver_connection(dbsession), PROJECTS)


def follow_letters(dbsession: Session, project_id: int, *, most: int = SLICE) -> Done:
    """Take up the next letters of a project, in the caller's transaction. The caller has the lock.

    Measured on two shared cores: docs/benchmarks.md.
    """
    done = activity.follow_letters(driver_connection(dbsession), project_id, most)
    return Done(done.events, done.events == most)


def follow_reactions(dbsession: Session, *, most: int = SLICE) -> Done:
    """Take up the next classified hits of all projects, in the caller's transaction. The caller has the lock."""
    connection = driver_connection(dbsession)
    place = _place(connection)
    done = activity.follow_reactions(connection, (place.position, place.id), classifier.READER, most)
    if done.place is not None:
        hits.move_place(connection, READER, *done.place)
    return Done(done.hits, done.hits == most)


def rebuild(dbsession: Session, project_id: int) -> int:
    """Count a project's activity anew, in the caller's transaction; gives how many people have some."""
    connection = driver_connection(dbsession)
    connection.execute("SET LOCAL statement_timeout = 0")
    _alone(connection)
    return activity.rebuild(connection, project_id)


def join(dbsession: Session, project_id: int, *, winner_id: int, loser_id: int) -> None:
    """Two people have become one: one's activity is added to the other's, in the caller's transaction.

    It waits for the follower's slice, so it comes last: whoever holds events or reactions may wait for that too. What
    the follower has not taken up yet is the winner's by `subscriber_merge`.
    """
    connection = driver_connection(dbsession)
    _alone(connection)
    activity.join(connection, project_id, winner_id=winner_id, loser_id=loser_id)


def as_of(dbsession: Session, project_id: int) -> datetime:
    """The moment up to which a project's activity is complete."""
    return activity.as_of(driver_connection(dbsession), project_id, READER)


def judged_again(connection: Connection[Any], people: set[tuple[int, int]]) -> None:
    """Hits of these (project, person) have another actor now: their latest ones are looked for anew."""
    if people:
        _alone(connection)
        activity.recount_reactions(connection, sorted(people))


def _alone(connection: Connection[Any]) -> None:
    """Wait for the follower's slice to end; the next one waits for this transaction."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (int(Lock.ACTIVITY),))


def _place(connection: Connection[Any]) -> hits.Place:
    place = hits.place_of(connection, READER)
    if place is None:
        hits.begin_place(connection, READER)
        place = hits.place_of(connection, READER)
        assert place is not None
    return place
