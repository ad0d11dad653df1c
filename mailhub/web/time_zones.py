"""Time zones that a person may choose from: cities, with what their clocks are ahead of UTC now."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

_AREAS = ("Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")


@lru_cache(maxsize=1)
def zone_names() -> tuple[str, ...]:
    """UTC, then the zones named after a place, by name."""
    places = sorted(name for name in available_timezones() if name.split("/")[0] in _AREAS and "/" in name)
    return ("UTC", *places)


def is_zone(name: str) -> bool:
    return name in zone_names()


def zone_options(now: datetime | None = None) -> list[tuple[str, str]]:
    """Pairs for a select: `("Europe/Moscow", "Europe/Moscow (UTC+03:00)")`."""
    now = now or datetime.now(UTC)
    return [(name, _label(name, now)) for name in zone_names()]


def _label(name: str, now: datetime) -> str:
    offset = now.astimezone(ZoneInfo(name)).isoformat()[-6:]
    return name if name == "UTC" else f"{name.replace('_', ' ')} (UTC{offset})"
