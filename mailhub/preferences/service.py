"""What a person changes on their page. Everything is written down: in the record of consents and in the journal.

Nothing here commits. Lists whose name a person may not know are not there for them: private ones they are not in.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import tuple_row
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from mailhub.events.service import Event, append_in
from mailhub.lists import consents
from mailhub.lists import service as lists
from mailhub.lists.fields import BadValue, fields_of, read_value
from mailhub.mail.tokens import Claims
from mailhub.models import (
    CampaignList,
    ConsentKind,
    EventType,
    MailingList,
    MessageKind,
    Project,
    Subscriber,
    SubscriberField,
    Subscription,
    SubscriptionStatus,
    Tracking,
    Visibility,
)
from mailhub.preferences import leaving
from mailhub.reporting import spools
from mailhub.security import audit

#: What a pause may last, in days.
PAUSES = (30, 90)
#: So long after leaving an undo works.
UNDO_TIME = timedelta(hours=1)
SOURCE = "preferences"
#: What a person agrees to or not, word by word, in the record of consents.
COUNTED = "My opens and clicks may be counted."

_STRICT = (Tracking.FULL, Tracking.AGGREGATE, Tracking.OFF)


class WrongValues(Exception):
    """Values that do not fit their fields: the field's name → a sentence that can be translated."""

    def __init__(self, errors: Mapping[str, Any]) -> None:
        super().__init__(", ".join(sorted(errors)))
        self.errors = dict(errors)


@dataclass(frozen=True, slots=True)
class Visit:
    """From where somebody changes something, and when."""

    now: datetime
    ip: str | None = None
    user_agent: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """A list that a person may know of, and whether they get its letters."""

    id: int
    name: str
    description: str
    subscribed: bool


def choices(dbsession: Session, person: Subscriber) -> list[Choice]:
    """The public lists, and those that the person gets although they are private, by name. One query."""
    found = (
        select(MailingList, Subscription.status)
        .outerjoin(
            Subscription,
            (Subscription.project_id == MailingList.project_id)
            & (Subscription.list_id == MailingList.id)
            & (Subscription.subscriber_id == person.id),
        )
        .where(MailingList.project_id == person.project_id, MailingList.archived_at.is_(None))
        .order_by(MailingList.name, MailingList.id)
    )
    return [
        Choice(row.id, row.name, row.description, status == SubscriptionStatus.SUBSCRIBED)
        for row, status in dbsession.execute(found)
        if row.visibility == Visibility.PUBLIC or status == SubscriptionStatus.SUBSCRIBED
    ]


def choose_lists(
    dbsession: Session,
    project: Project,
    person: Subscriber,
    claims: Claims,
    wanted: Collection[int],
    visit: Visit,
    *,
    shown: Collection[int] | None = None,
) -> tuple[list[int], list[int]]:
    """Join and leave so that the person gets exactly these of their `choices`; gives (joined, left).

    Other numbers are passed over, and so are lists that were not among the `shown` (None: all were): nobody leaves
    a list that they joined elsewhere after the page had come. The mailbox is theirs, or they would not have the link:
    nothing has to be confirmed.
    """
    known = [one for one in choices(dbsession, person) if shown is None or one.id in shown]
    joined = [one.id for one in known if one.id in wanted and not one.subscribed]
    left = [one.id for one in known if one.id not in wanted and one.subscribed]
    for list_id in joined:
        lists.subscribe(
            dbsession, project_id=project.id, subscriber_id=person.id, list_id=list_id, source=SOURCE, ip=visit.ip,
            user_agent=visit.user_agent, rejoin=True,
        )  # fmt: skip
    if joined:
        leaving.take_back(dbsession, project.id, subscriber_id=person.id, list_ids=joined)
        _note(dbsession, person, "preferences.joined", visit, lists=joined)
    if left:
        left = leave(dbsession, project, person, claims, left, visit)
    return joined, left


def leave(
    dbsession: Session,
    project: Project,
    person: Subscriber,
    claims: Claims,
    list_ids: Sequence[int] | None,
    visit: Visit,
) -> list[int]:
    """Leave these lists, or all (None); gives those that were left now.

    Who leaves a list that the token's campaign was written to has left by that campaign.
    """
    left = lists.unsubscribe(
        dbsession, project_id=project.id, subscriber_id=person.id, list_ids=list_ids, campaign_id=claims.campaign,
        source=SOURCE, ip=visit.ip, user_agent=visit.user_agent,
    )  # fmt: skip
    if left:
        _note(dbsession, person, "preferences.left", visit, lists=left)
        if claims.campaign is not None and _was_written_to(dbsession, project.id, claims.campaign, left):
            _left_by(dbsession, project, person, claims.campaign, visit)
    return left


def just_left(dbsession: Session, project_id: int, subscriber_id: int, said: Collection[int]) -> list[int]:
    """Of these lists, which the page says were left, those that the person has left within UNDO_TIME. One query."""
    if not said:
        return []
    found = select(Subscription.list_id).where(
        Subscription.project_id == project_id,
        Subscription.subscriber_id == subscriber_id,
        Subscription.list_id.in_(said),
        Subscription.status == SubscriptionStatus.UNSUBSCRIBED,
        Subscription.unsubscribed_at > func.now() - UNDO_TIME,
    )
    return list(dbsession.scalars(found))


def undo(dbsession: Session, person: Subscriber, said: Collection[int], visit: Visit) -> list[int]:
    """Into the lists again that were `just_left`, private ones too; what was said about leaving them does not count."""
    back = lists.resubscribe(
        dbsession, project_id=person.project_id, subscriber_id=person.id, source=SOURCE, ip=visit.ip,
        user_agent=visit.user_agent, list_ids=just_left(dbsession, person.project_id, person.id, said),
    )  # fmt: skip
    if back:
        leaving.take_back(dbsession, person.project_id, subscriber_id=person.id, list_ids=back)
        _note(dbsession, person, "preferences.joined", visit, lists=back)
    return back


