"""The cast of this room's tests."""

from __future__ import annotations

import pytest

from tests.cast import cast, page, statements
from tests.imports.importer import Importer

__all__ = ["cast", "importer", "page", "statements"]


@pytest.fixture
def importer(live):
    return Importer(live)
