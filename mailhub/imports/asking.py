"""Confirmation letters to people whom an import has put into lists unconfirmed: a few every minute.

They go by the queue of single letters, where password resets go too: so many at once as that queue does not feel.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyramid.request import Request
from sqlalchemy import select

from mailhub import logs
from mailhub.lists import sign_up
from mailhub.models import (
    ImportList,
    MailingList,
    Project,
    Subscriber,
    SubscriberImport,
    SubscriberStatus,
    Subscription,
    SubscriptionStatus,
)

log = logs.get(__name__)

#: Letters that are accepted in one transaction.
SLICE = 50


def send_some(request: Request, most: int) -> int:
    """Up to `most` letters for all imports that have some to send, in turn; gives how many people were looked at."""
    done = 0
    for project_id, import_id in _open(request):
        while done < most:
            with request.tm:
                looked_at = _slice(request, project_id, import_id, min(SLICE, most - done))
            if not looked_at:
                break
            done += looked_at
    return done


def _open(request: Request) -> list[tuple[int, int]]:
    wanted = select(SubscriberImport.project_id, SubscriberImport.id).where(SubscriberImport.letters_open)
    with request.tm:
        found = request.dbsession.execute(wanted.order_by(SubscriberImport.id)).all()
        return [(row[0], row[1]) for row in found]


def _slice(request: Request, project_id: int, import_id: int, size: int) -> int:
    """The next people in the order of lists and people. 0: there are no more, and the import knows it."""
    dbsession = request.dbsession
    row = dbsession.get(SubscriberImport, (project_id, import_id), with_for_update=True)
    project = dbsession.get(Project, project_id)
    if row is None or not row.letters_open or project is None:
        return 0
    place = {"list": 0, "after": 0, "sent": 0} | row.letters
    lists = sorted(_lists(request, row), key=lambda one: one.id)
    if project.archived_at is None:
        for mailing_list in lists:
            if mailing_list.id < place["list"] or mailing_list.archived_at is not None:
                continue
            after = place["after"] if mailing_list.id == place["list"] else 0
            people = _people(request, row, mailing_list, after, size)
            if people:
                for person in people:
                    place["sent"] += _ask(request, project, mailing_list, person, lists)
                row.letters = place | {"list": mailing_list.id, "after": people[-1].id}
                return len(people)
    row.letters = place
    row.letters_open = False
    log.info("import.asked", import_id=import_id, letters=place["sent"])
    return 0


def _lists(request: Request, row: SubscriberImport) -> list[MailingList]:
    wanted = (
        select(MailingList)
        .join(ImportList, (ImportList.project_id == MailingList.project_id) & (ImportList.list_id == MailingList.id))
        .where(ImportList.project_id == row.project_id, ImportList.import_id == row.id)
    )
    return list(request.dbsession.scalars(wanted))


def _people(
    request: Request, row: SubscriberImport, mailing_list: MailingList, after: int, size: int
) -> Sequence[Subscriber]:
    wanted = (
        select(Subscriber)
        .join(
            Subscription,
            (Subscription.project_id == Subscriber.project_id) & (Subscription.subscriber_id == Subscriber.id),
        )
        .where(
            Subscription.project_id == row.project_id,
            Subscription.list_id == mailing_list.id,
            Subscription.status == SubscriptionStatus.UNCONFIRMED,
            Subscription.source == f"import:{row.id}",
            Subscription.subscriber_id > after,
            Subscriber.status == SubscriberStatus.ACTIVE,
        )
        .order_by(Subscription.subscriber_id)
        .limit(size)
    )
    found: Sequence[Subscriber] = request.dbsession.scalars(wanted).all()
    return found


def _ask(
    request: Request, project: Project, mailing_list: MailingList, person: Subscriber, lists: Sequence[MailingList]
) -> bool:
    """One letter for all lists of the import in which the person waits, unless the caps on such letters say no."""
    wanted = select(Subscription.list_id).where(
        Subscription.project_id == project.id,
        Subscription.subscriber_id == person.id,
        Subscription.list_id.in_([one.id for one in lists if one.archived_at is None]),
        Subscription.status == SubscriptionStatus.UNCONFIRMED,
    )
    waits = set(request.dbsession.scalars(wanted))
    if min(waits, default=mailing_list.id) < mailing_list.id:
        return False  # asked with an earlier list
    others = [one for one in lists if one.id in waits and one.id != mailing_list.id]
    return sign_up.ask_to_confirm(request, project, mailing_list, person, others=others)
