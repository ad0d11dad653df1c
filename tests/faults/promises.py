"""What the post office promises when nothing is broken: pause and cancel, fair shares, exact limits."""

from __future__ import annotations

import time

from tests.faults import ledger
from tests.faults.crowd import Crowd, crowd
from tests.faults.drills import drill
from tests.faults.ledger import Figures
from tests.faults.stand import Stand


def _last_letter(stand: Stand, made: Crowd, action: str) -> float:
    """Do it, wait until the wire is quiet; gives the seconds from the click to the last letter."""
    at = time.time()
    made.do(action)
    seen, quiet_since = -1, time.monotonic()
    while time.monotonic() - quiet_since < 3:
        n = len(stand.relay.record())
        if n != seen:
            seen, quiet_since = n, time.monotonic()
        assert time.time() - at < 60, f"{action}: letters are sent a minute later"
        time.sleep(0.05)
    return max(0.0, stand.relay.record()[-1].at - at)


@drill(people=100_000, turns=3)
def pause_cancel(stand: Stand) -> Figures:
    """From the click to the last letter on the wire: less than two seconds, for a campaign of any size."""
    stand.worker("bulk", 2)
    stand.worker("celery", 1)
    made = crowd(stand, stand.people)
    made.start()
    pauses: list[float] = []
    for _turn in range(stand.turns):
        so_far = stand.relay.taken()
        stand.until(lambda n=so_far: stand.relay.taken() > n + stand.people // 50, 120, "sending goes on")
        pauses.append(_last_letter(stand, made, "pause"))
        assert ledger.state(stand, made) == "paused"
        made.do("resume")
    so_far = stand.relay.taken()
    stand.until(lambda: stand.relay.taken() > so_far + 10, 120, "sending goes on")
    cancel = _last_letter(stand, made, "cancel")
    began = time.monotonic()
    stand.until(lambda: ledger.counts(stand, made)["queued"] == 0, 600, "the rest is skipped")
    figures = ledger.compare(stand, made) | {
        "pause_seconds": round(max(pauses), 3), "cancel_seconds": round(cancel, 3),
        "skipping_seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip
    faults = ("lost", "duplicates", "ghosts", "wrong_ids", "unaccounted", "unknown", "failed", "deferred")
    figures["passed"] = (
        figures["pause_seconds"] < 2
        and figures["cancel_seconds"] < 2
        and not any(figures[name] for name in faults)
        and figures["sent"] + figures["skipped"] == figures["audience"]
        and figures["skipped"] > 0
    )
    return figures


#: The large project's campaigns, and how many times the small one's people each of them has.
CAMPAIGNS, TIMES = 100, 5


@drill(people=8000, relay_options={"delay": 0.005})
def fair(stand: Stand) -> Figures:
    """Two projects, one with 500 times the backlog of the other: each gets half while both have letters to send."""
    stand.worker("bulk", 2)
    large = crowd(stand, stand.people * TIMES, campaigns=CAMPAIGNS)
    small = crowd(stand, stand.people)
    large.start()
    stand.until(lambda: _fanned_out(stand, large) == CAMPAIGNS, 900, "the large backlog")
    small.start()
    goal = stand.people * 9 // 10

    def mine() -> int:
        return sum(one.recipient.endswith("@" + small.domain) for one in stand.relay.delivered())

    stand.until(lambda: mine() >= goal, 900, f"{goal} letters of the small project", pause=0.5)
    times = [one.at for one in stand.relay.delivered() if one.recipient.endswith("@" + small.domain)]
    since, until = times[len(times) // 20], times[-1]
    both = [ledger.speed(stand.relay.record(), one.domain, since, until) for one in (small, large)]
    share = both[0] / sum(both)
    return {
        "small_backlog": stand.people, "large_backlog": stand.people * TIMES * CAMPAIGNS,
        "small_per_second": round(both[0], 1), "large_per_second": round(both[1], 1),
        "share_percent": round(100 * share, 1), "passed": 0.45 <= share <= 0.55,
    }  # fmt: skip


def _fanned_out(stand: Stand, made: Crowd) -> int:
    statement = "SELECT count(*) FROM campaign WHERE project_id = %s AND fanned_out_at IS NOT NULL"
    return int(stand.query(statement, [made.project_id])[0][0])


PER_SECOND, LIMIT_SECONDS = 200, 60


@drill(people=PER_SECOND * 80, **{"mailhub.relay.default.messages_per_second": str(PER_SECOND)})
def limit(stand: Stand) -> Figures:
    """A relay's 200 letters a second over eight processes, for a minute behind the first burst: within 2 %."""
    for _n in range(2):
        stand.worker("bulk", 4)
    made = crowd(stand, stand.people)
    made.start()
    seconds = min(LIMIT_SECONDS, stand.people // PER_SECOND - 15)
    stand.until(lambda: stand.relay.taken() > PER_SECOND * 2, 120, "the first letters")
    since = stand.relay.record()[0].at + 5
    stand.until(lambda: time.time() > since + seconds + 1, seconds * 3 + 60, "a minute")
    speed = ledger.speed(stand.relay.record(), made.domain, since, since + seconds)
    by_second = [
        ledger.speed(stand.relay.record(), made.domain, since + n, since + n + 1) for n in range(int(seconds))
    ]
    return {
        "letters_per_second": round(speed, 2), "measured_seconds": seconds, "slowest_second": round(min(by_second)),
        "fastest_second": round(max(by_second)), "passed": abs(speed / PER_SECOND - 1) <= 0.02,
    }  # fmt: skip
