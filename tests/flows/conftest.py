"""Fixtures of the stories."""

from __future__ import annotations

from tests.cast import statements

__all__ = ["statements"]
