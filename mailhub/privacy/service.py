"""Erasing people: asked for now, due at once or later, done by a worker; what is left says that it was done.

First the person's own rows go and their letters and events lose them, by index, in one transaction a person. Then the
tables are walked for places that hold an address for another reason, and the files. Meanwhile somebody may still write
what they knew: a letter on the wire, an import that has begun. So people are followed for a while, and what came late
is cleaned too. Only then is the erasure done and the sealed addresses are forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, null, or_, select, update
from sqlalchemy.orm import Session

from mailhub.background import service as background
from mailhub.lists.service import merged_into
from mailhub.mail.address import InvalidAddress, parse_address
from mailhub.models import (
    Erasure,
    ErasureState,
    ErasureWay,
    GlobalSuppression,
    ImportState,
    JobKind,
    JobState,
    MailingList,
    Project,
    ProjectJob,
    ReportJob,
    Subscriber,
    SubscriberImport,
    Subscription,
    SubscriptionStatus,
    Suppression,
)
from mailhub.privacy.places import tables_of_people
from mailhub.reporting import erasure as raw
from mailhub.security.address_hash import hash_of, hashes_of
from mailhub.security.sealed import Sealer
from mailhub.suppression import service as suppression

#: The job that erases.
KIND = "privacy.erase"
#: Nobody who has read a person's row before it was deleted writes later than this (statements end after 30 s).
FOLLOWED_FOR = timedelta(minutes=2)
#: A person's own wish is done after so long: who has only been forwarded a letter can't erase its reader unnoticed.
OWN_GRACE = timedelta(hours=24)
#: Addresses in one wish.
MOST_AT_ONCE = 1_000
_OPEN = (ErasureState.WAITING, ErasureState.ERASING, ErasureState.FOLLOWING)
_ABOUT = "erasure"


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of a wish for many: new ones, addresses that are being erased already, texts that are no address."""

    erasures: list[Erasure]
    known: int
    refused: list[str]


def ask(
    dbsession: Session,
    sealer: Sealer,
    *,
    project_id: int,
    person: Subscriber | None = None,
    email: str = "",
    way: ErasureWay,
    user_id: int | None = None,
    due_at: datetime | None = None,
) -> tuple[Erasure, bool]:
    """Note the wish to erase a person, or an address that only letters know; and whether it is new.

    The caller wakes `mailhub.privacy.tasks.erase`. Raises InvalidAddress.
    """
    if person is None:
        address = parse_address(email)
        key, spelled = address.key, {address.key, address.email}
        person = dbsession.scalars(
            select(Subscriber).where(Subscriber.project_id == project_id, Subscriber.email_key == key)
        ).one_or_none()
    else:
        key, spelled = person.email_key, {person.email_key}
    same = select(Erasure).where(
        Erasure.project_id == project_id,
        Erasure.email_hash.in_(hashes_of(key)),
        Erasure.state.in_((ErasureState.WAITING, ErasureState.ERASING)),
    )
    found = dbsession.scalars(same.limit(1)).first()
    if found is not None:
        if found.state == ErasureState.WAITING and (due_at is None or due_at < found.due_at):
            found.due_at = due_at or datetime.now(UTC)
            dbsession.flush()
        return found, False
    if person is not None:
        spelled.add(person.email)
    made = Erasure(
        project_id=project_id,
        way=way.value,
        subscriber_id=person.id if person is not None else None,
        email_hash=hash_of(key),
        sealed=_seal(sealer, spelled),
        asked_by=user_id,
    )
    if due_at is not None:
        made.due_at = due_at
    dbsession.add(made)
    dbsession.flush()
    dbsession.refresh(made)
    return made, True


def ask_many(
    dbsession: Session,
    sealer: Sealer,
    *,
    project_id: int,
    emails: Iterable[str] = (),
    ids: Sequence[int] = (),
    way: ErasureWay,
    user_id: int | None = None,
) -> Asked:
    """The same for many people, by their addresses and their numbers. What is no address is given back."""
    asked: list[tuple[Erasure, bool]] = []
    refused: list[str] = []
    people = dbsession.scalars(select(Subscriber).where(Subscriber.project_id == project_id, Subscriber.id.in_(ids)))
    for person in people:
        asked.append(ask(dbsession, sealer, project_id=project_id, person=person, way=way, user_id=user_id))
    for email in dict.fromkeys(emails):
        try:
            asked.append(ask(dbsession, sealer, project_id=project_id, email=email, way=way, user_id=user_id))
        except InvalidAddress:
            refused.append(email)
    made = [erasure for erasure, is_new in asked if is_new]
    return Asked(made, len(asked) - len(made), refused)


def withdraw(dbsession: Session, *, project_id: int, erasure_id: int) -> bool:
    """Take a wish back that is not due yet. False where it is too late."""
    taken = dbsession.scalars(
        update(Erasure)
        .where(Erasure.project_id == project_id, Erasure.id == erasure_id, Erasure.state == ErasureState.WAITING)
        .values(state=ErasureState.WITHDRAWN, sealed=null(), finished_at=func.clock_timestamp())
        .returning(Erasure.id)
        .execution_options(synchronize_session="fetch")
    )
    return taken.one_or_none() is not None


