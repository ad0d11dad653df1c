"""Another address: asked for on the page, confirmed from the new mailbox, told to the old one.

What the page answers never depends on who has the address already. Only whoever reads the new mailbox learns that
another person of the project has it, because then they are that person.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from mailhub.lists import service as lists
from mailhub.mail.address import parse_address
from mailhub.models import AddressChange, Project, Subscriber, SubscriberStatus
from mailhub.security.secrets import digest, new_token

#: How long a new address has for its answer.
WAIT = timedelta(hours=48)


class Outcome(StrEnum):
    """What became of a change that the new address has confirmed."""

    CHANGED = "changed"
    #: Another person of the project has the address: both stay as they are.
    TAKEN = "taken"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A change that waits for its confirmation, and whose it is."""

    change: AddressChange
    project: Project
    person: Subscriber


def ask(dbsession: Session, person: Subscriber, email: str, *, language: str, now: datetime) -> str:
    """Write down the wish, in the place of an earlier one; gives the secret for the letter. Raises InvalidAddress."""
    address = parse_address(email)
    _forget(dbsession, person)
    token = new_token()
    dbsession.add(
        AddressChange(
            project_id=person.project_id,
            subscriber_id=person.id,
            email=address.email,
            digest=digest(token),
            language=language,
            created_at=now,
        )
    )
    dbsession.execute(delete(AddressChange).where(AddressChange.created_at < now - WAIT))
    dbsession.flush()
    return token


def waiting(dbsession: Session, token: str, *, now: datetime) -> Waiting | None:
    """The change that a letter's secret confirms; None where it is not known, or too old."""
    change = dbsession.scalars(
        select(AddressChange).where(AddressChange.digest == digest(token), AddressChange.created_at >= now - WAIT)
    ).one_or_none()
    if change is None:
        return None
    project = dbsession.get_one(Project, change.project_id)
    person = dbsession.get_one(Subscriber, (change.project_id, change.subscriber_id))
    return None if project.archived_at is not None else Waiting(change, project, person)


def confirm(dbsession: Session, found: Waiting, *, now: datetime) -> Outcome:
    """The new address says yes. The change is over with it, whatever becomes of it.

    Who could not be reached by the old address can be by the new one.
    """
    person, email = found.person, found.change.email
    _forget(dbsession, person)
    try:
        lists.update_subscriber(dbsession, person, email=email)
    except lists.AddressTaken:
        return Outcome.TAKEN
    if person.status == SubscriberStatus.BOUNCED:
        person.status, person.status_changed_at = SubscriberStatus.ACTIVE, now
        dbsession.flush()
    return Outcome.CHANGED


def masked(email: str) -> str:
    """Enough of an address for its owner to know it."""
    local, _, domain = email.rpartition("@")
    return f"{local[:1]}…@{domain}"


def _forget(dbsession: Session, person: Subscriber) -> None:
    dbsession.execute(
        delete(AddressChange).where(
            AddressChange.project_id == person.project_id, AddressChange.subscriber_id == person.id
        )
    )
