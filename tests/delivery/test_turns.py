"""Whose turn it is: equal shares whatever the backlog, and no credit for idleness."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from mailhub.delivery import turns
from tests.delivery.brakes import connect, passed, threads, value

Database = psycopg.Connection[Any]

NEXT = f"""
    SELECT p.id FROM project AS p LEFT JOIN project_turn AS t ON t.project_id = p.id
    WHERE p.id = ANY(%s) ORDER BY {turns.ORDER} LIMIT 1
"""


@pytest.fixture
def projects(live: Any, database: Database) -> list[int]:
    live.session.execute(
        text(
            "INSERT INTO project (slug, name, domain) SELECT 'p' || n, 'p', 'p.test' FROM generate_series(1, 20) AS n"
        )
    )
    live.session.commit()
    return [row[0] for row in database.execute("SELECT id FROM project ORDER BY id").fetchall()]


def claim(connection: Database, projects: list[int], n: int = 500) -> int:
    with connection.transaction():
        chosen = value(connection, NEXT, projects)
        turns.charge(connection, chosen, n)
    return int(chosen)


def test_a_backlog_500_times_as_large_gets_half(database: Database, projects: list[int]) -> None:
    backlog = {projects[0]: 50_000, projects[1]: 100}
    got: Counter[int] = Counter()
    for _turn in range(150):
        chosen = claim(database, [project for project, left in backlog.items() if left > 0])
        got[chosen] += 1
        backlog[chosen] -= 1
        if not backlog[projects[1]]:
            break
    assert abs(got[projects[0]] - got[projects[1]]) <= 1


def test_twenty_projects_get_the_same(live: Any, database: Database, projects: list[int]) -> None:
    """600 claims by three connections at once, chunks of mixed sizes: within a chunk or two of each other."""
    sent: Counter[int] = Counter()

    def claimer(seed: int) -> None:
        chance = random.Random(seed)
        with connect(live) as mine:
            for _turn in range(200):
                n = chance.choice((500, 500, 500, 20, 3))
                sent[claim(mine, projects, n)] += n

    with threads(*(lambda seed=seed: claimer(seed) for seed in range(3))) as failures:
        pass
    assert failures == []
    assert len(sent) == 20
    assert max(sent.values()) - min(sent.values()) <= 3 * 500 + 500


def test_a_weight_is_a_share(database: Database, projects: list[int]) -> None:
    turns.charge(database, projects[0], 1)
    turns.charge(database, projects[1], 1)
    database.execute("UPDATE project_turn SET weight = 3 WHERE project_id = %s", (projects[1],))
    got = Counter(claim(database, projects[:2]) for _turn in range(80))
    assert 18 <= got[projects[0]] <= 22


def test_who_was_idle_has_saved_up_nothing(database: Database, projects: list[int]) -> None:
    idle, busy = projects[:2]
    claim(database, [idle])
    passed(database, "project_turn", 3600)
    for _turn in range(40):
        claim(database, [busy])
    got = Counter(claim(database, [idle, busy]) for _turn in range(20))
    assert abs(got[idle] - got[busy]) <= 2


def test_who_was_busy_while_nobody_else_was_is_not_punished(database: Database, projects: list[int]) -> None:
    rich, poor = projects[:2]
    claim(database, [poor])
    for _turn in range(40):
        claim(database, [rich])
    passed(database, "project_turn", 3600)
    got = Counter(claim(database, [rich, poor]) for _turn in range(20))
    assert abs(got[rich] - got[poor]) <= 2


def test_a_newcomer_begins_where_the_others_are(database: Database, projects: list[int]) -> None:
    for _turn in range(40):
        claim(database, projects[:2])
    got = Counter(claim(database, projects[:3]) for _turn in range(30))
    assert max(got.values()) - min(got.values()) <= 2


def test_at_a_few_letters_a_minute_it_goes_turn_by_turn(database: Database, projects: list[int]) -> None:
    got: Counter[int] = Counter()
    for _turn in range(30):
        got[claim(database, projects[:3], 1)] += 1
        passed(database, "project_turn", 20)
    assert set(got.values()) == {10}


def test_what_was_not_sent_is_given_back(database: Database, projects: list[int]) -> None:
    turns.charge(database, projects[0], 500)
    turns.charge(database, projects[0], -400)
    assert value(database, "SELECT vtime FROM project_turn") == 100


def test_claims_of_different_projects_do_not_wait_for_each_other(
    live: Any, database: Database, projects: list[int]
) -> None:
    statement = f"""
        SELECT t.project_id FROM project_turn AS t ORDER BY {turns.ORDER} LIMIT 1 FOR UPDATE OF t SKIP LOCKED
    """
    for project in projects[:2]:
        turns.charge(database, project, 0)
    with connect(live) as other, database.transaction(), other.transaction():
        first, second = value(database, statement), value(other, statement)
        assert {first, second} == set(projects[:2])
        turns.charge(other, second, 500)
        turns.charge(database, first, 500)
