"""The cast of this room's tests."""

from __future__ import annotations

from tests.cast import cast, page, statements

__all__ = ["cast", "page", "statements"]
