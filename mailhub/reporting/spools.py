"""What hits stand for, how much of a spool is stored, links for the local copy: by psycopg, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import Cursor

from mailhub.reporting.named import SQL

#: A message's UUID holds its time; its row lies within a day of it.
NEAR = timedelta(days=1)

Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class CampaignFacts:
    """A campaign's words as they are now, and the project's mode of tracking."""

    project_domain: str
    campaign_name: str
    list_id: int | None
    list_name: str
    tracking: str = "full"


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """Whom a letter went to, while they are known, the mode of tracking that holds for them, and their number now."""

    email: str
    email_domain: str
    tracking: str = "full"
    id: int | None = None


@dataclass(frozen=True, slots=True)
class ProjectFacts:
    """A project's domain and its mode of tracking."""

    domain: str
    tracking: str


@dataclass(frozen=True, slots=True)
class LetterFacts:
    """A single letter's row."""

    kind: str
    project_domain: str
    campaign_id: int | None
    campaign_name: str
    list_id: int | None
    list_name: str
    subscriber_id: int | None
    email: str
    email_domain: str
    tracking: str = "full"


@dataclass(frozen=True, slots=True)
class LinkRow:
    """A link and its place in the feed."""

    position: int
    id: int
    project_id: int
    url: str


@dataclass(frozen=True, slots=True)
class LinkSource:
    """Which database this is, and what the last link of a copy says here; None if it is not there any more."""

    source: str
    last_url: str | None


def campaigns_of_hits(cursor: Cursor[Any], keys: Iterable[Key]) -> Mapping[Key, CampaignFacts]:
    """By (project, campaign): those that are there. Reads campaign, project, campaign_version by their keys."""
    binds = _columns(keys, "project_id", "campaign_id")
    return {row[:2]: CampaignFacts(*row[2:]) for row in _rows(cursor, "campaigns_of_hits", binds)}


def people_of_hits(
    cursor: Cursor[Any], keys: Iterable[tuple[int, int, int]]
) -> Mapping[tuple[int, int, int], PersonFacts]:
    """By (project, campaign, subscriber): those who are known. Reads subscriber and the campaign's lists by keys."""
    binds = _columns(keys, "project_id", "campaign_id", "subscriber_id")
    return {row[:3]: PersonFacts(*row[3:]) for row in _rows(cursor, "people_of_hits", binds)}


def letters_of_hits(
    cursor: Cursor[Any], keys: Iterable[tuple[int, UUID]]
) -> Mapping[tuple[int, UUID], LetterFacts]:
    """By (project, message): single letters that retention has left. Reads the partitions of `message` near them."""
    rows = [(project, message, time_of(message)) for project, message in keys]
    if not rows:
        return {}
    times = [time for _project, _message, time in rows]
    binds = {
        "project_id": [row[0] for row in rows],
        "message_id": [row[1] for row in rows],
        "since": [time - NEAR for time in times],
        "until": [time + NEAR for time in times],
        "first": min(times) - NEAR,
        "last": max(times) + NEAR,
    }
    return {row[:2]: LetterFacts(*row[2:]) for row in _rows(cursor, "letters_of_hits", binds)}


def time_of(message: UUID) -> datetime:
    """When a message was made, by its id. Only version 7 tells a time; any other id has no row."""
    milliseconds = message.int >> 80 if message.version == 7 else 0
    return datetime.fromtimestamp(milliseconds % 10**14 / 1000, UTC)


def domains_of_projects(cursor: Cursor[Any], projects: Iterable[int]) -> Mapping[int, ProjectFacts]:
    """By project: those that are there. Reads project."""
    wanted = list(projects)
    rows = _rows(cursor, "domains_of_projects", {"project_id": wanted}) if wanted else []
    return {project: ProjectFacts(*facts) for project, *facts in rows}


def lock_spool(cursor: Cursor[Any], name: str) -> int:
    """How many bytes of the spool are events; its row is made if need be, and locked until the transaction ends."""
    cursor.execute(SQL["begin_spool"].psycopg, {"name": name})
    return int(_rows(cursor, "lock_spool", {"name": name})[0][0])


def move_spool(cursor: Cursor[Any], name: str, stored_bytes: int) -> None:
    """Say that so many bytes are events."""
    cursor.execute(SQL["move_spool"].psycopg, {"name": name, "stored_bytes": stored_bytes})


def spools(cursor: Cursor[Any], names: Sequence[str]) -> Mapping[str, int]:
    """Stored bytes by name, of those that have been met. Reads hit_spool."""
    return dict(_rows(cursor, "spools", {"names": list(names)}))


def forget_spools(cursor: Cursor[Any], *, before: datetime, but: Sequence[str]) -> int:
    """Delete the rows of spools that have not moved since then; `but` are files that are still here."""
    return cursor.execute(SQL["forget_spools"].psycopg, {"before": before, "names": list(but)}).rowcount


def link_source(cursor: Cursor[Any], position: int, link: int) -> LinkSource:
    """Which database this is, and whether a copy up to that link is one of it."""
    return LinkSource(*_rows(cursor, "link_source", {"position": position, "id": link})[0])


def links_after(cursor: Cursor[Any], position: int, link: int, *, most: int = 5000) -> list[LinkRow]:
    """The links behind a place, in order. Reads link by ix_link_feed: 6 ms for 5,000."""
    binds = {"position": position, "id": link, "most": most}
    return [LinkRow(*row) for row in _rows(cursor, "links_after", binds)]


def project_ids(cursor: Cursor[Any]) -> list[int]:
    """The projects that are there."""
    return [row[0] for row in _rows(cursor, "project_ids", {})]


def _columns(keys: Iterable[tuple[int, ...]], *names: str) -> dict[str, list[int]]:
    rows = list(keys)
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def _rows(cursor: Cursor[Any], statement: str, binds: Mapping[str, Any]) -> list[Any]:
    return cursor.execute(SQL[statement].psycopg, binds).fetchall()
