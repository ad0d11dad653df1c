"""This room's letters on their way: confirmation, welcome, goodbye, and the owner's notice of a new subscriber.

All are service messages on the `transactional` queue; what stands in them is list_letters.py.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence

from pyramid.request import Request
from sqlalchemy import select

from mailhub.delivery import service as delivery
from mailhub.delivery.tasks import send_due
from mailhub.lists import caps, list_letters
from mailhub.lists.list_letters import CONFIRM_DAYS, CONFIRM_SECONDS, Reader, Written
from mailhub.lists.speaking import language_of, public_url, speaking, write
from mailhub.mail.tokens import Kind
from mailhub.models import (
    LetterKind,
    ListLetter,
    MailingList,
    MessageKind,
    Project,
    Queue,
    Sender,
    Subscriber,
    Visibility,
)
from mailhub.web import limits

__all__ = [
    "CONFIRM_DAYS",
    "CONFIRM_SECONDS",
    "confirm_url",
    "deliver",
    "form_url",
    "language_of",
    "public_url",
    "send_confirmation",
    "send_goodbyes",
    "send_notice",
    "send_welcome",
    "speaking",
]

#: Notices of new subscribers that a project's owner gets in an hour at most: a flood of sign-ups is not passed on.
NOTICES_PER_HOUR = 300


def form_url(request: Request, mailing_list: MailingList) -> str:
    """The list's own sign-up page; its token never expires and cannot be guessed from another's."""
    token = request.registry.signer.sign(Kind.FORM, project=mailing_list.project_id, list=mailing_list.id)
    return f"{request.registry.mailhub.public_url.rstrip('/')}/s/{token}"


def confirm_url(
    request: Request, mailing_list: MailingList, subscriber_id: int, submission_id: int | None = None
) -> str:
    """The page with the button that confirms; good for 7 days. A form's submission says what else is confirmed."""
    token = request.registry.signer.sign(
        Kind.CONFIRM,
        project=mailing_list.project_id,
        list=mailing_list.id,
        subscriber=subscriber_id,
        link=submission_id,
        expires=int(time.time()) + CONFIRM_SECONDS,
    )
    return f"{request.registry.mailhub.public_url.rstrip('/')}/c/{token}"


def send_confirmation(
    request: Request,
    project: Project,
    mailing_list: MailingList,
    person: Subscriber,
    *,
    others: Sequence[MailingList] = (),
    submission_id: int | None = None,
    language: str = "",
) -> None:
    """Ask a person to confirm one list, or with `others` several by one letter. Enqueues the letter.

    The caps are the caller's business (`sign_up.ask_to_confirm` holds them).
    """
    written = list_letters.render_or_default(
        request,
        project,
        [mailing_list, *others],
        LetterKind.CONFIRMATION,
        language or language_of(project, mailing_list),
        Reader(),
        confirm_url=confirm_url(request, mailing_list, person.id, submission_id),
        days=CONFIRM_DAYS,
    )
    deliver(request, project, written, to_email=person.email, subscriber_id=person.id, tag="confirm_subscription")


def send_welcome(
    request: Request,
    project: Project,
    mailing_list: MailingList,
    person: Subscriber,
    *,
    is_confirmed: bool,
    language: str = "",
) -> bool:
    """Greet a new subscriber, if the list has a welcome letter; says whether one was sent. Enqueues it.

    What somebody has typed about them is left out until they have confirmed that it was they.
    """
    language = language or language_of(project, mailing_list)
    row = request.dbsession.get(ListLetter, (project.id, mailing_list.id, LetterKind.WELCOME, language))
    if row is None or not row.enabled:
        return False
    written = list_letters.render_or_default(
        request, project, [mailing_list], LetterKind.WELCOME, language, _reader(person, is_confirmed),
        unsubscribe_url=_unsubscribe_url(request, mailing_list, person.id),
        sign_up_url=_sign_up_url(request, mailing_list),
    )  # fmt: skip
    deliver(request, project, written, to_email=person.email, subscriber_id=person.id, tag="list_welcome")
    return True


