"""Taking in what somebody has sent: first a row, which answers everybody alike; then, by a worker, what it means.

So that the answer says nothing about an address, neither by its words nor by its time, all that depends on the address
happens in the worker: the suppression list, who is in the list already, the caps, the letters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pyramid.request import Request
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from mailhub import logs
from mailhub.lists import caps, consents, letters, service, sign_up, tags
from mailhub.lists.caps import Cap
from mailhub.mail.address import InvalidAddress, parse_address
from mailhub.models import (
    ConsentKind,
    LetterKind,
    ListLetter,
    MailingList,
    OptIn,
    Project,
    SignUpForm,
    SignUpSubmission,
    SubmissionState,
    Subscriber,
    SubscriberStatus,
    Subscription,
    SubscriptionStatus,
)
from mailhub.signup import counting
from mailhub.signup.opened import lists_of

log = logs.get(__name__)

#: How long a form without proof of work waits while its project is flooded.
SLOW_MINUTES = 10
#: Who has waited so long beyond their time has lost their wake-up; so many are woken by one sweep.
LATE = timedelta(seconds=30)
MOST_AGAIN = 200


def free_cap(project_id: int) -> Cap:
    """Forms of a project that nobody has confirmed: so many come in without proof of work."""
    return Cap(f"sign_up.project:{project_id}", 200, caps.HOUR)


def worked_cap(project_id: int) -> Cap:
    """So many more come in with it; then the form is paused."""
    return Cap(f"sign_up.worked:{project_id}", 200, caps.HOUR)


def slow_cap(project_id: int) -> Cap:
    """So many come in by the way for people without a script, while work is asked for."""
    return Cap(f"sign_up.slow:{project_id}", 10, caps.HOUR)


@dataclass(frozen=True)
class Given:
    """What somebody has sent, checked. `consents`: the form's own words, then the sentences of the boxes ticked."""

    email: str
    name: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    list_ids: Sequence[int] = ()
    consents: Sequence[str] = ()
    ip: str | None = None
    user_agent: str = ""
    host: str = ""


def accept(
    request: Request, form: SignUpForm, given: Given, *, stamp_key: str | None, wait_minutes: int = 0
) -> int | None:
    """Write down a form that was sent; gives its number, or None where this page was sent already.

    Enqueue `tasks.take_in` with it.
    """
    now = datetime.now(UTC)
    row = {
        "project_id": form.project_id,
        "form_id": form.id,
        "stamp_key": stamp_key,
        "email": given.email,
        "name": given.name,
        "fields": dict(given.fields),
        "list_ids": list(given.list_ids),
        "consents": list(given.consents),
        "ip": given.ip,
        "user_agent": given.user_agent[: consents.MAX_AGENT],
        "host": given.host,
        "due_at": now + timedelta(minutes=wait_minutes),
    }
    made: int | None = request.dbsession.scalar(
        insert(SignUpSubmission).values(row).on_conflict_do_nothing().returning(SignUpSubmission.id)
    )
    if made is not None:
        counting.add(
            request.dbsession, project_id=form.project_id, form_id=form.id, host=given.host, submits=1
        )
    return made


def was_sent(request: Request, stamp_key: str) -> bool:
    """Whether the page with this stamp was sent already."""
    found = request.dbsession.scalar(select(SignUpSubmission.id).where(SignUpSubmission.stamp_key == stamp_key))
    return found is not None


def take_in(request: Request, project_id: int, submission_id: int) -> str | None:
    """Do what a submission asks for; gives what has become of it, None where another has done it or it is not due.

    Enqueues the letters.
    """
    row = request.dbsession.scalars(
        select(SignUpSubmission)
        .where(
            SignUpSubmission.project_id == project_id,
            SignUpSubmission.id == submission_id,
            SignUpSubmission.state == SubmissionState.WAITING,
            SignUpSubmission.due_at <= datetime.now(UTC),
        )
        .with_for_update(skip_locked=True)
    ).one_or_none()
    if row is None:
        return None
    state = _taken_in(request, row)
    row.state, row.settled_at, row.email = state, datetime.now(UTC), ""
    if state != SubmissionState.ASKED:
        row.name, row.fields = "", {}
        if row.stamp_key is not None:
            # Nobody has to confirm anything: it does not count as unconfirmed.
            caps.give_back(request.registry, free_cap(project_id).key)
    request.dbsession.flush()
    log.info("sign_up.taken_in", project_id=project_id, form_id=row.form_id, submission_id=row.id, state=state)
    return state


