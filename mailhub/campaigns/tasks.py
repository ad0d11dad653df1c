"""What the room does later: fan-out, the start of scheduled campaigns, and the sweep that finds what was left."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from pyramid.request import Request
from sqlalchemy import and_, or_, select

from mailhub import logs
from mailhub.campaigns import audience, control
from mailhub.campaigns.chosen import chosen_of
from mailhub.delivery import service as delivery
from mailhub.delivery.routing import Routes
from mailhub.delivery.tasks import cancel_rest, pump, send_again, send_due
from mailhub.models import Campaign, CampaignState, CampaignVersion, Project, Queue
from mailhub.security import audit
from mailhub.tasks import sweep, task

log = logs.get(__name__)

#: The sweep looks at no more campaigns than this at a time; it comes again in seconds.
SWEEP_LIMIT = 50


# Not on `bulk`: there it would wait behind pumps, which run for minutes.
@task("mailhub.campaigns.fan_out", queue="celery")
def fan_out(request: Request, project_id: int, campaign_id: int) -> None:
    """Freeze the audience of a campaign that is being sent; delivery takes it from there. A second run does nothing."""
    dbsession = request.dbsession
    campaign = dbsession.get(Campaign, (project_id, campaign_id))
    if campaign is None or campaign.state != CampaignState.SENDING or campaign.version is None:
        return
    if campaign.fanned_out_at is None:
        version = dbsession.get_one(CampaignVersion, (project_id, campaign_id, campaign.version))
        try:
            # A campaign that was started before audiences were frozen has its rows only.
            kept = version.audience or audience.frozen(
                dbsession, project_id, chosen_of(dbsession, project_id, campaign_id)
            )
            people = audience.resolve_frozen(dbsession, project_id, kept).audience()
        except audience.SegmentBroken as broken:
            # Nobody can say any more who is meant; better nobody than somebody else. Its author decides.
            control.pause(dbsession, campaign)
            audit.write(dbsession, "campaign.segment_broken", campaign, actor="fan-out", name=campaign.name,
                        detail={"segment": broken.name})  # fmt: skip
            log.warning("campaign.segment_broken", project_id=project_id, campaign_id=campaign_id)
            return
        settings = request.registry.mailhub
        wanted = dbsession.get_one(Project, project_id).relay
        route = Routes(settings.relays).route_of(wanted, version.from_email.rpartition("@")[2])
        size = delivery.fan_out(
            dbsession, campaign, people, version, route=route, chunk_size=settings.delivery_chunk_size
        )
        log.info("campaign.fanned_out", project_id=project_id, campaign_id=campaign_id, audience=size)
    request.enqueue(pump)


@task("mailhub.campaigns.start_due", queue="celery")
def start_due(request: Request, project_id: int, campaign_id: int) -> None:
    """Start a scheduled campaign whose time has come."""
    dbsession = request.dbsession
    campaign = dbsession.get(Campaign, (project_id, campaign_id))
    if campaign is None:
        return
    project = dbsession.get_one(Project, project_id)
    started = control.start_due(dbsession, project, campaign, now=datetime.now(UTC))
    if started is None:
        return
    if started.state == CampaignState.SENDING:
        audit.write(dbsession, "campaign.started", started, actor="schedule", name=started.name)
        request.enqueue(fan_out, project_id, campaign_id)
    else:
        audit.write(dbsession, "campaign.not_ready", started, actor="schedule", name=started.name)
        log.warning("campaign.not_ready", project_id=project_id, campaign_id=campaign_id)


def after_start(request: Request, campaign: Campaign) -> None:
    """What every door does after `service.start`: the journal, and the wake-up unless it waits for its time."""
    scheduled = campaign.state == CampaignState.SCHEDULED
    audit.note(request, "campaign.scheduled" if scheduled else "campaign.started", campaign, name=campaign.name)
    if not scheduled:
        request.enqueue(fan_out, campaign.project_id, campaign.id)


def after_test(request: Request) -> None:
    """What every door does after `service.send_test`: wake the transactional queue."""
    request.enqueue(send_due, Queue.TRANSACTIONAL.value)


def after_resume(request: Request, campaign: Campaign) -> None:
    """What every door does after `service.resume`: the journal, and the wake-up."""
    audit.note(request, "campaign.resumed", campaign, name=campaign.name)
    request.enqueue(fan_out, campaign.project_id, campaign.id)


def after_again(request: Request, campaign: Campaign, action: str, again: delivery.Again) -> None:
    """What every door does after `service.resend` and `retry`: the journal, and the wake-ups."""
    if not again.n:
        return
    audit.note(request, f"campaign.{action}", campaign, name=campaign.name, letters=again.n)
    if again.later:
        request.enqueue(send_again, campaign.project_id, campaign.id)
    request.enqueue(pump)


def after_cancel(request: Request, campaign: Campaign) -> None:
    """What every door does after `service.cancel`: the journal, and the wake-up that skips who is left."""
    audit.note(request, "campaign.cancelled", campaign, name=campaign.name)
    if campaign.fanned_out_at is not None:
        request.enqueue(cancel_rest, campaign.project_id, campaign.id)


@sweep
def find_waiting(request: Request) -> None:
    """Wake-ups for scheduled campaigns that are due, and for started ones without an audience.

    One that is due before the next sweep gets its wake-up at its moment: who watches the last seconds run out should
    see it start.
    """
    now = datetime.now(UTC)
    soon = now + timedelta(seconds=request.registry.mailhub.delivery_sweep_seconds)
    rows = request.dbsession.execute(
        select(Campaign.project_id, Campaign.id, Campaign.state, Campaign.send_at)
        .where(
            or_(
                and_(Campaign.state == CampaignState.SCHEDULED, Campaign.send_at <= soon),
                and_(Campaign.state == CampaignState.SENDING, Campaign.fanned_out_at.is_(None)),
            )
        )
        .order_by(Campaign.id)
        .limit(SWEEP_LIMIT)
    )
    for project_id, campaign_id, state, send_at in rows:
        if state != CampaignState.SCHEDULED:
            request.enqueue(fan_out, project_id, campaign_id)
        elif send_at <= now:
            request.enqueue(start_due, project_id, campaign_id)
        else:
            _wake_later(request, (send_at - now).total_seconds(), project_id, campaign_id)


def _wake_later(request: Request, seconds: float, project_id: int, campaign_id: int) -> None:
    """Publish the wake-up after a few seconds. If this process dies meanwhile, the next sweep finds the campaign."""
    spec = start_due.spec
    # A little behind the moment, so that no clock's fraction makes the wake-up come too early.
    timer = threading.Timer(
        seconds + 0.05, request.registry.publisher.publish, (spec.name, (project_id, campaign_id), spec.queue)
    )
    timer.daemon = True
    timer.start()