def send_goodbyes(request: Request, *, project_id: int, subscriber_id: int, list_ids: Sequence[int]) -> int:
    """Take leave of somebody who has left these lists, where a list has a letter for it; gives how many were sent.

    One a day for a person and a list, however often they come and go. Enqueues the letters.
    """
    if not list_ids:
        return 0
    found = select(ListLetter, MailingList).join(
        MailingList, (MailingList.project_id == ListLetter.project_id) & (MailingList.id == ListLetter.list_id)
    )
    rows = request.dbsession.execute(
        found.where(
            ListLetter.project_id == project_id,
            ListLetter.list_id.in_(list_ids),
            ListLetter.kind == LetterKind.GOODBYE,
            ListLetter.enabled,
        )
    ).all()
    if not rows:
        return 0
    project = request.dbsession.get_one(Project, project_id)
    person = request.dbsession.get(Subscriber, (project_id, subscriber_id))
    sent = 0
    for letter, mailing_list in rows:
        if person is None or letter.language != language_of(project, mailing_list):
            continue
        who = hashlib.sha256(f"{project_id}:{subscriber_id}:{mailing_list.id}".encode()).hexdigest()[:24]
        if caps.take(request.registry, [caps.Cap(f"sign_up.goodbye:{who}", 1, caps.DAY)]) is not None:
            continue
        written = list_letters.render_or_default(
            request, project, [mailing_list], LetterKind.GOODBYE, letter.language, _reader(person, True),
            unsubscribe_url=_unsubscribe_url(request, mailing_list, person.id),
            sign_up_url=_sign_up_url(request, mailing_list),
        )  # fmt: skip
        deliver(request, project, written, to_email=person.email, subscriber_id=person.id, tag="list_goodbye")
        sent += 1
    return sent


def _reader(person: Subscriber, is_confirmed: bool) -> Reader:
    return Reader(person.email, person.name, person.fields) if is_confirmed else Reader(person.email)


def _unsubscribe_url(request: Request, mailing_list: MailingList, subscriber_id: int) -> str:
    token = request.registry.signer.sign(
        Kind.UNSUBSCRIBE, project=mailing_list.project_id, list=mailing_list.id, subscriber=subscriber_id
    )
    return f"{request.registry.mailhub.tracking_url.rstrip('/')}/u/{token}"


def _sign_up_url(request: Request, mailing_list: MailingList) -> str:
    return form_url(request, mailing_list) if mailing_list.visibility == Visibility.PUBLIC else ""


def send_notice(request: Request, project: Project, mailing_list: MailingList | None, person: Subscriber) -> None:
    """Tell the owner of a new subscriber, if the project has said to whom. Enqueues the letter."""
    if not project.notify_email:
        return
    key = f"lists.notice:{project.id}"
    if limits.take(request.registry, key, burst=NOTICES_PER_HOUR, per_seconds=3600):
        return
    written = Written(
        *write(
            request,
            "new_subscriber",
            project.language,
            project=project,
            mailing_list=mailing_list,
            person=person,
            person_url=public_url(request, "lists.subscriber", project=project.slug, subscriber_id=person.id),
        )
    )
    deliver(request, project, written, to_email=project.notify_email, subscriber_id=None, tag="new_subscriber")


def deliver(
    request: Request, project: Project, written: Written, *, to_email: str, subscriber_id: int | None, tag: str
) -> None:
    """Hand a letter of ours over to the post office, from the project's default sender. Enqueues it."""
    sender = request.dbsession.scalars(
        select(Sender).where(Sender.project_id == project.id).order_by(Sender.is_default.desc(), Sender.id).limit(1)
    ).one_or_none()
    delivery.accept(
        request.dbsession,
        project=project,
        kind=MessageKind.SERVICE,
        letter=delivery.SingleLetter(
            from_email=sender.email if sender is not None else f"noreply@{project.domain}",
            from_name=(sender.name if sender is not None else "") or project.name,
            reply_to=sender.reply_to if sender is not None else "",
            to_email=to_email,
            subject=written.subject,
            text=written.text,
            html=written.html,
            tag=tag,
        ),
        subscriber_id=subscriber_id,
    )
    request.enqueue(send_due, Queue.TRANSACTIONAL)
