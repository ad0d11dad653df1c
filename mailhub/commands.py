"""The `mailhub` commands that work on the data: each calls the services that a user's click would call.

They raise Refused with one clear line. Every one runs in one transaction, and writes to the journal as "command line".
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

from pyramid.request import Request
from sqlalchemy import select
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

import mailhub
from mailhub.accounts import service as accounts
from mailhub.campaigns import service as campaigns
from mailhub.campaigns.tasks import fan_out
from mailhub.db import side_transaction
from mailhub.delivery import service as delivery
from mailhub.delivery.tasks import cancel_rest, send_due
from mailhub.events.reclassify import ReclassifierBusy, reclassify
from mailhub.mail.address import InvalidAddress
from mailhub.models import Campaign, CampaignState, Message, MessageKind, MessageState, Project, Queue, Sender, User
from mailhub.projects import service as projects
from mailhub.reporting import partitions, retention
from mailhub.reporting.verify import RepairBusy, verify
from mailhub.security import audit
from mailhub.settings import read_ini
from mailhub.tasks import run_sweeps, task_request

ACTOR = "command line"
_SEND_TEST_SECONDS = 20.0


#: A query names a table that there is not (undefined_table).
UNDEFINED_TABLE = "42P01"


class Refused(Exception):
    """The command can't be done; the text is one clear line."""


@contextmanager
def opened(arguments: argparse.Namespace, **raw: str) -> Iterator[Any]:
    """The registry of a process that is configured like the site, with the embedded server running."""
    config = mailhub.configure(
        {"mailhub.log.level": "warning", **read_ini(arguments.ini), "mailhub.process": "command"}
    )
    config.commit()
    registry = config.registry
    registry.heartbeat = None
    try:
        yield registry
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != UNDEFINED_TABLE:
            raise
        raise Refused("the database is empty or of an earlier version: run `mailhub init` first") from error
    finally:
        registry.publisher.close()
        registry.engine.dispose()
        registry.reading_engine.dispose()


@contextmanager
def working(arguments: argparse.Namespace) -> Iterator[Request]:
    """A request inside a transaction, as a task has it. Refusals of the services become ours."""
    with opened(arguments) as registry:
        request = task_request(registry)
        try:
            with request.tm:
                yield request
        except campaigns.CampaignNotReady as refusal:
            reasons = " ".join(check.english() for check in refusal.reasons)
            raise Refused(f"{_plain(refusal.message)} {reasons}") from None
        except (accounts.AccountRefused, projects.ProjectRefused, campaigns.CampaignRefused, InvalidAddress) as refusal:
            raise Refused(_plain(refusal.message)) from None


def user_add(arguments: argparse.Namespace) -> None:
    """Add a person, or give one more rights; prints a one-time sign-in link."""
    if bool(arguments.project) != bool(arguments.role):
        raise Refused("--project and --role belong together")
    password = sys.stdin.readline().rstrip("\n") if arguments.password_stdin else None
    with working(arguments) as request:
        dbsession, email = request.dbsession, arguments.email
        user = accounts.find_user(dbsession, email)
        known = user is not None
        if user is None:
            user = accounts.create_user(dbsession, email=email, name=arguments.name or "", is_admin=arguments.admin)
        elif arguments.admin:
            user.is_admin = True
        if arguments.project:
            project = _project(dbsession, arguments.project)
            accounts.add_member(dbsession, project_id=project.id, user=user, role=arguments.role)
            audit.write(dbsession, "member.added", user, actor=ACTOR, project_id=project.id, name=user.email)
        elif known and not arguments.admin and password is None:
            raise Refused(f"{user.email} has an account already")
        if password is not None:
            accounts.set_password(dbsession, user, password)
        audit.write(dbsession, "user.changed" if known else "user.added", user, actor=ACTOR, name=user.email)
        link = accounts.link_url(request.registry.mailhub.public_url, accounts.create_link(dbsession, user))
    print(link)


def project_add(arguments: argparse.Namespace) -> None:
    """Create a project."""
    with working(arguments) as request:
        owner = _user(request.dbsession, arguments.owner) if arguments.owner else None
        project = projects.create_project(
            request.dbsession,
            slug=arguments.slug,
            name=arguments.name,
            domain=arguments.domain,
            time_zone=arguments.time_zone,
            language=arguments.language,
            owner=owner,
        )
        audit.write(
            request.dbsession, "project.created", project, actor=ACTOR, project_id=project.id, name=project.name
        )
    print(f"{request.registry.mailhub.public_url}/projects/{arguments.slug}")


def sender_add(arguments: argparse.Namespace) -> None:
    """Add an address that a project may write from."""
    with working(arguments) as request:
        project = _project(request.dbsession, arguments.project)
        sender = projects.add_sender(
            request.dbsession, project, email=arguments.email, name=arguments.name, reply_to=arguments.reply_to
        )
        audit.write(request.dbsession, "sender.added", sender, actor=ACTOR, name=sender.email)


