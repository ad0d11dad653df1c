"""Where to go after a form: a path of this site, whatever a link's author has put into `next` (walls.md, T5)."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

#: Printable ASCII without the backslash, which browsers read as a slash.
_PATH = re.compile(r"/(?:[!-\[\]-~]{0,2000})")


def local_path(value: str | None, default: str = "/") -> str:
    """`value` if it is a path of this site with nothing that a browser could take for another host, else `default`."""
    if not value or not _PATH.fullmatch(value) or value.startswith("//"):
        return default
    try:
        parts = urlsplit(value)
    except ValueError:
        return default
    return value if not parts.scheme and not parts.netloc else default
