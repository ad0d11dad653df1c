"""Values as people write them in tables, English and Russian: numbers, dates, yes and no; and the guess of a type."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any

from mailhub.lists.values import BadValue as NoValue
from mailhub.lists.values import read_value
from mailhub.models import FieldType

#: The order of day, month and year in dates of a column.
DMY, MDY = "dmy", "mdy"

_WORDS = {
    True: "yes y true t 1 on да д истина + ✓ x х вкл есть checked subscribed",
    False: "no n false f 0 off нет н ложь - выкл unchecked",
}
BOOLEANS = {word: value for value, words in _WORDS.items() for word in words.split()}

_MONTHS = (
    "january jan январь января янв", "february feb февраль февраля фев февр", "march mar март марта мар",
    "april apr апрель апреля апр", "may май мая", "june jun июнь июня июн", "july jul июль июля июл",
    "august aug август августа авг", "september sep sept сентябрь сентября сен сент",
    "october oct октябрь октября окт", "november nov ноябрь ноября ноя нояб", "december dec декабрь декабря дек",
)  # fmt: skip
_MONTH = {word: number for number, words in enumerate(_MONTHS, start=1) for word in words.split()}

#: A choice is guessed where so many cells hold so few different values, none longer than this.
ENOUGH, MAX_CHOICES, MAX_CHOICE = 50, 8, 40

_DIGITS_DATE = re.compile(r"(\d{1,4})([./\-])(\d{1,2})\2(\d{1,4})(?:\s*г\.?)?", re.ASCII)
_WORD_DATE = re.compile(r"(\d{1,2})[ \-.]+([^\W\d]+)\.?,?[ \-.]+(\d{4})(?:\s*(?:г\.?|года))?")
_WORD_FIRST_DATE = re.compile(r"([^\W\d]+)\.? (\d{1,2})(?:st|nd|rd|th)?,? (\d{4})")
_TIME = re.compile(
    r"[ T]*(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?"  # 12:30:15.123
    r"\s*([AaPp])?\.?(?:[Mm]\.?)?\s*(Z|UTC|GMT|[+\-]\d{2}:?(?:\d{2})?)?",  # PM +03:00
    re.ASCII,
)


class BadValue(ValueError):
    """A cell that is no value of its column's type."""


@dataclass
class _Field:
    type: str
    choices: list[str]


_NUMBER_FIELD = _Field(FieldType.NUMBER, [])


@dataclass(frozen=True)
class Guess:
    """What a column seems to hold. `order` is that of its dates, `choices` what a choice may be."""

    type: str
    order: str = DMY
    choices: tuple[str, ...] = ()


def reader(field_type: str, *, choices: Sequence[str] = (), order: str = DMY) -> Callable[[str], Any] | None:
    """What reads a cell of a field of this type into its JSON value; None for text, which needs no reading."""
    if field_type == FieldType.NUMBER:
        return read_number
    if field_type == FieldType.DATE:
        return lambda text: read_date(text, order).isoformat()
    if field_type == FieldType.BOOLEAN:
        return read_boolean
    if field_type == FieldType.CHOICE:
        by_fold = {" ".join(choice.split()).casefold(): choice for choice in choices}

        def read_choice(text: str) -> str:
            found = by_fold.get(" ".join(text.split()).casefold())
            if found is None:
                raise BadValue(text)
            return found

        return read_choice
    return None


def read_number(text: str) -> int | float:
    """`12`, `-1 234,5`, `1,234.50` as everywhere in lists.values; raises BadValue, also for `1,234`."""
    try:
        found: int | float | None = read_value(_NUMBER_FIELD, text)
    except NoValue:
        found = None
    if found is None:
        raise BadValue(text)
    return found


def read_boolean(text: str) -> bool:
    """`yes`, `нет`, `1`; raises BadValue."""
    found = BOOLEANS.get(text.strip().casefold())
    if found is None:
        raise BadValue(text)
    return found


def read_date(text: str, order: str = DMY) -> date:
    """A date in digits or with the month in words, with or without a time behind it; raises BadValue.

    The year first or last is seen by itself; `order` says which of the other two is the day where both could be.
    """
    text = " ".join(text.split())
    if match := _TIME.search(text):
        if match.end() != len(text):
            raise BadValue(text)
        text = text[: match.start()].strip(" ,T")
    return _date_of(text, order)


