"""What this room does later: the look at the DNS records of sending domains, the days of another time zone."""

from __future__ import annotations

from datetime import UTC, datetime

from pyramid.request import Request
from sqlalchemy import select, text, update

from mailhub import logs
from mailhub.mail.domain_records import look
from mailhub.models import Project, SendingDomain
from mailhub.projects import domains
from mailhub.projects.dns import text_records
from mailhub.reporting.verify import RepairBusy, cut_days_again
from mailhub.security.sealed import sealer_of
from mailhub.tasks import sweep, task

log = logs.get(__name__)

# A wake-up that was lost is sent again; a check itself takes seconds.
_LOST = text(
    """
    UPDATE sending_domain SET checking_since = clock_timestamp()
    WHERE checking_since < clock_timestamp() - interval '60 seconds'
    RETURNING project_id, id
    """
)


@task("mailhub.projects.check_domain", queue="celery", transaction=False)
def check_domain(request: Request, project_id: int, domain_id: int) -> None:
    """Look for a domain's records and write down what was found. A second run finds that nothing is wanted."""
    settings, registry = request.registry.mailhub, request.registry
    with request.tm:
        row = request.dbsession.get(SendingDomain, (project_id, domain_id))
        if row is None or row.checking_since is None:
            return
        wanted = domains.records_of(row, settings)
    # No transaction is open here: the DNS may take its time.
    found = look(wanted, text_records(registry).texts)
    with request.tm:
        row = request.dbsession.get(SendingDomain, (project_id, domain_id), with_for_update=True)
        if row is None:
            return
        domains.settle_check(row, found, now=datetime.now(UTC))
        log.info("domain.checked", project_id=project_id, domain_id=domain_id, status=row.status, **found)


@task("mailhub.projects.seal_again", queue="celery", every=86400)
def seal_again(request: Request) -> None:
    """After a change of the secret key: nothing of what is kept needs the old one for longer than a day."""
    done = domains.seal_again(request.dbsession, sealer_of(request.registry.mailhub))
    if done:
        log.info("domains.sealed_again", domains=done)


@task("mailhub.projects.cut_days", queue="celery", transaction=False)
def cut_days(request: Request, project_id: int) -> None:
    """Count a project's days again after a change of its time zone; a second run finds that it is done.

    Nobody waits for it. Days whose raw events have been dropped stay as they were cut; so do those of campaigns that
    are older than the oldest raw events.
    """
    with request.tm:
        seen = request.dbsession.scalar(select(Project.days_stale_at).where(Project.id == project_id))
    if seen is None:
        return
    try:
        found = cut_days_again(request.registry.engine, project_id)
    except RepairBusy:
        return  # The sweep sends it again.
    with request.tm:
        request.dbsession.execute(
            # Changed once more meanwhile: that change has its own turn.
            update(Project).where(Project.id == project_id, Project.days_stale_at == seen).values(days_stale_at=None)
        )
    log.info("project.days_cut", project_id=project_id, numbers=len(found))


_STALE = select(Project.id).where(Project.days_stale_at < text("clock_timestamp() - interval '60 seconds'"))


@sweep
def wake_days(request: Request) -> None:
    """Find projects whose days still wait for a change of the time zone."""
    for project_id in request.dbsession.scalars(_STALE):
        request.enqueue(cut_days, project_id)


@sweep
def wake_checks(request: Request) -> None:
    """Find checks whose wake-up was lost, or whose worker was."""
    for row in request.dbsession.execute(_LOST):
        request.enqueue(check_domain, row.project_id, row.id)
