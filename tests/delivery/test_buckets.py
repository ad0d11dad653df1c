"""Token buckets: what is granted is what has flowed in, however many ask."""

from __future__ import annotations

import threading
from typing import Any

import psycopg

from mailhub.delivery import buckets
from mailhub.delivery.buckets import Grant, limits, put_back, set_rates, take
from tests.delivery.brakes import connect, passed, threads, value


def rewind(connection: psycopg.Connection[Any], seconds: float) -> None:
    passed(connection, "rate_bucket", seconds)


def tokens(connection: psycopg.Connection[Any], key: str) -> float:
    return float(value(connection, "SELECT tokens FROM rate_bucket WHERE key = %s", key))


def test_keys_without_a_bucket_limit_nothing(database: psycopg.Connection[Any]) -> None:
    assert take(database, ["relay:a", "project:1"], 7) == Grant(7)
    assert take(database, [], 7) == Grant(7)
    assert limits(database, ["relay:a"]) == {}


def test_a_full_bucket_gives_its_burst_and_then_says_how_long_to_wait(database: psycopg.Connection[Any]) -> None:
    set_rates(database, {"relay:a": 0.5})
    assert take(database, ["relay:a"], 10) == Grant(1)
    empty = take(database, ["relay:a"], 10)
    assert (empty.n, empty.key) == (0, "relay:a")
    assert 1.5 < empty.wait_seconds <= 2
    rewind(database, empty.wait_seconds)
    assert take(database, ["relay:a"], 10) == Grant(1)


def test_one_letter_an_hour(database: psycopg.Connection[Any]) -> None:
    set_rates(database, {"campaign:1:1": 1 / 3600})
    assert take(database, ["campaign:1:1"], 100).n == 1
    assert 3590 < take(database, ["campaign:1:1"], 100).wait_seconds <= 3600
    rewind(database, 1800)
    assert take(database, ["campaign:1:1"], 100).n == 0
    rewind(database, 1800)
    assert take(database, ["campaign:1:1"], 100).n == 1
    rewind(database, 36_000)
    assert take(database, ["campaign:1:1"], 100).n == 1, "idle hours save nothing up"


def test_the_same_number_is_taken_from_all_or_nothing_from_any(database: psycopg.Connection[Any]) -> None:
    set_rates(database, {"project:1": 0.001, "relay:a": 400, "lane:a:gmail": 40})
    assert take(database, ["relay:a", "lane:a:gmail", "nothing:here"], 60).n == 10
    assert 89 < tokens(database, "relay:a") < 91
    assert take(database, ["relay:a", "project:1"], 60).n == 1
    left = tokens(database, "relay:a")
    refused = take(database, ["relay:a", "project:1"], 60)
    assert (refused.n, refused.key) == (0, "project:1")
    assert refused.wait_seconds > 900
    assert tokens(database, "relay:a") == left


def test_less_than_is_worth_a_call_is_not_granted(database: psycopg.Connection[Any]) -> None:
    set_rates(database, {"relay:a": 0.04})
    database.execute("UPDATE rate_bucket SET burst = 100, tokens = 3")
    waiting = take(database, ["relay:a"], 50, at_least=5)
    assert waiting.n == 0
    assert 1170 < waiting.wait_seconds <= 1175, "until there is what was wanted"
    assert take(database, ["relay:a"], 2, at_least=5).n == 2
    assert take(database, ["relay:a"], 50, at_least=1).n == 1


def test_who_goes_ahead_borrows_and_the_others_wait(database: psycopg.Connection[Any]) -> None:
    set_rates(database, {"relay:a": 4})
    assert take(database, ["relay:a"], 10).n == 1
    assert take(database, ["relay:a"], 10).n == 0
    assert take(database, ["relay:a"], 3, ahead=True).n == 3
    assert take(database, ["relay:a"], 3, ahead=True).n <= 1, "a second's worth and no more"
    assert take(database, ["relay:a"], 10).wait_seconds > 0.7