def _taken_in(request: Request, row: SignUpSubmission) -> SubmissionState:
    dbsession = request.dbsession
    project = dbsession.get_one(Project, row.project_id)
    form = dbsession.get_one(SignUpForm, (row.project_id, row.form_id))
    chosen = set(row.list_ids)
    lists = [one for one in lists_of(dbsession, form) if one.id in chosen]
    try:
        address = parse_address(row.email)
    except InvalidAddress:
        return SubmissionState.STOPPED
    if not lists or service.is_suppressed(dbsession, project_id=project.id, email_key=address.key):
        return SubmissionState.STOPPED
    known = service.find_by_address(dbsession, project_id=project.id, address=address)
    if known is not None and known.status in (SubscriberStatus.BOUNCED, SubscriberStatus.COMPLAINED):
        return SubmissionState.STOPPED
    wish = _Wish(request, project, form, row, known)
    at_once, asking = wish.sorted_lists(lists)
    if not at_once and not asking:
        row.subscriber_id = known.id if known is not None else None
        return SubmissionState.ALREADY
    may_ask = bool(asking) and sign_up.may_write(request, address.email, [one.id for one in asking], by_form=True)
    if not at_once and not may_ask:
        return SubmissionState.CAPPED
    wish.make_person()
    if at_once:
        wish.join(at_once, is_confirmed=False)
    if not may_ask:
        return SubmissionState.SUBSCRIBED
    wish.ask(asking)
    return SubmissionState.ASKED


class _Wish:
    """A submission on its way into the lists."""

    def __init__(
        self, request: Request, project: Project, form: SignUpForm, row: SignUpSubmission, known: Subscriber | None
    ) -> None:
        self._request = request
        self._dbsession = request.dbsession
        self._project = project
        self._form = form
        self._row = row
        self._person = known
        self._is_new = known is None
        self._source = f"form:{form.id}"
        words, *boxes = row.consents or [""]
        self._words, self._boxes = words, boxes

    def sorted_lists(self, lists: Sequence[MailingList]) -> tuple[list[MailingList], list[MailingList]]:
        """The lists that the person comes into at once, and those that they have to confirm; not those they are in."""
        at_once: list[MailingList] = []
        asking: list[MailingList] = []
        for one in lists:
            now = self._status_in(one)
            is_active = self._person is not None and self._person.status == SubscriberStatus.ACTIVE
            if now == SubscriptionStatus.SUBSCRIBED and is_active:
                continue
            has_left = now == SubscriptionStatus.UNSUBSCRIBED or (self._person is not None and not is_active)
            is_double = OptIn.DOUBLE in (self._form.opt_in, one.opt_in)
            (asking if is_double or has_left else at_once).append(one)
        return at_once, asking

    def _status_in(self, mailing_list: MailingList) -> str | None:
        if self._person is None:
            return None
        row = self._dbsession.get(Subscription, (self._project.id, mailing_list.id, self._person.id))
        return row.status if row is not None else None

    def make_person(self) -> None:
        """Nobody can change a person who is known already by filling in a public form: that waits for them."""
        if self._person is None:
            self._person = service.upsert_subscriber(
                self._dbsession,
                project_id=self._project.id,
                email=self._row.email,
                name=self._row.name,
                fields=self._row.fields,
                source=self._source,
            ).subscriber
        self._row.subscriber_id = self._person.id

    def join(self, lists: Sequence[MailingList], *, is_confirmed: bool) -> None:
        person = self._known()
        for one in lists:
            service.subscribe(
                self._dbsession, project_id=self._project.id, subscriber_id=person.id, list_id=one.id,
                status=SubscriptionStatus.SUBSCRIBED, source=self._source, ip=self._row.ip, text=self._words,
                user_agent=self._row.user_agent,
            )  # fmt: skip
        self._record_boxes(ConsentKind.GIVEN)
        mark(self._request, self._form, person)
        counting.add(self._dbsession, project_id=self._project.id, form_id=self._form.id, host=self._row.host,
                     confirmations=1)  # fmt: skip
        letters.send_notice(self._request, self._project, lists[0], person)
        greeting = [one for one in lists if self._has_welcome(one)]
        # An unasked welcome is as good a bomb as a confirmation: the same caps.
        if greeting and sign_up.may_write(self._request, person.email, [one.id for one in greeting], by_form=True):
            for one in greeting:
                letters.send_welcome(
                    self._request, self._project, one, person, is_confirmed=is_confirmed,
                    language=self._form.language,
                )  # fmt: skip

    def ask(self, lists: Sequence[MailingList]) -> None:
        """Put them down as unconfirmed, and send one letter for all; the caps are used up already."""
        person = self._known()
        for one in lists:
            now = self._status_in(one)
            if now == SubscriptionStatus.UNSUBSCRIBED:
                continue  # They have left: that stays on record until they confirm.
            if person.status == SubscriberStatus.UNSUBSCRIBED and now is None:
                self._keep_wish(one, person)
            else:
                service.subscribe(
                    self._dbsession, project_id=self._project.id, subscriber_id=person.id, list_id=one.id,
                    status=SubscriptionStatus.UNCONFIRMED, source=self._source, ip=self._row.ip, text=self._words,
                    user_agent=self._row.user_agent,
                )  # fmt: skip
        self._record_boxes(ConsentKind.ASKED)
        first, *others = lists
        letters.send_confirmation(
            self._request, self._project, first, person, others=others, submission_id=self._row.id,
            language=self._form.language,
        )  # fmt: skip

    def _keep_wish(self, mailing_list: MailingList, person: Subscriber) -> None:
        """Somebody who has left everything asks for a list that is new to them: unconfirmed until they confirm."""
        self._dbsession.add(
            Subscription(
                project_id=self._project.id, list_id=mailing_list.id, subscriber_id=person.id,
                status=SubscriptionStatus.UNCONFIRMED, source=self._source, ip=self._row.ip,
            )
        )  # fmt: skip
        self._dbsession.flush()

    def _record_boxes(self, kind: ConsentKind) -> None:
        record_boxes(self._request, self._row, self._known(), kind, ip=self._row.ip, agent=self._row.user_agent)

    def _has_welcome(self, mailing_list: MailingList) -> bool:
        language = self._form.language or letters.language_of(self._project, mailing_list)
        found = self._dbsession.get(
            ListLetter, (self._project.id, mailing_list.id, LetterKind.WELCOME.value, language)
        )
        return found is not None and found.enabled

    def _known(self) -> Subscriber:
        assert self._person is not None
        return self._person


