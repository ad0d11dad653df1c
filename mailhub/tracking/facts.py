"""What a token's ids stand for: the frozen campaign, the person, the stored link. Never the campaign's message row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.rows import tuple_row
from sqlalchemy import text
from sqlalchemy.orm import Session

from mailhub.events.event import HITS
from mailhub.events.service import Event
from mailhub.mail.tokens import Claims
from mailhub.models import MessageKind, Tracking
from mailhub.reporting import spools as facts
from mailhub.tracking.hit import Hit, nameless
from mailhub.tracking.memory import StoredLink

#: An erased person's hit still counts as a hit; nobody can be counted as one person for it.
ERASED = facts.PersonFacts("", "")


@dataclass(frozen=True, slots=True)
class Person:
    """Whom the letter went to, as far as they are still known."""

    email: str
    name: str
    fields: dict[str, Any]


#: Somebody who has been deleted, or whom we cannot ask about.
NOBODY = Person("", "", {})

_LINK = text("SELECT id, url FROM link WHERE project_id = :project AND id = :link")
_PERSON = text("SELECT email, name, fields FROM subscriber WHERE project_id = :project AND id = :subscriber")


def events_of(cursor: psycopg.Cursor[Any], hits: Sequence[Hit]) -> list[Event]:
    """The events that hits mean, with the seed's plain values beside the keys; none for what has been deleted.

    An open or a click is stored as the mode of tracking of the project, the lists and the person has it now: of letters
    that were sent before the mode became stricter, too. Four questions at most, however many hits there are.
    """
    campaigns, people, letters, alone = set(), set(), set(), set()
    for hit in hits:
        if hit.message is not None:
            letters.add((hit.project, hit.message))
            alone.add(hit.project)
        elif hit.campaign is not None:
            campaigns.add((hit.project, hit.campaign))
            if hit.subscriber is not None:
                people.add((hit.project, hit.campaign, hit.subscriber))
        else:
            alone.add(hit.project)
    known = _Known(
        facts.campaigns_of_hits(cursor, campaigns) if campaigns else {},
        facts.people_of_hits(cursor, people) if people else {},
        facts.letters_of_hits(cursor, letters),
        facts.domains_of_projects(cursor, alone),
    )
    made = (known.event(hit) for hit in hits)
    return [event for event in made if event is not None]


def event_of(session: Session, type_: str, claims: Claims, *, ip: str | None, user_agent: str) -> Event | None:
    """The event that a token's use means now, in the session's transaction; None for what has been deleted."""
    assert claims.project is not None
    hit = Hit(
        type_, datetime.now(UTC), claims.project, claims.campaign, claims.subscriber, claims.link, claims.message,
        ip=ip, user_agent=user_agent,
    )  # fmt: skip
    return next(iter(events_in(session, [hit])), None)


def events_in(session: Session, hits: Sequence[Hit]) -> list[Event]:
    """`events_of` in the session's transaction."""
    connection = session.connection().connection.driver_connection
    assert isinstance(connection, psycopg.Connection)
    with connection.cursor(row_factory=tuple_row) as cursor:
        return events_of(cursor, hits)


