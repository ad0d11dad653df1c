"""The engine's parts by themselves, in one process: making letters, and handing them over."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bench.office.campaign import Asked, Figures, office
from bench.office.letter import HTML
from bench.office.relays import sink
from mailhub.delivery.database import Database
from mailhub.delivery.letters import Letters, Made
from mailhub.delivery.recipients import Recipient, load
from mailhub.delivery.smtp import Connection, Timeouts
from mailhub.setting_values import relay as parse_relay
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


def smtp(folder: Path, asked: Asked) -> Figures:
    """One SMTP connection of ours to the sink with letters that are made already."""
    with (
        sink(folder) as target,
        office(folder / "smtp", asked, {"default": "smtp://127.0.0.1:9"}, 1) as stand,
    ):
        ready = [made for made, _n in zip(_letters(stand), range(PEOPLE), strict=False)]
        connection = Connection(parse_relay("default", target.url, {}), Timeouts())
        n, began = 0, time.perf_counter()
        while time.perf_counter() - began < SECONDS:
            made = ready[n % PEOPLE]
            assert connection.send(made.return_path, f"p{n}@mail.test", made.data).taken
            n += 1
        connection.quit()
        return {"smtp_one_connection_per_second": round(n / (time.perf_counter() - began), 1)}


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

