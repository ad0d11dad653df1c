"""What this room does later: the look at the DNS records of sending domains."""

from __future__ import annotations

from datetime import UTC, datetime

from pyramid.request import Request
from sqlalchemy import text

from mailhub import logs
from mailhub.mail.domain_records import look
from mailhub.models import SendingDomain
from mailhub.projects import domains
from mailhub.projects.dns import text_records
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


@sweep
def wake_checks(request: Request) -> None:
    """Find checks whose wake-up was lost, or whose worker was."""
    for row in request.dbsession.execute(_LOST):
        request.enqueue(check_domain, row.project_id, row.id)
