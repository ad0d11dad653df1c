"""The drills in their short form, with real Celery workers on the embedded broker."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.drills import DRILLS
from tests.faults.stand import Stand
from tests.sink import Sink


@pytest.mark.parametrize("name", ["kill_child", "rolling_restart"])
def test_nothing_is_lost(live: Any, name: str) -> None:
    with Sink(delay_seconds=0.01) as sink, Stand(live, sink) as stand:
        stand.turns = 1
        figures = DRILLS[name](stand, 400)
    assert figures["passed"], figures
