"""The fire drills by name. Each gets a stand and a size, and gives its figures; `passed` says how it went."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import update

from mailhub.models import Campaign
from tests.faults.stand import Stand

Figures = dict[str, Any]
Drill = Callable[[Stand, int], Figures]
DRILLS: dict[str, Drill] = {}


def drill(function: Drill) -> Drill:
    DRILLS[function.__name__] = function
    return function


def _ready(stand: Stand, people: int) -> Campaign:
    campaign = stand.office.campaign(people)
    stand.office.fan_out(campaign, chunk_size=max(10, people // 20))
    return campaign


def _verdict(stand: Stand, campaign: Campaign, *, unknown_at_most: int, **more: Any) -> Figures:
    figures = stand.figures(campaign) | more
    figures["passed"] = (
        figures["lost"] == figures["duplicates"] == figures["ghosts"] == figures["unaccounted"] == 0
        and figures["unknown"] <= unknown_at_most
        and figures["sent"] + figures["unknown"] == figures["audience"]
    )
    return figures


def _killing(stand: Stand, people: int, kill: Callable[[], None], kills: int) -> tuple[Campaign, float]:
    """Run a campaign and kill at random moments; gives the longest silence after a kill, in seconds."""
    campaign = _ready(stand, people)
    silence = 0.0
    for turn in range(kills):
        goal = people * (turn + 1) // (kills + 2)
        stand.until(lambda goal=goal: len(stand.sink.letters) >= goal, 60, f"{goal} letters")
        time.sleep(random.uniform(0, 0.02))
        kill()
        so_far = len(stand.sink.letters)
        waited = stand.until(
            lambda n=so_far: len(stand.sink.letters) > n + 2 or stand.office.state(campaign) == "sent",
            60,
            "sending goes on",
        )
        silence = max(silence, waited)
    stand.until_sent(campaign, 120)
    return campaign, silence


@drill
def kill_main(stand: Stand, people: int) -> Figures:
    """kill -9 of a worker's main process in mid-campaign; a supervisor starts the next one."""
    stand.worker("bulk", 2)

    def kill() -> None:
        stand.workers[-1].kill()
        stand.worker("bulk", 2)

    campaign, silence = _killing(stand, people, kill, kills=stand.turns)
    return _verdict(stand, campaign, unknown_at_most=stand.turns * 2, longest_silence_seconds=round(silence, 2))


@drill
def kill_child(stand: Stand, people: int) -> Figures:
    """kill -9 of a process of the pool, as the OOM killer does it; the chunk's lease ends and another goes on."""
    worker = stand.worker("bulk", 2)
    campaign, silence = _killing(stand, people, worker.kill_child, kills=stand.turns)
    return _verdict(stand, campaign, unknown_at_most=stand.turns, longest_silence_seconds=round(silence, 2))


@drill
def rolling_restart(stand: Stand, people: int) -> Figures:
    """SIGTERM and a new worker, again and again: nothing in doubt."""
    stand.worker("bulk", 2)
    drains: list[float] = []

    def restart() -> None:
        drains.append(stand.workers[-1].stop())
        stand.worker("bulk", 2)

    campaign, silence = _killing(stand, people, restart, kills=stand.turns)
    return _verdict(
        stand, campaign, unknown_at_most=0, longest_drain_seconds=round(max(drains), 2),
        longest_silence_seconds=round(silence, 2),
    )  # fmt: skip


@drill
def frozen_worker(stand: Stand, people: int) -> Figures:
    """SIGSTOP of a pool process past its lease, then SIGCONT: it sends and writes nothing that is not its own."""
    import os
    import signal

    worker = stand.worker("bulk", 2)
    campaign = _ready(stand, people)
    stand.until(lambda: len(stand.sink.letters) >= people // 10, 60, "some letters")
    frozen = worker.children()[-1]
    os.kill(frozen, signal.SIGSTOP)
    stand.until_sent(campaign, 120)
    os.kill(frozen, signal.SIGCONT)
    time.sleep(1)
    return _verdict(stand, campaign, unknown_at_most=1)


@drill
def temporary_refusals(stand: Stand, people: int) -> Figures:
    """30 % of all letters are refused for now, at a random verb: all arrive, none has failed."""
    chance = random.Random(7)
    replies = {"rcpt": "451 4.3.0 later", "data": "452 4.3.1 later", "body": "450 4.2.0 later"}
    stand.sink.script = lambda stage, _address, _n: replies.get(stage) if chance.random() < 0.1 else None
    stand.worker("bulk", 2)
    campaign = _ready(stand, people)
    stand.until_sent(campaign, 180)
    return _verdict(stand, campaign, unknown_at_most=0)


@drill
def relay_away(stand: Stand, people: int) -> Figures:
    """The relay refuses connections for a while: nothing is deferred, failed or lost, and it goes on by itself."""
    stand.worker("bulk", 2)
    campaign = _ready(stand, people)
    stand.until(lambda: len(stand.sink.letters) >= people // 4, 60, "some letters")
    stand.sink.stop_listening()
    time.sleep(3)
    rows = stand.office.recount(campaign)
    stand.sink.listen()
    began = time.monotonic()
    so_far = len(stand.sink.letters)
    stand.until(lambda: len(stand.sink.letters) > so_far, 60, "sending goes on")
    resumed = round(time.monotonic() - began, 2)
    stand.until_sent(campaign, 120)
    figures = _verdict(stand, campaign, unknown_at_most=2, resumed_after_seconds=resumed)
    figures["passed"] = figures["passed"] and not rows.get("deferred") and not rows.get("failed")
    return figures


@drill
def pause_and_cancel(stand: Stand, people: int) -> Figures:
    """From the click to the last letter on the wire: less than two seconds."""
    stand.worker("bulk", 2)
    stand.worker("celery", 1)
    campaign = _ready(stand, people)
    stand.until(lambda: len(stand.sink.letters) >= people // 10, 60, "some letters")
    figures: Figures = {}
    for name, state in (("pause", "paused"), ("cancel", "cancelled")):
        with stand.live.registry.session_factory() as session:
            session.execute(update(Campaign).where(Campaign.id == campaign.id).values(state=state))
            session.commit()
        at = time.time()
        time.sleep(2.5)
        last = max(letter.at for letter in stand.sink.letters)
        figures[f"{name}_seconds"] = round(max(0.0, last - at), 3)
        if name == "pause":
            so_far = len(stand.sink.letters)
            with stand.live.registry.session_factory() as session:
                session.execute(update(Campaign).where(Campaign.id == campaign.id).values(state="sending"))
                session.commit()
            stand.until(lambda n=so_far: len(stand.sink.letters) > n + 5, 60, "sending goes on")
    stand.until(lambda: stand.office.count(campaign).queued == 0, 30, "the rest is skipped")
    figures |= stand.figures(campaign)
    figures["passed"] = (
        figures["pause_seconds"] < 2
        and figures["cancel_seconds"] < 2
        and figures["unknown"] == figures["duplicates"] == figures["lost"] == figures["unaccounted"] == 0
        and figures["sent"] + figures["skipped"] == figures["audience"]
    )
    return figures
