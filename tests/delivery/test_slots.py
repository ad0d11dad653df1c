"""Connections: never more than the cap over all processes, and a share for everybody."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from mailhub.delivery.slots import WHOLE_RELAY, Claim, acquire, forget_dead, release, renew, share
from tests.delivery.brakes import connect, passed, threads, value

Database = psycopg.Connection[Any]


def ask(connection: Database, owner: str, want: int, *, cap: int = 10, held: int = 0, lane: str = WHOLE_RELAY) -> int:
    return acquire(connection, "default", lane, owner, want, cap, 20, held=held)


@pytest.mark.parametrize(
    ("mine", "others", "cap", "part"),
    [
        ((0, 5), [], 10, 5),
        ((0, 50), [], 10, 10),
        ((0, 10), [(10, 10)], 10, 5),
        ((10, 10), [(0, 10)], 10, 5),
        ((0, 2), [(8, 20)], 10, 2),
        ((8, 20), [(0, 2)], 10, 8),
        ((0, 10), [(5, 10), (5, 10)], 10, 3),
        ((5, 10), [(5, 9), (0, 10)], 10, 4),
        ((1, 10), [(0, 10), (0, 10)], 1, 1),
        ((0, 10), [(1, 10), (0, 10)], 1, 0),
        ((0, 0), [(4, 10)], 10, 0),
        ((3, 0), [(4, 10)], 10, 0),
    ],
)
def test_the_share(mine: tuple[int, int], others: list[tuple[int, int]], cap: int, part: int) -> None:
    given = [Claim(f"o{n}", *other) for n, other in enumerate(others)]
    assert share(Claim("me", *mine), given, cap) == part


def test_shares_add_up_to_the_cap_or_to_what_is_wanted() -> None:
    for cap in range(24):
        for wants in ((3, 3, 3), (1, 9, 20), (0, 5, 5), (7, 7, 7), (20, 1, 1)):
            claims = [Claim(f"o{n}", n, want) for n, want in enumerate(wants)]
            parts = [share(one, [each for each in claims if each is not one], cap) for one in claims]
            assert sum(parts) == min(cap, sum(wants)), (cap, wants, parts)


def test_a_newcomer_gets_its_share_as_the_first_one_closes(database: Database) -> None:
    assert ask(database, "one", 10) == 10
    assert ask(database, "two", 10) == 0, "what is open counts until it is closed"
    assert ask(database, "one", 10, held=10) == 5
    assert ask(database, "two", 10) == 0
    assert ask(database, "one", 10, held=7) == 5
    assert ask(database, "two", 10) == 3
    assert ask(database, "one", 10, held=5) == 5
    assert ask(database, "two", 10, held=3) == 5
    assert ask(database, "two", 2, held=5) == 2
    assert ask(database, "one", 10, held=5) == 5
    assert ask(database, "two", 2, held=2) == 2
    assert ask(database, "one", 10, held=5) == 8


def test_lanes_and_relays_are_counted_apart(database: Database) -> None:
    assert ask(database, "one", 10) == 10
    assert ask(database, "one", 10, lane="gmail", cap=3) == 3
    assert acquire(database, "other", WHOLE_RELAY, "one", 4, 10, 20) == 4


def test_a_smaller_cap_is_kept_to(database: Database) -> None:
    assert ask(database, "one", 10) == 10
    assert ask(database, "one", 10, cap=1, held=10) == 1
    assert ask(database, "two", 10, cap=1) == 0


def test_the_dead_lose_theirs_and_the_living_do_not(database: Database) -> None:
    assert ask(database, "dead", 6) == 6
    assert ask(database, "alive", 4) == 4
    passed(database, "connection_slot", 15)
    renew(database, "alive", 20)
    passed(database, "connection_slot", 10)
    assert ask(database, "new", 10) == 6
    forget_dead(database)
    assert value(database, "SELECT count(*) FROM connection_slot") == 3
    passed(database, "connection_slot", 90)
    renew(database, "alive", 20)
    assert ask(database, "newest", 10) == 10, "a lease that has ended is not revived"
    forget_dead(database)
    assert value(database, "SELECT count(*) FROM connection_slot") == 1


def test_what_is_released_is_free_at_once(database: Database) -> None:
    ask(database, "one", 6)
    ask(database, "one", 3, lane="gmail")
    release(database, "one", "default", "gmail")
    assert value(database, "SELECT count(*) FROM connection_slot") == 1
    release(database, "one")
    assert ask(database, "two", 10) == 10


def test_many_processes_never_hold_more_than_the_cap(live: Any, database: Database) -> None:
    """Six owners open and close; what the table says they hold is looked at all the time."""
    def owner(place: int) -> None:
        with connect(live) as mine:
            held = 0
            for turn in range(25):
                want = (place * 3 + turn * 5) % 12
                allowed = ask(mine, f"o{place}", want, held=held)
                held = max(allowed, held - 1) if turn % 2 else allowed
                ask(mine, f"o{place}", want, held=min(held, allowed))
                held = min(held, allowed)

    most = 0
    with threads(*(lambda place=place: owner(place) for place in range(6))) as failures:
        for _turn in range(200):
            most = max(most, value(database, "SELECT coalesce(sum(n), 0) FROM connection_slot"))
    assert failures == []
    assert 0 < most <= 10
