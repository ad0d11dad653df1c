"""Drills 5 to 10: the broker and the database go, come back, forget."""

from __future__ import annotations

import contextlib
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.faults import ledger
from tests.faults.crowd import Crowd, crowd
from tests.faults.drills import drill
from tests.faults.kills import DELAY, judged, killing
from tests.faults.ledger import Figures
from tests.faults.line import lossy
from tests.faults.stand import Stand
from tests.faults.workers import connections


class Singles:
    """Single letters by the API, and whether they have arrived."""

    def __init__(self, stand: Stand, made: Crowd) -> None:
        self._stand, self._made = stand, made
        self.wanted: list[str] = []
        self.slowest_seconds = 0.0

    def post(self, n: int) -> None:
        """Accepted means 202, whatever state the broker is in."""
        for _turn in range(n):
            to = f"single{len(self.wanted)}@singles.test"
            body = {"from": f"news@{self._made.project.domain}", "to": to, "subject": "One", "text": "One letter."}
            began = time.monotonic()
            self._stand.api(self._made.project_id).post_json("/api/v1/messages", body, status=202)
            self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - began)
            self.wanted.append(to)

    def arrive(self, seconds: float = 120) -> float:
        return self._stand.until(lambda: set(self.wanted) <= self._got(), seconds, "all single letters")

    def figures(self) -> Figures:
        got = [one.recipient for one in self._stand.relay.delivered() if one.recipient.endswith("@singles.test")]
        return {
            "singles": len(self.wanted),
            "singles_lost": len(set(self.wanted) - set(got)),
            "singles_duplicates": len(got) - len(set(got)),
            "slowest_accept_seconds": round(self.slowest_seconds, 3),
        }

    def _got(self) -> set[str]:
        return {one.recipient for one in self._stand.relay.delivered()}


def _staff(stand: Stand) -> tuple[Crowd, Singles]:
    for queue, processes in (("bulk", 2), ("transactional", 1)):
        stand.worker(queue, processes)
    made = crowd(stand, stand.people)
    return made, Singles(stand, made)


def _with_singles(figures: Figures, singles: Singles, **also: bool) -> Figures:
    figures |= singles.figures()
    clean = figures["singles_lost"] == figures["singles_duplicates"] == 0
    figures["passed"] = figures["passed"] and clean and all(also.values())
    return figures


@drill(relay_options=DELAY, needs_rabbitmq=True, turns=5, people=10000)
def broker_killed(stand: Stand) -> Figures:
    """kill -9 of the broker while wake-ups are published and consumed; single letters are accepted all the time."""
    made, singles = _staff(stand)
    slowest = 0.0

    def kill() -> None:
        nonlocal slowest
        singles.post(5)
        stand.broker.kill()
        if stand.broker.url != "embedded":
            singles.post(5)
        stand.broker.start()
        slowest = max(slowest, singles.arrive())

    silence = killing(stand, made, kill)
    figures = judged(stand, made, silence, unknown_at_most=0, kills=stand.turns)
    figures["singles_resume_seconds"] = round(slowest, 1)
    return _with_singles(figures, singles, in_time=slowest <= 30, no_wait=singles.slowest_seconds < 5)


@drill(needs_rabbitmq=True, people=1000)
def broker_away(stand: Stand) -> Figures:
    """The broker is down before the start: the campaign is started and letters accepted, and all goes out by itself."""
    made, singles = _staff(stand)
    stand.broker.kill()
    made.start()
    singles.post(20)
    away = max(10.0, stand.turns)
    time.sleep(away)
    early = stand.relay.taken()
    stand.broker.start()
    resumed = singles.arrive()
    silence = ledger.until_sent(stand, made)
    figures = judged(stand, made, silence, unknown_at_most=0, away_seconds=away, taken_while_away=early)
    figures["singles_resume_seconds"] = round(resumed, 1)
    return _with_singles(figures, singles, in_time=resumed <= 60, no_wait=singles.slowest_seconds < 5)


