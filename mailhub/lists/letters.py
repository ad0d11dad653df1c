"""This room's own letters: the confirmation of a sign-up, the owner's notice of a new subscriber.

Both are service messages on the `transactional` queue. A confirmation holds nothing that its asker has typed: a name
field would make us carry anybody's advertising (walls.md, T9).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyramid.request import Request
from pyramid_jinja2 import get_jinja2_environment
from sqlalchemy import select

from mailhub.delivery import service as delivery
from mailhub.delivery.tasks import send_due
from mailhub.mail.tokens import Kind
from mailhub.models import MailingList, MessageKind, Project, Queue, Sender, Subscriber
from mailhub.web import limits
from mailhub.web.i18n import use_language

#: A link in a confirmation letter works so long.
CONFIRM_SECONDS = 30 * 24 * 3600
#: Notices of new subscribers that a project's owner gets in an hour at most: a flood of sign-ups is not passed on.
NOTICES_PER_HOUR = 300


@dataclass(frozen=True)
class Written:
    subject: str
    text: str
    html: str


def language_of(project: Project, mailing_list: MailingList) -> str:
    """The language of a list's public pages and letters."""
    return mailing_list.language or project.language


def confirm_url(request: Request, mailing_list: MailingList, subscriber_id: int) -> str:
    """The page with the button that confirms; good for 30 days."""
    token = request.registry.signer.sign(
        Kind.CONFIRM,
        project=mailing_list.project_id,
        list=mailing_list.id,
        subscriber=subscriber_id,
        expires=int(time.time()) + CONFIRM_SECONDS,
    )
    return public_url(request, "lists.confirm", token=token)


def public_url(request: Request, route: str, **elements: Any) -> str:
    """A URL for letters and for other sites: from `mailhub.public_url`, never from the Host header."""
    return str(request.registry.mailhub.public_url.rstrip("/") + request.route_path(route, **elements))


def send_confirmation(request: Request, project: Project, mailing_list: MailingList, person: Subscriber) -> None:
    """Ask a person to confirm. Enqueues the letter."""
    written = write(
        request,
        "confirm_subscription",
        language_of(project, mailing_list),
        project=project,
        mailing_list=mailing_list,
        confirm_url=confirm_url(request, mailing_list, person.id),
        days=CONFIRM_SECONDS // 86400,
    )
    _send(request, project, written, to_email=person.email, subscriber_id=person.id, tag="confirm_subscription")


def send_notice(request: Request, project: Project, mailing_list: MailingList | None, person: Subscriber) -> None:
    """Tell the owner of a new subscriber, if the project has said to whom. Enqueues the letter."""
    if not project.notify_email:
        return
    key = f"lists.notice:{project.id}"
    if limits.take(request.registry, key, burst=NOTICES_PER_HOUR, per_seconds=3600):
        return
    written = write(
        request,
        "new_subscriber",
        project.language,
        project=project,
        mailing_list=mailing_list,
        person=person,
        person_url=public_url(request, "lists.subscriber", project=project.slug, subscriber_id=person.id),
    )
    _send(request, project, written, to_email=project.notify_email, subscriber_id=None, tag="new_subscriber")


def _send(
    request: Request, project: Project, written: Written, *, to_email: str, subscriber_id: int | None, tag: str
) -> None:
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
            to_email=to_email,
            subject=written.subject,
            text=written.text,
            html=written.html,
            tag=tag,
        ),
        subscriber_id=subscriber_id,
    )
    request.enqueue(send_due, Queue.TRANSACTIONAL)


def write(request: Request, name: str, language: str, **values: Any) -> Written:
    """One of templates/email in a language. Texts are not escaped, HTML is; a subject is one line."""
    pages = get_jinja2_environment(request, name=".html")
    with speaking(request, language):
        given = {"request": request, **values}
        plain = pages.overlay(autoescape=False)
        subject = " ".join(plain.get_template(f"email/{name}/subject.txt").render(given).split())
        text = plain.get_template(f"email/{name}/body.txt").render(given).strip() + "\n"
        return Written(subject, text, pages.get_template(f"email/{name}/body.html").render(given))


@contextmanager
def speaking(request: Request, language: str) -> Iterator[None]:
    """Let the request speak a language for a while."""
    before = request.locale_name
    use_language(request, language)
    try:
        yield
    finally:
        use_language(request, before)