def waiting_of(dbsession: Session, *, project_id: int, subscriber_id: int) -> Erasure | None:
    """The open wish to erase this person."""
    wanted = select(Erasure).where(
        Erasure.project_id == project_id, Erasure.subscriber_id == subscriber_id, Erasure.state.in_(_OPEN)
    )
    return dbsession.scalars(wanted.order_by(Erasure.id.desc()).limit(1)).first()


def due(dbsession: Session, project_id: int, *, most: int) -> list[int]:
    """Wishes whose time has come, the oldest first."""
    wanted = select(Erasure.id).where(
        Erasure.project_id == project_id, Erasure.state == ErasureState.WAITING, Erasure.due_at <= func.now()
    )
    return list(dbsession.scalars(wanted.order_by(Erasure.id).limit(most)))


def in_state(dbsession: Session, project_id: int, state: ErasureState, *, most: int) -> list[Erasure]:
    """Erasures that have come so far, the oldest first."""
    wanted = select(Erasure).where(Erasure.project_id == project_id, Erasure.state == state)
    return list(dbsession.scalars(wanted.order_by(Erasure.id).limit(most)))


def take_out(dbsession: Session, sealer: Sealer, project_id: int, erasure_id: int) -> None:
    """Take a person out: rows, letters, events; on the stop list a keyed hash stays. Once; twice changes nothing."""
    wanted = select(Erasure).where(
        Erasure.project_id == project_id, Erasure.id == erasure_id, Erasure.state == ErasureState.WAITING
    )
    erasure = dbsession.scalars(wanted.with_for_update(skip_locked=True)).one_or_none()
    if erasure is None:
        return
    addresses = addresses_in(sealer, erasure)
    if erasure.subscriber_id is not None:
        for number in (erasure.subscriber_id, *merged_into(dbsession, project_id, erasure.subscriber_id)):
            addresses |= raw.addresses_of(dbsession, project_id, number)
        # The address may have been changed since the wish.
        person = dbsession.get(Subscriber, (project_id, erasure.subscriber_id), with_for_update=True)
        addresses |= {person.email, person.email_key} if person is not None else set()
    erasure.letters, erasure.events = forget(dbsession, project_id, erasure.subscriber_id, addresses)
    _unlist(dbsession, project_id, addresses)
    for key in sorted({one.lower() for one in addresses}):
        suppression.suppress_erased(dbsession, project_id=project_id, email_key=key, user_id=erasure.asked_by)
    erasure.sealed = _seal(sealer, addresses)
    erasure.state = ErasureState.ERASING.value
    erasure.erased_at = datetime.now(UTC)
    dbsession.flush()


def forget(dbsession: Session, project_id: int, subscriber_id: int | None, addresses: Iterable[str]) -> tuple[int, int]:
    """Delete a person's rows and take them out of letters and events; gives how many of both. May be repeated.

    Entries of stop lists stay as they are.
    """
    keys = sorted({one.lower() for one in addresses})
    letters = raw.letters_to(dbsession, project_id, subscriber_id, keys)
    n_letters = raw.erase_letters(dbsession, project_id, letters)
    n_events = raw.erase_events(dbsession, project_id, subscriber_id, letters)
    for number in merged_into(dbsession, project_id, subscriber_id) if subscriber_id is not None else ():
        n_events += raw.erase_events(dbsession, project_id, number, letters)
    if subscriber_id is not None:
        for table in tables_of_people():
            dbsession.execute(
                delete(table).where(table.c.project_id == project_id, table.c.subscriber_id == subscriber_id)
            )
        dbsession.execute(
            delete(Subscriber)
            .where(Subscriber.project_id == project_id, Subscriber.id == subscriber_id)
            .execution_options(synchronize_session=False)
        )
    return n_letters, n_events


def _unlist(dbsession: Session, project_id: int, addresses: Iterable[str]) -> None:
    """Delete the project's entries that name the addresses; the operator's go on to hold, without saying whom."""
    keys = sorted({one.lower() for one in addresses})
    dbsession.execute(
        delete(Suppression)
        .where(Suppression.project_id == project_id, Suppression.email_key.in_(keys))
        .execution_options(synchronize_session=False)
    )
    for row in dbsession.scalars(select(GlobalSuppression).where(GlobalSuppression.email_key.in_(keys))):
        assert row.email_key is not None
        hashed = hash_of(row.email_key)
        if dbsession.scalar(select(GlobalSuppression.id).where(GlobalSuppression.email_hash == hashed)) is not None:
            dbsession.delete(row)
        else:
            row.email_key, row.email_hash = None, hashed
    dbsession.flush()


def addresses_in(sealer: Sealer, erasure: Erasure) -> set[str]:
    """The addresses that are looked for; none once it is done."""
    if erasure.sealed is None:
        return set()
    return set(json.loads(sealer.open(erasure.sealed, _ABOUT)))


