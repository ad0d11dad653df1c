"""Everything that a project knows of a person, in plain words and numbers; for them, or for who has to tell them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import CompoundSelect, Select, Table, func, or_, select, union_all
from sqlalchemy.orm import Session

from mailhub.lists import consents
from mailhub.lists.fields import fields_of
from mailhub.lists.service import merged_into
from mailhub.models import (
    MailingList,
    Message,
    MessageEvent,
    Project,
    Subscriber,
    SubscriberTag,
    Subscription,
    Suppression,
    Tag,
)
from mailhub.privacy.places import tables_of_people

#: Rows that are read and written together: a person may have any number of letters.
SLICE = 2_000
#: Told by themselves below, under a name that people understand.
_TOLD = frozenset({"subscription", "consent", "subscriber_tag", "subscriber_merge"})
#: A machine's way of ordering rows tells nobody anything; which of the team has written a note is about somebody else.
_OURS = frozenset({"project_id", "subscriber_id", "user_id", "author"})


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a person: `about` at once; letters and events, the newest first, are read anew by each call."""

    about: dict[str, Any]
    letters: Callable[[], Iterator[dict[str, Any]]]
    events: Callable[[], Iterator[dict[str, Any]]]


def collect(dbsession: Session, project: Project, person: Subscriber) -> Known:
    """Everything. `about` has `person`, `fields`, `tags`, `lists`, `consents`, `stop_list`, `counts` (of letters and
    events), and whatever other tables know under their own names (`other`). Times are in UTC.
    """
    project_id = project.id
    ids = [person.id, *merged_into(dbsession, project_id, person.id)]
    letters, events = _letters(project_id, person, ids).subquery(), _events(project_id, person, ids).subquery()
    about = {
        "project": {"name": project.name, "domain": project.domain},
        "made_at": datetime.now(UTC),
        "person": {
            "id": person.id, "email": person.email, "name": person.name, "status": person.status,
            "source": person.source, "tracking": person.tracking, "paused_until": person.paused_until,
            "added_at": person.created_at, "changed_at": person.updated_at,
            "status_changed_at": person.status_changed_at,
        },
        "fields": _fields(dbsession, project_id, person),
        "tags": list(
            dbsession.scalars(
                select(Tag.name)
                .join(SubscriberTag, (SubscriberTag.project_id == Tag.project_id) & (SubscriberTag.tag_id == Tag.id))
                .where(SubscriberTag.project_id == project_id, SubscriberTag.subscriber_id == person.id)
                .order_by(Tag.name)
            )
        ),
        "lists": _lists(dbsession, project_id, person),
        "consents": [
            {
                "at": one.consent.at, "kind": one.consent.kind, "list": one.list_name or "", "words": one.text,
                "source": one.consent.source, "ip": str(one.consent.ip or ""), "program": one.consent.user_agent,
            }
            for one in consents.of_person(dbsession, project_id, person.id)
        ],
        "stop_list": [
            {"reason": row.reason, "note": row.note, "added_at": row.created_at, "expires_at": row.expires_at}
            for row in dbsession.scalars(
                select(Suppression).where(
                    Suppression.project_id == project_id, Suppression.email_key == person.email_key
                )
            )
        ],
        "other": _other(dbsession, project_id, person.id),
        "counts": {
            "letters": dbsession.scalar(select(func.count()).select_from(letters)) or 0,
            "events": dbsession.scalar(select(func.count()).select_from(events)) or 0,
        },
    }  # fmt: skip
    return Known(
        about,
        lambda: _stream(dbsession, select(letters).order_by(letters.c.at.desc(), letters.c.id)),
        lambda: _stream(dbsession, select(events).order_by(events.c.at.desc(), events.c.id)),
    )


def _stream(dbsession: Session, statement: Select[*tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    for row in dbsession.execute(statement, execution_options={"yield_per": SLICE}):
        told = dict(row._mapping)
        del told["id"]
        if "ip" in told:
            told["ip"] = str(told["ip"] or "")
        yield told


def _letters(project_id: int, person: Subscriber, ids: Sequence[int]) -> Select[*tuple[Any, ...]]:
    """Letters to the person, or to their address before they were known."""
    return select(
        Message.id, Message.created_at.label("at"), Message.kind, Message.email.label("to"), Message.subject,
        Message.campaign_name.label("campaign"), Message.list_name.label("list"), Message.state, Message.reason,
        Message.settled_at,
    ).where(
        Message.project_id == project_id,
        or_(Message.subscriber_id.in_(ids), func.lower(Message.email) == person.email_key),
    )  # fmt: skip


def _events(project_id: int, person: Subscriber, ids: Sequence[int]) -> CompoundSelect[*tuple[Any, ...]]:
    """Events of the person, and of letters to their address from before they were known: by two indexes."""
    told = select(
        MessageEvent.id, MessageEvent.at, MessageEvent.type, MessageEvent.campaign_name.label("campaign"),
        MessageEvent.list_name.label("list"), MessageEvent.url, MessageEvent.ip,
        MessageEvent.user_agent.label("program"), MessageEvent.device, MessageEvent.detail,
    ).where(MessageEvent.project_id == project_id)  # fmt: skip
    before = (
        select(Message.id)
        .where(
            Message.project_id == project_id,
            func.lower(Message.email) == person.email_key,
            Message.subscriber_id.is_(None),
        )
        .subquery()
    )
    return union_all(
        told.where(MessageEvent.subscriber_id.in_(ids)),
        told.join(before, before.c.id == MessageEvent.message_id).where(
            or_(MessageEvent.subscriber_id.is_(None), MessageEvent.subscriber_id.not_in(ids))
        ),
    )


def _fields(dbsession: Session, project_id: int, person: Subscriber) -> dict[str, Any]:
    labels = {one.name: one.label or one.name for one in fields_of(dbsession, project_id)}
    return {labels.get(name, name): value for name, value in person.fields.items()}


def _lists(dbsession: Session, project_id: int, person: Subscriber) -> list[dict[str, Any]]:
    wanted = (
        select(Subscription, MailingList.name)
        .join(
            MailingList,
            (MailingList.project_id == Subscription.project_id) & (MailingList.id == Subscription.list_id),
        )
        .where(Subscription.project_id == project_id, Subscription.subscriber_id == person.id)
        .order_by(MailingList.name, MailingList.id)
    )
    return [
        {
            "list": name, "status": one.status, "source": one.source, "ip": str(one.ip or ""),
            "joined_at": one.created_at, "confirmed_at": one.confirmed_at, "left_at": one.unsubscribed_at,
        }
        for one, name in dbsession.execute(wanted)
    ]  # fmt: skip


def _other(dbsession: Session, project_id: int, subscriber_id: int) -> dict[str, list[dict[str, Any]]]:
    """Rows of whatever other table knows a person by their number: notes, pauses, what will be there tomorrow."""
    found = {}
    for table in tables_of_people():
        if table.name not in _TOLD:
            rows = dbsession.execute(
                select(table).where(table.c.project_id == project_id, table.c.subscriber_id == subscriber_id)
            )
            told = [_told(table, dict(row._mapping)) for row in rows]
            if told:
                found[table.name] = told
    return found


def _told(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    own = {one.name for one in table.primary_key} - {"id"}
    return {name: _plain(value) for name, value in row.items() if name not in _OURS | own and not _is_secret(value)}


def _is_secret(value: Any) -> bool:
    """Digests and sealed texts say nothing about a person."""
    return isinstance(value, bytes | memoryview)


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | list | dict | datetime | date | None) else str(value)
