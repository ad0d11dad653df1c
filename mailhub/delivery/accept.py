"""A single letter comes in: its row, what it says, its links, its first event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from mailhub.delivery.ids import new_message_id
from mailhub.events.service import Event, append_in
from mailhub.mail.address import parse_address
from mailhub.mail.links import extract_links
from mailhub.models import (
    EventType,
    Link,
    Message,
    MessageContent,
    MessageKind,
    MessageState,
    Project,
    Queue,
    SkipReason,
    Subscriber,
    SuppressionReason,
    Tracking,
)
from mailhub.suppression import service as suppression

_ALWAYS = frozenset({SuppressionReason.HARD_BOUNCE, SuppressionReason.MANUAL})
#: What stops which kind: who has left a list still gets the receipt, who has complained gets neither. The operator's
#: entries stop all.
STOPPED_BY: dict[MessageKind, frozenset[SuppressionReason]] = {
    MessageKind.TRANSACTIONAL: _ALWAYS | {SuppressionReason.COMPLAINT},
    MessageKind.TEST: _ALWAYS,
    MessageKind.SERVICE: _ALWAYS,
}


@dataclass(frozen=True)
class Attachment:
    """A file in a letter. `content` is base64; with a `content_id` it is an image that the HTML shows."""

    filename: str
    content_type: str
    content: str
    content_id: str = ""


@dataclass(frozen=True)
class SingleLetter:
    """What a letter to one address says. HTML and text are final: nothing is filled in any more."""

    from_email: str
    to_email: str
    subject: str
    html: str = ""
    text: str = ""
    from_name: str = ""
    to_name: str = ""
    reply_to: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    attachments: Sequence[Attachment] = ()
    tag: str = ""


def accept(
    dbsession: Session,
    *,
    project: Project,
    kind: MessageKind,
    letter: SingleLetter,
    subscriber_id: int | None = None,
    campaign_id: int | None = None,
    tracked: bool = True,
) -> Message:
    """Write down a letter to be sent; then `request.enqueue(delivery.tasks.send_due, "transactional")`.

    Raises InvalidAddress. To a suppressed address nothing is sent: the message is `skipped` at once. Opens and clicks
    are counted for transactional letters that are `tracked`, as the project's mode of tracking has it, or the stricter
    one of the person with that address. A test letter's campaign is only named for the log.
    """
    address = parse_address(letter.to_email)
    now = datetime.now(UTC)
    stopping = {reason.value for reason in STOPPED_BY[kind]}
    stopped = suppression.stopped(dbsession, project.id, address.key, reasons=stopping) is not None
    message = Message(
        project_id=project.id,
        created_at=now,
        id=new_message_id(now),
        kind=kind.value,
        queue=Queue.TRANSACTIONAL.value,
        state=MessageState.SKIPPED.value if stopped else MessageState.QUEUED.value,
        reason=SkipReason.SUPPRESSED.value if stopped else "",
        project_domain=project.domain,
        campaign_id=campaign_id,
        subscriber_id=subscriber_id,
        email=address.email,
        email_domain=address.domain,
        subject=letter.subject,
        tag=letter.tag,
        due_at=None if stopped else now,
        settled_at=now if stopped else None,
    )
    tracking = Tracking.OFF.value
    if kind == MessageKind.TRANSACTIONAL:
        # Whoever is known by the address has the letter in their history.
        own = select(Subscriber.id, Subscriber.tracking).where(
            Subscriber.project_id == project.id, Subscriber.email_key == address.key
        )
        person = dbsession.execute(own).first()
        if person is not None:
            message.subscriber_id = subscriber_id or person.id
        if tracked:
            tracking = _tracking(project, person.tracking if person is not None else None)
    links = None if tracking == Tracking.OFF else _stored_links(dbsession, project.id, letter.html)
    content = MessageContent(
        project_id=project.id,
        created_at=now,
        message_id=message.id,
        from_email=letter.from_email,
        from_name=letter.from_name,
        reply_to=letter.reply_to,
        to_name=letter.to_name,
        subject=letter.subject,
        html=letter.html,
        text=letter.text,
        headers=dict(letter.headers),
        attachments=[_stored(attachment) for attachment in letter.attachments],
        link_ids=links,
        tracking=tracking,
    )
    dbsession.add_all([message, content])
    dbsession.flush()
    if not stopped:
        append_in(dbsession, [queued(message)])
    return message


def queued(message: Message) -> Event:
    """The event of a letter that waits to be sent."""
    return Event(
        type=EventType.QUEUED,
        project_id=message.project_id,
        kind=message.kind,
        at=message.created_at,
        project_domain=message.project_domain,
        message_id=message.id,
        subscriber_id=message.subscriber_id,
        email=message.email,
        email_domain=message.email_domain,
    )


def _tracking(project: Project, own: str | None) -> str:
    """The stricter mode of the project and of the person with this address."""
    modes = {project.tracking, own}
    return next(mode for mode in (Tracking.OFF, Tracking.AGGREGATE, Tracking.FULL) if mode in modes).value


def _stored_links(dbsession: Session, project_id: int, html: str) -> list[int]:
    """The ids of the letter's links, in the order of their positions; each is stored: clicks lead to nothing else."""
    uses = extract_links(html) if html else []
    if not uses:
        return []
    rows = [{"project_id": project_id, "position": use.position, "url": use.url, "label": use.text} for use in uses]
    statement = insert(Link).returning(Link.id, sort_by_parameter_order=True)
    return list(dbsession.scalars(statement, rows))


def _stored(attachment: Attachment) -> dict[str, Any]:
    return {
        "filename": attachment.filename,
        "content_type": attachment.content_type,
        "content": attachment.content,
        "content_id": attachment.content_id,
    }
