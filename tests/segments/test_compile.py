"""A tree compiled to SQL finds exactly the people whom a plain reading of it finds, and nobody of another project."""

from __future__ import annotations

import random

import pytest
from sqlalchemy.orm import Session

from mailhub.segments import service
from tests.segments import crowd, trees

#: `make faults` goes on for longer (tests/faults/segments.py).
TREES = 60


@pytest.mark.parametrize("seed", [random.randrange(10**9), 1])
def test_a_tree_finds_whom_a_plain_reading_finds(dbsession: Session, seed: int) -> None:
    gathered = crowd.gather(dbsession, seed)
    rnd = random.Random(seed)
    found_some = 0
    for _turn in range(TREES):
        definition = trees.tree(rnd, gathered)
        tree = service.read(dbsession, gathered.project_id, definition)
        found = set(dbsession.scalars(service.select_ids(gathered.project_id, tree, crowd.NOW)))
        expected = {one.id for one in gathered.people if crowd.holds(definition, one, gathered)}
        assert found == expected, (seed, definition)
        found_some += 0 < len(found) < len(gathered.people)
    assert found_some > TREES // 4