@dataclass(frozen=True, slots=True)
class _Known:
    campaigns: Any
    people: Any
    letters: Any
    domains: Any

    def event(self, hit: Hit) -> Event | None:
        if hit.message is not None:
            return self._single(hit)
        if hit.campaign is None:
            return self._only_counted(hit)
        campaign = self.campaigns.get((hit.project, hit.campaign))
        if campaign is None:
            return None
        person = self.people.get((hit.project, hit.campaign, hit.subscriber))
        allowed = _allowed(hit, person.tracking if person else campaign.tracking, known=person is not None)
        if allowed is None:
            return None
        if allowed.subscriber is None:
            person = None
        return _event(
            allowed, MessageKind.CAMPAIGN, campaign, person or ERASED, campaign_id=hit.campaign,
            subscriber_id=person.id if person else None,
        )  # fmt: skip

    def _single(self, hit: Hit) -> Event | None:
        letter = self.letters.get((hit.project, hit.message))
        if letter is not None:
            allowed = _allowed(hit, letter.tracking)
            if allowed is None or allowed.message is None:
                return None if allowed is None else self._only_counted(hit)
            return _event(
                hit, letter.kind, letter, letter, message_id=hit.message, campaign_id=letter.campaign_id,
                subscriber_id=letter.subscriber_id,
            )  # fmt: skip
        # Retention has dropped the row; the hit is still the project's.
        project = self.domains.get(hit.project)
        if project is None:
            return None
        allowed = _allowed(hit, project.tracking)
        if allowed is None or allowed.message is None:
            return None if allowed is None else self._only_counted(hit)
        without = facts.CampaignFacts(project.domain, "", None, "")
        return _event(hit, MessageKind.TRANSACTIONAL, without, ERASED, message_id=hit.message)

    def _only_counted(self, hit: Hit) -> Event | None:
        """A hit of a single letter that is not to say which letter it was."""
        project = self.domains.get(hit.project)
        if project is None or hit.type not in HITS or project.tracking == Tracking.OFF:
            return None
        without = facts.CampaignFacts(project.domain, "", None, "")
        return _event(nameless(hit), MessageKind.TRANSACTIONAL, without, ERASED)


def _allowed(hit: Hit, tracking: str, *, known: bool = True) -> Hit | None:
    """What of a hit may be stored under a mode of tracking; None: nothing. Leaving is no hit, and always stored.

    Of somebody who is not known (any more) nothing may be kept that could say who it was.
    """
    if hit.type not in HITS:
        return hit
    if tracking == Tracking.OFF:
        return None
    return hit if known and tracking == Tracking.FULL else nameless(hit)


def _event(
    hit: Hit,
    kind: str,
    words: facts.CampaignFacts | facts.LetterFacts,
    person: facts.PersonFacts | facts.LetterFacts,
    **ids: Any,
) -> Event:
    return Event(
        hit.type,
        hit.project,
        kind,
        at=hit.at,
        project_domain=words.project_domain,
        campaign_name=words.campaign_name,
        list_id=words.list_id,
        list_name=words.list_name,
        email=person.email,
        email_domain=person.email_domain,
        link_id=hit.link,
        url=hit.url,
        ip=hit.ip,
        user_agent=hit.user_agent,
        detail=hit.detail,
        **ids,
    )


def tracking_of(session: Session, claims: Claims) -> str:
    """The mode of tracking that holds for the reader of a campaign's letter; nobody who is not known is named."""
    connection = session.connection().connection.driver_connection
    assert isinstance(connection, psycopg.Connection)
    project, campaign, subscriber = claims.project, claims.campaign, claims.subscriber
    assert project is not None
    assert campaign is not None
    with connection.cursor(row_factory=tuple_row) as cursor:
        if subscriber is not None:
            key = (project, campaign, subscriber)
            person = facts.people_of_hits(cursor, [key]).get(key)
            if person is not None:
                return person.tracking
        known = facts.campaigns_of_hits(cursor, [(project, campaign)]).get((project, campaign))
    return Tracking.OFF if known is None or known.tracking == Tracking.OFF else Tracking.AGGREGATE


def link_of(session: Session, project: int, link: int) -> StoredLink | None:
    """The stored link. Links never change."""
    row = session.execute(_LINK, {"project": project, "link": link}).one_or_none()
    return None if row is None else StoredLink(row.id, row.url)


def person_of(session: Session, project: int, subscriber: int | None) -> Person:
    """The person with what a link may merge; empty where they have been deleted."""
    row = None
    if subscriber is not None:
        row = session.execute(_PERSON, {"project": project, "subscriber": subscriber}).one_or_none()
    return NOBODY if row is None else Person(row.email, row.name, row.fields)
