"""The classifier's sent campaign; whatever a test does, the rollups agree with a recount afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mailhub.reporting.verify import verify
from tests.events.posts import Post


@pytest.fixture
def post(live: Any) -> Iterator[Post]:
    yield Post(live)
    assert verify(live.engine) == []
