"""The value of a rule: read strictly, so that what reaches SQL has the type that the operator wants."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from mailhub.segments.catalog import Catalog, id_of
from mailhub.segments.vocabulary import (
    CHOICES,
    CUSTOM,
    MAX_ANNIVERSARY_DAYS,
    MAX_CHOICES,
    MAX_DAYS,
    MAX_NUMBER,
    MAX_TEXT,
    OPEN_LISTS,
    Kind,
    Takes,
)
from mailhub.web.i18n import _


class BadRule(Exception):
    """The value of a rule can't be used; `message` can be translated."""

    def __init__(self, message: Any) -> None:
        super().__init__(str(message))
        self.message = message


def read_value(name: str, kind: Kind, op: str, takes: Takes, given: Any, catalog: Catalog) -> Any:
    """The value as the compiler wants it: str, Decimal, date, int, bool, or a tuple of them. Raises BadRule."""
    match takes:
        case Takes.NOTHING:
            if given is not None:
                raise BadRule(_("Here no value is possible."))
            return None
        case Takes.TEXT:
            return _text(given)
        case Takes.NUMBER:
            return _number(given)
        case Takes.NUMBERS:
            return _pair(given, _number)
        case Takes.DATE:
            return _date(given)
        case Takes.DATES:
            return _pair(given, _date)
        case Takes.DAYS:
            return _days(given, 0 if op in ("anniversary", "next") else 1, op)
        case Takes.YES_NO:
            if not isinstance(given, bool):
                raise BadRule(_("This must be yes or no."))
            return given
        case Takes.CHOICES:
            return _choices(name, given, catalog)
        case Takes.IDS:
            return _ids(kind, op, given, catalog)


def _text(given: Any) -> str:
    if not isinstance(given, str):
        raise BadRule(_("This must be text."))
    text = given.strip()
    if not text:
        raise BadRule(_("Fill this in."))
    if len(text) > MAX_TEXT:
        raise BadRule(_("Use at most ${n} characters.", mapping={"n": MAX_TEXT}))
    if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text):
        # PostgreSQL's texts have no place for either.
        raise BadRule(_("Line breaks and invisible characters are not possible here."))
    return text


def _number(given: Any) -> Decimal:
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise BadRule(_("This must be a number."))
    if not math.isfinite(given) or abs(given) > MAX_NUMBER:
        raise BadRule(_("This number is too large."))
    return Decimal(str(given))


def _date(given: Any) -> date:
    if isinstance(given, str) and len(given) == 10:
        try:
            return date.fromisoformat(given)
        except ValueError:
            pass
    raise BadRule(_("This must be a date like 2026-11-23."))


def _days(given: Any, least: int, op: str) -> int:
    most = MAX_ANNIVERSARY_DAYS if op == "anniversary" else MAX_DAYS
    if isinstance(given, bool) or not isinstance(given, int):
        raise BadRule(_("This must be a whole number."))
    if given < least:
        raise BadRule(_("This must be at least ${n}.", mapping={"n": least}))
    if given > most:
        raise BadRule(_("This must be at most ${n}.", mapping={"n": most}))
    return given


def _pair(given: Any, read: Any) -> tuple[Any, Any]:
    if not isinstance(given, list) or len(given) != 2:
        raise BadRule(_("Two values are needed, the smaller one first."))
    low, high = read(given[0]), read(given[1])
    if low > high:
        raise BadRule(_("Two values are needed, the smaller one first."))
    return low, high


def _choices(name: str, given: Any, catalog: Catalog) -> tuple[str, ...]:
    allowed = catalog.fields[name[len(CUSTOM) :]].choices if name.startswith(CUSTOM) else CHOICES[name]
    if not isinstance(given, list) or not given:
        raise BadRule(_("Choose at least one."))
    if len(given) > MAX_CHOICES:
        raise BadRule(_("At most ${n} are possible.", mapping={"n": MAX_CHOICES}))
    if any(not isinstance(one, str) or one not in allowed for one in given):
        raise BadRule(_("This is not one of the choices."))
    return tuple(dict.fromkeys(given))


def _ids(kind: Kind, op: str, given: Any, catalog: Catalog) -> tuple[int, ...]:
    """Ids of lists or tags; no list at all means any list."""
    known: Mapping[int, str] = catalog.lists if kind == Kind.LIST else catalog.tags
    if not given and op in OPEN_LISTS and (given is None or given == []):
        return ()
    if not isinstance(given, list) or not given:
        raise BadRule(_("Choose at least one."))
    if len(given) > MAX_CHOICES:
        raise BadRule(_("At most ${n} are possible.", mapping={"n": MAX_CHOICES}))
    ids = [id_of(one) for one in given]
    if any(one is None or one not in known for one in ids):
        raise BadRule(_("There is no such list.") if kind == Kind.LIST else _("There is no such tag."))
    return tuple(dict.fromkeys(one for one in ids if one is not None))
