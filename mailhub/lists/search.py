"""Finding people among a million: pages of them, and how many there are, never reading everybody for fifty.

People are walked through in the order of the page, by the index of whatever narrows them most (a list, a tag, a
status, a source, else all), in windows of growing size; everything else is looked up person by person. What is common
fills the page from the first window. What is rare does not, and then an index finds all of it: of trigrams for a
search, of the smallest set for the rest. Both are fast for the same reason, that few rows are read; PostgreSQL's
planner, left alone with a LIMIT, guesses which of the two it is and is wrong by a million rows at times.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, text, true, tuple_
from sqlalchemy.orm import Session, aliased

from mailhub.lists.filters import LIST_STATUSES, PERSON_STATUSES, PeopleFilter, Scope, joined_between
from mailhub.lists.filters import conditions as conditions_of
from mailhub.models import ListCount, Subscriber, SubscriberCount, SubscriberTag, Subscription, Tag
from mailhub.web.paging import Page, cursor, read_cursor

#: People are counted up to here; beyond it the page says "more than".
COUNT_LIMIT = 1_000
SORTS = ("-added", "added", "email", "-email")
#: How many people are looked at in one statement, one window after the other; the last one again and again.
WINDOWS = (1_000, 10_000, 100_000)
#: So many people may be sorted for a page.
FEW = 20_000

# A statement that a connection knows by heart is planned without its values after a while, and then a word is always
# taken for a rare one: 160 ms instead of 95.
_BY_VALUES = text("SELECT set_config('plan_cache_mode', 'force_custom_plan', true)")


@dataclass(frozen=True)
class Total:
    """How many people fit; `more` says that there are more than `n`."""

    n: int
    more: bool = False


@dataclass(frozen=True)
class Driver:
    """A set of people with an index in the order of their ids; `n` is its size, None where only a count would tell."""

    rows: Select[Any]
    id: Any
    n: int | None


@dataclass(frozen=True)
class Order:
    """The columns of `Subscriber` that a page is ordered by; together they tell people apart."""

    keys: tuple[Any, ...]
    down: bool

    def beyond(self, keys: tuple[Any, ...], place: tuple[Any, ...]) -> ColumnElement[bool]:
        here, there = (tuple_(*keys), tuple_(*place)) if len(keys) > 1 else (keys[0], place[0])
        further: ColumnElement[bool] = here < there if self.down else here > there
        return further

    def sorted(self, query: Select[Any], keys: tuple[Any, ...]) -> Select[Any]:
        return query.order_by(*(key.desc() if self.down else key.asc() for key in keys))


class Search:
    """The people of a project who fit a filter."""

    def __init__(self, dbsession: Session, scope: Scope, wanted: PeopleFilter) -> None:
        self.dbsession, self.scope, self.wanted = dbsession, scope, wanted
        #: The first windows have been walked through without filling a page, so that those who fit are few there.
        self._thin = False
        #: How many fit, where a first page has come upon it: beyond COUNT_LIMIT it is not exact.
        self._met: int | None = None

    def page(self, *, sort: str = "-added", after: str | None = None, limit: int = 50) -> Page[Subscriber]:
        """A page of people. `after` is a cursor of the same sort; a foreign one shows the first page.

        "added" is the order of the ids, which grow with time; with a range of days it is that of the moments.
        """
        order = self._order(sort)
        place = _place(order, after)
        rows = self._found(order, place, limit + 1)
        self._thin = self._thin and place is None and limit <= COUNT_LIMIT // 20
        self._met = self._met if place is None else None
        if len(rows) <= limit:
            return Page(rows, None)
        keys = [getattr(rows[limit - 1], key.key) for key in order.keys]
        return Page(rows[:limit], cursor(*(key.isoformat() if isinstance(key, datetime) else key for key in keys)))

    def count(self) -> Total:
        """How many fit: exact where a counter knows it; else counted among the first people that a page would look at,
        up to COUNT_LIMIT.
        """
        known = self._counted
        if known is not None:
            return Total(known)
        if self._met is not None:
            return Total(min(self._met, COUNT_LIMIT), self._met > COUNT_LIMIT)
        if not (self._thin and self._is_rare):
            order, size = self._order("-added"), WINDOWS[1]
            n = self._count(self._window(order, None, size))
            if n > COUNT_LIMIT:
                return Total(COUNT_LIMIT, True)
            if self._edge(order, None, size) is None:
                return Total(n)
            if n > COUNT_LIMIT // 20 or not self._is_rare:
                return Total(n, True)
        some = self._everybody().limit(COUNT_LIMIT + 1).subquery()
        n = int(self.dbsession.scalar(select(func.count()).select_from(some)) or 0)
        return Total(min(n, COUNT_LIMIT), n > COUNT_LIMIT)

    def count_all(self) -> int:
        """How many fit, exactly, however long that takes: for whoever has a time limit of their own."""
        everybody = select(Subscriber.id).where(Subscriber.project_id == self.scope.project_id)
        some = everybody.where(*conditions_of(self.scope, self.wanted)).subquery()
        return int(self.dbsession.scalar(select(func.count()).select_from(some)) or 0)

    def slice(self, *, after: int, upto: int, window: int) -> tuple[list[int], int | None]:
        """The ids of those who fit among the next `window` people above `after` and up to `upto`, and the id up to
        which everybody has been looked at now. None: there is nobody left.
        """
        driver = self._driver
        rows = driver.rows.where(driver.id > after, driver.id <= upto).order_by(driver.id).limit(window)
        last = self.dbsession.scalar(select(func.max(rows.subquery().c.id)))
        if last is None:
            return [], None
        people = self._people(rows.where(driver.id <= last).subquery(), None, None)
        return sorted(person.id for person in self.dbsession.execute(people)), int(last)

    def _order(self, sort: str) -> Order:
        if sort.lstrip("-") == "email":
            keys: tuple[Any, ...] = (Subscriber.email_key,)
        elif self.wanted.since or self.wanted.until:
            keys = (Subscriber.created_at, Subscriber.id)
        else:
            keys = (Subscriber.id,)
        return Order(keys, sort.startswith("-"))

    def _found(self, order: Order, place: tuple[Any, ...] | None, most: int) -> list[Subscriber]:
        if order.keys != (Subscriber.id,) and self._driver.n is not None and self._driver.n <= FEW:
            return self._read(self._driver.rows.subquery(), order, place, most)
        found: list[Subscriber] = []
        step = 0
        while True:
            size = WINDOWS[min(step, len(WINDOWS) - 1)]
            found += self._read(self._window(order, place, size), order, None, most - len(found))
            if len(found) >= most:
                return found
            edge = self._edge(order, place, size)
            if edge is None:
                return found
            place, step = edge, step + 1
            if step == 2 and self._is_rare:
                self._thin = True
                return found + self._all_sorted(order, place, most - len(found), before=len(found))

    def _walk(self, order: Order, place: tuple[Any, ...] | None) -> Select[Any]:
        """Everybody who may fit, in the page's order from a place on: only columns of the index that has it."""
        if order.keys == (Subscriber.id,):
            rows, keys = self._driver.rows, (self._driver.id,)
        else:
            rows = select(*order.keys, *(() if Subscriber.id in order.keys else (Subscriber.id,)))
            rows = rows.where(Subscriber.project_id == self.scope.project_id, *joined_between(self.scope, self.wanted))
            keys = order.keys
        if place is not None:
            rows = rows.where(order.beyond(keys, place))
        return order.sorted(rows, keys)

    def _window(self, order: Order, place: tuple[Any, ...] | None, size: int) -> Any:
        return self._walk(order, place).limit(size).subquery()

    def _edge(self, order: Order, place: tuple[Any, ...] | None, size: int) -> tuple[Any, ...] | None:
        """The place of a window's last row; None where the window was not full."""
        row = self.dbsession.execute(self._walk(order, place).offset(size - 1).limit(1)).first()
        return None if row is None else tuple(row[: len(order.keys)])

    def _read(self, ids: Any, order: Order, place: tuple[Any, ...] | None, most: int) -> list[Subscriber]:
        return list(self.dbsession.scalars(self._people(ids, order, place, whole=True).limit(most)))

    def _count(self, ids: Any) -> int:
        some = self._people(ids, None, None).limit(COUNT_LIMIT + 1).subquery()
        return int(self.dbsession.scalar(select(func.count()).select_from(some)) or 0)

    def _people(self, ids: Any, order: Order | None, place: tuple[Any, ...] | None, *, whole: bool = False) -> Any:
        """Of these ids those who fit. A LATERAL with its own LIMIT: each is looked up by the key, whatever the planner
        thinks of the conditions, and no more than the page needs.
        """
        fits = [Subscriber.project_id == self.scope.project_id, Subscriber.id == ids.c.id]
        if order is not None and place is not None:
            fits.append(order.beyond(order.keys, place))
        what = select(Subscriber) if whole else select(Subscriber.id)
        person = what.where(*fits, *conditions_of(self.scope, self.wanted)).limit(1).lateral("person")
        found = select(aliased(Subscriber, person) if whole else person.c.id)
        found = found.select_from(ids.join(person, true()))
        if order is None:
            return found
        ordered = all(key.key in ids.c for key in order.keys)
        return order.sorted(found, tuple((ids if ordered else person).c[key.key] for key in order.keys))

    @property
    def _is_rare(self) -> bool:
        """Whether an index knows a set that is probably small and holds everybody who fits."""
        return (self._driver.n is not None and self._driver.n <= FEW) or bool(self.wanted.words)

    def _everybody(self) -> Any:
        """Everybody who fits, by the index that knows them and not by the one that has the page's order."""
        if self._driver.n is not None and self._driver.n <= FEW:
            return self._people(self._driver.rows.subquery(), None, None, whole=True)
        found = select(Subscriber).where(Subscriber.project_id == self.scope.project_id)
        return found.where(*conditions_of(self.scope, self.wanted))

    def _all_sorted(self, order: Order, place: tuple[Any, ...] | None, most: int, *, before: int) -> list[Subscriber]:
        """The rest of a page, by an index of everybody who fits; `before` is how many stood before that place."""
        if self._driver.n is not None and self._driver.n <= FEW:
            return self._read(self._driver.rows.subquery(), order, place, most)
        found = self._everybody().with_only_columns(Subscriber.id)
        if place is not None:
            found = found.where(order.beyond(order.keys, place))
        # An expression that no index has the order of: PostgreSQL would otherwise walk through the project in that
        # order until it has found the page's fifty, which are rare.
        unordered = tuple(
            func.concat(key, "") if key.key == "email_key" else key + (timedelta(0) if key.key == "created_at" else 0)
            for key in order.keys
        )
        self.dbsession.execute(_BY_VALUES)
        # Only ids are sorted (with whole rows it takes half as long again), and as many as are counted at most.
        ids = list(self.dbsession.scalars(order.sorted(found, unordered).limit(max(most, COUNT_LIMIT + 1))))
        self._met = before + len(ids)
        whole = select(Subscriber).where(Subscriber.project_id == self.scope.project_id, Subscriber.id.in_(ids[:most]))
        return list(self.dbsession.scalars(order.sorted(whole, order.keys)))

    @cached_property
    def _driver(self) -> Driver:
        """The smallest set that everybody who fits is in."""
        wanted, project_id = self.wanted, self.scope.project_id
        everybody = select(Subscriber.id).where(Subscriber.project_id == project_id)
        sets = [Driver(everybody, Subscriber.id, None)]
        if wanted.status in PERSON_STATUSES and self._person_status:
            sets.append(Driver(everybody.where(Subscriber.status == wanted.status), Subscriber.id, self._status_n))
        if wanted.source:
            from_there = everybody.where(Subscriber.source == wanted.source)
            some = from_there.limit(FEW + 1).subquery()
            n = int(self.dbsession.scalar(select(func.count()).select_from(some)) or 0)
            # More than a few: as many as can be, but less than everybody.
            sets.append(Driver(from_there, Subscriber.id, n if n <= FEW else 10**9))
        if wanted.list_id is not None:
            members = select(Subscription.subscriber_id.label("id")).where(
                Subscription.project_id == project_id, Subscription.list_id == wanted.list_id
            )
            if wanted.status in LIST_STATUSES:
                members = members.where(Subscription.status == wanted.status)
            sets.append(Driver(members, Subscription.subscriber_id, self._list_n))
        if wanted.tag_id is not None:
            tagged = select(SubscriberTag.subscriber_id.label("id")).where(
                SubscriberTag.project_id == project_id, SubscriberTag.tag_id == wanted.tag_id
            )
            sets.append(Driver(tagged, SubscriberTag.subscriber_id, self._tag_n))
        return min(sets, key=lambda one: 10**12 if one.n is None else one.n)

    @property
    def _person_status(self) -> bool:
        """Whether the status is the person's, and not that in the list."""
        return self.wanted.list_id is None or self.wanted.status not in LIST_STATUSES

    @property
    def _counted(self) -> int | None:
        """The number that a counter knows: of everybody, a status, a list, a tag. None: more than one is asked for."""
        asked = set(self.wanted.query)
        if not asked or (asked == {"status"} and self.wanted.status in PERSON_STATUSES):
            return self._status_n
        if asked == {"list"} or (asked == {"list", "status"} and self.wanted.status in LIST_STATUSES):
            return self._list_n
        return self._tag_n if asked == {"tag"} else None

    @cached_property
    def _status_n(self) -> int:
        counted = select(func.coalesce(func.sum(SubscriberCount.n), 0))
        counted = counted.where(SubscriberCount.project_id == self.scope.project_id)
        if self.wanted.status:
            counted = counted.where(SubscriberCount.status == self.wanted.status)
        return int(self.dbsession.scalar(counted) or 0)

    @cached_property
    def _list_n(self) -> int:
        counted = select(func.coalesce(func.sum(ListCount.n), 0)).where(
            ListCount.project_id == self.scope.project_id, ListCount.list_id == self.wanted.list_id
        )
        if self.wanted.status in LIST_STATUSES:
            counted = counted.where(ListCount.status == self.wanted.status)
        return int(self.dbsession.scalar(counted) or 0)

    @cached_property
    def _tag_n(self) -> int:
        counted = select(Tag.n).where(Tag.project_id == self.scope.project_id, Tag.id == self.wanted.tag_id)
        return int(self.dbsession.scalar(counted) or 0)


def _place(order: Order, after: str | None) -> tuple[Any, ...] | None:
    """The place that a cursor of this order means."""
    if len(order.keys) == 2:
        given = read_cursor(after, str, int)
        moment = _moment(given[0]) if given is not None else None
        return (moment, given[1]) if given is not None and moment is not None else None
    place = read_cursor(after, int if order.keys == (Subscriber.id,) else str)
    return None if place is not None and isinstance(place[0], str) and "\0" in place[0] else place


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
