"""Asking people to confirm, within the caps on such letters.

The confirmation letter itself is what list bombs are made of, so an address gets few of them whatever the number of
lists, forms and projects (walls.md, T9). Forms and imports come through here alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from pyramid.request import Request

from mailhub.lists import caps, letters, service
from mailhub.lists.letters import form_url
from mailhub.mail.address import parse_address
from mailhub.mail.tokens import Claims
from mailhub.models import MailingList, Project, Subscriber

__all__ = ["ask_to_confirm", "confirm", "form_url", "may_write"]


def may_write(
    request: Request, email: str, list_ids: Sequence[int], *, by_form: bool, now: datetime | None = None
) -> bool:
    """Whether an address may get a letter because somebody typed it; what it may is used up by asking.

    A cap that is reached is silent: nobody learns whether an address is known. What a project itself brings in
    (`by_form` False) is not held to the cap of a domain: a whole company may be imported at once.
    """
    wanted = caps.letter_caps(parse_address(email), list_ids, with_domain=by_form)
    return caps.take(request.registry, wanted, now=now) is None


def ask_to_confirm(
    request: Request,
    project: Project,
    mailing_list: MailingList,
    person: Subscriber,
    *,
    others: Sequence[MailingList] = (),
    submission_id: int | None = None,
    language: str = "",
    by_form: bool = False,
) -> bool:
    """Send somebody who is unconfirmed in a list the letter by which they confirm; with `others` for several lists.

    False: the address has had its letters for now, and none is sent. Enqueues the letter.
    """
    if not may_write(request, person.email, [one.id for one in (mailing_list, *others)], by_form=by_form):
        return False
    letters.send_confirmation(
        request, project, mailing_list, person, others=others, submission_id=submission_id, language=language
    )
    return True


def confirm(
    request: Request,
    project: Project,
    mailing_list: MailingList,
    claims: Claims,
    *,
    language: str = "",
    notify: bool = True,
) -> bool | None:
    """A person presses the button of the confirmation page. True: subscribed by it; False: was subscribed already.

    None: the link is worth nothing any more. The list's welcome letter goes out, and the owner is told (`notify`).
    """
    assert claims.subscriber is not None
    assert claims.expires is not None
    # Tokens keep their end in whole hours, rounded up: the letter is up to an hour older than this.
    asked_at = datetime.fromtimestamp(claims.expires - letters.CONFIRM_SECONDS, UTC)
    done = service.confirm(
        request.dbsession,
        project_id=project.id,
        subscriber_id=claims.subscriber,
        list_id=mailing_list.id,
        asked_at=asked_at,
        ip=request.client_addr,
        user_agent=request.user_agent or "",
    )
    if done:
        person = request.dbsession.get_one(Subscriber, (project.id, claims.subscriber))
        if notify:
            letters.send_notice(request, project, mailing_list, person)
        letters.send_welcome(request, project, mailing_list, person, is_confirmed=True, language=language)
    return done
