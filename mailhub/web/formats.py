"""Numbers, shares, sizes and times as a person reads them: in the request's language and time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_timedelta, get_timezone_gmt
from babel.numbers import format_compact_decimal, format_decimal, format_percent
from babel.units import format_unit
from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape
from pyramid.request import Request
from pyramid.threadlocal import get_current_request

Number = int | float | Decimal
DASH = "—"
#: English times are written 24-hour and day first, which no reader takes for another day: 23 Nov 2026, 14:05.
_CLDR = {"en": "en_GB", "ru": "ru"}
_DATETIME = {"short": "d MMM, HH:mm", "medium": "d MMM y, HH:mm", "long": "d MMM y, HH:mm:ss"}
_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


def request_of(context: Context) -> Request:
    """The request being answered. Macros are shared by all templates and have no `request` of their own."""
    return context.get("request") or get_current_request()


@lru_cache
def cldr(language: str) -> Locale:
    """Babel's data for one of our languages."""
    return Locale.parse(_CLDR.get(language, "en_GB"))


def zone_of(request: Request) -> Any:
    """The reader's time zone; UTC where nobody set one."""
    return getattr(request, "time_zone", None) or UTC


def number_text(value: Number | None, locale: Locale) -> str:
    """25 000 in Russian, 25,000 in English."""
    return DASH if value is None else format_decimal(value, locale=locale)


def percent_text(share: Number | None, locale: Locale, digits: int = 1) -> str:
    """A share (0.314) as 31.4%. A small one that would round to nothing gets one more digit; None is a dash."""
    if share is None:
        return DASH
    if share and abs(share) < 0.5 / 10 ** (digits + 2):
        digits += 1
    # The locale's own pattern with our number of decimals: an own "#,##0.0%" would lose Russian's no-break space.
    pattern = locale.percent_formats[None].pattern
    decimals = "." + "0" * digits if digits else ""
    return format_percent(share, pattern.replace("#,##0", "#,##0" + decimals), locale=locale)


def compact_text(value: Number | None, locale: Locale) -> str:
    """1.2M, 1,2 млн: for axes and tight places."""
    if value is None:
        return DASH
    return format_compact_decimal(value, locale=locale, fraction_digits=1)


