"""What a typed field holds: read from text or JSON, shown to a person. Knows no database.

As JSON: text is a string, a number a number, a date "2026-11-27", yes or no true or false, a choice its text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, Protocol

from mailhub.models.audience import FieldType
from mailhub.web.formats import cldr, date_text, number_text
from mailhub.web.i18n import _

MAX_TEXT = 10_000
#: Whole numbers up to here are exact in JSON whoever reads it (RFC 8259 §6). Longer ones are no quantities: text.
MAX_NUMBER = 2**53

_YES = frozenset({"yes", "y", "true", "t", "1", "on", "+", "да", "д", "истина"})
_NO = frozenset({"no", "n", "false", "f", "0", "off", "-", "нет", "н", "ложь"})
_SPACES = re.compile(r"[\s\u00a0\u202f']+")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_DATE = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})([T ].*)?|(\d{4})/(\d{1,2})/(\d{1,2})|(\d{1,2})([./])(\d{1,2})\9(\d{4})"
)

_NOT_NUMBER = _("This must be a number.")
_NOT_DATE = _("This must be a date like 2026-11-23.")
_NOT_BOOLEAN = _("This must be yes or no.")
_NOT_CHOICE = _("This is not one of the choices.")
_NOT_TEXT = _("This must be text.")
_TOO_LONG = _("Use at most ${n} characters.", mapping={"n": MAX_TEXT})
_INVISIBLE = _("Line breaks and invisible characters are not possible here.")


class BadValue(ValueError):
    """The value does not fit the field; `reason` is a stable word, `message` a sentence that can be translated."""

    def __init__(self, reason: str, message: Any) -> None:
        super().__init__(reason)
        self.reason = reason
        self.message = message


class Typed(Protocol):
    """A field as far as its values go; `SubscriberField` is one."""

    type: str
    choices: list[str]


def read_value(field: Typed, given: Any) -> Any:
    """The value to store for what was typed, imported or sent as JSON; None for nothing. Raises BadValue.

    Numbers may be written "1 234,5" and "1,234.50", dates "27.11.2026". What can be read in two ways is refused:
    "1,234" and "03/04/2026" give another value in another country.
    """
    if given is None or (isinstance(given, str) and not given.strip()):
        return None
    return _READERS.get(field.type, _text)(given, field.choices)


def show_value(field: Typed, value: Any, locale: str) -> str:
    """The value as a person reads it; nothing is an empty text. A value of an older type is shown as it is."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return _WORDS.get(locale, _WORDS["en"])[value]
    if field.type == FieldType.NUMBER and isinstance(value, int | float):
        return number_text(value, cldr(locale))
    if field.type == FieldType.DATE and isinstance(value, str):
        try:
            return date_text(date.fromisoformat(value), cldr(locale), None)  # type: ignore[arg-type]
        except ValueError:
            return value
    return str(value)


def written_value(field: Typed, value: Any) -> str:
    """The value as it stands in an input, so that `read_value` gives it back."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


#: No request is at hand where values are shown in exports and tasks, so these two words are not in the catalogue.
_WORDS = {"en": ("No", "Yes"), "ru": ("Нет", "Да")}


def _text(given: Any, _choices: Sequence[str]) -> str:
    if isinstance(given, bool):
        return "true" if given else "false"
    if not isinstance(given, str | int | float):
        raise BadValue("text", _NOT_TEXT)
    text = str(given)
    if len(text) > MAX_TEXT:
        raise BadValue("too_long", _TOO_LONG)
    if "\0" in text:
        raise BadValue("invisible", _INVISIBLE)
    return text


def _number(given: Any, _choices: Sequence[str]) -> int | float:
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        raise BadValue("number", _NOT_NUMBER)
    if isinstance(given, str):
        text = _decimal_point(_SPACES.sub("", given.strip()).replace("\u2212", "-"))
        if not text.isascii() or len(text) > 40 or not _NUMBER.fullmatch(text):
            raise BadValue("number", _NOT_NUMBER)
        given = int(text) if text.lstrip("+-").isdigit() else float(text)
    if not math.isfinite(given) or abs(given) > MAX_NUMBER:
        raise BadValue("number", _NOT_NUMBER)
    return int(given) if isinstance(given, float) and given.is_integer() else given


def _decimal_point(text: str) -> str:
    """With a point as the decimal sign and nothing between thousands."""
    commas, points = text.count(","), text.count(".")
    if commas and points:
        decimal = "," if text.rindex(",") > text.rindex(".") else "."
        return text.replace("." if decimal == "," else ",", "").replace(",", ".")
    if commas > 1 or points > 1:
        sign = "," if commas else "."
        groups = text.split(sign)
        return text.replace(sign, "") if all(len(group) == 3 for group in groups[1:]) else text
    if commas:
        whole, fraction = text.lstrip("+-").split(",")
        if len(fraction) == 3 and 0 < len(whole) <= 3 and not whole.startswith("0"):
            raise BadValue("ambiguous", _("Write ${a} or ${b}: this can be read in two ways.",
                                          mapping={"a": whole + fraction, "b": f"{whole}.{fraction}"}))  # fmt: skip
        return text.replace(",", ".")
    return text


def _date(given: Any, _choices: Sequence[str]) -> str:
    match = _DATE.fullmatch(given.strip()) if isinstance(given, str) else None
    if match is None:
        raise BadValue("date", _NOT_DATE)
    found = match.groups()
    if found[0]:
        year, month, day = found[0], found[1], found[2]
    elif found[4]:
        year, month, day = found[4], found[5], found[6]
    else:
        day, sign, month, year = found[7], found[8], found[9], found[10]
        if sign == "/" and int(day) <= 12 and int(month) <= 12 and int(day) != int(month):
            raise BadValue("ambiguous", _("Write the date like 2026-11-23: this can be read in two ways."))
        if sign == "/" and int(month) > 12:
            day, month = month, day
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        raise BadValue("date", _NOT_DATE) from None


def _boolean(given: Any, _choices: Sequence[str]) -> bool:
    if isinstance(given, bool):
        return given
    word = str(given).strip().casefold() if isinstance(given, str | int | float) else ""
    if word in _YES or word in _NO:
        return word in _YES
    raise BadValue("boolean", _NOT_BOOLEAN)


def _choice(given: Any, choices: Sequence[str]) -> str:
    wanted = _text(given, choices).strip().casefold()
    for choice in choices:
        if choice.casefold() == wanted:
            return choice
    raise BadValue("choice", _NOT_CHOICE)


_READERS: dict[str, Callable[[Any, Sequence[str]], Any]] = {
    FieldType.TEXT: _text,
    FieldType.NUMBER: _number,
    FieldType.DATE: _date,
    FieldType.BOOLEAN: _boolean,
    FieldType.CHOICE: _choice,
}