@drill(relay_options=DELAY, people=3000)
def queues_purged(stand: Stand) -> Figures:
    """All wake-ups are thrown away while nobody consumes them, then the queues themselves while a campaign runs."""
    made, singles = _staff(stand)
    for worker in stand.workers:
        worker.wanted = False
        worker.stop()
    made.start()
    singles.post(10)
    time.sleep(1)  # the publisher's thread sends them
    stand.broker.purge()
    began = time.monotonic()
    for worker in stand.workers:
        worker.start()
        worker.wanted = True
    stand.until(lambda: stand.relay.taken() >= stand.people // 10, 120, "sending begins")
    singles.arrive()
    begun = time.monotonic() - began
    stand.broker.delete_queues()
    singles.post(10)
    resumed = singles.arrive()
    silence = ledger.until_sent(stand, made)
    figures = judged(stand, made, silence, unknown_at_most=0, begin_seconds=round(begun, 1))
    figures["singles_resume_seconds"] = round(resumed, 1)
    return _with_singles(figures, singles, in_time=begun <= 60 and resumed <= 60)


@drill(relay_options=DELAY, turns=5, people=5000)
def database_restarted(stand: Stand) -> Figures:
    """PostgreSQL goes with -m immediate in mid-batch and comes back: no worker needs a restart."""
    made, singles = _staff(stand)
    in_doubt: list[int] = []
    before = sum(worker.starts for worker in stand.workers)

    def restart() -> None:
        singles.post(3)
        in_doubt.append(connections(stand.pids(), stand.ports))
        stand.restart_database()

    silence = killing(stand, made, restart)
    singles.arrive()
    starts = sum(worker.starts for worker in stand.workers) - before
    figures = judged(stand, made, silence, unknown_at_most=sum(in_doubt), restarts=stand.turns, worker_restarts=starts)
    return _with_singles(figures, singles, nobody_restarted=starts == 0)


@drill(relay_options={"delay": 0.02}, turns=20, people=10000)
def database_connections_killed(stand: Stand) -> Figures:
    """pg_terminate_backend of somebody every second."""
    made, singles = _staff(stand)
    in_doubt: list[int] = []
    made.start()
    victim = (
        "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND backend_type = 'client backend' ORDER BY random() LIMIT 1) AS x"
    )
    for _turn in range(stand.turns):
        in_doubt.append(connections(stand.pids(), stand.ports))
        stand.query(victim)
        time.sleep(random.uniform(0.3, 1.2))
        if ledger.state(stand, made) == "sent":
            break
    silence = ledger.until_sent(stand, made)
    singles.post(5)
    singles.arrive()
    figures = judged(stand, made, silence, unknown_at_most=max(in_doubt), kills=len(in_doubt))
    return _with_singles(figures, singles)


def _with_line(stack: contextlib.ExitStack) -> dict[str, Any]:
    """The workers' road to the database has holes."""
    accidents = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailhub-line-"))) / "accidents"

    def via(url: str) -> str:
        return stack.enter_context(lossy(accidents, url, commits=15, chunks=500))

    return {"database_via": via, "environ": {"MAILHUB_DRILL_ACCIDENTS": str(accidents)}}


@drill(around=_with_line, people=5000)
def commit_lost(stand: Stand) -> Figures:
    """Commits that do not arrive, and commits whose answer does not: what the relay has taken is not sent again."""
    stand.worker("bulk", 2)
    made = crowd(stand, stand.people)
    made.start()
    silence = ledger.until_sent(stand, made)
    accidents = Path(stand.environ["MAILHUB_DRILL_ACCIDENTS"])
    n = len(accidents.read_text().splitlines()) if accidents.exists() else 0
    figures = judged(stand, made, silence, unknown_at_most=n * stand.connections, accidents=n)
    figures["passed"] = figures["passed"] and n > 0
    return figures