def filesize_text(size_bytes: Number | None, locale: Locale) -> str:
    """12.3 kB, by thousands."""
    if size_bytes is None:
        return DASH
    size, unit = float(size_bytes), "byte"
    for larger in ("kilobyte", "megabyte", "gigabyte", "terabyte"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    digits = 0 if unit == "byte" or size >= 100 else 1
    length: Any = "long" if unit == "byte" else "short"
    return _unit(round(size, digits), f"digital-{unit}", length, locale)


def duration_text(seconds: Number | None, locale: Locale) -> str:
    """The two largest units: 2m 38s, 2 мин 38 с. Under ten seconds with a tenth, under a tenth in milliseconds."""
    if seconds is None:
        return DASH
    # Babel has no narrow units for Russian; English short ones are long ("2 mins 38 secs").
    length: Any = "narrow" if locale.language == "en" else "short"
    if 0.0005 <= seconds < 0.1:
        return _unit(round(seconds * 1000), "duration-millisecond", length, locale)
    if 0 < seconds < 10 and seconds != int(seconds):
        return _unit(round(float(seconds), 1), "duration-second", length, locale)
    rest = round(seconds)
    parts: list[tuple[int, str]] = []
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if parts or count or unit == "second":
            parts.append((count, unit))
    shown = [(count, unit) for count, unit in parts[:2] if count] or parts[:1]
    return " ".join(_unit(count, f"duration-{unit}", length, locale) for count, unit in shown)


def _unit(value: Number, unit: str, length: Any, locale: Locale) -> str:
    """A number with its unit, which no line end may part."""
    return format_unit(value, unit, length=length, locale=locale).replace(" ", "\u00a0")


def datetime_text(moment: datetime | None, locale: Locale, zone: ZoneInfo, style: str = "medium") -> str:
    """`style`: short (no year), medium, long (with seconds), or a CLDR pattern."""
    if moment is None:
        return DASH
    return format_datetime(moment.astimezone(zone), _DATETIME.get(style, style), locale=locale)


def date_text(day: date | datetime | None, locale: Locale, zone: ZoneInfo, style: str = "medium") -> str:
    """A day; a moment is first taken into the reader's zone. `style`: short (no year), medium, or a CLDR pattern."""
    if day is None:
        return DASH
    if isinstance(day, datetime):
        day = day.astimezone(zone).date()
    return format_date(day, {"short": "d MMM", "medium": "d MMM y"}.get(style, style), locale=locale)


def ago_text(moment: datetime | None, locale: Locale, now: datetime) -> str:
    """3 minutes ago, in 2 hours."""
    if moment is None:
        return DASH
    return format_timedelta(moment - now, add_direction=True, threshold=1.2, locale=locale)


def time_markup(request: Request, moment: datetime | None, style: str, now: datetime) -> Markup:
    """`<time>` in the reader's zone; the exact moment with its zone is the tooltip. `style` may also be "ago"."""
    if moment is None:
        return escape(DASH)
    locale, zone = cldr(request.locale_name), zone_of(request)
    text = ago_text(moment, locale, now) if style == "ago" else datetime_text(moment, locale, zone, style)
    exact = datetime_text(moment, locale, zone, "long")
    gmt = _gmt(moment.astimezone(zone).utcoffset() or timedelta(0), locale)
    machine = moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
    title = escape(f"{exact} ({zone}, {gmt})")
    # Not Markup.format, which takes as long as the rest together; a table has a hundred of these.
    return Markup(f'<time datetime="{machine}Z" title="{title}">{escape(text)}</time>')  # noqa: S704


@lru_cache(maxsize=256)
def _gmt(offset: timedelta, locale: Locale) -> str:
    """GMT+03:00."""
    return get_timezone_gmt(datetime(2000, 1, 1, tzinfo=timezone(offset)), locale=locale)


@pass_context
def number(context: Context, value: Number | None) -> str:
    return number_text(value, cldr(request_of(context).locale_name))


@pass_context
def percent(context: Context, share: Number | None, digits: int = 1) -> str:
    return percent_text(share, cldr(request_of(context).locale_name), digits)


@pass_context
def compact(context: Context, value: Number | None) -> str:
    return compact_text(value, cldr(request_of(context).locale_name))


@pass_context
def filesize(context: Context, size_bytes: Number | None) -> str:
    return filesize_text(size_bytes, cldr(request_of(context).locale_name))


@pass_context
def duration(context: Context, seconds: Number | None) -> str:
    return duration_text(seconds, cldr(request_of(context).locale_name))


@pass_context
def format_moment(context: Context, moment: datetime | None, style: str = "medium") -> str:
    request = request_of(context)
    return datetime_text(moment, cldr(request.locale_name), zone_of(request), style)


@pass_context
def format_day(context: Context, day: date | datetime | None, style: str = "medium") -> str:
    request = request_of(context)
    return date_text(day, cldr(request.locale_name), zone_of(request), style)


@pass_context
def ago(context: Context, moment: datetime | None) -> str:
    return ago_text(moment, cldr(request_of(context).locale_name), datetime.now(UTC))


@pass_context
def time_tag(context: Context, moment: datetime | None, style: str = "medium") -> Markup:
    return time_markup(request_of(context), moment, style, datetime.now(UTC))


#: What templates get, as filters and as functions: `{{ n|number }}`, `{{ number(n) }}`.
FORMATS = {
    "number": number,
    "percent": percent,
    "compact": compact,
    "filesize": filesize,
    "duration": duration,
    "datetime": format_moment,
    "date": format_day,
    "ago": ago,
    "time_tag": time_tag,
}
