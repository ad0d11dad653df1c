"""The filters of the merge language. Each is bounded: none can turn a short value into a very long one.

Jinja's own `round`, `join`, `truncate`, `int` and `format` are not used: `{{ 1|round(9999999, "ceil") }}`,
`|join` with a long separator and `strftime("%99999999d")` (glibc reads a width) each eat memory and time.
"""

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from jinja2 import Undefined
from markupsafe import Markup, escape

MAX_VALUE = 100_000


class FilterError(Exception):
    """A filter was given a value or an argument it can't use."""


def default(value: Any, fallback: Any = "", *_also_empty: Any) -> Any:
    """The fallback where the field is missing or empty: an empty string is "missing" to a marketer."""
    if isinstance(value, Undefined) or value is None or (isinstance(value, str) and not value.strip()):
        return fallback
    return value


def upper(value: Any) -> str:
    return _text(value).upper()


def lower(value: Any) -> str:
    return _text(value).lower()


def capitalize(value: Any) -> str:
    return _text(value).capitalize()


def title(value: Any) -> str:
    """Every word begins with a capital: `anna-maria o'neil` gives `Anna-Maria O'neil`."""
    return re.sub(r"[^\W\d_]+(?:['’][^\W\d_]+)*", lambda word: word.group().capitalize(), _text(value))


def trim(value: Any) -> str:
    return _text(value).strip()


def truncate(value: Any, length: Any = 255, *_jinja_options: Any) -> str:
    """At most `length` characters, cut at a space where there is one, with an ellipsis."""
    text, limit = _text(value), max(1, min(_integer(length), MAX_VALUE))
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    return (cut.rsplit(" ", 1)[0] or cut).rstrip() + "…"


def escape_html(value: Any) -> Markup:
    return escape(_text(value))


def integer(value: Any, fallback: Any = 0) -> Any:
    if isinstance(value, float) and value != value:
        return fallback
    try:
        return int(value) if isinstance(value, int | float) else int(float(_text(value).strip()[:40] or "x"))
    except (ValueError, OverflowError):
        return fallback


def round_number(value: Any, precision: Any = 0) -> Any:
    digits = max(0, min(_integer(precision), 6))
    try:
        number = round(float(value if isinstance(value, int | float) else _text(value)[:40]), digits)
        return number if digits else int(number)
    except (ValueError, OverflowError, TypeError):
        raise FilterError("round needs a number") from None


def first(value: Any) -> Any:
    return value[0] if isinstance(value, str | list | tuple) and value else ""


def last(value: Any) -> Any:
    return value[-1] if isinstance(value, str | list | tuple) and value else ""


def join(value: Any, separator: Any = ", ") -> str:
    if isinstance(value, str) or not isinstance(value, list | tuple):
        return _text(value)
    parts, between = [_text(item) for item in value], _text(separator)
    if sum(map(len, parts)) + len(between) * len(parts) > MAX_VALUE:
        raise FilterError("join gives too long a text")
    return between.join(parts)


def length(value: Any) -> int:
    return len(value) if isinstance(value, str | list | tuple | dict) else 0


def format_date(value: Any, pattern: Any = "%d.%m.%Y") -> str:
    """A date in numbers: %d %m %Y %y %H %M, %-d and %-m without the leading zero; text in ISO 8601 is read too."""
    if isinstance(value, Undefined) or value is None or value == "":
        return ""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip()[:40])
        except ValueError:
            return _text(value)
    if not isinstance(value, date):
        raise FilterError("date needs a date")
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)  # noqa: DTZ001
    codes = {
        "d": f"{moment.day:02}", "m": f"{moment.month:02}", "Y": f"{moment.year:04}", "y": f"{moment.year % 100:02}",
        "H": f"{moment.hour:02}", "M": f"{moment.minute:02}", "-d": str(moment.day), "-m": str(moment.month), "%": "%",
    }  # fmt: skip
    return re.sub(r"%(-?[A-Za-z%])", lambda code: codes.get(code[1], code[0]), _text(pattern)[:100])


FILTERS: dict[str, Callable[..., Any]] = {
    "default": default, "d": default, "upper": upper, "lower": lower, "capitalize": capitalize, "title": title,
    "trim": trim, "truncate": truncate, "escape": escape_html, "e": escape_html, "int": integer,
    "round": round_number, "first": first, "last": last, "join": join, "length": length, "count": length,
    "date": format_date,
}  # fmt: skip


def _text(value: Any) -> str:
    if value is None or isinstance(value, Undefined):
        return ""
    text = str(value)
    if len(text) > MAX_VALUE:
        raise FilterError("the value is too long")
    return text


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise FilterError("a whole number is needed")
    return value
