"""The road of a campaign: started or scheduled, frozen, paused, resumed, cancelled.

Every step locks the row first and looks at its state again, so that of two at the same time one wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from mailhub.campaigns import audience, letter, preflight
from mailhub.campaigns.chosen import chosen_of
from mailhub.campaigns.drafts import locked
from mailhub.campaigns.refusals import CampaignNotReady, forbid
from mailhub.delivery import service as delivery
from mailhub.models import (
    Campaign,
    CampaignCount,
    CampaignState,
    CampaignVersion,
    Link,
    Project,
    Sender,
)

#: Longer than this nobody plans ahead; it also keeps a mistyped year out.
MAX_AHEAD = timedelta(days=366)
#: A campaign that is started from its page can be undone for so long.
GRACE_SECONDS = 60


def start(
    dbsession: Session,
    project: Project,
    campaign: Campaign,
    *,
    now: datetime,
    send_at: datetime | None = None,
    grace_seconds: int = 0,
    spread_seconds: int | None = None,
) -> Campaign:
    """Start a draft: at once, or `scheduled` for `send_at` or for the end of the grace, whichever is later.

    `spread_seconds` replaces the draft's own; the fan-out makes a speed of it. Raises StateForbids, or CampaignNotReady
    with the reasons; then nothing has changed. At once means: frozen, its ledger opened, state `sending`; the caller
    enqueues `tasks.fan_out`.
    """
    row = locked(dbsession, campaign)
    if row.state != CampaignState.DRAFT:
        raise forbid(row, "start")
    _check_ready(dbsession, project, row)
    if spread_seconds is not None:
        row.spread_seconds = spread_seconds or None
    due = max(filter(None, (send_at, now + timedelta(seconds=grace_seconds))))
    row.send_at = None
    if due > now:
        row.state = CampaignState.SCHEDULED
        row.send_at = due
        row.control_version += 1
        dbsession.flush()
        return row
    return _go(dbsession, project, row)


def start_now(dbsession: Session, project: Project, campaign: Campaign) -> Campaign:
    """Start a scheduled campaign without waiting for its time; the caller enqueues `tasks.fan_out`.

    Raises StateForbids, or CampaignNotReady with the reasons; then nothing has changed.
    """
    row = locked(dbsession, campaign)
    if row.state != CampaignState.SCHEDULED:
        raise forbid(row, "start_now")
    _check_ready(dbsession, project, row)
    row.send_at = None
    return _go(dbsession, project, row)


def start_due(dbsession: Session, project: Project, campaign: Campaign, *, now: datetime) -> Campaign | None:
    """Start a scheduled campaign whose time has come; None where it is no longer due.

    One that is not ready any more goes back to the drafts (CampaignNotReady is not raised: the transaction commits);
    its `send_at` in the past tells the page to say so.
    """
    row = locked(dbsession, campaign)
    if row.state != CampaignState.SCHEDULED or row.send_at is None or row.send_at > now:
        return None
    try:
        _check_ready(dbsession, project, row)
    except CampaignNotReady:
        row.state = CampaignState.DRAFT
        row.control_version += 1
        dbsession.flush()
        return row
    return _go(dbsession, project, row)


def pause(dbsession: Session, campaign: Campaign) -> Campaign:
    """Stop claiming letters; those on the wire are finished."""
    return _move(dbsession, campaign, "pause", (CampaignState.SENDING,), CampaignState.PAUSED)


def resume(dbsession: Session, campaign: Campaign) -> Campaign:
    """Go on where it was paused. The caller enqueues `tasks.fan_out`, which also wakes the pumps."""
    return _move(dbsession, campaign, "resume", (CampaignState.PAUSED,), CampaignState.SENDING)


def cancel(dbsession: Session, campaign: Campaign) -> Campaign:
    """End it for good. The caller enqueues `tasks.cancel_rest`, which writes down who gets nothing any more."""
    stoppable = (CampaignState.SCHEDULED, CampaignState.SENDING, CampaignState.PAUSED)
    row = _move(dbsession, campaign, "cancel", stoppable, CampaignState.CANCELLED)
    row.finished_at = dbsession.scalar(select(func.clock_timestamp()))
    row.send_at = None
    dbsession.flush()
    return row


def resend(dbsession: Session, campaign: Campaign, message_ids: Sequence[UUID] | None = None) -> delivery.Again:
    """Send the letters in doubt again, all or those named. The caller calls `tasks.after_again`.

    Raises StateForbids; then nothing has changed.
    """
    try:
        return delivery.resend_unknown(dbsession, campaign, message_ids)
    except delivery.AgainForbidden:
        raise forbid(campaign, "again") from None


def retry(dbsession: Session, campaign: Campaign, message_ids: Sequence[UUID] | None = None) -> delivery.Again:
    """Try failed letters again whose failure may pass, all or those named. As `resend`."""
    try:
        return delivery.retry_failed(dbsession, campaign, message_ids)
    except delivery.AgainForbidden:
        raise forbid(campaign, "again") from None


def unschedule(dbsession: Session, campaign: Campaign) -> Campaign:
    """Make a scheduled campaign a draft again: nothing was sent."""
    row = _move(dbsession, campaign, "unschedule", (CampaignState.SCHEDULED,), CampaignState.DRAFT)
    row.send_at = None
    dbsession.flush()
    return row


def _move(
    dbsession: Session, campaign: Campaign, action: str, allowed: tuple[CampaignState, ...], state: CampaignState
) -> Campaign:
    row = locked(dbsession, campaign)
    if row.state not in allowed:
        raise forbid(row, action)
    row.state = state
    row.control_version += 1
    dbsession.flush()
    return row


def _check_ready(dbsession: Session, project: Project, campaign: Campaign) -> None:
    report = preflight.examine(dbsession, project, campaign)
    if report.blocks:
        raise CampaignNotReady(report.blocks)


def _go(dbsession: Session, project: Project, row: Campaign) -> Campaign:
    freeze(dbsession, project, row)
    row.state = CampaignState.SENDING
    row.started_at = dbsession.scalar(select(func.clock_timestamp()))
    row.control_version += 1
    count = insert(CampaignCount).values(project_id=row.project_id, campaign_id=row.id)
    dbsession.execute(count.on_conflict_do_nothing())
    dbsession.flush()
    return row


def freeze(dbsession: Session, project: Project, campaign: Campaign) -> CampaignVersion:
    """Write down what is sent and to whom, in this transaction: the version's row, a `link` row for every tracked link.

    The segments are kept as they are written now: who changes one during the fan-out changes nothing of the campaign.
    """
    sender = dbsession.get_one(Sender, (project.id, campaign.sender_id))
    version = letter.version_of(dbsession, project, campaign, sender)
    chosen = chosen_of(dbsession, project.id, campaign.id)
    version.audience = audience.frozen(dbsession, project.id, chosen)
    dbsession.add(version)
    campaign.version = version.version
    dbsession.add_all(
        Link(
            project_id=campaign.project_id,
            campaign_id=campaign.id,
            position=link.position,
            url=link.url,
            label=link.text,
        )
        for link in letter.link_rows(version)
    )
    dbsession.flush()
    return version
