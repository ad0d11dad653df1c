"""The link in a confirmation letter: what it confirms, and what happens when the button is pressed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pyramid.request import Request
from sqlalchemy import select

from mailhub.lists import caps, service, sign_up
from mailhub.lists.fields import FieldFaults, TooManyFields
from mailhub.mail.tokens import BadToken, Claims, Kind
from mailhub.models import (
    ConsentKind,
    MailingList,
    Project,
    SignUpForm,
    SignUpSubmission,
    SubmissionState,
    Subscriber,
)
from mailhub.signup import counting, intake


@dataclass(frozen=True)
class Confirmation:
    """What a genuine link is about. `is_over`: its time has passed."""

    claims: Claims
    project: Project
    lists: list[MailingList]
    form: SignUpForm | None
    submission: SignUpSubmission | None
    is_over: bool

    @property
    def language(self) -> str:
        of_form = self.form.language if self.form is not None else ""
        return of_form or self.lists[0].language or self.project.language


def by_token(request: Request) -> Confirmation | None:
    """The confirmation of the page's URL; None for a forged link, and where project or list are gone."""
    signer, token, now = request.registry.signer, request.matchdict["token"], int(time.time())
    try:
        # Read as if time stood still: whose link is too old is told so, and may ask for another.
        claims: Claims = signer.read(Kind.CONFIRM, token, now=0)
    except BadToken:
        return None
    if claims.subscriber is None or claims.expires is None:
        return None
    dbsession = request.dbsession
    project = dbsession.get(Project, claims.project)
    if project is None or project.archived_at is not None:
        return None
    row = dbsession.get(SignUpSubmission, (project.id, claims.link)) if claims.link is not None else None
    if row is not None and row.subscriber_id != claims.subscriber:
        row = None
    form = dbsession.get(SignUpForm, (project.id, row.form_id)) if row is not None else None
    wanted = list(row.list_ids) if row is not None else []
    if claims.list is not None and claims.list not in wanted:
        wanted.insert(0, claims.list)
    found = {
        one.id: one
        for one in dbsession.scalars(
            select(MailingList).where(
                MailingList.project_id == project.id, MailingList.id.in_(wanted), MailingList.archived_at.is_(None)
            )
        )
    }
    lists = [found[number] for number in wanted if number in found]
    if not lists:
        return None
    return Confirmation(claims, project, lists, form, row, is_over=now >= claims.expires)


def confirm(request: Request, found: Confirmation) -> str:
    """Press the button: `done`, `already`, or `gone` where the person has left since or is deleted.

    What the form has asked, and its boxes and tags, belong to the person from now on. Twice is harmless.
    """
    dbsession, claims, row = request.dbsession, found.claims, found.submission
    assert claims.subscriber is not None
    language = found.form.language if found.form is not None else ""
    answers: list[bool | None] = []
    for one in found.lists:
        answers.append(
            sign_up.confirm(
                request, found.project, one, claims, language=language, notify=True not in answers
            )
        )
    if True not in answers:
        return "already" if False in answers else "gone"
    person = dbsession.get_one(Subscriber, (found.project.id, claims.subscriber))
    if row is not None and found.form is not None and row.state in (SubmissionState.ASKED, SubmissionState.EXPIRED):
        _keep_answers(request, person, row)
        intake.record_boxes(request, row, person, ConsentKind.CONFIRMED, ip=request.client_addr,
                            agent=request.user_agent or "")  # fmt: skip
        intake.mark(request, found.form, person)
        counting.add(dbsession, project_id=found.project.id, form_id=found.form.id, host=row.host, confirmations=1)
        row.state, row.settled_at, row.name, row.fields = SubmissionState.CONFIRMED, datetime.now(UTC), "", {}
        dbsession.flush()
        if row.stamp_key is not None:
            # It came by a page, and has used a place of the project's cap. What a key sends has not.
            caps.give_back(request.registry, intake.free_cap(found.project.id).key)
    return "done"


def _keep_answers(request: Request, person: Subscriber, row: SignUpSubmission) -> None:
    """What was typed into the form becomes the person's: now it is certain that it was they."""
    given: dict[str, Any] = {name: value for name, value in row.fields.items() if value not in (None, "")}
    try:
        service.update_subscriber(request.dbsession, person, name=row.name or None, fields=given or None)
    except (FieldFaults, TooManyFields):
        # A field has another type by now. The subscription counts, not the answer.
        service.update_subscriber(request.dbsession, person, name=row.name or None)


def send_again(request: Request, found: Confirmation) -> bool:
    """Another letter for somebody whose link is too old, within the caps; False where nothing was sent."""
    assert found.claims.subscriber is not None
    person = request.dbsession.get(Subscriber, (found.project.id, found.claims.subscriber))
    if person is None or service.is_suppressed(
        request.dbsession, project_id=found.project.id, email_key=person.email_key
    ):
        return False
    first, *others = found.lists
    return sign_up.ask_to_confirm(
        request, found.project, first, person, others=others, by_form=True,
        submission_id=found.submission.id if found.submission is not None else None,
        language=found.form.language if found.form is not None else "",
    )  # fmt: skip