def api_key_create(arguments: argparse.Namespace) -> None:
    """Create a project's key for the JSON API; prints the secret, which is not kept."""
    with working(arguments) as request:
        project = _project(request.dbsession, arguments.project)
        issued = accounts.create_api_key(
            request.dbsession, project_id=project.id, name=arguments.name, scopes=arguments.scope or ()
        )
        audit.write(request.dbsession, "api_key.created", issued.row, actor=ACTOR, name=arguments.name)
    print(issued.shown)


def admin_token_create(arguments: argparse.Namespace) -> None:
    """Create an admin's token for the reports' JSON; prints the secret, which is not kept."""
    with working(arguments) as request:
        user = _user(request.dbsession, arguments.user)
        issued = accounts.create_admin_token(request.dbsession, user=user, name=arguments.name)
        audit.write(request.dbsession, "admin_token.created", issued.row, actor=ACTOR, name=arguments.name)
    print(issued.shown)


def campaign_start(arguments: argparse.Namespace) -> None:
    """Start a draft, at once or at the time that it says."""
    with working(arguments) as request:
        campaign, project = _campaign(request.dbsession, arguments.id)
        now = datetime.now(UTC)
        campaign = campaigns.start(request.dbsession, project, campaign, now=now, send_at=campaign.send_at)
        is_scheduled = campaign.state == CampaignState.SCHEDULED
        _noted(request, campaign, "scheduled" if is_scheduled else "started")
        if not is_scheduled:
            request.enqueue(fan_out, campaign.project_id, campaign.id)


def campaign_pause(arguments: argparse.Namespace) -> None:
    """Pause a campaign that is being sent."""
    with working(arguments) as request:
        campaign, _ = _campaign(request.dbsession, arguments.id)
        _noted(request, campaigns.pause(request.dbsession, campaign), "paused")


def campaign_resume(arguments: argparse.Namespace) -> None:
    """Go on with a paused campaign."""
    with working(arguments) as request:
        campaign, _ = _campaign(request.dbsession, arguments.id)
        _noted(request, campaigns.resume(request.dbsession, campaign), "resumed")
        request.enqueue(fan_out, campaign.project_id, campaign.id)


def campaign_cancel(arguments: argparse.Namespace) -> None:
    """Cancel a campaign for good."""
    with working(arguments) as request:
        campaign, _ = _campaign(request.dbsession, arguments.id)
        campaign = campaigns.cancel(request.dbsession, campaign)
        _noted(request, campaign, "cancelled")
        if campaign.fanned_out_at is not None:
            request.enqueue(cancel_rest, campaign.project_id, campaign.id)


def requeue(arguments: argparse.Namespace) -> None:
    """Look for work whose wake-up was lost, as the workers do every few seconds."""
    with opened(arguments) as registry:
        if not run_sweeps(registry):
            raise Refused("a worker is doing this at this moment")


def stats_verify(arguments: argparse.Namespace) -> int:
    """Compare the rolled-up numbers with a recount of the raw events; with --repair set them right."""
    with opened(arguments) as registry:
        project_id = None
        if arguments.project:
            with registry.session_factory() as dbsession:
                project_id = dbsession.scalar(select(Project.id).where(Project.slug == arguments.project))
            if project_id is None:
                raise Refused(f"there is no project {arguments.project}")
        try:
            found = verify(registry.engine, project_id=project_id, repair=arguments.repair)
        except RepairBusy as error:
            raise Refused(str(error)) from None
    for difference in found:
        print(difference)
    print(f"{len(found)} differences{', repaired' if found and arguments.repair else ''}")
    return 0 if arguments.repair or not found else 1


def stats_reclassify(arguments: argparse.Namespace) -> None:
    """Run the classifier's rules again over the raw hits that are kept; numbers change by the differences."""
    try:
        since = datetime.combine(date.fromisoformat(arguments.since or "2000-01-01"), datetime.min.time(), UTC)
    except ValueError:
        raise Refused(f"{arguments.since!r} is no date like 2026-11-01") from None
    seen, changed = 0, Counter[tuple[str, str]]()
    with opened(arguments) as registry:
        project_id = 0
        if arguments.project:
            with side_transaction(registry) as session:
                project_id = _project(session, arguments.project).id
        try:
            for done in reclassify(registry, since=since, project_id=project_id):
                seen += done.seen
                changed += done.changed
                if sys.stderr.isatty():
                    print(f"\r{seen:,} hits, up to {done.reached:%Y-%m-%d %H:%M}", end="", file=sys.stderr)
        except ReclassifierBusy:
            raise Refused("another `stats reclassify` is running") from None
    for (old, new), number in sorted(changed.items()):
        print(f"{old or 'not classified'} -> {new}: {number:,}")
    print(f"{seen:,} hits, {changed.total():,} with another actor")


