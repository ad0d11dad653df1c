"""Everything that a project knows of a person, in plain words and numbers; for them, or for who has to tell them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, func, or_, select
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

#: Beyond so many letters or events the newest are given, and the document says how many there are.
MOST = 20_000
#: Told by themselves below, under a name that people understand.
_TOLD = frozenset({"subscription", "consent", "subscriber_tag", "subscriber_merge"})
#: A machine's way of ordering rows tells nobody anything.
_OURS = frozenset({"project_id", "subscriber_id"})


def collect(dbsession: Session, project: Project, person: Subscriber) -> dict[str, Any]:
    """A JSON document: `person`, `fields`, `tags`, `lists`, `consents`, `letters`, `events`, `stop_list`, and whatever
    other tables know under their own names (`other`).

    Times are in UTC. `counts` says how many letters and events there are, where the newest MOST are given.
    """
    project_id = project.id
    ids = [person.id, *merged_into(dbsession, project_id, person.id)]
    letters = [Message.project_id == project_id, _theirs(person, ids)]
    events = [MessageEvent.project_id == project_id, MessageEvent.subscriber_id.in_(ids)]
    return {
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
        "counts": {
            "letters": dbsession.scalar(select(func.count()).select_from(Message).where(*letters)),
            "events": dbsession.scalar(select(func.count()).select_from(MessageEvent).where(*events)),
        },
        "letters": [
            {
                "at": row.created_at, "kind": row.kind, "to": row.email, "subject": row.subject,
                "campaign": row.campaign_name, "list": row.list_name, "state": row.state, "reason": row.reason,
                "settled_at": row.settled_at,
            }
            for row in dbsession.execute(
                select(
                    Message.created_at, Message.kind, Message.email, Message.subject, Message.campaign_name,
                    Message.list_name, Message.state, Message.reason, Message.settled_at,
                ).where(*letters).order_by(Message.created_at.desc(), Message.id).limit(MOST)
            )
        ],
        "events": [
            {
                "at": row.at, "type": row.type, "campaign": row.campaign_name, "list": row.list_name, "url": row.url,
                "ip": str(row.ip or ""), "program": row.user_agent, "device": row.device, "detail": row.detail,
            }
            for row in dbsession.execute(
                select(
                    MessageEvent.at, MessageEvent.type, MessageEvent.campaign_name, MessageEvent.list_name,
                    MessageEvent.url, MessageEvent.ip, MessageEvent.user_agent, MessageEvent.device,
                    MessageEvent.detail,
                ).where(*events).order_by(MessageEvent.at.desc(), MessageEvent.id).limit(MOST)
            )
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
    }  # fmt: skip


def _theirs(person: Subscriber, ids: Sequence[int]) -> ColumnElement[bool]:
    return or_(Message.subscriber_id.in_(ids), func.lower(Message.email) == person.email_key)


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
