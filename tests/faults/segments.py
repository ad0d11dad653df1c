"""Random trees over random people: SQL against a plain reading, for as long as one likes."""

from __future__ import annotations

import secrets
import time

from tests.faults.drills import drill
from tests.faults.ledger import Figures
from tests.faults.stand import Stand
from tests.segments import crowd

#: Trees in one turn.
TREES = 200


@drill(people=200, turns=5)
def segments(stand: Stand) -> Figures:
    """Trees of every kind of rule find exactly whom a plain reading finds, and nobody of another project."""
    begun = time.monotonic()
    telling, wrong = 0, ""
    seeds = [secrets.randbelow(10**9) for _turn in range(stand.turns)]
    for seed in seeds:
        with stand.live.registry.session_factory() as dbsession:
            try:
                gathered = crowd.gather(dbsession, seed, stand.people)
                telling += crowd.compare(dbsession, gathered, seed, TREES)
            except AssertionError as difference:
                wrong = str(difference)
            finally:
                dbsession.rollback()
    trees = TREES * stand.turns
    return {
        "trees": trees,
        "told_people_apart": telling,
        "difference": wrong,
        "seconds": round(time.monotonic() - begun, 1),
        "passed": not wrong and telling > trees // 5,
    }
