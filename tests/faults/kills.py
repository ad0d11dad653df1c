"""Drills 1 to 4: workers that are killed, restarted, frozen."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable

from tests.faults import ledger
from tests.faults.crowd import Crowd, crowd
from tests.faults.drills import drill
from tests.faults.ledger import Figures
from tests.faults.stand import LEASE_SECONDS, Stand
from tests.faults.workers import connections, send_signal

#: Seconds that the relay takes for a letter: the campaign should last as long as the drill.
DELAY = {"delay": 0.01}
SILENCE_SECONDS = 60


def killing(stand: Stand, made: Crowd, kill: Callable[[], None]) -> float:
    """Run a campaign and kill at random moments, `stand.turns` times; gives the longest silence after a kill."""
    made.start()
    silence = 0.0
    for turn in range(stand.turns):
        goal = made.people * (turn + 1) // (stand.turns + 2)
        stand.until(lambda goal=goal: stand.relay.taken() >= goal, 180, f"{goal} letters", pause=0.01)
        time.sleep(random.uniform(0, 0.05))
        kill()
        so_far = stand.relay.taken()
        waited = stand.until(
            lambda n=so_far: stand.relay.taken() > n + 2 or ledger.state(stand, made) == "sent",
            180,
            "sending goes on",
        )
        silence = max(silence, waited)
    return max(silence, ledger.until_sent(stand, made))


def judged(stand: Stand, made: Crowd, silence: float, *, unknown_at_most: int, **more: object) -> Figures:
    figures = ledger.compare(stand, made) | more
    figures |= {"unknown_at_most": unknown_at_most, "longest_silence_seconds": round(silence, 2)}
    figures["passed"] = ledger.verdict(figures, unknown_at_most=unknown_at_most) and silence < SILENCE_SECONDS
    return figures


@drill(relay_options=DELAY)
def kill_main(stand: Stand) -> Figures:
    """kill -9 of a worker's main process in mid-campaign; the service manager starts the next one."""
    worker = stand.worker("bulk", 2)
    killed: list[int] = []
    made = crowd(stand, stand.people)
    silence = killing(stand, made, lambda: killed.append(worker.kill(stand.ports)))
    return judged(stand, made, silence, unknown_at_most=sum(killed), kills=len(killed))


@drill(relay_options=DELAY)
def kill_child(stand: Stand) -> Figures:
    """kill -9 of a process of the pool, as the kernel does it when memory is short."""
    worker = stand.worker("bulk", 2)
    killed: list[int] = []
    made = crowd(stand, stand.people)
    silence = killing(stand, made, lambda: killed.append(worker.kill_child(stand.ports)))
    return judged(stand, made, silence, unknown_at_most=sum(killed), kills=len(killed))


@drill(relay_options=DELAY)
def rolling(stand: Stand) -> Figures:
    """SIGTERM and a new worker, again and again, as a deployment does it: nothing in doubt."""
    worker = stand.worker("bulk", 2)
    made = crowd(stand, stand.people)
    drains: list[float] = []

    def restart() -> None:
        # A worker that is still starting ends at once and would prove nothing.
        stand.until(lambda: stand.is_ready(worker), 90, "the new worker")
        drains.append(worker.stop())

    silence = killing(stand, made, restart)
    figures = judged(stand, made, silence, unknown_at_most=0, restarts=len(drains))
    figures["longest_drain_seconds"] = round(max(drains), 2)
    figures["passed"] = figures["passed"] and figures["longest_drain_seconds"] <= 30
    return figures


@drill(relay_options=DELAY, people=3000, turns=2)
def frozen(stand: Stand) -> Figures:
    """SIGSTOP of a pool process past its lease, then SIGCONT: it sends and writes nothing that is not its own."""
    worker = stand.worker("bulk", 2)
    made = crowd(stand, stand.people)
    made.start()
    stand.until(lambda: stand.relay.taken() >= made.people // 10, 180, "some letters")
    held = 0
    for turn in range(stand.turns):
        victim = worker.children()[turn % 2]
        send_signal(victim, signal.SIGSTOP)
        held += connections([victim], stand.ports)
        taken_over = stand.until(lambda pid=victim: not _owns(stand, pid), LEASE_SECONDS * 12, "its chunks are others'")
        send_signal(victim, signal.SIGCONT)
        at = stand.query("SELECT clock_timestamp()")[0][0]
        stand.until(lambda pid=victim, at=at: _beats(stand, pid, at), 60, "the revived process beats")
        if ledger.state(stand, made) == "sent":
            break
    silence = ledger.until_sent(stand, made)
    _quiet(stand)
    return judged(stand, made, silence, unknown_at_most=held, taken_over_after_seconds=round(taken_over, 1))


def _owns(stand: Stand, pid: int) -> bool:
    """Whether a process still holds a lease (its name has the pid between colons)."""
    statement = "SELECT count(*) FROM chunk_lease WHERE state = 'running' AND owner LIKE %s"
    return bool(stand.query(statement, [f"%:{pid}:%"])[0][0])


def _beats(stand: Stand, pid: int, since: object) -> bool:
    statement = "SELECT count(*) FROM worker_heartbeat WHERE pid = %s AND last_seen_at > %s"
    return bool(stand.query(statement, [pid, since])[0][0])


def _quiet(stand: Stand, seconds: float = 3) -> None:
    """Until nothing has arrived for a while: what the revived process had begun to write has come, or never will."""
    seen, since = -1, time.monotonic()
    while time.monotonic() - since < seconds:
        if (n := len(stand.relay.record())) != seen:
            seen, since = n, time.monotonic()
        time.sleep(0.05)
