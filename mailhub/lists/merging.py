"""Two rows of people are one person: everything of the second becomes the first one's, and the second goes.

What was sent and done moves as far as no number of a campaign changes by it (`reporting.merges`): where both got the
same campaign, its report goes on counting two addresses, because two letters were sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, select, text, update
from sqlalchemy.orm import Session

from mailhub.models import (
    Consent,
    Subscriber,
    SubscriberNote,
    SubscriberStatus,
    SubscriberTag,
    Subscription,
    SubscriptionStatus,
    Tracking,
)
from mailhub.reporting.merges import Moved, move_history

_STRICTEST = [Tracking.FULL, Tracking.AGGREGATE, Tracking.OFF]
_ACTIVITY = text(
    """
    INSERT INTO subscriber_activity AS a
        (project_id, subscriber_id, sent, last_sent_at, last_opened_at, last_redirected_at)
    SELECT project_id, :winner, sent, last_sent_at, last_opened_at, last_redirected_at
    FROM subscriber_activity WHERE project_id = :project AND subscriber_id = :loser
    ON CONFLICT (project_id, subscriber_id) DO UPDATE SET
        sent = a.sent + EXCLUDED.sent,
        last_sent_at = GREATEST(a.last_sent_at, EXCLUDED.last_sent_at),
        last_opened_at = GREATEST(a.last_opened_at, EXCLUDED.last_opened_at),
        last_redirected_at = GREATEST(a.last_redirected_at, EXCLUDED.last_redirected_at)
    """
)
_NO_ACTIVITY = text("DELETE FROM subscriber_activity WHERE project_id = :project AND subscriber_id = :loser")
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

    Who has complained or left as one of the two has done so as the person. In each list the later word counts.
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
    dbsession.execute(_ACTIVITY, values)
    dbsession.execute(_NO_ACTIVITY, values)
    moved = move_history(dbsession, project_id, winner_id=winner.id, loser_id=loser.id)
    _person(winner, loser, name, fields)
    dbsession.execute(delete(Subscriber).where(Subscriber.project_id == project_id, Subscriber.id == loser.id))
    dbsession.expunge(loser)
    dbsession.flush()
    return moved


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
            dbsession.expunge(row)
    dbsession.flush()


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


def both_tags(dbsession: Session, first: Subscriber, second: Subscriber) -> int:
    """How many tags the merged person will have."""
    wanted = select(SubscriberTag.tag_id).where(
        SubscriberTag.project_id == first.project_id, SubscriberTag.subscriber_id.in_((first.id, second.id))
    )
    return len(set(dbsession.scalars(wanted)))
