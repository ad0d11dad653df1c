"""What is looked for every few seconds: wake-ups that were lost, letters that are due, work of the dead, loose ends."""

from __future__ import annotations

from pyramid.request import Request
from sqlalchemy import text

from mailhub.delivery import cancel, claim
from mailhub.delivery.dispatcher import dispatcher_of
from mailhub.delivery.singles import settle_abandoned as settle_abandoned_singles
from mailhub.delivery.source import settle_abandoned
from mailhub.delivery.tasks import cancel_rest, pump, send_again, send_due
from mailhub.models import Queue
from mailhub.tasks import sweep

#: A worker that has not been heard of for so long is dead.
ALIVE_SECONDS = 15


@sweep
def wake_pumps(request: Request) -> None:
    """Wake as many idle processes as there are chunks to claim: never a second wake-up for a busy one."""
    idle, claimable, due = request.dbsession.execute(_BULK, {"alive": ALIVE_SECONDS}).one()
    for _turn in range(min(idle, claimable + (1 if due else 0))):
        request.enqueue(pump)


@sweep
def wake_singles(request: Request) -> None:
    """Single letters that are due and whose wake-up was lost, and those whose second attempt has come."""
    due = request.dbsession.scalar(_DUE_SINGLES)
    if due:
        request.enqueue(send_due, Queue.TRANSACTIONAL.value)


@sweep
def settle_the_dead(request: Request) -> None:
    """Letters that were on the wire when their worker died; chunks of campaigns that nobody sends any more."""
    dispatcher = dispatcher_of(request.registry)
    dispatcher.database.transaction(settle_abandoned_singles)
    with dispatcher.working(Queue.CELERY.value):
        lease = dispatcher.settings.delivery_lease_seconds

        def settle(connection: claim.Connection) -> bool:
            chunk = claim.take_over(connection, dispatcher.owner, lease, states=("paused", "sent"), unsettled=True)
            if chunk is None:
                return False
            settle_abandoned(dispatcher, connection, chunk, give_back=True)
            return True

        while not dispatcher.stopping() and dispatcher.database.transaction(settle):
            pass


@sweep
def finish_campaigns(request: Request) -> None:
    """Campaigns whose last letter was settled while they were paused, or that had nobody to write to."""
    request.dbsession.execute(_FINISH)


@sweep
def finish_cancelled(request: Request) -> None:
    """Cancelled campaigns with somebody still waiting."""
    for project_id, campaign_id in request.dbsession.execute(text(cancel.OPEN)).all():
        request.enqueue(cancel_rest, project_id, campaign_id)


@sweep
def finish_again(request: Request) -> None:
    """Campaigns some of whose letters are to be sent again, and were not put back yet."""
    for project_id, campaign_id in request.dbsession.execute(_AGAIN).all():
        request.enqueue(send_again, project_id, campaign_id)


_AGAIN = text("SELECT project_id, id FROM campaign WHERE again_unknown_at IS NOT NULL OR again_failed_at IS NOT NULL")

_BULK = text(
    """
    SELECT (
        SELECT count(*) FROM worker_heartbeat
        WHERE role = 'pool' AND doing = '' AND 'bulk' = ANY(string_to_array(queue, ','))
          AND last_seen_at > clock_timestamp() - make_interval(secs => :alive)
    ), (
        SELECT coalesce(sum(l.last_seq - l.next_seq + 1), 0) FROM campaign_lane AS l
        JOIN campaign AS c ON c.project_id = l.project_id AND c.id = l.campaign_id
        WHERE c.state = 'sending' AND l.next_seq <= l.last_seq
    ) + (
        SELECT count(*) FROM chunk_lease AS r
        JOIN campaign AS c ON c.project_id = r.project_id AND c.id = r.campaign_id
        WHERE c.state = 'sending' AND r.state = 'running' AND r.lease_until < clock_timestamp()
    ), EXISTS (
        SELECT FROM message AS m
        JOIN campaign AS c ON c.project_id = m.project_id AND c.id = m.campaign_id
        WHERE m.queue = 'bulk' AND m.state IN ('queued', 'deferred') AND m.due_at <= clock_timestamp()
          AND NOT m.in_flight AND (m.lease_until IS NULL OR m.lease_until < clock_timestamp()) AND c.state = 'sending'
    )
    """
)

_DUE_SINGLES = text(
    """
    SELECT EXISTS (
        SELECT FROM message
        WHERE queue = 'transactional' AND state IN ('queued', 'deferred') AND due_at <= clock_timestamp()
          AND NOT in_flight AND (lease_until IS NULL OR lease_until < clock_timestamp())
    )
    """
)

_FINISH = text(
    """
    UPDATE campaign AS c
    SET state = 'sent', finished_at = clock_timestamp(), updated_at = clock_timestamp()
    FROM campaign_count AS n
    WHERE c.state = 'sending' AND c.fanned_out_at IS NOT NULL
      AND n.project_id = c.project_id AND n.campaign_id = c.id
      AND n.audience = n.sent + n.failed + n.unknown + n.skipped
    """
)
