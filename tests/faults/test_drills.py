"""The drills in their short form, with real Celery workers. One stand serves them all, one after the other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.broker import rabbitmq_is_installed
from tests.faults.csv_fuzz import fuzz, summed
from tests.faults.drills import load
from tests.faults.refusals import PATIENCE
from tests.faults.stand import Stand

DRILLS = load()
#: What any of the drills below needs, together.
SETTINGS = {
    "mailhub.delivery.lease_seconds": "6",
    "mailhub.delivery.retry_schedule": PATIENCE.strip(),
}

needs_rabbitmq = [
    pytest.mark.production,
    pytest.mark.skipif(not rabbitmq_is_installed(), reason="rabbitmq-server is not installed"),
]


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with _stand(tmp_path_factory.mktemp("embedded"), "embedded") as made:
        yield made


@pytest.fixture(scope="module", params=["embedded", pytest.param("rabbitmq", marks=needs_rabbitmq)])
def stand(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """One of each broker, for drills in which it has a part."""
    if request.param == "embedded":
        yield request.getfixturevalue("embedded")
        return
    with _stand(tmp_path_factory.mktemp("rabbitmq"), "rabbitmq") as made:
        yield made


def _stand(folder: Path, broker: str) -> Stand:
    settings = SETTINGS | {"mailhub.delivery.timeouts": "2s"}
    return Stand(folder, broker=broker, relays=("default", "second"), **settings)


def hold(stand: Stand, name: str, people: int, turns: int = 1) -> None:
    stand.reset(delay=0.01)
    stand.people, stand.turns, stand.window_seconds = people, turns, 1.0
    figures = DRILLS[name].hold(stand)
    assert figures["passed"], json.dumps(figures)


def test_a_killed_worker_loses_nothing(stand: Stand) -> None:
    hold(stand, "kill_main", 300)


def test_a_killed_pool_process_loses_nothing(stand: Stand) -> None:
    hold(stand, "kill_child", 300)


def test_a_restart_leaves_nothing_in_doubt(stand: Stand) -> None:
    hold(stand, "rolling", 300)


def test_a_frozen_process_is_fenced(embedded: Stand) -> None:
    hold(embedded, "frozen", 800)


def test_a_killed_broker_loses_nothing(stand: Stand) -> None:
    if stand.broker.url == "embedded":
        return hold(stand, "queues_purged", 300)
    return hold(stand, "broker_killed", 600)


def test_a_database_that_restarts_loses_nothing(stand: Stand) -> None:
    hold(stand, "database_restarted", 600)


def test_temporary_refusals_end_well(embedded: Stand) -> None:
    hold(embedded, "temporary_refusals", 40)


def test_final_refusals_end_in_their_class(embedded: Stand) -> None:
    hold(embedded, "final_refusals", 200)


def test_a_silent_relay_holds_up_nobody_else(embedded: Stand) -> None:
    hold(embedded, "half_open", 20_000)


def test_old_events_go_while_everybody_works(embedded: Stand) -> None:
    hold(embedded, "retention_drop", 20_000)


def test_hits_survive_the_server_and_the_database(embedded: Stand) -> None:
    hold(embedded, "hits", 500, turns=0)


def test_heavy_reports_leave_the_site_alone(embedded: Stand) -> None:
    hold(embedded, "reports", 20_000)


def test_whatever_is_uploaded_is_accepted_or_listed(tmp_path: Path) -> None:
    figures = summed([vars(fuzz(tmp_path, 1, range(300)))])
    assert figures["passed"], json.dumps(figures)


def test_list_bombs_stay_within_their_caps(embedded: Stand) -> None:
    hold(embedded, "list_bombing", 40)


def test_every_drill_says_what_it_does() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "drills.md").read_text(encoding="utf-8")
    for name, drill in DRILLS.items():
        assert drill.says
        assert f"| `{name}` |" in page
