"""Mail by API: a letter is checked, filled in and handed to the post office; and the log of messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select, union_all
from sqlalchemy.orm import Session

from mailhub.delivery import service as delivery
from mailhub.delivery.service import Attachment, SingleLetter
from mailhub.mail.merge import merge_context
from mailhub.mail.problem import Problem
from mailhub.mail.template import Kind, RenderFailed, TemplateRefused, compile_template
from mailhub.models import (
    Campaign,
    Message,
    MessageContent,
    MessageEvent,
    MessageKind,
    Project,
    Sender,
)

SINGLE_KINDS = (MessageKind.TRANSACTIONAL, MessageKind.TEST, MessageKind.SERVICE)
#: An event of a letter may come long after it; the log shows these at most.
EVENTS_SHOWN = 200


class SenderRefused(Exception):
    """The project may not write from this address."""


class LetterRefused(Exception):
    """Something in the letter cannot be filled in; `part` is subject, html or text."""

    def __init__(self, part: str, problems: list[Problem]) -> None:
        super().__init__(part)
        self.part = part
        self.problems = problems


@dataclass(frozen=True)
class Wanted:
    """A letter as its program asks for it."""

    from_email: str
    from_name: str
    to_email: str
    to_name: str
    subject: str
    html: str = ""
    text: str = ""
    reply_to: str = ""
    variables: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()
    tag: str = ""
    tracked: bool = True


def send(dbsession: Session, project: Project, wanted: Wanted) -> Message:
    """Accept a letter; then wake the post office. Raises SenderRefused, LetterRefused, InvalidAddress."""
    if not may_write_from(dbsession, project, wanted.from_email):
        raise SenderRefused(wanted.from_email)
    subject = _filled(project, wanted, "subject", wanted.subject, "header")
    letter = SingleLetter(
        from_email=wanted.from_email,
        from_name=wanted.from_name,
        to_email=wanted.to_email,
        to_name=wanted.to_name,
        subject=" ".join(subject.split()),
        html=_filled(project, wanted, "html", wanted.html, "html"),
        text=_filled(project, wanted, "text", wanted.text, "text"),
        reply_to=wanted.reply_to,
        headers=wanted.headers,
        attachments=wanted.attachments,
        tag=wanted.tag,
    )
    return delivery.accept(
        dbsession, project=project, kind=MessageKind.TRANSACTIONAL, letter=letter, tracked=wanted.tracked
    )


def may_write_from(dbsession: Session, project: Project, email: str) -> bool:
    """Whether the address is a sender of the project, or on its domain."""
    if email.rpartition("@")[2].lower() == project.domain.lower():
        return True
    known = select(Sender.id).where(Sender.project_id == project.id, func.lower(Sender.email) == email.lower())
    return dbsession.execute(known).first() is not None


def _filled(project: Project, wanted: Wanted, part: str, source: str, kind: Kind) -> str:
    """The source with the variables in it; as it is where the program sends none."""
    if wanted.variables is None or not source:
        return source
    context = merge_context(
        email=wanted.to_email,
        name=wanted.to_name,
        fields=wanted.variables,
        unsubscribe_url="",
        web_version_url="",
        groups={"project": {"name": project.name, "address": project.postal_address}},
    )
    try:
        return compile_template(source, kind=kind, known=frozenset(wanted.variables)).render(context)
    except TemplateRefused as refused:
        raise LetterRefused(part, refused.problems) from None
    except RenderFailed as failed:
        raise LetterRefused(part, [failed.problem]) from None


@dataclass(frozen=True)
class Filter:
    """What the log is narrowed to."""

    state: str | None = None
    to: str = ""
    tag: str = ""
    kind: str | None = None
    campaign_id: int | None = None
    text: str = ""


def messages(
    dbsession: Session, project_id: int, wanted: Filter, *, limit: int, before: UUID | None = None
) -> list[Message]:
    """Messages, the newest first; single letters only, unless those of one campaign are asked for.

    A kind at a time, each from its index (project, kind, id), so that millions of a campaign's letters cost nothing.
    """
    if wanted.campaign_id is not None:
        own = select(Message.id, Message.created_at).where(
            Message.project_id == project_id,
            Message.campaign_id == wanted.campaign_id,
            Message.kind == MessageKind.CAMPAIGN,
            *_conditions(wanted, before),
        )
        page: Any = own.order_by(Message.id.desc()).limit(limit)
    else:
        kinds = [wanted.kind] if wanted.kind else [kind.value for kind in SINGLE_KINDS]
        page = union_all(*(_of_kind(project_id, kind, wanted, before, limit) for kind in kinds))
    keys = page.subquery()
    found = (
        select(Message)
        .join(keys, (keys.c.id == Message.id) & (keys.c.created_at == Message.created_at))
        .where(Message.project_id == project_id)
        .order_by(Message.id.desc())
        .limit(limit)
    )
    return list(dbsession.scalars(found))


def _of_kind(project_id: int, kind: str, wanted: Filter, before: UUID | None, limit: int) -> Select[Any]:
    newest = (
        select(Message.id, Message.created_at)
        .where(Message.project_id == project_id, Message.kind == kind, *_conditions(wanted, before))
        .order_by(Message.id.desc())
        .limit(limit)
        .subquery()
    )
    return select(newest.c.id, newest.c.created_at)


def _conditions(wanted: Filter, before: UUID | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if before is not None:
        conditions.append(Message.id < before)
    if wanted.state:
        conditions.append(Message.state == wanted.state)
    if wanted.to:
        conditions.append(func.lower(Message.email) == wanted.to.lower())
    if wanted.tag:
        conditions.append(Message.tag == wanted.tag)
    if wanted.text:
        pattern = f"%{_escaped(wanted.text.lower())}%"
        conditions.append(func.lower(Message.email).like(pattern) | func.lower(Message.subject).like(pattern))
    return conditions


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def events_of(dbsession: Session, message: Message) -> list[MessageEvent]:
    """What happened to a letter, oldest first."""
    found = (
        select(MessageEvent)
        .where(
            MessageEvent.project_id == message.project_id,
            MessageEvent.message_id == message.id,
            MessageEvent.at >= message.created_at - timedelta(minutes=1),
        )
        .order_by(MessageEvent.at, MessageEvent.id)
        .limit(EVENTS_SHOWN)
    )
    return list(dbsession.scalars(found))


def content_of(dbsession: Session, message: Message) -> MessageContent | None:
    """What a single letter says; None for a campaign's, and after retention."""
    found: MessageContent | None = dbsession.get(MessageContent, (message.project_id, message.created_at, message.id))
    return found


def campaign_of(dbsession: Session, message: Message) -> Campaign | None:
    """The campaign that a letter belongs to, or tests."""
    if message.campaign_id is None:
        return None
    found: Campaign | None = dbsession.get(Campaign, (message.project_id, message.campaign_id))
    return found
