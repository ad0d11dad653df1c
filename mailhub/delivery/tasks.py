"""What the post office does in workers. Wake-ups only: everything is in rows, and the sweep finds what had none."""

from __future__ import annotations

import time

from pyramid.request import Request

from mailhub.delivery import again, cancel
from mailhub.delivery.dispatcher import dispatcher_of
from mailhub.delivery.pump import Pump
from mailhub.delivery.source import Campaigns, SingleLetters
from mailhub.models import Queue
from mailhub.tasks import task


@task("mailhub.delivery.pump", queue="bulk", transaction=False)
def pump(request: Request) -> None:
    """Send campaigns while there is something to claim, for `mailhub.delivery.pump_seconds`; then another goes on."""
    dispatcher = dispatcher_of(request.registry)
    with dispatcher.working(Queue.BULK.value) as heartbeat:
        heartbeat.doing = "looking for chunks"
        try:
            is_more = Pump(dispatcher, heartbeat, Campaigns(dispatcher)).run(dispatcher.settings.delivery_pump_seconds)
        finally:
            dispatcher.lines.close(time.monotonic())
            dispatcher.release_connections()
    if is_more:
        request.enqueue(pump)


@task("mailhub.delivery.send_due", queue="transactional", transaction=False)
def send_due(request: Request, queue: str) -> None:
    """Send the queue's single letters that are due, and those that come within a second of the last one."""
    dispatcher = dispatcher_of(request.registry)
    with dispatcher.working(queue) as heartbeat:
        heartbeat.doing = "single letters"
        seconds = dispatcher.settings.delivery_pump_seconds
        try:
            is_more = Pump(dispatcher, heartbeat, SingleLetters(dispatcher, queue)).run(seconds)
        finally:
            dispatcher.lines.close(time.monotonic())
            dispatcher.release_connections()
    if is_more:
        request.enqueue(send_due, queue)


@task("mailhub.delivery.cancel_rest", queue="celery", transaction=False)
def cancel_rest(request: Request, project_id: int, campaign_id: int) -> None:
    """Skip those whom a cancelled campaign has not reached."""
    dispatcher = dispatcher_of(request.registry)
    with dispatcher.working(Queue.CELERY.value) as heartbeat:
        heartbeat.doing = f"cancelling campaign {campaign_id}"
        cancel.cancel_rest(dispatcher, project_id, campaign_id)


@task("mailhub.delivery.send_again", queue="celery", transaction=False)
def send_again(request: Request, project_id: int, campaign_id: int) -> None:
    """Put back the rest of the letters that somebody asked to send again, a slice a transaction."""
    stop = getattr(request.registry, "stop_flag", None)
    is_more = True
    while is_more and not (stop is not None and stop[0]):
        with request.tm:
            is_more = again.go_on(request.dbsession, project_id, campaign_id)
            if is_more:
                request.enqueue(pump)
