"""Keyset paging: a page is what comes after a row, never an OFFSET."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pyramid.request import Request

Row = TypeVar("Row")

PAGE_SIZE = 50
API_LIMIT, API_LIMIT_MAX = 100, 500


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Rows of a page, and the cursor of the next one (None at the end)."""

    rows: Sequence[Row]
    next: str | None


def cursor(*keys: Any) -> str:
    """An opaque, URL-safe cursor from the sort keys of a page's last row (numbers and text)."""
    return base64.urlsafe_b64encode(json.dumps(keys, separators=(",", ":")).encode()).rstrip(b"=").decode()


def read_cursor(value: str | None, *kinds: type) -> tuple[Any, ...] | None:
    """The keys of a cursor; None where there is none or somebody has changed it (then the first page is shown)."""
    if not value or len(value) > 2000:
        return None
    try:
        keys = json.loads(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return None
    if not isinstance(keys, list) or len(keys) != len(kinds):
        return None
    # bool is an int to isinstance, hence type().
    ok = all(type(key) is kind for key, kind in zip(keys, kinds, strict=True))
    ok = ok and all(abs(key) < 2**63 for key in keys if isinstance(key, int))
    return tuple(keys) if ok else None


def page_of(rows: Sequence[Row], limit: int, key: Callable[[Row], Sequence[Any]]) -> Page[Row]:
    """A page from `limit + 1` fetched rows: the one too many says that there is more."""
    if len(rows) <= limit:
        return Page(rows, None)
    return Page(rows[:limit], cursor(*key(rows[limit - 1])))


def next_url(request: Request, page: Page[Any]) -> str | None:
    """The same URL with the cursor of the next page."""
    if page.next is None:
        return None
    query = {name: value for name, value in request.GET.items() if name != "after"}
    query["after"] = page.next
    return str(request.current_route_path(_query=query))


def first_url(request: Request) -> str | None:
    """The same URL without a cursor; None on the first page."""
    if "after" not in request.GET:
        return None
    query = [(name, value) for name, value in request.GET.items() if name != "after"]
    return str(request.current_route_path(_query=query))
