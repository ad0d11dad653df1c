"""How lists grow: one typed function and one frozen result a statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy.orm import Session

from mailhub.reporting.named import SQL


@dataclass(frozen=True, slots=True)
class ListDay:
    """A list's day in the project's zone; `subscribed` is how many were subscribed when it ended."""

    date: date
    joined: int
    unsubscribed: int
    removed: int
    subscribed: int
    #: People who became unreachable; they stay subscribed.
    bounced: int = 0

    @property
    def left(self) -> int:
        """Who is not subscribed any more, by their own will or because they were deleted."""
        return self.unsubscribed + self.removed

    @property
    def net(self) -> int:
        return self.joined - self.left


@dataclass(frozen=True, slots=True)
class SourceGrowth:
    """What happened to people who had come by one way: form, import, api, hand, other."""

    source: str
    joined: int
    left: int
    bounced: int


@dataclass(frozen=True, slots=True)
class ListGrowth:
    """A list over a range of days; `subscribed` is how many are subscribed now."""

    list_id: int
    name: str
    joined: int
    unsubscribed: int
    removed: int
    subscribed: int

    @property
    def left(self) -> int:
        return self.unsubscribed + self.removed

    @property
    def net(self) -> int:
        return self.joined - self.left


def list_days(dbsession: Session, project_id: int, list_id: int, since: date, until: date) -> list[ListDay]:
    """A list's days of the half-open range, days without a change included, oldest first."""
    binds = {"project_id": project_id, "list_id": list_id, "since": since, "until": until}
    return [ListDay(day, *map(int, numbers)) for day, *numbers in dbsession.execute(SQL["list_days"].text, binds)]


def project_list_days(dbsession: Session, project_id: int, since: date, until: date) -> list[ListDay]:
    """The same of all the project's lists in use together; who is in two lists counts twice."""
    binds = {"project_id": project_id, "since": since, "until": until}
    rows = dbsession.execute(SQL["project_list_days"].text, binds)
    return [ListDay(day, *map(int, numbers)) for day, *numbers in rows]


def growth_sources(
    dbsession: Session, project_id: int, list_id: int | None, since: date, until: date
) -> list[SourceGrowth]:
    """By which ways people came, left and bounced on the days of the half-open range: of a list, or of all in use."""
    binds = {"project_id": project_id, "list_id": list_id, "since": since, "until": until}
    rows = dbsession.execute(SQL["growth_sources"].text, binds)
    return [SourceGrowth(source, *map(int, numbers)) for source, *numbers in rows]


def lists_growth(dbsession: Session, project_id: int, since: date, until: date) -> list[ListGrowth]:
    """The project's lists in use, by their names, with what happened on the days of the half-open range."""
    binds = {"project_id": project_id, "since": since, "until": until}
    rows = dbsession.execute(SQL["lists_growth"].text, binds)
    return [ListGrowth(number, name, *map(int, counts)) for number, name, *counts in rows]


def forget_handover(dbsession: Session, project_id: int, subscriber_id: int, list_ids: Sequence[int]) -> None:
    """Subscriptions to these lists have just become this person's, who is the same as before: nobody came or left."""
    if list_ids:
        binds = {"project_id": project_id, "subscriber_id": subscriber_id, "list_ids": list(list_ids)}
        dbsession.execute(SQL["forget_handover"].text, binds)
