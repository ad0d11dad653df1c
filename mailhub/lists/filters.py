"""What the table of people may be narrowed to: read from a URL or a document, written back, as SQL conditions.

The URL holds the whole state of the table, so a filter is a handful of texts before it is anything else; saved views
and bulk jobs keep it in that form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, false, literal_column, select
from sqlalchemy.orm import Session

from mailhub.lists.forms import id_in
from mailhub.models import Project, Subscriber, SubscriberStatus, SubscriberTag, Subscription, SubscriptionStatus
from mailhub.segments import service as segments

PERSON_STATUSES = frozenset(status.value for status in SubscriberStatus)
LIST_STATUSES = frozenset(status.value for status in SubscriptionStatus)
#: The parameters of the URL, in the order in which the page shows them.
NAMES = ("q", "list", "status", "tag", "segment", "source", "since", "until")
MAX_QUERY = 200
MAX_WORDS = 5
#: A trigram index knows nothing about fewer letters.
TRIGRAM = 3


@dataclass(frozen=True)
class PeopleFilter:
    """With a list, `subscribed`, `unconfirmed` and `unsubscribed` are of that list. `since` and `until` are days of
    the project's zone, both included.
    """

    q: str = ""
    list_id: int | None = None
    status: str = ""
    tag_id: int | None = None
    segment_id: int | None = None
    source: str = ""
    since: date | None = None
    until: date | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> PeopleFilter:
        """From the parameters of a URL or a kept filter. What can't be is passed over: an old link shows a table."""
        text = {name: str(given.get(name) or "").replace("\0", "").strip()[:MAX_QUERY] for name in NAMES}
        status = text["status"] if text["status"] in PERSON_STATUSES | LIST_STATUSES else ""
        return cls(
            text["q"], id_in(text["list"]), status, id_in(text["tag"]), id_in(text["segment"]), text["source"],
            _day(text["since"]), _day(text["until"]),
        )  # fmt: skip

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the URL; `PeopleFilter.of` gives the same filter back."""
        values = (
            self.q, self.list_id, self.status, self.tag_id, self.segment_id, self.source, self.since, self.until
        )  # fmt: skip
        return {name: str(value) for name, value in zip(NAMES, values, strict=True) if value}

    @property
    def is_set(self) -> bool:
        return bool(self.query)

    @property
    def words(self) -> list[str]:
        return self.q.lower().split()[:MAX_WORDS]


@dataclass(frozen=True)
class Scope:
    """Whose people, whose days, and the condition of the segment where one is asked for."""

    project_id: int
    zone: str = "UTC"
    segment: ColumnElement[bool] | None = None


def scope_of(dbsession: Session, project: Project, wanted: PeopleFilter, *, now: datetime | None = None) -> Scope:
    """The scope of a project for this filter; the segment is as of `now`."""
    return Scope(project.id, project.time_zone, segment_condition(dbsession, project.id, wanted.segment_id, now))


def segment_condition(
    dbsession: Session, project_id: int, segment_id: int | None, now: datetime | None = None
) -> ColumnElement[bool] | None:
    """That a person is in the segment, as a condition on `Subscriber`; None where none is asked for.

    Nobody is in a segment that is not there, or that the project has outgrown: a filter never widens by itself.
    """
    if segment_id is None:
        return None
    segment = segments.get(dbsession, project_id, segment_id)
    if segment is None:
        return false()
    try:
        tree = segments.tree_of(dbsession, segment)
    except segments.SegmentRefused:
        return false()
    return segments.condition(project_id, tree, now or datetime.now(UTC))


def conditions(scope: Scope, wanted: PeopleFilter) -> list[ColumnElement[bool]]:
    """Everything that a `Subscriber` has to be to fit."""
    found: list[ColumnElement[bool]] = []
    if wanted.words:
        found.append(_matches(wanted.words))
    status = wanted.status
    if wanted.list_id is not None or status in (SubscriptionStatus.SUBSCRIBED, SubscriptionStatus.UNCONFIRMED):
        joined = [Subscription.project_id == Subscriber.project_id, Subscription.subscriber_id == Subscriber.id]
        if wanted.list_id is not None:
            joined.append(Subscription.list_id == wanted.list_id)
        if status in LIST_STATUSES:
            joined.append(Subscription.status == status)
            status = ""
        found.append(select(Subscription.list_id).where(*joined).exists())
    if status:
        found.append(Subscriber.status == status)
    if wanted.tag_id is not None:
        found.append(
            select(SubscriberTag.tag_id)
            .where(
                SubscriberTag.project_id == Subscriber.project_id,
                SubscriberTag.tag_id == wanted.tag_id,
                SubscriberTag.subscriber_id == Subscriber.id,
            )
            .exists()
        )
    if wanted.source:
        found.append(Subscriber.source == wanted.source)
    if scope.segment is not None:
        found.append(scope.segment)
    return found + joined_between(scope, wanted)


def joined_between(scope: Scope, wanted: PeopleFilter) -> list[ColumnElement[bool]]:
    """The days as a half-open range of moments."""
    found: list[ColumnElement[bool]] = []
    if wanted.since is not None:
        found.append(Subscriber.created_at >= _midnight(wanted.since, scope.zone))
    if wanted.until is not None:
        found.append(Subscriber.created_at < _midnight(wanted.until + timedelta(days=1), scope.zone))
    return found


def _matches(words: Sequence[str]) -> ColumnElement[bool]:
    """Every word is somewhere in the address or the name; where all are short, the first begins the address."""
    if all(len(word) < TRIGRAM for word in words):
        return and_(_beginning(words[0]), *map(_somewhere, words[1:]))
    return and_(*map(_somewhere, words))


def _beginning(word: str) -> ColumnElement[bool]:
    return Subscriber.email_key.like(_escaped(word) + "%", escape="\\")


def _somewhere(word: str) -> ColumnElement[bool]:
    # Word for word as in the index, which is of this expression.
    search: ColumnElement[str] = literal_column("((subscriber.email_key || ' '::text) || lower(subscriber.name))")
    return search.like(f"%{_escaped(word)}%", escape="\\")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    # A day later is a moment too.
    return day if 1900 <= day.year <= 9000 else None


def _midnight(day: date, zone: str) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
