"""The engine's parts by themselves, in one process: making letters, and handing them over."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bench.office.campaign import Asked, Figures, office
from bench.office.letter import HTML
from mailhub.delivery.database import Database
from mailhub.delivery.letters import Letters, Made
from mailhub.delivery.recipients import Recipient, load
from tests.faults.crowd import crowd
from tests.faults.stand import Stand

PEOPLE = 500
SECONDS = 3.0


def letters(folder: Path, asked: Asked) -> Figures:
    """Making the campaign's letters, and nothing else."""
    with office(folder / "letters", asked, {"default": "smtp://127.0.0.1:9"}, 1) as stand:
        n, began = 0, time.perf_counter()
        for _made in _letters(stand):
            n += 1
            if time.perf_counter() - began > SECONDS:
                break
        return {"letters_made_per_second": round(n / (time.perf_counter() - began), 1)}


def _letters(stand: Stand) -> Iterator[Made]:
    """Letters without end."""
    made = crowd(stand, PEOPLE, html=HTML)
    made.start()
    registry = stand.live.registry
    database = Database(registry.engine)
    campaign = Letters(registry.mailhub, registry.signer).of_campaign(database, made.project_id, made.campaign)
    ids = [row[0] for row in stand.query("SELECT id FROM subscriber WHERE project_id = %s", [made.project_id])]
    people: list[Recipient] = database.statement(
        lambda connection: load(connection, made.project_id, made.campaign, ids)
    )
    database.close()
    while True:
        for person in people:
            yield campaign.make(person)