def test_letters_that_were_not_sent_go_back(database: psycopg.Connection[Any]) -> None:
    set_rates(database, {"relay:a": 0.004, "project:1": 0.004})
    database.execute("UPDATE rate_bucket SET burst = 10, tokens = 10")
    assert take(database, ["relay:a", "project:1"], 8).n == 8
    put_back(database, ["relay:a", "project:1"], 5)
    assert [round(tokens(database, key)) for key in ("relay:a", "project:1")] == [7, 7]
    put_back(database, ["relay:a"], 50)
    assert tokens(database, "relay:a") == 10


def test_a_changed_rate_keeps_what_fits(database: psycopg.Connection[Any]) -> None:
    set_rates(database, {"a": 400, "b": 0.001})
    assert take(database, ["a"], 60).n == 60
    set_rates(database, {"a": 40})
    assert limits(database, ["a", "b"]) == {"a": buckets.Limit(40, 10), "b": buckets.Limit(0.001, 1)}
    assert tokens(database, "a") == 10
    set_rates(database, {"a": 400})
    assert tokens(database, "a") < 100, "a limit that is raised does not fill the bucket"
    set_rates(database, {"a": None, "b": 0})
    assert limits(database, ["a", "b"]) == {}
    assert take(database, ["a", "b"], 5).n == 5


def test_the_same_rate_again_changes_nothing(database: psycopg.Connection[Any]) -> None:
    set_rates(database, {"a": 0.001})
    assert take(database, ["a"], 1).n == 1
    set_rates(database, {"a": 0.001})
    assert take(database, ["a"], 1).n == 0


def test_many_takers_get_what_flows_in_and_not_one_more(live: Any, database: psycopg.Connection[Any]) -> None:
    """Eight connections, one bucket, a second and a half: burst + rate × the database's own time, to the letter."""
    rate = 200.0
    set_rates(database, {"relay:a": rate})
    began, given = database.execute("SELECT clock_timestamp()").fetchone()[0], [0] * 8
    stop = threading.Event()

    def taker(place: int) -> None:
        with connect(live) as mine:
            while not stop.is_set():
                grant = take(mine, ["relay:a", "nothing:here"], 20, at_least=5)
                given[place] += grant.n
                stop.wait(min(grant.wait_seconds, 0.1))

    with threads(*(lambda place=place: taker(place) for place in range(8))) as failures:
        stop.wait(1.5)
        stop.set()
    assert failures == []
    row = database.execute("SELECT tokens, updated_at FROM rate_bucket").fetchone()
    # What was granted and what is left is what was there and what has flowed in; a full bucket may have spilled some.
    flowed = (row[1] - began).total_seconds() * rate
    assert sum(given) + row[0] <= 50 + flowed + 1
    assert sum(given) > 50
    assert row[0] >= -1e-6


def test_takers_of_several_buckets_and_changes_of_rates_do_not_deadlock(
    live: Any, database: psycopg.Connection[Any]
) -> None:
    keys = ["relay:a", "lane:a:gmail", "project:1", "project:2", "campaign:1:1"]
    set_rates(database, dict.fromkeys(keys, 10_000.0))

    def taker(turn: int) -> None:
        with connect(live) as mine:
            for n in range(60):
                mixed = keys[(turn + n) % 5 :] + keys[: (turn + n) % 5]
                take(mine, mixed[:3], 2)
                put_back(mine, reversed(mixed[1:4]), 1)

    def changer(turn: int) -> None:
        with connect(live) as mine:
            for n in range(30):
                mixed = keys[(turn + n) % 5 :] + keys[: (turn + n) % 5]
                set_rates(mine, dict(zip(mixed, (9_000.0, None, 8_000.0 + n, 7_000.0, None), strict=True)))

    bodies = [lambda t=t: taker(t) for t in range(4)] + [lambda t=t: changer(t) for t in range(3)]
    with threads(*bodies) as failures:
        pass
    assert failures == []
