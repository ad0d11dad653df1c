"""What this room does to lists, people and their subscriptions; used by pages, the API, tracking and the demo.

Nothing here commits. The numbers of lists and projects follow by triggers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Boolean, cast, delete, func, literal_column, or_, select, update
from sqlalchemy.dialects.postgresql import INET, insert
from sqlalchemy.orm import Session

from mailhub.events.renames import request_rename
from mailhub.lists import consents
from mailhub.lists.fields import ensure_fields
from mailhub.mail.address import Address, parse_address
from mailhub.models import (
    Campaign,
    CampaignList,
    CampaignState,
    ConsentKind,
    ImportList,
    MailingList,
    OptIn,
    RenameKind,
    Subscriber,
    SubscriberMerge,
    SubscriberStatus,
    Subscription,
    SubscriptionStatus,
    Tracking,
    Visibility,
)
from mailhub.suppression import service as suppression

#: Campaigns in these states will still write to their lists.
UNSENT = (CampaignState.DRAFT, CampaignState.SCHEDULED, CampaignState.SENDING, CampaignState.PAUSED)
LIVE = (SubscriptionStatus.SUBSCRIBED, SubscriptionStatus.UNCONFIRMED)


class ListInUse(Exception):
    """Campaigns that are not finished write to the list; `campaigns` are their names."""

    def __init__(self, campaigns: Sequence[str]) -> None:
        super().__init__(", ".join(campaigns))
        self.campaigns = list(campaigns)


class AddressTaken(Exception):
    """Another person of the project has this address."""

    def __init__(self, subscriber_id: int) -> None:
        super().__init__(str(subscriber_id))
        self.subscriber_id = subscriber_id


@dataclass(frozen=True)
class Upserted:
    """The person, and whether they are new."""

    subscriber: Subscriber
    created: bool


# Lists


def create_list(
    dbsession: Session,
    *,
    project_id: int,
    name: str,
    description: str = "",
    opt_in: str = OptIn.SINGLE,
    visibility: str = Visibility.PRIVATE,
    language: str = "",
    tracking: str = Tracking.FULL,
) -> MailingList:
    """A new, empty list."""
    mailing_list = MailingList(
        project_id=project_id,
        name=name,
        description=description,
        opt_in=opt_in,
        visibility=visibility,
        language=language,
        tracking=tracking,
    )
    dbsession.add(mailing_list)
    dbsession.flush()
    dbsession.refresh(mailing_list)
    return mailing_list


def update_list(dbsession: Session, mailing_list: MailingList, **changes: str) -> None:
    """Change name, description, opt_in, visibility, language or tracking; who is subscribed stays subscribed.

    The list's name in letters and events that are there follows (`mailhub.events.rename`).
    """
    renamed = "name" in changes and mailing_list.name != changes["name"]
    for name in ("name", "description", "opt_in", "visibility", "language", "tracking"):
        if name in changes:
            setattr(mailing_list, name, changes[name])
    dbsession.flush()
    if renamed:
        request_rename(
            dbsession, RenameKind.LIST_NAME, project_id=mailing_list.project_id, object_id=mailing_list.id
        )


def unfinished_campaigns(dbsession: Session, mailing_list: MailingList) -> list[Campaign]:
    """Campaigns that still want to write to the list, newest first."""
    wanted = (
        select(Campaign)
        .join(
            CampaignList,
            (CampaignList.project_id == Campaign.project_id) & (CampaignList.campaign_id == Campaign.id),
        )
        .where(
            CampaignList.project_id == mailing_list.project_id,
            CampaignList.list_id == mailing_list.id,
            Campaign.state.in_(UNSENT),
            Campaign.archived_at.is_(None),
        )
        .order_by(Campaign.id.desc())
    )
    return list(dbsession.scalars(wanted))


def delete_list(dbsession: Session, mailing_list: MailingList) -> bool:
    """Delete the list with its subscriptions; the people stay in the project. Raises ListInUse.

    True: it is gone. False: reports and imports refer to it, so it was archived, which takes it out of sight.
    """
    key = (mailing_list.project_id, mailing_list.id)
    # A campaign that is being given this list waits here, or makes us see it.
    dbsession.refresh(mailing_list, with_for_update=True)
    waiting = unfinished_campaigns(dbsession, mailing_list)
    if waiting:
        raise ListInUse([campaign.name for campaign in waiting])
    referred = select(
        or_(
            select(CampaignList.campaign_id)
            .where(CampaignList.project_id == key[0], CampaignList.list_id == key[1])
            .exists(),
            select(ImportList.import_id)
            .where(ImportList.project_id == key[0], ImportList.list_id == key[1])
            .exists(),
        )
    )
    if dbsession.scalar(referred):
        mailing_list.archived_at = datetime.now(UTC)
        dbsession.flush()
        return False
    dbsession.execute(delete(MailingList).where(MailingList.project_id == key[0], MailingList.id == key[1]))
    dbsession.expunge(mailing_list)
    return True


# People


def find_by_address(dbsession: Session, *, project_id: int, address: Address) -> Subscriber | None:
    return dbsession.scalars(
        select(Subscriber).where(Subscriber.project_id == project_id, Subscriber.email_key == address.key)
    ).one_or_none()


def person_of(dbsession: Session, project_id: int, subscriber_id: int) -> Subscriber | None:
    """The person of this number, or whom they have been merged with since: letters keep the number that they had."""
    found = dbsession.get(Subscriber, (project_id, subscriber_id))
    if found is not None:
        return found
    merge = dbsession.get(SubscriberMerge, (project_id, subscriber_id))
    return dbsession.get(Subscriber, (project_id, merge.subscriber_id)) if merge is not None else None


def merged_into(dbsession: Session, project_id: int, subscriber_id: int) -> list[int]:
    """The numbers of those who have become this person by a merge: letters and events may still stand under them."""
    gone = select(SubscriberMerge.gone_id).where(
        SubscriberMerge.project_id == project_id, SubscriberMerge.subscriber_id == subscriber_id
    )
    return list(dbsession.scalars(gone.order_by(SubscriberMerge.gone_id)))


def upsert_subscriber(
    dbsession: Session,
    *,
    project_id: int,
    email: str,
    name: str | None = None,
    fields: Mapping[str, Any] | None = None,
    source: str = "",
) -> Upserted:
    """The person with this address, made if there is none. Raises InvalidAddress.

    A name that is given replaces the old one unless it is empty; fields that are given are laid over the others.
    Unknown fields become the project's.
    """
    address = parse_address(email)
    filled = {label: value for label, value in (fields or {}).items() if value is not None and value != ""}
    given = ensure_fields(dbsession, project_id=project_id, fields=filled)
    statement = insert(Subscriber).values(
        project_id=project_id,
        email=address.email,
        email_key=address.key,
        email_domain=address.domain,
        name=name or "",
        fields=given,
        source=source,
    )
    new = statement.excluded
    upsert = statement.on_conflict_do_update(
        index_elements=["project_id", "email_key"],
        set_={
            "name": func.coalesce(func.nullif(new.name, ""), Subscriber.name),
            "fields": Subscriber.fields.op("||")(new.fields),
            "updated_at": func.now(),
        },
    ).returning(Subscriber.id, literal_column("xmax = 0", Boolean).label("created"))
    row = dbsession.execute(upsert).one()
    person = dbsession.get_one(Subscriber, (project_id, row.id), populate_existing=True)
    return Upserted(person, row.created)


def update_subscriber(
    dbsession: Session,
    subscriber: Subscriber,
    *,
    email: str | None = None,
    name: str | None = None,
    fields: Mapping[str, Any] | None = None,
) -> None:
    """Change what is given; a field given as None or empty is taken away. Raises InvalidAddress, AddressTaken."""
    if email is not None:
        address = parse_address(email)
        if address.key != subscriber.email_key:
            other = find_by_address(dbsession, project_id=subscriber.project_id, address=address)
            if other is not None:
                raise AddressTaken(other.id)
        subscriber.email, subscriber.email_key, subscriber.email_domain = address.email, address.key, address.domain
    if name is not None:
        subscriber.name = name
    if fields is not None:
        given = ensure_fields(dbsession, project_id=subscriber.project_id, fields=fields)
        merged = {**subscriber.fields, **given}
        subscriber.fields = {key: value for key, value in merged.items() if value is not None and value != ""}
    dbsession.flush()


def delete_subscriber(dbsession: Session, subscriber: Subscriber) -> None:
    """Take the person out of the project and of every list. Letters that were sent keep their rows."""
    dbsession.execute(
        delete(Subscriber).where(Subscriber.project_id == subscriber.project_id, Subscriber.id == subscriber.id)
    )
    dbsession.expunge(subscriber)


def set_person_status(dbsession: Session, *, project_id: int, subscriber_id: int, status: str) -> bool:
    """Move a person between active and unsubscribed; a bounce or a complaint stays. True if something moved."""
    moved = dbsession.scalars(
        update(Subscriber)
        .where(
            Subscriber.project_id == project_id,
            Subscriber.id == subscriber_id,
            Subscriber.status.in_((SubscriberStatus.ACTIVE, SubscriberStatus.UNSUBSCRIBED)),
            Subscriber.status != status,
        )
        .values(status=status, status_changed_at=func.now(), updated_at=func.now())
        .returning(Subscriber.id)
        .execution_options(synchronize_session="fetch")
    )
    return moved.one_or_none() is not None


def is_suppressed(dbsession: Session, *, project_id: int, email_key: str) -> bool:
    """Whether the address is on the project's stop list or the operator's now."""
    return suppression.is_suppressed(dbsession, project_id, email_key)


# Subscriptions


def subscribe(
    dbsession: Session,
    *,
    project_id: int,
    subscriber_id: int,
    list_id: int,
    status: str = SubscriptionStatus.SUBSCRIBED,
    source: str = "",
    ip: str | None = None,
    rejoin: bool = False,
    text: str = "",
    user_agent: str = "",
) -> str:
    """Put a person into a list; gives the status that they have in it now. A change is recorded as a consent.

    Who has left stays out unless `rejoin` says that they themselves, or somebody who answers for it, want them back.
    Who is subscribed already stays so, with the consent as it was first recorded. `text` is what they agreed to.
    """
    person = dbsession.get_one(Subscriber, (project_id, subscriber_id))
    if person.status == SubscriberStatus.UNSUBSCRIBED and not rejoin:
        return SubscriptionStatus.UNSUBSCRIBED
    statement = insert(Subscription).values(
        project_id=project_id, list_id=list_id, subscriber_id=subscriber_id, status=status, source=source, ip=ip
    )
    new = statement.excluded
    confirmed = (Subscription.status == SubscriptionStatus.UNCONFIRMED) & (new.status == SubscriptionStatus.SUBSCRIBED)
    has_left = Subscription.status == SubscriptionStatus.UNSUBSCRIBED
    changed = dbsession.scalar(
        statement.on_conflict_do_update(
            index_elements=["project_id", "list_id", "subscriber_id"],
            set_={"status": new.status, "source": new.source, "ip": new.ip, "unsubscribed_at": None},
            where=confirmed | has_left if rejoin else confirmed,
        ).returning(Subscription.list_id)
    )
    if changed is not None:
        consents.record(
            dbsession, project_id=project_id, subscriber_id=subscriber_id, list_id=list_id,
            kind=consents.kind_of(status, source), source=source, text=text, ip=ip, user_agent=user_agent,
        )  # fmt: skip
    row = dbsession.get_one(Subscription, (project_id, list_id, subscriber_id), populate_existing=True)
    if rejoin and row.status == SubscriptionStatus.SUBSCRIBED:
        set_person_status(dbsession, project_id=project_id, subscriber_id=subscriber_id, status=SubscriberStatus.ACTIVE)
    return row.status


def unsubscribe(
    dbsession: Session,
    *,
    project_id: int,
    subscriber_id: int,
    list_ids: Sequence[int] | None = None,
    campaign_id: int | None = None,
    source: str = "",
    ip: str | None = None,
    user_agent: str = "",
) -> list[int]:
    """Take a person out of these lists (None: out of all); gives the ids of the lists that they have left now.

    Who is in no list any more, or wanted to leave all, becomes `unsubscribed` as a person. Twice is harmless.
    `campaign_id` says by whose letter; the caller stores the event, which keeps it. That the consents have ended is
    recorded, with the way (`source`: manual, api, page, preferences, one_click).
    """
    leaving = (
        update(Subscription)
        .where(
            Subscription.project_id == project_id,
            Subscription.subscriber_id == subscriber_id,
            Subscription.status.in_(LIVE),
        )
        .values(status=SubscriptionStatus.UNSUBSCRIBED, unsubscribed_at=func.clock_timestamp())
        .execution_options(synchronize_session="fetch")
        .returning(Subscription.list_id)
    )
    if list_ids is not None:
        leaving = leaving.where(Subscription.list_id.in_(list_ids))
    left = sorted(dbsession.scalars(leaving))
    consents.record_many(
        dbsession, project_id=project_id, subscriber_id=subscriber_id, list_ids=left, kind=ConsentKind.WITHDRAWN,
        source=source, ip=ip, user_agent=user_agent,
    )  # fmt: skip
    if list_ids is None or (left and not _is_in_any_list(dbsession, project_id, subscriber_id)):
        set_person_status(
            dbsession, project_id=project_id, subscriber_id=subscriber_id, status=SubscriberStatus.UNSUBSCRIBED
        )
    return left


def _is_in_any_list(dbsession: Session, project_id: int, subscriber_id: int) -> bool:
    live = (
        select(Subscription.list_id)
        .join(
            MailingList,
            (MailingList.project_id == Subscription.project_id) & (MailingList.id == Subscription.list_id),
        )
        .where(
            Subscription.project_id == project_id,
            Subscription.subscriber_id == subscriber_id,
            Subscription.status.in_(LIVE),
            MailingList.archived_at.is_(None),
        )
        .limit(1)
    )
    return dbsession.scalar(live) is not None


def resubscribe(
    dbsession: Session,
    *,
    project_id: int,
    subscriber_id: int,
    list_ids: Sequence[int],
    source: str = "",
    ip: str | None = None,
    user_agent: str = "",
) -> list[int]:
    """Undo `unsubscribe` for these lists; gives the ids of the lists that they are in again. It is recorded."""
    back = (
        update(Subscription)
        .where(
            Subscription.project_id == project_id,
            Subscription.subscriber_id == subscriber_id,
            Subscription.list_id.in_(list_ids),
            Subscription.status == SubscriptionStatus.UNSUBSCRIBED,
        )
        .values(status=SubscriptionStatus.SUBSCRIBED, unsubscribed_at=None)
        .execution_options(synchronize_session="fetch")
        .returning(Subscription.list_id)
    )
    joined = sorted(dbsession.scalars(back))
    consents.record_many(
        dbsession, project_id=project_id, subscriber_id=subscriber_id, list_ids=joined, kind=ConsentKind.GIVEN,
        source=source, ip=ip, user_agent=user_agent,
    )  # fmt: skip
    if joined:
        set_person_status(dbsession, project_id=project_id, subscriber_id=subscriber_id, status=SubscriberStatus.ACTIVE)
    return joined


def confirm(
    dbsession: Session,
    *,
    project_id: int,
    subscriber_id: int,
    list_id: int,
    asked_at: datetime,
    ip: str | None = None,
    user_agent: str = "",
) -> bool | None:
    """A person confirms by the link of a letter from `asked_at`. True: subscribed by it; False: was subscribed already.

    None: the link is worth nothing any more, because the person has been deleted or has left after it was sent.
    """
    confirmed = dbsession.scalars(
        update(Subscription)
        .where(
            Subscription.project_id == project_id,
            Subscription.list_id == list_id,
            Subscription.subscriber_id == subscriber_id,
            or_(
                Subscription.status == SubscriptionStatus.UNCONFIRMED,
                (Subscription.status == SubscriptionStatus.UNSUBSCRIBED) & (Subscription.unsubscribed_at < asked_at),
            ),
        )
        .values(
            status=SubscriptionStatus.SUBSCRIBED, confirmed_at=func.clock_timestamp(), unsubscribed_at=None,
            ip=func.coalesce(cast(ip, INET), Subscription.ip),
        )
        .returning(Subscription.source)
        .execution_options(synchronize_session="fetch")
    )  # fmt: skip
    source = confirmed.one_or_none()
    if source is not None:
        consents.record(
            dbsession, project_id=project_id, subscriber_id=subscriber_id, list_id=list_id,
            kind=ConsentKind.CONFIRMED, source=source, ip=ip, user_agent=user_agent,
        )  # fmt: skip
        set_person_status(dbsession, project_id=project_id, subscriber_id=subscriber_id, status=SubscriberStatus.ACTIVE)
        return True
    now = dbsession.get(Subscription, (project_id, list_id, subscriber_id))
    return False if now is not None and now.status == SubscriptionStatus.SUBSCRIBED else None
