"""Whom the queries are asked about: the largest project, its largest campaign, a person who did much, a letter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from bench.history.store import connect

#: Half-open, and in the past: the series that the seed's queries are about.
SERIES_DAYS = 31


@dataclass(frozen=True)
class Subject:
    """Ids of what has most events. `until` is the end of the history; days are the project's own."""

    project_id: int
    #: Of all projects.
    project_ids: tuple[int, ...]
    slug: str
    since: date
    until: date
    ends_at: datetime
    campaign_id: int
    campaign_started_at: datetime
    campaign_ids: tuple[int, ...]
    list_id: int
    subscriber_id: int
    message_id: UUID
    last_position: int

    @property
    def series(self) -> tuple[date, date]:
        return self.until - timedelta(days=SERIES_DAYS), self.until


def find(url: str) -> Subject:
    """The subject of a history."""
    with connect(url) as connection:

        def row(statement: str, *values: Any) -> Any:
            found = connection.execute(statement, values).fetchone()
            assert found is not None, statement
            return found

        (ends_at,) = row("SELECT until FROM history.built")
        (project_id,) = row("SELECT project_id FROM project_day GROUP BY 1 ORDER BY sum(sent) DESC LIMIT 1")
        slug, until = row(
            "SELECT slug, CAST(%s AT TIME ZONE time_zone AS date) FROM project WHERE id = %s", ends_at, project_id
        )
        campaign_id, started_at = row(
            "SELECT s.campaign_id, c.started_at FROM campaign_stats AS s JOIN campaign AS c ON c.id = s.campaign_id"
            " WHERE s.project_id = %s AND c.started_at < %s ORDER BY s.opened DESC LIMIT 1",
            project_id, ends_at - timedelta(days=2),
        )  # fmt: skip
        campaigns = connection.execute(
            "SELECT campaign_id FROM campaign_stats WHERE project_id = %s ORDER BY sent DESC LIMIT 50", [project_id]
        ).fetchall()
        projects = connection.execute("SELECT id FROM project ORDER BY id").fetchall()
        (list_id,) = row("SELECT list_id FROM list_count WHERE project_id = %s ORDER BY n DESC LIMIT 1", project_id)
        (subscriber_id,) = row(
            "SELECT subscriber_id FROM campaign_reaction WHERE project_id = %s AND campaign_id = %s"
            " ORDER BY opened DESC LIMIT 1",
            project_id, campaign_id,
        )  # fmt: skip
        (message_id,) = row(
            "SELECT id FROM message WHERE project_id = %s AND kind = 'campaign' AND state = 'sent'"
            " ORDER BY created_at LIMIT 1",
            project_id,
        )  # fmt: skip
        (position,) = row("SELECT max(position) FROM message_event")
    return Subject(
        project_id, tuple(row[0] for row in projects), slug, until - timedelta(days=90), until, ends_at, campaign_id,
        started_at, tuple(row[0] for row in campaigns), list_id, subscriber_id, message_id, position,
    )  # fmt: skip
