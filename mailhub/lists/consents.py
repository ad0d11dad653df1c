"""The record of consents: who agreed to what, by which words, where and when. It is only ever added to.

`service.subscribe`, `unsubscribe`, `resubscribe` and `confirm` record what they change; `record` is for what they do
not know of: a consent that is for no list, or what a set-based statement has done to one person. `record_many` is
for the set-based statements themselves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from mailhub.models import Consent, ConsentKind, ConsentText, MailingList, SubscriptionStatus

#: Longer names of a browser are cut.
MAX_AGENT = 400


@dataclass(frozen=True)
class Recorded:
    """A consent as it is read: with its words and the name of the list, which may be gone by now (None)."""

    consent: Consent
    text: str
    list_name: str | None


def record(
    dbsession: Session,
    *,
    project_id: int,
    subscriber_id: int,
    kind: str,
    list_id: int | None = None,
    source: str = "",
    text: str = "",
    ip: str | None = None,
    user_agent: str = "",
) -> Consent:
    """Write down one consent, or its end. `text` are the words that the person saw; equal words are kept once.

    `source` is a word and an id: form:12, import:7, api, page, preferences, one_click. `kind` is a ConsentKind.
    """
    row = Consent(
        project_id=project_id,
        subscriber_id=subscriber_id,
        list_id=list_id,
        kind=kind,
        source=source,
        text_id=text_id(dbsession, project_id, text) if text else None,
        ip=ip,
        user_agent=user_agent[:MAX_AGENT],
    )
    dbsession.add(row)
    dbsession.flush()
    return row


def record_many(
    dbsession: Session,
    *,
    project_id: int,
    subscriber_id: int,
    list_ids: Sequence[int],
    kind: str,
    source: str = "",
    text: str = "",
    ip: str | None = None,
    user_agent: str = "",
) -> None:
    """The same for several lists of one person, in one statement."""
    if not list_ids:
        return
    words = text_id(dbsession, project_id, text) if text else None
    same = {
        "project_id": project_id, "subscriber_id": subscriber_id, "kind": kind, "source": source, "text_id": words,
        "ip": ip, "user_agent": user_agent[:MAX_AGENT],
    }  # fmt: skip
    dbsession.execute(insert(Consent), [{**same, "list_id": list_id} for list_id in list_ids])


def text_id(dbsession: Session, project_id: int, text: str) -> int:
    """The number of these words in the project: a changed sentence is another row, the same one is the same row."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    known = select(ConsentText.id).where(ConsentText.project_id == project_id, ConsentText.digest == digest)
    found = dbsession.scalar(known)
    if found is not None:
        return found
    new = upsert(ConsentText).values(project_id=project_id, digest=digest, text=text)
    # Another request may be writing the same words: then theirs are ours.
    made = dbsession.scalar(
        new.on_conflict_do_nothing(index_elements=["project_id", "digest"]).returning(ConsentText.id)
    )
    return made if made is not None else dbsession.scalars(known).one()


def of_person(dbsession: Session, project_id: int, subscriber_id: int, *, most: int = 500) -> list[Recorded]:
    """What a person has agreed to and taken back, the newest first."""
    found = (
        select(Consent, ConsentText.text, MailingList.name)
        .outerjoin(ConsentText, (ConsentText.project_id == Consent.project_id) & (ConsentText.id == Consent.text_id))
        .outerjoin(MailingList, (MailingList.project_id == Consent.project_id) & (MailingList.id == Consent.list_id))
        .where(Consent.project_id == project_id, Consent.subscriber_id == subscriber_id)
        .order_by(Consent.id.desc())
        .limit(most)
    )
    return [Recorded(consent, words or "", name) for consent, words, name in dbsession.execute(found)]


def kind_of(status: str, source: str) -> str:
    """What it is when a person comes into a list with this status from this source."""
    if status == SubscriptionStatus.UNCONFIRMED:
        return ConsentKind.ASKED
    word = source.partition(":")[0]
    if word in ("form", "page", "preferences"):
        return ConsentKind.GIVEN
    return ConsentKind.IMPORTED if word == "import" else ConsentKind.ADDED
