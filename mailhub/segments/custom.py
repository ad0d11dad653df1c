"""Rules about custom fields: JSON that anybody may have filled, compared by the type that the field has today.

A value of another type simply does not match: nothing here can raise, whatever is stored. Keys are bound like values.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Numeric, String, and_, bindparam, case, cast, func, literal, not_, true
from sqlalchemy.dialects.postgresql import JSONB

from mailhub.models import Subscriber
from mailhub.segments.tree import Leaf
from mailhub.segments.vocabulary import CUSTOM

Condition = ColumnElement[bool]

#: What a date is stored as. Whether the day exists is not asked: texts of this form are compared as texts.
DAY = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"


def text_condition(column: Any, op: str, value: Any) -> Condition:
    """An operator on text that is in lower case and never NULL; % and _ in the value mean themselves."""
    if op in ("empty", "not_empty"):
        empty: Condition = column == ""
        return empty if op == "empty" else not_(empty)
    wanted = func.lower(bindparam(None, value, String))
    match op:
        case "is" | "is_not":
            found: Condition = column == wanted
        case "contains" | "not_contains":
            found = func.strpos(column, wanted) > 0
        case "starts":
            found = func.starts_with(column, wanted)
        case _:
            found = func.right(column, func.length(wanted)) == wanted
    return not_(found) if op in ("is_not", "not_contains") else found


def text(leaf: Leaf) -> Condition:
    """A field that holds text. A number or a yes that was stored there is compared as it is written."""
    return text_condition(func.lower(_shown(leaf)), leaf.op, leaf.value)


def number(leaf: Leaf) -> Condition:
    """A field that holds a number, of any size."""
    if leaf.op in ("empty", "not_empty"):
        return _empty(leaf)
    stored = case((_type(leaf) == "number", cast(_text(leaf), Numeric)), else_=None)
    if leaf.op == "between":
        assert isinstance(leaf.value, tuple)
        low, high = (literal(one, Numeric) for one in leaf.value)
        return _surely(and_(stored >= low, stored <= high))
    value = literal(leaf.value, Numeric)
    match leaf.op:
        case "is":
            return _surely(stored == value)
        case "is_not":
            return not_(_surely(stored == value))
        case "greater":
            return _surely(stored > value)
        case "at_least":
            return _surely(stored >= value)
        case "less":
            return _surely(stored < value)
        case _:
            return _surely(stored <= value)


def day(leaf: Leaf, today: date) -> Condition:
    """A field that holds a day; `today` is the project's."""
    if leaf.op in ("empty", "not_empty"):
        return _empty(leaf)
    shown = _shown(leaf)
    stored = case((and_(_type(leaf) == "string", shown.op("~")(DAY)), shown), else_=None)
    match leaf.op:
        case "anniversary":
            assert isinstance(leaf.value, int)
            return _surely(func.substr(stored, 6).in_(anniversaries(today, leaf.value)))
        case "before":
            return _surely(_bytes(stored) < _day(leaf.value))
        case "after":
            return _surely(_bytes(stored) > _day(leaf.value))
        case "older":
            return _surely(_bytes(stored) < _day(_moved(today, -_number(leaf))))
    first, last = _days(leaf, today)
    return _surely(and_(_bytes(stored) >= _day(first), _bytes(stored) <= _day(last)))


def anniversaries(today: date, days: int) -> list[str]:
    """The month and day ("02-28") of today and so many days after it.

    Whoever was born on a 29th of February has the anniversary on the 28th in other years.
    """
    found: list[str] = []
    for n in range(min(days, 366) + 1):
        one = _moved(today, n)
        found.append(f"{one:%m-%d}")
        if (one.month, one.day) == (2, 28) and _moved(one, 1).month == 3:
            found.append("02-29")
    return list(dict.fromkeys(found))


def yes_no(leaf: Leaf) -> Condition:
    """A field that holds yes or no."""
    if leaf.op in ("empty", "not_empty"):
        return _empty(leaf)
    return and_(_type(leaf) == "boolean", _shown(leaf) == ("true" if leaf.value else "false"))


def choice(leaf: Leaf) -> Condition:
    """A field that holds one of its choices."""
    if leaf.op in ("empty", "not_empty"):
        return _empty(leaf)
    assert isinstance(leaf.value, tuple)
    found = and_(_type(leaf) == "string", _shown(leaf).in_(list(leaf.value)))
    return found if leaf.op == "any" else not_(found)


def _days(leaf: Leaf, today: date) -> tuple[date, date]:
    match leaf.op:
        case "last":
            return _moved(today, -_number(leaf)), today
        case "next":
            return today, _moved(today, _number(leaf))
        case "between":
            assert isinstance(leaf.value, tuple)
            return leaf.value[0], leaf.value[1]
    assert isinstance(leaf.value, date)
    return leaf.value, leaf.value


def _number(leaf: Leaf) -> int:
    assert isinstance(leaf.value, int)
    return leaf.value


def _moved(day: date, days: int) -> date:
    try:
        return day + timedelta(days=days)
    except OverflowError:
        return date.max if days > 0 else date.min


def _key(leaf: Leaf) -> Any:
    return bindparam(None, leaf.field[len(CUSTOM) :], String)


def _text(leaf: Leaf) -> Any:
    """The field as text; NULL where it is not there."""
    return func.jsonb_extract_path_text(Subscriber.fields, _key(leaf), type_=String)


def _shown(leaf: Leaf) -> Any:
    """The field as text; empty where it is not there, or is no single value."""
    return case(
        (_type(leaf).in_(["string", "number", "boolean"]), func.coalesce(_text(leaf), "")), else_=literal("", String)
    )


def _type(leaf: Leaf) -> Any:
    """The JSON type of the field, a word; empty where it is not there."""
    value = func.jsonb_extract_path(Subscriber.fields, _key(leaf), type_=JSONB)
    return func.coalesce(func.jsonb_typeof(value, type_=String), "")


def _empty(leaf: Leaf) -> Condition:
    empty = _shown(leaf) == ""
    return empty if leaf.op == "empty" else not_(empty)


def _bytes(stored: Any) -> Any:
    """Compared byte by byte: the digits of a day sort as days do in any collation, and this is the fastest."""
    return stored.collate("C")


def _day(value: Any) -> Any:
    assert isinstance(value, date)
    return literal(value.isoformat(), String)


def _surely(condition: Any) -> Condition:
    """False where it is unknown."""
    return func.coalesce(condition, not_(true()))
