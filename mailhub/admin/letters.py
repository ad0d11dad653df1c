"""Letters of all projects, for whoever looks for one: by day, by address, by id. Each way has its index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, true, union_all
from sqlalchemy.orm import Session

from mailhub.admin.objects import AnyRow, AnySelect, Found
from mailhub.models import Message, MessageContent, MessageEvent, MessageKind, Project

#: A UUID's time and its row's are not the same moment (transactional/resources.py).
NEAR = timedelta(days=1)
#: Without an address or dates a list goes back so far.
DAYS = 1
MOST_COUNTED = 1_000
EVENTS_SHOWN = 200

LETTER: tuple[Any, ...] = (
    Message.project_id, Project.slug, Project.name.label("project_name"), Message.id, Message.created_at, Message.kind,
    Message.queue, Message.state, Message.reason, Message.campaign_id, Message.campaign_name, Message.email,
    Message.subject, Message.tag, Message.relay, Message.header_id, Message.attempts, Message.due_at,
    Message.smtp_code, Message.smtp_reply, Message.settled_at, Message.in_flight,
)  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """What the list is narrowed to. `project` is a slug, `to` a whole address; days are UTC's, half-open."""

    project: str = ""
    state: str = ""
    kind: str = ""
    to: str = ""
    since: date | None = None
    until: date | None = None
    after: UUID | None = None
    limit: int = 100

    @property
    def is_narrow(self) -> bool:
        return any((self.project, self.state, self.kind, self.to, self.since, self.until))


def listed(dbsession: Session, wanted: Wanted, *, today: date) -> Found:
    """Letters, the newest first: of the last day unless dates or an address are given.

    From every project so many as a page has, each kind from its index, or all of the address's: what is behind them
    is not read, whatever there is of it.
    """
    keys = _keys(wanted, today, wanted.after, wanted.limit + 1).subquery()
    rows = dbsession.execute(
        select(*LETTER)
        .select_from(keys)
        .join(
            Message,
            (Message.project_id == keys.c.project_id)
            & (Message.created_at == keys.c.created_at)
            & (Message.id == keys.c.id),
        )
        .join(Project, Project.id == Message.project_id)
        .order_by(Message.id.desc())
    ).all()
    if wanted.after is None and len(rows) <= wanted.limit:
        return Found(rows, len(rows))
    counted = _keys(wanted, today, None, MOST_COUNTED).subquery()
    return Found(rows, int(dbsession.execute(select(func.count()).select_from(counted)).scalar_one()))


def letter(dbsession: Session, message_id: UUID) -> AnyRow | None:
    """A letter of any project by its id, whose time says in which partition it lies."""
    try:
        near = datetime.fromtimestamp((message_id.int >> 80) / 1000, UTC)
        since, until = near - NEAR, near + NEAR
    except (ValueError, OverflowError):
        return None
    projects = select(Project.id, Project.slug, Project.name).subquery()
    found = (
        select(*(column for column in LETTER if column.table is Message.__table__))
        .where(
            Message.project_id == projects.c.id,
            Message.kind.in_([kind.value for kind in MessageKind]),
            Message.id == message_id,
            Message.created_at.between(since, until),
        )
        .lateral()
    )
    columns: tuple[Any, ...] = (*found.c, projects.c.slug, projects.c.name.label("project_name"))
    return dbsession.execute(select(*columns).select_from(projects).join(found, true())).first()


def events(dbsession: Session, row: AnyRow) -> Sequence[AnyRow]:
    """What happened to the letter, oldest first, 200 at most."""
    columns: tuple[Any, ...] = (
        MessageEvent.type, MessageEvent.at, MessageEvent.detail, MessageEvent.url, MessageEvent.code,
    )  # fmt: skip
    return dbsession.execute(
        select(*columns)
        .where(
            MessageEvent.project_id == row.project_id,
            MessageEvent.message_id == row.id,
            MessageEvent.at >= row.created_at - timedelta(minutes=1),
        )
        .order_by(MessageEvent.at, MessageEvent.id)
        .limit(EVENTS_SHOWN)
    ).all()


def has_content(dbsession: Session, row: AnyRow) -> bool:
    """Whether what the letter said is still kept."""
    own = select(MessageContent.message_id).where(
        MessageContent.project_id == row.project_id,
        MessageContent.created_at == row.created_at,
        MessageContent.message_id == row.id,
    )
    return dbsession.execute(own).first() is not None


def _keys(wanted: Wanted, today: date, before: UUID | None, limit: int) -> AnySelect:
    """Keys of the newest letters, `limit` at most."""
    since = wanted.since
    if since is None and not wanted.to:
        since = (wanted.until or today + timedelta(days=1)) - timedelta(days=DAYS + (wanted.until is None))
    projects = select(Project.id)
    if wanted.project:
        projects = projects.where(Project.slug == wanted.project)
    own = projects.subquery()
    conditions: list[ColumnElement[bool]] = [Message.project_id == own.c.id]
    if since is not None:
        conditions += [Message.created_at >= since, Message.id >= _first_id(since, -NEAR)]
    if wanted.until is not None:
        conditions += [Message.created_at < wanted.until, Message.id < _first_id(wanted.until, NEAR)]
    if before is not None:
        conditions.append(Message.id < before)
    if wanted.state:
        conditions.append(Message.state == wanted.state)
    kinds = [wanted.kind] if wanted.kind else [kind.value for kind in MessageKind]
    if wanted.to:
        conditions += [func.lower(Message.email) == wanted.to.lower(), Message.kind.in_(kinds)]
        return _newest(own, conditions, limit)
    parts = (_newest(own, [*conditions, Message.kind == kind], limit).subquery() for kind in kinds)
    together = union_all(*(select(*part.c) for part in parts)).subquery()
    return select(*together.c).order_by(together.c.id.desc()).limit(limit)


def _newest(projects: Any, conditions: Sequence[ColumnElement[bool]], limit: int) -> AnySelect:
    own = (
        select(Message.project_id, Message.created_at, Message.id)
        .where(*conditions)
        .order_by(Message.id.desc())
        .limit(limit)
        .lateral()
    )
    return select(*own.c).select_from(projects).join(own, true()).order_by(own.c.id.desc()).limit(limit)


def _first_id(day: date, shift: timedelta) -> UUID:
    """The smallest id that a letter of that time can have."""
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC) + shift
    return UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)
