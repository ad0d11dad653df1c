"""What happened to a person, newest first, in pages: letters and what was done with them, consents, notes.

Three sources are read from the same place on, each by its own index, and laid over each other. A place is a moment, the
source and the row's id: what happened at the same moment comes in the order of the sources.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from mailhub.lists.consents import Recorded
from mailhub.models import Consent, ConsentText, MailingList, SubscriberNote
from mailhub.reporting.queries import TimelineEvent, subscriber_timeline
from mailhub.web.paging import Page, page_of, read_cursor

PAGE = 30
#: The sources by the rank that they have at one moment.
EVENT, CONSENT, NOTE = 0, 1, 2
_LAST_ID = 2**63 - 1

Place = tuple[datetime, int, int]


@dataclass(frozen=True)
class Happened:
    """One entry: exactly one of the three is set."""

    at: datetime
    rank: int
    id: int
    event: TimelineEvent | None = None
    consent: Recorded | None = None
    note: SubscriberNote | None = None


def history(
    dbsession: Session, *, project_id: int, subscriber_id: int, after: str | None = None, limit: int = PAGE
) -> Page[Happened]:
    """A page of what happened after a cursor. Three queries."""
    place = _place(after)
    found = [
        *(
            Happened(row.at, EVENT, row.id, event=row)
            for row in subscriber_timeline(
                dbsession, project_id, subscriber_id, before=_event_place(place), most=limit + 1
            )
        ),
        *_consents(dbsession, project_id, subscriber_id, place, limit + 1),
        *_notes(dbsession, project_id, subscriber_id, place, limit + 1),
    ]
    found.sort(key=lambda one: (one.at, one.rank, one.id), reverse=True)
    return page_of(found[: limit + 1], limit, lambda one: (one.at.isoformat(), one.rank, one.id))


def _event_place(place: Place | None) -> tuple[datetime, int] | None:
    if place is None:
        return None
    at, rank, row_id = place
    return (at, row_id) if rank == EVENT else (at, _LAST_ID if rank > EVENT else 0)


def _before(place: Place | None, rank: int, at: Any, row_id: Any) -> Any:
    """The rows of a source that come after a place."""
    if place is None:
        return True
    there, there_rank, there_id = place
    if rank > there_rank:
        return at < there
    if rank < there_rank:
        return at <= there
    return or_(at < there, and_(at == there, row_id < there_id))


def _consents(
    dbsession: Session, project_id: int, subscriber_id: int, place: Place | None, most: int
) -> list[Happened]:
    wanted = (
        select(Consent, ConsentText.text, MailingList.name)
        .outerjoin(ConsentText, (ConsentText.project_id == Consent.project_id) & (ConsentText.id == Consent.text_id))
        .outerjoin(MailingList, (MailingList.project_id == Consent.project_id) & (MailingList.id == Consent.list_id))
        .where(Consent.project_id == project_id, Consent.subscriber_id == subscriber_id)
        .order_by(Consent.at.desc(), Consent.id.desc())
        .limit(most)
    )
    if place is not None:
        wanted = wanted.where(_before(place, CONSENT, Consent.at, Consent.id))
    rows = dbsession.execute(wanted)
    return [
        Happened(consent.at, CONSENT, consent.id, consent=Recorded(consent, words or "", name))
        for consent, words, name in rows
    ]


def _notes(dbsession: Session, project_id: int, subscriber_id: int, place: Place | None, most: int) -> list[Happened]:
    wanted = (
        select(SubscriberNote)
        .where(SubscriberNote.project_id == project_id, SubscriberNote.subscriber_id == subscriber_id)
        .order_by(SubscriberNote.created_at.desc(), SubscriberNote.id.desc())
        .limit(most)
    )
    if place is not None:
        wanted = wanted.where(_before(place, NOTE, SubscriberNote.created_at, SubscriberNote.id))
    return [Happened(row.created_at, NOTE, row.id, note=row) for row in dbsession.scalars(wanted)]


def _place(after: str | None) -> Place | None:
    given = read_cursor(after, str, int, int)
    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given[0])
    except ValueError:
        return None
    return (moment, given[1], given[2]) if moment.tzinfo is not None else None