def pause(dbsession: Session, person: Subscriber, days: int, visit: Visit) -> datetime:
    """No campaign is sent to the person for so many days (one of PAUSES) from now on; gives the end."""
    if days not in PAUSES:
        raise ValueError(f"a pause lasts {PAUSES} days")
    until = visit.now + timedelta(days=days)
    person.paused_until = until
    _note(dbsession, person, "preferences.paused", visit, days=days)
    return until


def end_pause(dbsession: Session, person: Subscriber, visit: Visit) -> bool:
    """Letters go on at once. False: there was no pause."""
    if person.paused_until is None:
        return False
    was_paused = person.paused_until > visit.now
    person.paused_until = None
    if was_paused:
        _note(dbsession, person, "preferences.pause_ended", visit)
    return was_paused


def count_me(dbsession: Session, person: Subscriber, *, counted: bool, visit: Visit) -> bool:
    """Whether opens and clicks of the person may be counted at all; recorded. False: it was so already.

    A stricter choice that somebody has made for them stays when they agree: only their own `off` is taken back.
    """
    if counted == (person.tracking != Tracking.OFF):
        return False
    person.tracking = Tracking.FULL if counted else Tracking.OFF
    consents.record(
        dbsession, project_id=person.project_id, subscriber_id=person.id,
        kind=ConsentKind.GIVEN if counted else ConsentKind.WITHDRAWN, source=SOURCE, text=COUNTED, ip=visit.ip,
        user_agent=visit.user_agent,
    )  # fmt: skip
    _note(dbsession, person, "preferences.tracking", visit, tracking=person.tracking)
    return True


def editable_fields(dbsession: Session, project_id: int) -> list[SubscriberField]:
    """The fields that people may change themselves, in their order."""
    return [one for one in fields_of(dbsession, project_id) if one.editable]


def change_details(
    dbsession: Session, person: Subscriber, *, name: str, values: Mapping[str, str], visit: Visit
) -> list[str]:
    """The name and the editable fields as they were typed; gives what has changed. Raises WrongValues.

    Fields that are not editable are passed over.
    """
    read: dict[str, Any] = {}
    errors: dict[str, Any] = {}
    for field in editable_fields(dbsession, person.project_id):
        if field.name in values:
            try:
                read[field.name] = read_value(field, values[field.name])
            except BadValue as fault:
                errors[field.name] = fault.message
    if errors:
        raise WrongValues(errors)
    changed = sorted(key for key, value in read.items() if person.fields.get(key) != value)
    if name != person.name:
        changed.append("name")
    if changed:
        lists.update_subscriber(dbsession, person, name=name, fields=read)
        _note(dbsession, person, "preferences.details", visit, fields=changed)
    return changed


def address_changed(dbsession: Session, person: Subscriber, visit: Visit) -> None:
    """Record that the new address has agreed to get the person's letters."""
    consents.record(
        dbsession, project_id=person.project_id, subscriber_id=person.id, kind=ConsentKind.CONFIRMED, source=SOURCE,
        text="My letters go to this address.", ip=visit.ip, user_agent=visit.user_agent,
    )  # fmt: skip
    _note(dbsession, person, "preferences.address", visit)


def set_for_person(
    dbsession: Session, person: Subscriber, *, tracking: str, pause_days: int | None, now: datetime
) -> list[str]:
    """What the team decides for a person: the mode of tracking, and a pause (0 ends it, None leaves it as it is).

    Gives the names of what has changed.
    """
    changed = []
    if tracking != person.tracking:
        person.tracking = Tracking(tracking)
        changed.append("tracking")
    if pause_days is not None:
        until = now + timedelta(days=pause_days) if pause_days else None
        if until != person.paused_until:
            person.paused_until = until
            changed.append("paused_until")
    dbsession.flush()
    return changed


def strictest(modes: Collection[str]) -> Tracking:
    """The mode that holds where several meet."""
    return max((Tracking(mode) for mode in modes), key=_STRICT.index)


def _was_written_to(dbsession: Session, project_id: int, campaign_id: int, list_ids: Sequence[int]) -> bool:
    found = select(CampaignList.list_id).where(
        CampaignList.project_id == project_id,
        CampaignList.campaign_id == campaign_id,
        CampaignList.list_id.in_(list_ids),
    )
    return dbsession.execute(found.limit(1)).first() is not None


def _left_by(dbsession: Session, project: Project, person: Subscriber, campaign_id: int, visit: Visit) -> None:
    connection = dbsession.connection().connection.driver_connection
    assert isinstance(connection, Connection)
    with connection.cursor(row_factory=tuple_row) as cursor:
        words = spools.campaigns_of_hits(cursor, [(project.id, campaign_id)]).get((project.id, campaign_id))
    if words is None:
        return
    event = Event(
        EventType.UNSUBSCRIBED, project.id, MessageKind.CAMPAIGN, at=visit.now, project_domain=words.project_domain,
        campaign_id=campaign_id, campaign_name=words.campaign_name, list_id=words.list_id, list_name=words.list_name,
        subscriber_id=person.id, email=person.email, email_domain=person.email_domain, ip=visit.ip,
        user_agent=visit.user_agent[:300],
    )  # fmt: skip
    append_in(dbsession, [event])


def _note(dbsession: Session, person: Subscriber, action: str, visit: Visit, **detail: Any) -> None:
    dbsession.flush()
    audit.write(dbsession, action, person, actor="", project_id=person.project_id, ip=visit.ip, detail=detail)
