"""The stop list as the rooms see it: put an address on it, take it off, ask about one or about all people.

What becomes of an address depends on its letter: campaigns go to nobody on a list; of single letters see
`delivery.accept.STOPPED_BY`. The operator's entries stop everything.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, literal, null, or_, select, union_all, update
from sqlalchemy.orm import Session

from mailhub.models import GlobalSuppression, Subscriber, SubscriberStatus, Suppression, SuppressionReason
from mailhub.security import address_hash
from mailhub.suppression import entries
from mailhub.suppression.clauses import StopList, in_force, suppressed_clause
from mailhub.suppression.entries import Entry

__all__ = [
    "GLOBAL",
    "Entry",
    "StopList",
    "Stopped",
    "domains_of",
    "is_suppressed",
    "lift",
    "stopped",
    "suppress",
    "suppress_erased",
    "suppress_many",
    "suppressed_among",
    "suppressed_clause",
]

#: The reason of whoever the operator's list stops.
GLOBAL = "global"
#: Reasons whose entry also moved the person to one of the states that allow no letter. Not each to its own: a complaint
#: takes the entry of an earlier bounce over, and the person stays bounced.
_MOVED = (SuppressionReason.HARD_BOUNCE.value, SuppressionReason.COMPLAINT.value)
_STATES = (SubscriberStatus.BOUNCED.value, SubscriberStatus.COMPLAINED.value)


@dataclass(frozen=True)
class Stopped:
    """Why an address gets nothing: a SuppressionReason, or GLOBAL. `entry_id` is of the project's own entry."""

    reason: str
    entry_id: int | None
    expires_at: datetime | None


def suppress(
    dbsession: Session,
    *,
    project_id: int,
    email: str,
    reason: str,
    note: str = "",
    event_id: int | None = None,
    campaign_id: int | None = None,
    user_id: int | None = None,
    expires_at: datetime | None = None,
) -> bool:
    """Put an address on the project's stop list; True if the list says something new about it.

    An entry in force stays unless the new reason weighs more or lasts longer (`entries.WEIGHT`). For the erased see
    `suppress_erased`.
    """
    entry = Entry(reason, note, event_id, campaign_id, user_id, expires_at)
    return bool(suppress_many(dbsession, project_id, [email.lower()], entry))


def suppress_many(dbsession: Session, project_id: int, email_keys: Sequence[str], entry: Entry) -> list[str]:
    """The same for many addresses in lower case; gives those for which something changed.

    Those of erased people are stopped by their hash already, and are not written down again.
    """
    dbsession.flush()
    hashed = {one: key for key in email_keys for one in address_hash.hashes_of(key)}
    kept = select(Suppression.email_hash).where(
        Suppression.project_id == project_id, Suppression.email_hash.in_(list(hashed)), in_force(Suppression)
    )
    erased = {hashed[bytes(one)] for one in dbsession.scalars(kept) if one is not None}
    keys = [key for key in email_keys if key not in erased]
    return entries.put(entries.connection_of(dbsession), project_id, keys, entry) if keys else []


def suppress_erased(
    dbsession: Session, *, project_id: int, email_key: str, note: str = "", user_id: int | None = None
) -> bool:
    """Keep nothing but the keyed hash of an address, and remove the entry that names it. False: it was kept before."""
    dbsession.execute(
        delete(Suppression).where(Suppression.project_id == project_id, Suppression.email_key == email_key)
    )
    hashed = address_hash.hash_of(email_key)
    return entries.put_hash(entries.connection_of(dbsession), project_id, hashed, note=note, user_id=user_id)


