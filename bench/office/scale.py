"""A million people and more: how fast they are fanned out, what a claim costs, what it takes of memory."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.office import processes
from bench.office.campaign import Asked, Figures, office
from mailhub.delivery import claim
from mailhub.delivery.database import Connection, Database
from mailhub.tasks import TASKS, run
from tests.faults.crowd import Crowd, crowd
from tests.faults.stand import Stand
from tests.faults.workers import peak_rss_bytes

MILLION = 1_000_000
SMALL, CLAIMS, CHUNK = 10_000, 200, 500


def sizes(asked: Asked) -> list[int]:
    return [MILLION, 10 * MILLION] if asked.large else [MILLION]


def fan_outs(folder: Path, asked: Asked) -> Figures:
    """Fan-out as the campaigns' task does it, in this process."""
    figures: Figures = {}
    with office(folder / "fan-out", asked, {"default": "smtp://127.0.0.1:9"}, 1) as stand:
        for size in sizes(asked):
            made = crowd(stand, size)
            made.start()
            processes.forget_peak(os.getpid())
            figures[f"fan_out_per_second_{named(size)}"] = round(size / fan_out(stand, made, made.campaign))
            figures[f"fan_out_peak_rss_bytes_{named(size)}"] = peak_rss_bytes([os.getpid()])
    figures["fan_out_per_second"] = figures[f"fan_out_per_second_{named(sizes(asked)[-1])}"]
    return figures


def claim_costs(folder: Path, asked: Asked) -> Figures:
    """Claims with nobody beside them, one size after the other, and the small one again at the end.

    So that a server that grows warm, or full, is not taken for the size.
    """
    figures: Figures = {}
    with office(folder / "claim", asked, {"default": "smtp://127.0.0.1:9"}, 1) as stand:
        small = [claim_ms(stand, SMALL)]
        large = {}
        for size in sizes(asked):
            large[size] = claim_ms(stand, size)
        small.append(claim_ms(stand, SMALL))
    figures["claim_p50_ms_10k"] = round(statistics.mean(small), 3)
    for size, cost in large.items():
        figures[f"claim_p50_ms_{named(size)}"] = cost
        figures[f"claim_ratio_{named(size)}"] = round(cost / statistics.mean(small), 2)
    return figures


def named(size: int) -> str:
    return f"{size // MILLION}m"


def fan_out(stand: Stand, made: Crowd, campaign: int) -> float:
    """The task of the campaigns' room; gives its seconds."""
    began = time.monotonic()
    run(stand.live.registry, TASKS["mailhub.campaigns.fan_out"], (made.project_id, campaign))
    return time.monotonic() - began


def claim_ms(stand: Stand, people: int) -> float:
    """The median of claims in a campaign of that size; several campaigns, one after the other, make up the number."""
    found: list[float] = []
    while len(found) < CLAIMS:
        made = crowd(stand, 10)
        made.start()
        fan_out(stand, made, made.campaign)
        inflate(stand, made, people)
        found += claims(stand, made, made.campaign, CLAIMS - len(found))
        stand.query("UPDATE campaign SET state = 'paused' WHERE project_id = %s", [made.project_id])
    return round(statistics.median(found), 3)


def inflate(stand: Stand, made: Crowd, people: int) -> None:
    """Chunks for so many people, as fan-out writes them: a claim looks at chunks, never at the people in them."""
    chunks = people // CHUNK
    (lane,) = stand.query("SELECT lane FROM campaign_lane WHERE campaign_id = %s", [made.campaign])[0]
    stand.query("DELETE FROM campaign_chunk WHERE campaign_id = %s", [made.campaign])
    stand.query(
        "INSERT INTO campaign_chunk (project_id, campaign_id, lane, seq, n, ids)"
        " SELECT %s, %s, %s, s, %s, ARRAY(SELECT g FROM generate_series(s * %s + 1, (s + 1) * %s) AS g)"
        " FROM generate_series(0, %s) AS s",
        [made.project_id, made.campaign, lane, CHUNK, CHUNK, CHUNK, chunks - 1],
    )
    moved = "UPDATE campaign_lane SET next_seq = 0, last_seq = %s WHERE campaign_id = %s"
    stand.query(moved, [chunks - 1, made.campaign])


def claims(stand: Stand, made: Crowd, campaign: int, most: int) -> list[float]:
    """Milliseconds of each claim until nothing is left or there were so many.

    Commits do not wait for the disk: that wait is the same at every size, and would hide a difference.
    """
    database = Database(stand.live.registry.engine, durable=False)
    # As autovacuum leaves it a minute later.
    stand.query("ANALYZE campaign_chunk, campaign_lane, chunk_lease, campaign, campaign_count")
    found: list[float] = []
    take = taker(stand)
    try:
        while len(found) < most:
            began = time.perf_counter()
            chunk = database.transaction(take)
            if chunk is None:
                break
            found.append((time.perf_counter() - began) * 1000)
            assert chunk.campaign_id == campaign, (chunk.campaign_id, campaign, made.project_id)
    finally:
        database.close()
    return found


def taker(stand: Stand) -> Callable[[Connection], Any]:
    """A pump's claim of a fresh chunk."""
    lease = stand.live.registry.mailhub.delivery_lease_seconds
    return lambda connection: claim.take_next(connection, "bench", lease)