def _date_of(text: str, order: str) -> date:
    if match := _DIGITS_DATE.fullmatch(text):
        first, second, third = int(match[1]), int(match[3]), int(match[4])
        if len(match[1]) == 4:
            return _made(first, second, third)
        if len(match[1]) > 2 or len(match[4]) not in (2, 4):
            raise BadValue(text)
        year = third if len(match[4]) == 4 else _century(third)
        if order == MDY:
            return _made(year, first, second) if first <= 12 else _made(year, second, first)
        return _made(year, second, first) if second <= 12 else _made(year, first, second)
    if match := _WORD_DATE.fullmatch(text):
        return _made(int(match[3]), _MONTH.get(match[2].casefold(), 0), int(match[1]))
    if match := _WORD_FIRST_DATE.fullmatch(text):
        return _made(int(match[3]), _MONTH.get(match[1].casefold(), 0), int(match[2]))
    raise BadValue(text)


def _century(year: int) -> int:
    """Two digits as spreadsheets take them: 00–29 are this century, 30–99 the last one."""
    return year + (2000 if year < 30 else 1900)


def _made(year: int, month: int, day: int) -> date:
    try:
        found = date(year, month, day)
    except ValueError:
        raise BadValue(f"{year}-{month}-{day}") from None
    if not 1800 <= year <= 2200:
        raise BadValue(str(year))
    return found


def read_moment(text: str, order: str = DMY) -> datetime:
    """A date with a time (UTC where no zone stands behind it), midnight where there is none; raises BadValue."""
    text = " ".join(text.split())
    match = _TIME.search(text)
    if match is None or match.end() != len(text):
        day = read_date(text, order)
        return datetime(day.year, day.month, day.day, tzinfo=UTC)
    day = _date_of(text[: match.start()].strip(" ,T"), order)
    hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
    if match[4]:
        hour = hour % 12 + (12 if match[4] in "Pp" else 0)
    zone: tzinfo = UTC if match[5] in (None, "Z", "UTC", "GMT") else _zone(match[5])
    try:
        return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=zone).astimezone(UTC)
    except ValueError:
        raise BadValue(text) from None


def _zone(text: str) -> timezone:
    hours, minutes = int(text[1:3]), int(text[3:].lstrip(":") or 0)
    if hours > 14 or minutes > 59:
        raise BadValue(text)
    return timezone((1 if text[0] == "+" else -1) * timedelta(hours=hours, minutes=minutes))


def read_ip(text: str) -> str:
    """An IP address in its usual form; raises BadValue."""
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        raise BadValue(text) from None


def guess_type(cells: Iterable[str]) -> Guess:
    """The narrowest type that fits every filled cell of a column's first rows; text where there are none."""
    filled = [text for cell in cells if (text := cell.strip())]
    distinct = dict.fromkeys(filled)
    if not filled:
        return Guess(FieldType.TEXT)
    if all(text.casefold() in BOOLEANS for text in distinct) and (
        len({read_boolean(text) for text in distinct}) == 2 or not any(text.isdigit() for text in distinct)
    ):
        return Guess(FieldType.BOOLEAN)
    if all(map(_is_amount, distinct)):
        return Guess(FieldType.NUMBER)
    order = _order_of(distinct)
    if order:
        return Guess(FieldType.DATE, order)
    if len(filled) >= ENOUGH and 2 <= len(distinct) <= MAX_CHOICES and max(map(len, distinct)) <= MAX_CHOICE:
        return Guess(FieldType.CHOICE, choices=tuple(distinct))
    return Guess(FieldType.TEXT)


def _is_amount(text: str) -> bool:
    """A number that is counted with; telephone numbers, post codes and card numbers are text."""
    if not text[-1:].isdigit() or "e" in text.lower():
        return False
    if text[:1] == "+" or (text[:1] == "0" and text[1:2].isdigit()) or sum(map(str.isdigit, text)) > 9:
        return False
    try:
        read_number(text)
    except BadValue:
        return False
    return True


def _order_of(cells: Iterable[str]) -> str:
    """The order in which all of these are dates, or ""; the day first where nothing speaks against it."""
    orders = [DMY, MDY]
    for text in cells:
        match = _DIGITS_DATE.match(text)
        if match is not None and len(match[1]) <= 2:
            if int(match[1]) > 12 and MDY in orders:
                orders.remove(MDY)
            if int(match[3]) > 12 and DMY in orders:
                orders.remove(DMY)
        try:
            read_date(text, orders[0] if orders else DMY)
        except BadValue:
            return ""
    return orders[0] if orders else ""
