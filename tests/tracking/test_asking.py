"""Nobody waits for a database that hangs or is away."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from mailhub.tracking.asking import Asking, DatabaseAway


@pytest.fixture
def asking(app: Any) -> Asking:
    return Asking(app.registry)


def test_an_answer_comes_back_and_what_is_written_stays(asking: Asking) -> None:
    assert asking.ask(lambda session: session.execute(text("SELECT 7")).scalar_one()) == 7


def test_a_server_that_hangs_is_not_waited_for_and_not_asked_again(asking: Asking) -> None:
    leave = threading.Event()
    with pytest.raises(DatabaseAway):
        asking.ask(lambda _session: leave.wait(60), seconds=0.05)
    began = time.monotonic()
    with pytest.raises(DatabaseAway, match="has been away"):
        asking.ask(lambda _session: 1, seconds=30)
    assert time.monotonic() - began < 20
    leave.set()


def test_a_failure_is_an_absence_and_a_mistake_is_a_mistake(asking: Asking) -> None:
    def away(_session: Any) -> None:
        raise OperationalError("SELECT", {}, Exception("gone"))

    def mistake(_session: Any) -> None:
        raise KeyError("name")

    with pytest.raises(KeyError):
        asking.ask(mistake)
    with pytest.raises(DatabaseAway, match="OperationalError"):
        asking.ask(away)


def test_after_a_pause_one_tries_for_all(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_session: Any) -> None:
        raise OperationalError("SELECT", {}, Exception("gone"))

    with pytest.raises(DatabaseAway):
        asking.ask(away)
    monkeypatch.setattr(asking, "_away_until", 0.0)
    asked = []

    def again(_session: Any) -> int:
        with pytest.raises(DatabaseAway, match="has been away"):
            asking.ask(lambda _session: asked.append(1))
        return 7

    assert asking.ask(again) == 7
    assert asking.ask(lambda _session: 8) == 8
    assert asked == []


def test_each_failure_doubles_the_pause(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("mailhub.tracking.asking.time.monotonic", lambda: now[0])
    pauses = []
    for _turn in range(5):
        asking._note(went_well=False)
        pauses.append(asking._away_until - now[0])
    assert pauses == [1, 2, 4, 8, 8]
