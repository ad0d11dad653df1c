"""What grows with time as rows of a file: single letters, raw events; and two small tables, the stop list and tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Select, func, select, tuple_
from sqlalchemy.orm import Session

from mailhub.delivery.ids import new_message_id
from mailhub.exports.wanted import Wanted, What
from mailhub.models import Message, MessageEvent, MessageKind, Project, Suppression, Tag

COLUMNS: Mapping[What, tuple[str, ...]] = {
    What.SUPPRESSIONS: ("email", "reason", "note", "campaign_id", "added_at", "expires_at"),
    What.TAGS: ("tag", "people", "added_at"),
    What.MESSAGES: (
        "id", "created_at", "kind", "email", "subject", "tag", "state", "reason", "attempts", "smtp_code",
        "smtp_reply", "settled_at",
    ),
    What.EVENTS: (
        "id", "at", "type", "kind", "email", "campaign_id", "campaign", "list", "message_id", "url", "code", "detail",
        "ip", "user_agent", "device", "client", "actor",
    ),
}  # fmt: skip
_KINDS = (MessageKind.SERVICE, MessageKind.TEST, MessageKind.TRANSACTIONAL)


def ids(project: Project, wanted: Wanted) -> Select[Any]:
    """The numbers of a small table's rows, in their order."""
    if wanted.what == What.TAGS:
        return select(Tag.id).where(Tag.project_id == project.id).order_by(Tag.id)
    # Of an erased person there is nothing that one could read.
    return (
        select(Suppression.id)
        .where(Suppression.project_id == project.id, Suppression.email_key.is_not(None))
        .order_by(Suppression.id)
    )


def rows(dbsession: Session, project: Project, wanted: Wanted, numbers: Sequence[int]) -> list[list[Any]]:
    """A small table's rows by their numbers."""
    if wanted.what == What.TAGS:
        some = select(Tag.name, Tag.n, Tag.created_at).where(Tag.project_id == project.id, Tag.id.in_(numbers))
        return [list(row) for row in dbsession.execute(some.order_by(Tag.id))]
    entries = select(
        Suppression.email_key, Suppression.reason, Suppression.note, Suppression.campaign_id, Suppression.created_at,
        Suppression.expires_at,
    ).where(Suppression.project_id == project.id, Suppression.id.in_(numbers))  # fmt: skip
    return [list(row) for row in dbsession.execute(entries.order_by(Suppression.id))]


def start(dbsession: Session, wanted: Wanted) -> dict[str, Any]:
    """Where a walk through letters or events begins, and what it does not go beyond: what comes later is not in it."""
    if wanted.what == What.MESSAGES:
        return {"kind": 0, "after": str(UUID(int=0)), "until": str(new_message_id(datetime.now(UTC)))}
    horizon = dbsession.scalar(select(func.feed_horizon()))
    return {"position": 0, "id": 0, "until": horizon}


def walk(
    dbsession: Session, project: Project, wanted: Wanted, place: Mapping[str, Any], *, most: int
) -> tuple[list[list[Any]], dict[str, Any] | None]:
    """The next rows and the place behind them; None at the end."""
    return (_letters if wanted.what == What.MESSAGES else _events)(dbsession, project, wanted, place, most)


def _letters(
    dbsession: Session, project: Project, wanted: Wanted, place: Mapping[str, Any], most: int
) -> tuple[list[list[Any]], dict[str, Any] | None]:
    """By kind, then by the letter's id, which grows with time: the index of the log."""
    since, until = _moments(project, wanted)
    some = select(
        Message.id, Message.created_at, Message.kind, Message.email, Message.subject, Message.tag, Message.state,
        Message.reason, Message.attempts, Message.smtp_code, Message.smtp_reply, Message.settled_at,
    ).where(
        Message.project_id == project.id,
        Message.kind == _KINDS[place["kind"]],
        Message.id > UUID(place["after"]),
        Message.id <= UUID(place["until"]),
    )  # fmt: skip
    if since is not None:
        some = some.where(Message.created_at >= since)
    if until is not None:
        some = some.where(Message.created_at < until)
    found = dbsession.execute(some.order_by(Message.id).limit(most)).all()
    out = [[str(row.id), *tuple(row)[1:]] for row in found]
    if len(found) == most:
        return out, {**place, "after": str(found[-1].id)}
    if place["kind"] + 1 < len(_KINDS):
        return out, {**place, "kind": place["kind"] + 1, "after": str(UUID(int=0))}
    return out, None


def _events(
    dbsession: Session, project: Project, wanted: Wanted, place: Mapping[str, Any], most: int
) -> tuple[list[list[Any]], dict[str, Any] | None]:
    """In the order of the feed: (position, id), below the horizon of the beginning."""
    since, until = _moments(project, wanted)
    e = MessageEvent
    some = select(
        e.position, e.id, e.at, e.type, e.kind, e.email, e.campaign_id, e.campaign_name, e.list_name, e.message_id,
        e.url, e.code, e.detail, e.ip, e.user_agent, e.device, e.client, e.actor,
    ).where(
        e.project_id == project.id,
        tuple_(e.position, e.id) > tuple_(place["position"], place["id"]),
        e.position < place["until"],
    )  # fmt: skip
    if since is not None:
        some = some.where(e.at >= since)
    if until is not None:
        some = some.where(e.at < until)
    found = dbsession.execute(some.order_by(e.position, e.id).limit(most)).all()
    out = []
    for row in found:
        values = list(row)[1:]
        values[8] = None if row.message_id is None else str(row.message_id)
        values[12] = None if row.ip is None else str(row.ip)
        out.append(values)
    if len(found) < most:
        return out, None
    return out, {**place, "position": found[-1].position, "id": found[-1].id}


def _moments(project: Project, wanted: Wanted) -> tuple[datetime | None, datetime | None]:
    zone = ZoneInfo(project.time_zone)

    def midnight(day: date | None) -> datetime | None:
        return None if day is None else datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)

    return midnight(wanted.since), midnight(wanted.until)
