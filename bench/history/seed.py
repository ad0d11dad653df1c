"""The seed's tables beside ours, with the same events, and its two queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import TextClause, text

from bench.history.load import MEMORY, SQL
from bench.history.store import connect

#: As many letters as the seed's first query lists.
LETTERS = 100_000
_INDEXES = (
    "ALTER TABLE seed.message ADD PRIMARY KEY (id)",
    "CREATE INDEX ON seed.message (project_id)",
    "ALTER TABLE seed.message_event ADD PRIMARY KEY (id)",
    "CREATE INDEX ON seed.message_event (message_id)",
    "CREATE INDEX ON seed.message_event (date)",
    "ALTER TABLE seed.flat_event ADD PRIMARY KEY (id)",
    "CREATE INDEX ON seed.flat_event (project_id, date)",
    "VACUUM (ANALYZE) seed.message, seed.message_event, seed.flat_event",
)


@dataclass(frozen=True)
class SeedQueries:
    """Both queries for one project and range of days, with their binds."""

    first: tuple[TextClause, dict[str, Any]]
    second: tuple[TextClause, dict[str, Any]]
    letters: int


def build(url: str) -> None:
    """Make the seed's tables from the events of this database, with the indexes that serve its queries."""
    with connect(url) as connection:
        connection.execute(MEMORY)
        connection.execute("DROP SCHEMA IF EXISTS seed CASCADE")
        connection.execute((Path(__file__).parent / "seed_schema.sql").read_text(encoding="utf-8"))
        for name in ("seed_messages", "seed_events", "seed_flat_events"):
            connection.execute(SQL[name].psycopg, {})
        for statement in _INDEXES:
            connection.execute(statement)


def queries(url: str, project_id: int, since: date, until: date) -> SeedQueries:
    """The queries for a project's days."""
    with connect(url) as connection:
        ids = [row[0] for row in connection.execute(
            "SELECT id FROM seed.message WHERE project_id = %s ORDER BY created DESC LIMIT %s", [project_id, LETTERS]
        ).fetchall()]  # fmt: skip
    midnight = datetime.min.time()
    days = {"since": datetime.combine(since, midnight), "until": datetime.combine(until, midnight)}
    first = SQL["seed_first"].sql.replace("{ids}", ", ".join(map(str, ids)))
    return SeedQueries((text(first), days), (SQL["seed_second"].text, {"project_id": project_id, **days}), len(ids))
