"""Everything at once: processes killed at random, the database and the broker with them."""

from __future__ import annotations

import random

from tests.faults.crowd import Crowd, crowd
from tests.faults.drills import drill
from tests.faults.kills import judged, killing
from tests.faults.ledger import Figures
from tests.faults.services import Singles
from tests.faults.stand import Stand
from tests.faults.workers import connections

DATABASE_RESTARTS, BROKER_KILLS, PURGES = 2, 2, 1


@drill(people=30_000, turns=50, needs_rabbitmq=True, relay_options={"delay": 0.005})
def mayhem(stand: Stand) -> Figures:
    """50 × kill -9 of random processes, PostgreSQL restarted twice, the broker killed twice, its queues purged once."""
    for queue, processes in (("bulk", 2), ("bulk", 2), ("transactional", 1), ("celery", 1)):
        stand.worker(queue, processes)
    made = crowd(stand, stand.people)
    singles = Singles(stand, made)
    plan = ["kill"] * stand.turns + ["database"] * DATABASE_RESTARTS + ["broker"] * BROKER_KILLS + ["purge"] * PURGES
    random.shuffle(plan)
    in_doubt: list[int] = []
    steps = iter(plan)
    stand.turns = len(plan)

    def strike() -> None:
        step = next(steps)
        if step == "kill":
            worker = random.choice(stand.workers)
            in_doubt.append((worker.kill if random.random() < 0.5 else worker.kill_child)(stand.ports))
        elif step == "database":
            in_doubt.append(connections(stand.pids(), stand.ports))
            stand.restart_database()
        elif step == "broker":
            stand.broker.kill()
            stand.broker.start()
        else:
            stand.broker.purge()
        if step != "database":
            singles.post(1)

    silence = killing(stand, made, strike)
    singles.arrive(180)
    figures = judged(
        stand, made, silence, unknown_at_most=sum(in_doubt), kills=plan.count("kill"), strikes=len(plan),
        named_on_the_page=_named(stand, made),
    )  # fmt: skip
    figures |= singles.figures()
    # A single letter in doubt is sent once more, with the same Message-ID: that is its policy.
    figures["passed"] = (
        figures["passed"] and not figures["singles_lost"] and figures["named_on_the_page"] == figures["unknown"]
    )
    return figures


def _named(stand: Stand, made: Crowd) -> int:
    """How many people in doubt the campaign's list of recipients names."""
    path = f"/api/v1/campaigns/{made.campaign}/recipients?state=unknown&limit=500"
    return len(stand.api(made.project_id).get(path).json["results"])

