"""Colours of a form, and whether people can read them: contrast by WCAG 2.2."""

from __future__ import annotations

import re

_HEX = re.compile(r"#[0-9a-f]{6}")
#: WCAG 2.2, 1.4.3: text against its background.
MIN_TEXT = 4.5
#: WCAG 2.2, 1.4.11: the edge of a control against what is beside it.
MIN_EDGE = 3.0


def hex_colour(text: str) -> str | None:
    """`#aabbcc` in lower case, from `#ABC`, `aabbcc` and the like; None for what is no colour."""
    given = text.strip().lower().removeprefix("#")
    if len(given) == 3:
        given = "".join(letter * 2 for letter in given)
    colour = f"#{given}"
    return colour if _HEX.fullmatch(colour) else None


def luminance(colour: str) -> float:
    """Relative luminance, 0 for black to 1 for white (WCAG 2.2, the definition)."""
    channels = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def edge_of(surface: str) -> str:
    """A grey for the edges of inputs that can be seen on this surface."""
    return "#6b7480" if contrast("#6b7480", surface) >= MIN_EDGE else "#c3cad4"
