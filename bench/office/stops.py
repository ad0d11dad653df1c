"""What stop lists cost: counting an audience by reasons, and reading a chunk's people again before their letters."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from bench.office.campaign import Asked, Figures, office
from mailhub.campaigns import audience
from mailhub.campaigns.chosen import Chosen
from mailhub.delivery import service as delivery
from mailhub.delivery.database import Database
from mailhub.delivery.recipients import load
from tests.faults.crowd import crowd
from tests.faults.stand import Stand

PEOPLE, CHUNK, DOMAINS, ROUNDS = 200_000, 500, 3_000, 30
_SPREAD = """
    UPDATE subscriber
    SET email_domain = d.name, email_key = 'p' || id || '@' || d.name, email = 'p' || id || '@' || d.name
    FROM (SELECT n, 'd' || n || '.example.test' AS name FROM generate_series(0, %(domains)s - 1) AS n) AS d
    WHERE project_id = %(project)s AND d.n = id %% %(domains)s
"""
#: What comes onto the lists, one after the other, and what the figures are called from then on.
_STEPS = {
    "nobody": "SELECT %(project)s::bigint",
    "entries": """
        INSERT INTO suppression (project_id, email_key, reason)
        SELECT project_id, email_key, 'manual' FROM subscriber WHERE project_id = %(project)s AND id %% 10 = 0
    """,
    "domains": """
        INSERT INTO global_suppression (domain)
        SELECT 'd' || n || '.example.test' FROM generate_series(1, 200) AS n WHERE %(project)s > 0
    """,
    "erased": """
        INSERT INTO suppression (project_id, email_hash, reason)
        SELECT %(project)s, sha256(n::text::bytea), 'erased' FROM generate_series(1, 1000) AS n
    """,
}


def stops(folder: Path, asked: Asked) -> Figures:
    """Milliseconds, the least of several rounds; each step has the entries of those before it too."""
    figures: Figures = {}
    with office(folder / "stops", asked, {"default": "smtp://127.0.0.1:9"}, 1) as stand:
        made = crowd(stand, PEOPLE)
        made.start()
        stand.query(_SPREAD, {"project": made.project_id, "domains": DOMAINS})
        ids = [row[0] for row in stand.query("SELECT id FROM subscriber WHERE project_id = %s", [made.project_id])]
        database = Database(stand.live.registry.engine)
        for name, statement in _STEPS.items():
            stand.query(statement, {"project": made.project_id})
            for table in ("subscriber", "suppression", "global_suppression"):
                stand.query(f"VACUUM ANALYZE {table}")
            figures[f"audience_ms_{name}"] = least(lambda: count(stand, made.project_id, made.list_id), 5)
            figures[f"chunk_ms_{name}"] = least(
                lambda: database.statement(
                    lambda connection: load(
                        connection, made.project_id, made.campaign, sorted(random.sample(ids, CHUNK))
                    )
                ),
                ROUNDS,
            )
        database.close()
    return figures


def count(stand: Stand, project_id: int, list_id: int) -> None:
    """The count on a draft's page, which is the fan-out without its writing."""
    with Session(stand.live.registry.engine) as dbsession:
        people = audience.resolve(dbsession, project_id, Chosen(lists=(list_id,))).audience()
        told = delivery.candidates(dbsession, project_id, people).subquery()
        dbsession.execute(select(told.c.reason, func.count()).group_by(told.c.reason)).all()


def least(measured: Callable[[], object], rounds: int) -> float:
    """Milliseconds of the fastest round."""
    found = []
    for _n in range(rounds):
        began = time.perf_counter()
        measured()
        found.append((time.perf_counter() - began) * 1000)
    return round(min(found), 2)
