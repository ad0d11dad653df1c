"""The cast of this room's tests, and a person whose address stands wherever one can."""

from __future__ import annotations

from tests.cast import cast, page, statements

__all__ = ["cast", "page", "statements"]