def record_boxes(
    request: Request, row: SignUpSubmission, person: Subscriber, kind: ConsentKind, *, ip: str | None, agent: str
) -> None:
    """Put each ticked box of a submission on record, word by word."""
    for sentence in row.consents[1:]:
        consents.record(
            request.dbsession, project_id=row.project_id, subscriber_id=person.id, kind=kind,
            source=f"form:{row.form_id}", text=sentence, ip=ip, user_agent=agent,
        )  # fmt: skip


def mark(request: Request, form: SignUpForm, person: Subscriber) -> None:
    """Give a person the form's tags."""
    if not form.tags:
        return
    try:
        found = tags.ensure_tags(request.dbsession, form.project_id, form.tags)
    except tags.TooManyTags:
        log.warning("sign_up.too_many_tags", project_id=form.project_id, form_id=form.id)
        return
    tags.add_tags(request.dbsession, form.project_id, [person.id], [one.id for one in found])


def due_again(request: Request) -> list[tuple[int, int]]:
    """Submissions that nobody has taken in although they are due, the oldest first; each is left alone for LATE.

    A few at a time: in a flood the wake-ups are not lost, they wait, and twice as many would make them wait longer.
    """
    now = datetime.now(UTC)
    found = (
        select(SignUpSubmission.project_id, SignUpSubmission.id)
        .where(SignUpSubmission.state == SubmissionState.WAITING, SignUpSubmission.due_at < now - LATE)
        .order_by(SignUpSubmission.due_at)
        .limit(MOST_AGAIN)
        .with_for_update(skip_locked=True)
        .subquery()
    )
    late = (
        update(SignUpSubmission)
        .where(SignUpSubmission.project_id == found.c.project_id, SignUpSubmission.id == found.c.id)
        .values(due_at=now)
        .returning(SignUpSubmission.project_id, SignUpSubmission.id)
        .execution_options(synchronize_session=False)
    )
    return [(row.project_id, row.id) for row in request.dbsession.execute(late)]
