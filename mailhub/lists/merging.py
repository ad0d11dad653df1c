"""Two rows of people are one person: everything of the second becomes the first one's, and the second goes.

What was sent and done moves as far as no number of a campaign changes by it (`reporting.merges`): where both got the
same campaign, its report goes on counting two addresses, because two letters were sent. `subscriber_merge` remembers
who has become whom, so that what stays at the old number, or comes later by a link of an old letter, is the person's.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.orm import Session

from mailhub.events import activity
from mailhub.models import (
    Consent,
    Subscriber,
    SubscriberMerge,
    SubscriberNote,
    SubscriberStatus,
    Subscription,
    SubscriptionStatus,
    SuppressionReason,
    Tracking,
)
from mailhub.reporting import growth
from mailhub.reporting.merges import Moved, has_news, move_history
from mailhub.suppression import service as suppression

#: Before so long has passed, what happened last may still be classified; `reporting.merges` leaves it where it is.
SETTLES = timedelta(hours=1)
#: What these say of an address is the person's will, whatever the address; a bounce is the address's.
_OF_THE_PERSON = (SuppressionReason.COMPLAINT, SuppressionReason.UNSUBSCRIBED, SuppressionReason.MANUAL)
_STRICTEST = [Tracking.FULL, Tracking.AGGREGATE, Tracking.OFF]
_TAGS = text(
    """
    INSERT INTO subscriber_tag (project_id, tag_id, subscriber_id, created_at)
    SELECT project_id, tag_id, :winner, created_at FROM subscriber_tag
    WHERE project_id = :project AND subscriber_id = :loser
    ORDER BY tag_id
    ON CONFLICT DO NOTHING
    """
)


def merge_people(
    dbsession: Session, winner: Subscriber, loser: Subscriber, *, name: str, fields: Mapping[str, Any]
) -> Moved:
    """Make one person of two; `name` and `fields` are what they have afterwards. The address is the winner's.

    Who has complained or left as one of the two, or is on the stop list by anything but a bounce, has done so as the
    person. In each list the later word counts. What happened within the last hour follows by `settle`.
    """
    assert winner.project_id == loser.project_id
    assert winner.id != loser.id
    project_id = winner.project_id
    # By id, as everybody locks people.
    both = select(Subscriber.id).where(Subscriber.project_id == project_id, Subscriber.id.in_((winner.id, loser.id)))
    dbsession.execute(both.order_by(Subscriber.id).with_for_update())
    _subscriptions(dbsession, winner, loser)
    values = {"project": project_id, "winner": winner.id, "loser": loser.id}
    dbsession.execute(_TAGS, values)
    for model in (SubscriberNote, Consent):
        dbsession.execute(
            update(model)
            .where(model.project_id == project_id, model.subscriber_id == loser.id)
            .values(subscriber_id=winner.id)
            .execution_options(synchronize_session=False)
        )
    dbsession.execute(
        update(SubscriberMerge)
        .where(SubscriberMerge.project_id == project_id, SubscriberMerge.subscriber_id == loser.id)
        .values(subscriber_id=winner.id)
        .execution_options(synchronize_session=False)
    )
    dbsession.add(SubscriberMerge(project_id=project_id, gone_id=loser.id, subscriber_id=winner.id))
    dbsession.flush()
    _stop_list(dbsession, winner, loser)
    moved = move_history(dbsession, project_id, winner_id=winner.id, loser_id=loser.id)
    _person(winner, loser, name, fields)
    activity.join(dbsession, project_id, winner_id=winner.id, loser_id=loser.id)
    dbsession.execute(delete(Subscriber).where(Subscriber.project_id == project_id, Subscriber.id == loser.id))
    dbsession.expunge(loser)
    dbsession.flush()
    return moved


def settle(dbsession: Session, *, most: int) -> int:
    """Move what happened shortly before merges that are an hour old; gives how many were looked at.

    A merge is looked at again as long as something new happens under the old number.
    """
    waiting = (
        select(SubscriberMerge)
        .where(SubscriberMerge.settled_at.is_(None), SubscriberMerge.merged_at < func.now() - SETTLES)
        .order_by(SubscriberMerge.merged_at)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    merges = dbsession.scalars(waiting).all()
    for one in merges:
        move_history(dbsession, one.project_id, winner_id=one.subscriber_id, loser_id=one.gone_id)
        if has_news(dbsession, one.project_id, one.gone_id):
            one.merged_at = func.now()
        else:
            one.settled_at = func.now()
    dbsession.flush()
    return len(merges)


def _stop_list(dbsession: Session, winner: Subscriber, loser: Subscriber) -> None:
    found = suppression.stopped(dbsession, loser.project_id, loser.email_key, reasons=_OF_THE_PERSON)
    if found is not None and found.reason in _OF_THE_PERSON:
        suppression.suppress(
            dbsession, project_id=winner.project_id, email=winner.email, reason=found.reason,
            expires_at=found.expires_at,
        )  # fmt: skip


def _person(winner: Subscriber, loser: Subscriber, name: str, fields: Mapping[str, Any]) -> None:
    winner.name = name
    winner.fields = {key: value for key, value in fields.items() if value is not None and value != ""}
    # A bounce is the address's, and the loser's address goes.
    for status in (SubscriberStatus.COMPLAINED, SubscriberStatus.UNSUBSCRIBED):
        if loser.status == status and winner.status != SubscriberStatus.COMPLAINED:
            winner.status, winner.status_changed_at = status, loser.status_changed_at
    winner.tracking = max(winner.tracking, loser.tracking, key=lambda one: _STRICTEST.index(Tracking(one)))
    pauses = [moment for moment in (winner.paused_until, loser.paused_until) if moment is not None]
    winner.paused_until = max(pauses, default=None)
    winner.created_at = min(winner.created_at, loser.created_at)


def _subscriptions(dbsession: Session, winner: Subscriber, loser: Subscriber) -> None:
    key = Subscription.project_id == winner.project_id
    rows = dbsession.scalars(select(Subscription).where(key, Subscription.subscriber_id.in_((winner.id, loser.id))))
    mine: dict[int, Subscription] = {}
    theirs: dict[int, Subscription] = {}
    for row in rows:
        (mine if row.subscriber_id == winner.id else theirs)[row.list_id] = row
    handed_over = []
    for list_id, row in sorted(theirs.items()):
        if list_id in mine:
            if _later(row, mine[list_id]):
                _take_over(mine[list_id], row)
            dbsession.delete(row)
        else:
            dbsession.execute(
                update(Subscription)
                .where(key, Subscription.list_id == list_id, Subscription.subscriber_id == loser.id)
                .values(subscriber_id=winner.id)
                .execution_options(synchronize_session=False)
            )
            if row.status == SubscriptionStatus.SUBSCRIBED:
                handed_over.append(list_id)
            dbsession.expunge(row)
    dbsession.flush()
    growth.forget_handover(dbsession, winner.project_id, winner.id, handed_over)


def _later(theirs: Subscription, mine: Subscription) -> bool:
    """Whether the other row's word is the later one. A subscription that was never confirmed is no word."""
    if theirs.status == SubscriptionStatus.UNCONFIRMED:
        return False
    if mine.status == SubscriptionStatus.UNCONFIRMED:
        return True
    return _said_at(theirs) > _said_at(mine)


def _said_at(row: Subscription) -> Any:
    return row.unsubscribed_at or row.confirmed_at or row.created_at


def _take_over(mine: Subscription, theirs: Subscription) -> None:
    for column in ("status", "source", "ip", "created_at", "confirmed_at", "unsubscribed_at"):
        setattr(mine, column, getattr(theirs, column))