def make_partitions(arguments: argparse.Namespace) -> None:
    """Make the weekly partitions that are missing, eight weeks ahead."""
    with opened(arguments) as registry:
        try:
            made = partitions.ensure(registry.engine, now=datetime.now(UTC))
        except partitions.PartitionBusy as error:
            raise Refused(str(error)) from None
        for partition in partitions.listed(registry.engine):
            print(f"{partition.name:<32} {partition.estimated_rows:>12,} rows {partition.total_bytes / 1e6:>10,.1f} MB")
    print(f"{made} made")


def purge(arguments: argparse.Namespace) -> None:
    """Drop what is older than mailhub.retention_days."""
    with opened(arguments) as registry:
        days = registry.mailhub.retention_days
        try:
            purged = retention.purge(registry.engine, now=datetime.now(UTC), retention_days=days)
        except partitions.PartitionBusy as error:
            raise Refused(str(error)) from None
    for name in purged.partitions:
        print(f"dropped {name}")
    for name, rows in purged.rows.items():
        print(f"{name}: {rows} rows")


def send_test(arguments: argparse.Namespace) -> None:
    """Send a short letter on the road of single letters, and tell what became of it."""
    with opened(arguments) as registry:
        request = task_request(registry)
        with request.tm:
            project, sender = _writer(request.dbsession, arguments.project)
            letter = delivery.SingleLetter(
                from_email=sender.email,
                from_name=sender.name,
                to_email=arguments.address,
                subject="Test letter from mailhub",
                text=f"This letter was sent by `mailhub send-test` for the project {project.name}.\n",
            )
            try:
                message = delivery.accept(request.dbsession, project=project, kind=MessageKind.TEST, letter=letter)
            except InvalidAddress as refusal:
                raise Refused(_plain(refusal.message)) from None
            key = (message.project_id, message.created_at, message.id)
            request.enqueue(send_due, Queue.TRANSACTIONAL.value)
        state, reason = _settled(registry, key)
    if state != MessageState.SENT:
        raise Refused(f"{arguments.address}: {state} {reason}".rstrip())
    print(f"{arguments.address}: sent from {sender.email}")


def _settled(registry: Any, key: tuple[Any, ...]) -> tuple[str, str]:
    """State and reason of a letter, as soon as it is no longer queued."""
    deadline = time.monotonic() + _SEND_TEST_SECONDS
    while True:
        with registry.session_factory() as session:
            project_id, created_at, message_id = key
            row = session.execute(
                select(Message.state, Message.reason, Message.smtp_reply).where(
                    Message.project_id == project_id, Message.created_at == created_at, Message.id == message_id
                )
            ).one()
        if row.state == MessageState.QUEUED and time.monotonic() < deadline:
            time.sleep(0.1)
            continue
        late = "(no worker has taken it)" if row.state == MessageState.QUEUED else ""
        return row.state, " ".join(filter(None, (row.reason, row.smtp_reply, late)))


def _noted(request: Request, campaign: Campaign, what: str) -> None:
    audit.write(request.dbsession, f"campaign.{what}", campaign, actor=ACTOR, name=campaign.name)
    print(f"campaign {campaign.id} “{campaign.name}”: {campaign.state}")


def _campaign(dbsession: Session, campaign_id: int) -> tuple[Campaign, Project]:
    campaign = dbsession.scalars(select(Campaign).where(Campaign.id == campaign_id)).one_or_none()
    if campaign is None:
        raise Refused(f"there is no campaign {campaign_id}")
    return campaign, dbsession.get_one(Project, campaign.project_id)


def _project(dbsession: Session, slug: str) -> Project:
    project = dbsession.scalars(select(Project).where(Project.slug == slug)).one_or_none()
    if project is None:
        raise Refused(f"there is no project {slug}")
    return project


def _user(dbsession: Session, email: str) -> User:
    user = accounts.find_user(dbsession, email)
    if user is None:
        raise Refused(f"there is no user {email}")
    return user


def _writer(dbsession: Session, slug: str | None) -> tuple[Project, Sender]:
    """The project and its default sender; without a slug the first project that has one."""
    wanted = (
        select(Project, Sender)
        .join(Sender, Sender.project_id == Project.id)
        .where(Sender.is_default, Project.archived_at.is_(None))
        .order_by(Project.id)
        .limit(1)
    )
    if slug is not None:
        wanted = wanted.where(Project.id == _project(dbsession, slug).id)
    row = dbsession.execute(wanted).one_or_none()
    if row is None:
        raise Refused("no project has a sender address yet")
    return row[0], row[1]


def _plain(message: Any) -> str:
    """A lazy sentence in English."""
    interpolate = getattr(message, "interpolate", None)
    return str(interpolate() if interpolate is not None else message)