def _seal(sealer: Sealer, addresses: Iterable[str]) -> bytes:
    return sealer.seal(json.dumps(sorted(set(addresses))).encode(), _ABOUT)


def follow(dbsession: Session, sealer: Sealer, erasure: Erasure, *, now: datetime) -> bool:
    """Clean what came late. True when nobody is left who knew the person, so that another walk is the last."""
    assert erasure.erased_at is not None
    addresses = addresses_in(sealer, erasure)
    late = forget(dbsession, erasure.project_id, erasure.subscriber_id, addresses)
    _unlist(dbsession, erasure.project_id, addresses)
    erasure.letters += late[0]
    erasure.events += late[1]
    dbsession.flush()
    if now < erasure.erased_at + FOLLOWED_FOR:
        return False
    importing = select(SubscriberImport.id).where(
        SubscriberImport.project_id == erasure.project_id,
        SubscriberImport.created_at <= erasure.erased_at,
        or_(
            SubscriberImport.state == ImportState.RUNNING,
            # An upload that nobody starts is thrown away after a day or two.
            SubscriberImport.state == ImportState.PENDING,
        ),
    )
    # A file of addresses that is being made, or read: what of it is not there yet would come behind the last walk.
    working = select(ProjectJob.id).where(
        ProjectJob.project_id == erasure.project_id,
        ProjectJob.created_at <= erasure.erased_at,
        ProjectJob.state.in_(background.OPEN),
        ProjectJob.kind != KIND,
    )
    reporting = select(ReportJob.id).where(
        ReportJob.kind == JobKind.RECIPIENTS,
        ReportJob.created_at <= erasure.erased_at,
        ReportJob.state.in_((JobState.PENDING, JobState.RUNNING)),
    )
    if dbsession.scalar(select(or_(importing.exists(), working.exists(), reporting.exists()))):
        return False
    return not raw.still_flying(dbsession, erasure.project_id, erasure.erased_at)


def recent(dbsession: Session, project_id: int, *, most: int, before: int | None = None) -> list[Erasure]:
    """The project's erasures, the newest first, or those behind number `before`."""
    wanted = select(Erasure).where(Erasure.project_id == project_id)
    if before is not None:
        wanted = wanted.where(Erasure.id < before)
    return list(dbsession.scalars(wanted.order_by(Erasure.id.desc()).limit(most)))


def erased_before(dbsession: Session, project_id: int, email: str) -> Erasure | None:
    """When an address that somebody names was erased, if it was. Raises InvalidAddress."""
    wanted = select(Erasure).where(
        Erasure.project_id == project_id,
        Erasure.email_hash.in_(hashes_of(parse_address(email).key)),
        Erasure.state != ErasureState.WITHDRAWN,
    )
    return dbsession.scalars(wanted.order_by(Erasure.id.desc()).limit(1)).first()


def drop_unconfirmed(dbsession: Session, project: Project, *, now: datetime, most: int) -> int:
    """Forget people who were asked to confirm longer ago than the project waits, and never did anything else.

    They may sign up again: nothing is put on the stop list. Gives how many, at most `most`.
    """
    if project.unconfirmed_days is None:
        return 0
    limit = now - timedelta(days=project.unconfirmed_days)
    of_person = [Subscription.project_id == Subscriber.project_id, Subscription.subscriber_id == Subscriber.id]
    waits = select(Subscription.list_id).where(*of_person, Subscription.status == SubscriptionStatus.UNCONFIRMED)
    other = select(Subscription.list_id).where(
        *of_person, or_(Subscription.status != SubscriptionStatus.UNCONFIRMED, Subscription.created_at >= limit)
    )
    people = dbsession.execute(
        select(Subscriber.id, Subscriber.email, Subscriber.email_key)
        .where(
            Subscriber.project_id == project.id,
            Subscriber.created_at < limit,
            # Whom the project itself has added, it knows by other means.
            Subscriber.source.like("form%"),
            waits.exists(),
            ~other.exists(),
        )
        .order_by(Subscriber.id)
        .limit(most)
    ).all()
    for person in people:
        forget(dbsession, project.id, person.id, {person.email, person.email_key})
    # Who is in other lists too only loses what was never confirmed.
    dbsession.execute(
        delete(Subscription)
        .where(
            Subscription.project_id == project.id,
            Subscription.status == SubscriptionStatus.UNCONFIRMED,
            Subscription.created_at < limit,
            Subscription.subscriber_id.in_(
                select(Subscription.subscriber_id).where(
                    Subscription.project_id == project.id, Subscription.status != SubscriptionStatus.UNCONFIRMED
                )
            ),
        )
        .execution_options(synchronize_session=False)
    )
    return len(people)


def lists_by_id(dbsession: Session, project_id: int) -> dict[int, str]:
    """The names of the project's lists, also of archived ones."""
    wanted = select(MailingList.id, MailingList.name).where(MailingList.project_id == project_id)
    return {row.id: row.name for row in dbsession.execute(wanted)}
