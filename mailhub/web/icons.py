"""Icons: one sprite, `static/img/icons.svg`, drawn from Lucide by tools/vendor/vendor.py."""

from __future__ import annotations

import re
from functools import lru_cache

from markupsafe import Markup

from mailhub.web.assets import STATIC, static_url

SPRITE = "img/icons.svg"


def icon(name: str, label: str | None = None) -> Markup:
    """An icon of the sprite, hidden from screen readers unless it has a `label`. KeyError for an unknown name."""
    if name not in names():
        raise KeyError(f"no icon {name!r} in static/{SPRITE}; add it to tools/vendor/icons.txt and run `make vendor`")
    if label:
        href = f"{static_url(SPRITE)}#{name}"
        return Markup('<svg class="i" role="img" aria-label="{}"><use href="{}"/></svg>').format(label, href)
    return _hidden(static_url(SPRITE), name)


@lru_cache(maxsize=1024)
def _hidden(sprite: str, name: str) -> Markup:
    return Markup('<svg class="i" aria-hidden="true"><use href="{}"/></svg>').format(f"{sprite}#{name}")


@lru_cache
def names() -> frozenset[str]:
    """The names that the sprite knows."""
    return frozenset(re.findall(r'<symbol id="([a-z0-9-]+)"', (STATIC / SPRITE).read_text("utf-8")))