def lift(dbsession: Session, *, project_id: int, suppression_id: int) -> Suppression | None:
    """Take an entry off the project's list; gives what it was, None if there is none.

    Who had bounced or complained is active again: that state came with the entry. Other lists, and the operator's own
    entries, are not touched.
    """
    row = dbsession.scalars(
        select(Suppression)
        .where(Suppression.project_id == project_id, Suppression.id == suppression_id)
        .with_for_update()
    ).one_or_none()
    if row is None:
        return None
    dbsession.delete(row)
    dbsession.flush()
    if row.reason in _MOVED and row.email_key is not None:
        dbsession.execute(
            update(Subscriber)
            .where(
                Subscriber.project_id == project_id,
                Subscriber.email_key == row.email_key,
                Subscriber.status.in_(_STATES),
            )
            .values(status=SubscriberStatus.ACTIVE.value, status_changed_at=func.now(), updated_at=func.now())
            .execution_options(synchronize_session="fetch")
        )
    return row


def stopped(
    dbsession: Session, project_id: int, email_key: str, *, reasons: Collection[str] | None = None
) -> Stopped | None:
    """Why an address gets nothing now, the heaviest reason first; None if nothing stops it.

    `reasons` are those of the project's own list that count, all by default; the operator's list always counts.
    """
    hashes = address_hash.hashes_of(email_key)
    own = select(Suppression.reason, Suppression.id, Suppression.expires_at, literal(1)).where(
        Suppression.project_id == project_id,
        or_(Suppression.email_key == email_key, Suppression.email_hash.in_(hashes)),
        in_force(Suppression),
    )
    if reasons is not None:
        own = own.where(Suppression.reason.in_(list(reasons)))
    everywhere = select(literal(GLOBAL), null(), GlobalSuppression.expires_at, literal(0)).where(
        or_(
            GlobalSuppression.email_key == email_key,
            GlobalSuppression.email_hash.in_(hashes),
            GlobalSuppression.domain.in_(domains_of(email_key)),
        ),
        in_force(GlobalSuppression),
    )
    found = union_all(everywhere, own).subquery("found")
    row = dbsession.execute(select(found).order_by(found.c[3], found.c[1].desc()).limit(1)).first()
    return Stopped(row[0], row[1], row[2]) if row is not None else None


def is_suppressed(dbsession: Session, project_id: int, email_key: str) -> bool:
    """Whether the address is on the project's stop list or the operator's now."""
    return stopped(dbsession, project_id, email_key) is not None


def suppressed_among(dbsession: Session, project_id: int, email_keys: Sequence[str]) -> set[str]:
    """Those of some addresses, people or not, that are on a list now; for a few thousand at a time."""
    hashed = {one: key for key in email_keys for one in address_hash.hashes_of(key)}
    domains = {domain for key in email_keys for domain in domains_of(key)}
    keys = list(email_keys)
    own = select(Suppression.email_key, Suppression.email_hash, null()).where(
        Suppression.project_id == project_id,
        or_(Suppression.email_key.in_(keys), Suppression.email_hash.in_(list(hashed))),
        in_force(Suppression),
    )
    everywhere = select(GlobalSuppression.email_key, GlobalSuppression.email_hash, GlobalSuppression.domain).where(
        or_(
            GlobalSuppression.email_key.in_(keys),
            GlobalSuppression.email_hash.in_(list(hashed)),
            GlobalSuppression.domain.in_(list(domains)),
        ),
        in_force(GlobalSuppression),
    )
    rows: Sequence[Any] = dbsession.execute(union_all(own, everywhere)).all()
    found: set[str] = set()
    stopped_domains: set[str] = set()
    for key, one, domain in rows:
        if key is not None:
            found.add(key)
        elif one is not None:
            found.add(hashed[bytes(one)])
        else:
            stopped_domains.add(domain)
    if stopped_domains:
        found |= {key for key in email_keys if not stopped_domains.isdisjoint(domains_of(key))}
    return found


def domains_of(email_key: str) -> list[str]:
    """The domain of an address and those above it, the longest first: `a.b.example` gives three."""
    labels = email_key.rpartition("@")[2].split(".")
    return [".".join(labels[n:]) for n in range(len(labels))]
