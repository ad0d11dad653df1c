"""What a token's ids stand for: the frozen campaign, the person, the stored link. Never the campaign's message row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from mailhub.events.service import Event
from mailhub.mail.tokens import Claims
from mailhub.models import MessageKind
from mailhub.tracking.memory import Kept, StoredLink

#: A message's UUID holds its time; its row lies within a day of it.
NEAR = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Person:
    """Whom the letter went to, as far as they are still known."""

    email: str
    name: str
    fields: dict[str, Any]


#: Somebody who has been deleted, or whom we cannot ask about.
NOBODY = Person("", "", {})

_LINK = text("SELECT id, url FROM link WHERE project_id = :project AND id = :link")

# The campaign's frozen words; its last version is the one that was sent.
_CAMPAIGN = text(
    """
    SELECT p.domain AS project_domain, coalesce(v.name, c.name) AS campaign_name, v.list_id,
           coalesce(v.list_name, '') AS list_name,
           coalesce(s.email, '') AS email, coalesce(s.email_domain, '') AS email_domain,
           s.id IS NOT NULL AS known
    FROM campaign AS c
    JOIN project AS p ON p.id = c.project_id
    LEFT JOIN campaign_version AS v ON v.project_id = c.project_id AND v.campaign_id = c.id AND v.version = c.version
    LEFT JOIN subscriber AS s ON s.project_id = c.project_id AND s.id = :subscriber
    WHERE c.project_id = :project AND c.id = :campaign
    """
)
_MESSAGE = text(
    """
    SELECT m.kind, m.project_domain, m.campaign_id, m.campaign_name, m.list_id, m.list_name, m.subscriber_id,
           m.email, m.email_domain
    FROM message AS m
    WHERE m.project_id = :project AND m.id = :message AND m.created_at BETWEEN :since AND :until
    """
)
_PROJECT = text("SELECT domain AS project_domain FROM project WHERE id = :project")
_PERSON = text("SELECT email, name, fields FROM subscriber WHERE project_id = :project AND id = :subscriber")


def event_of(session: Session, type_: str, claims: Claims) -> Event | None:
    """The event that a token's use means, with the seed's plain values beside the keys; None for a deleted campaign."""
    assert claims.project is not None
    if claims.message is not None:
        return _single(session, type_, claims, claims.message)
    binds = {"project": claims.project, "campaign": claims.campaign, "subscriber": claims.subscriber}
    row = session.execute(_CAMPAIGN, binds).mappings().one_or_none()
    if row is None:
        return None
    event = Event(type_, claims.project, MessageKind.CAMPAIGN, campaign_id=claims.campaign, link_id=claims.link)
    # An erased person's hit still counts as a hit; nobody can be counted as one person for it.
    known = {name: row[name] for name in row if name != "known"}
    return replace(event, **known, subscriber_id=claims.subscriber if row["known"] else None)


def _single(session: Session, type_: str, claims: Claims, message: UUID) -> Event | None:
    assert claims.project is not None
    # Only version 7 tells a time; any other id has no row.
    milliseconds = message.int >> 80 if message.version == 7 else 0
    near = datetime.fromtimestamp(milliseconds % 10**14 / 1000, UTC)
    binds = {"project": claims.project, "message": message, "since": near - NEAR, "until": near + NEAR}
    row = session.execute(_MESSAGE, binds).mappings().one_or_none()
    event = Event(type_, claims.project, MessageKind.TRANSACTIONAL, message_id=message, link_id=claims.link)
    if row is not None:
        return replace(event, **row)
    # Retention has dropped the row; the hit is still the project's.
    project = session.execute(_PROJECT, {"project": claims.project}).one_or_none()
    return None if project is None else replace(event, project_domain=project.project_domain)


def link_of(session: Session, kept: Kept[StoredLink], project: int, link: int) -> StoredLink | None:
    """The stored link, from this process's memory if it has been asked for before: links never change."""
    found = kept.get((project, link))
    if found is None:
        row = session.execute(_LINK, {"project": project, "link": link}).one_or_none()
        if row is None:
            return None
        found = StoredLink(row.id, row.url)
        kept.put((project, link), found)
    return found


def person_of(session: Session, project: int, subscriber: int | None) -> Person:
    """The person with what a link may merge; empty where they have been deleted."""
    row = None
    if subscriber is not None:
        row = session.execute(_PERSON, {"project": project, "subscriber": subscriber}).one_or_none()
    return NOBODY if row is None else Person(row.email, row.name, row.fields)
