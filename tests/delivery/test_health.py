"""The circuit breaker: a relay that takes nothing is set aside for everybody, and probed by one."""

from __future__ import annotations

import math
from typing import Any

import psycopg
import pytest

from mailhub.delivery.feedback import Feedback
from mailhub.delivery.health import PROBES, REFUSALS, Health
from mailhub.delivery.outcome import SENT
from tests.delivery.brakes import connect, passed, threads, value

Database = psycopg.Connection[Any]
DOWN = "203.0.113.9:25: Connection refused"


@pytest.fixture
def health() -> Health:
    return Health()


def bring_down(database: Database, relay: str = "default") -> None:
    other = Health()
    for n in range(3):
        other.failed(database, relay, DOWN, float(n))


def test_three_failures_in_a_row_set_it_aside_for_everybody(database: Database, health: Health) -> None:
    assert not health.failed(database, "default", DOWN, 0.0)
    assert not Health().failed(database, "default", DOWN, 0.0), "of any process"
    assert Health().closed(database, 0.0) == {}
    assert health.failed(database, "default", DOWN, 1.0)
    assert Health().closed(database, 0.0) == {"default": DOWN}


def test_failures_far_apart_are_not_in_a_row(database: Database, health: Health) -> None:
    for _turn in range(5):
        assert not health.failed(database, "default", DOWN, 0.0)
        passed(database, "relay_health", 61)


def test_a_letter_that_is_taken_breaks_the_row(database: Database, health: Health) -> None:
    for _turn in range(5):
        health.failed(database, "default", DOWN, 0.0)
        health.failed(database, "default", DOWN, 0.0)
        health.worked(database, "default")
    assert health.closed(database, 9.0) == {}


def test_a_relay_that_works_for_others_is_only_avoided_here(database: Database, health: Health) -> None:
    feedback = Feedback()
    for n in range(6):
        assert not health.failed(database, "default", DOWN, 0.0)
        passed(database, "relay_health", 0.001)
        feedback.note("default", "other", SENT)
        feedback.flush(database, float(n))
    assert health.closed(database, 0.1) == {"default": DOWN}, "this process pauses"
    assert not health.may_try(database, "default", "me", 0.1)
    assert 9 < health.next_try_seconds(0.1) < 10
    assert Health().closed(database, 0.1) == {}
    assert health.may_try(database, "default", "me", 11.0)


def test_one_process_probes_at_a_time(live: Any, database: Database) -> None:
    bring_down(database)
    assert not Health().may_try(database, "default", "early", 0.0)
    passed(database, "relay_health", 1.1)
    allowed: list[str] = []

    def prober(name: str) -> None:
        with connect(live) as mine:
            if Health().may_try(mine, "default", name, 0.0):
                allowed.append(name)

    with threads(*(lambda name=name: prober(name) for name in "abcdefgh")) as failures:
        pass
    assert failures == []
    assert len(allowed) == 1
    assert not Health().may_try(database, "default", "late", 0.0)
    passed(database, "relay_health", 61)
    assert Health().may_try(database, "default", "late", 0.0), "the one that probed is dead"


def test_the_probes_are_further_and_further_apart(database: Database) -> None:
    bring_down(database)
    for pause in (*PROBES, PROBES[-1]):
        passed(database, "relay_health", pause - 0.5)
        assert not Health().may_try(database, "default", "me", 0.0)
        passed(database, "relay_health", 0.6)
        health = Health()
        assert health.may_try(database, "default", "me", 0.0)
        assert health.failed(database, "default", f"{DOWN} again", 0.0, owner="me")
    assert Health().closed(database, 0.0) == {"default": f"{DOWN} again"}


def test_connections_that_were_under_way_do_not_count_as_probes(database: Database) -> None:
    bring_down(database)
    for _turn in range(20):
        assert Health().failed(database, "default", "late", 0.0, owner="someone")
    assert value(database, "SELECT failures FROM relay_health") == 0
    assert Health().closed(database, 0.0) == {"default": DOWN}


def test_a_probe_that_works_opens_it_for_everybody(database: Database, health: Health) -> None:
    bring_down(database)
    other = Health()
    assert other.closed(database, 0.0) != {}
    passed(database, "relay_health", 2)
    assert health.may_try(database, "default", "me", 0.0)
    health.worked(database, "default")
    assert health.closed(database, 0.1) == {}
    assert other.closed(database, 0.6) == {}
    assert other.may_try(database, "default", "you", 0.6)
    assert value(database, "SELECT state FROM relay_health") == "up"


def test_a_probe_without_a_letter_is_handed_on(database: Database, health: Health) -> None:
    bring_down(database)
    passed(database, "relay_health", 2)
    assert health.may_try(database, "default", "me", 0.0)
    health.leave(database, "default", "me")
    assert Health().may_try(database, "default", "you", 0.0)


def test_success_costs_nothing_while_nothing_is_wrong(database: Database, health: Health) -> None:
    class Closed:
        def execute(self, *_args: Any) -> Any:
            raise AssertionError("a statement")

    closed: Any = Closed()
    health.closed(database, 0.0)
    for _turn in range(3):
        health.worked(closed, "default")
    assert health.may_try(closed, "default", "me", 0.4)
    health.failed(database, "default", DOWN, 0.0)
    with pytest.raises(AssertionError):
        health.worked(closed, "default")


def test_refusals_of_everything_set_it_aside(database: Database, health: Health) -> None:
    for n in range(REFUSALS - 1):
        assert not health.refused(database, "default", "451 later", float(n))
    assert health.refused(database, "default", "451 later", 30.0)
    assert health.closed(database, 30.0) == {"default": "451 later"}


def test_refusals_while_others_are_taken_do_not(database: Database, health: Health) -> None:
    for n in range(REFUSALS - 1):
        health.refused(database, "default", "451 later", float(n))
    health.worked(database, "default")
    assert not health.refused(database, "default", "451 later", 30.0)
    elsewhere = Feedback()
    elsewhere.note("default", "other", SENT)
    elsewhere.flush(database, 0.0)
    assert not any(health.refused(database, "default", "451 later", 31.0 + n) for n in range(REFUSALS))


def test_refusals_of_one_provider_are_the_providers(database: Database, health: Health) -> None:
    assert not any(health.refused(database, "mta", "421 later", float(n), lane="gmail") for n in range(60))
    assert health.refused(database, "mta", "421 later", 61.0, lane="yahoo")


def test_a_probe_that_is_refused_is_no_success(database: Database, health: Health) -> None:
    bring_down(database)
    passed(database, "relay_health", 2)
    assert health.may_try(database, "default", "me", 0.0)
    health.closed(database, 0.0)
    assert health.refused(database, "default", "421 later", 0.0, owner="me")
    assert value(database, "SELECT failures FROM relay_health") == 1


def test_the_next_try_is_known(database: Database, health: Health) -> None:
    assert health.next_try_seconds(5.0) == math.inf
    bring_down(database)
    health.closed(database, 5.0)
    assert 0 < health.next_try_seconds(5.0) <= 1

