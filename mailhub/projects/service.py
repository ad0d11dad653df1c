"""What can be done to a project: create it, change it, and say from which addresses it may write."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from mailhub.accounts import service as accounts
from mailhub.events.renames import request_rename
from mailhub.mail.address import Address, InvalidAddress, ascii_domain, display_domain, parse_address
from mailhub.models import (
    Campaign,
    CampaignState,
    ImportState,
    Membership,
    Project,
    RenameKind,
    Role,
    Sender,
    SubscriberCount,
    SubscriberImport,
    SubscriberStatus,
    Tracking,
    User,
)
from mailhub.web.i18n import LANGUAGES, _
from mailhub.web.time_zones import is_zone

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
#: `/projects/new` is a page.
RESERVED_SLUGS = frozenset({"new"})
#: A campaign in one of these is on its way to people.
_MOVING = (CampaignState.SCHEDULED, CampaignState.SENDING, CampaignState.PAUSED)
#: So many things that stand against another one are named.
REASONS = 20
#: A campaign in one of these still needs its sender; later its frozen version has all that was sent.
_OPEN = (CampaignState.DRAFT, CampaignState.SCHEDULED, CampaignState.SENDING, CampaignState.PAUSED)


class ProjectRefused(Exception):
    """It was not done; `message` says why (translatable), `field` is the input that is to blame, if one is."""

    def __init__(self, message: Any, field: str = "") -> None:
        super().__init__(str(message))
        self.message = message
        self.field = field


@dataclass(frozen=True)
class MyProject:
    """A line of a person's list of projects. `subscribers`: the active ones, from the counters."""

    slug: str
    name: str
    domain: str
    role: str
    subscribers: int


def my_projects(dbsession: Session, user_id: int) -> list[MyProject]:
    """A person's projects by name."""
    active = (SubscriberCount.project_id == Project.id) & (SubscriberCount.status == SubscriberStatus.ACTIVE)
    rows = dbsession.execute(
        select(
            Project.slug, Project.name, Project.domain, Membership.role, func.coalesce(SubscriberCount.n, 0).label("n")
        )
        .join(Membership, Membership.project_id == Project.id)
        .outerjoin(SubscriberCount, active)
        .where(Membership.user_id == user_id, Project.archived_at.is_(None))
        .order_by(func.lower(Project.name), Project.id)
    )
    return [MyProject(row.slug, row.name, display_domain(row.domain), row.role, row.n) for row in rows]


def create_project(
    dbsession: Session,
    *,
    slug: str,
    name: str,
    domain: str,
    time_zone: str = "UTC",
    language: str = "en",
    owner: User | None = None,
) -> Project:
    """A new project, with its first owner. Raises ProjectRefused."""
    if not _SLUG.fullmatch(slug):
        raise ProjectRefused(_("Use 1 to 40 small letters a–z, digits and dashes, no dash at an end."), "slug")
    if slug in RESERVED_SLUGS:
        raise ProjectRefused(_("This short name is taken."), "slug")
    project = Project(
        slug=slug,
        name=_project_name(name),
        domain=_domain(domain),
        time_zone=_time_zone(time_zone),
        language=_language(language),
    )
    if dbsession.scalar(select(Project.id).where(Project.slug == slug)) is not None:
        raise ProjectRefused(_("This short name is taken."), "slug")
    try:
        with dbsession.begin_nested():
            dbsession.add(project)
    except IntegrityError:
        # Somebody else has just taken it.
        raise ProjectRefused(_("This short name is taken."), "slug") from None
    if owner is not None:
        accounts.add_member(dbsession, project_id=project.id, user=owner, role=Role.OWNER)
    return project


def update_project(
    dbsession: Session,
    project: Project,
    *,
    name: str,
    domain: str,
    time_zone: str,
    language: str,
    postal_address: str = "",
    notify_email: str = "",
    messages_per_second: float | None = None,
    tracking: str = Tracking.FULL,
    retention_days: int | None = None,
    unconfirmed_days: int | None = None,
) -> list[str]:
    """Change a project's facts; gives the names of those that are new. Raises ProjectRefused.

    Letters from now on carry the new name and domain. What was sent stays as it is, but its rows in the log and the
    statistics follow a new domain (`mailhub.events.rename`). A new time zone cuts the days of the statistics again, as
    far back as there are raw events: enqueue `mailhub.projects.cut_days`, or leave it to the sweep; until it is done
    they are cut by the old one. A new mode of `tracking` holds for the letters from now on and for the hits that come
    from now on. A new limit of `messages_per_second` (none: no limit) holds with the next sweep, and `retention_days`
    and `unconfirmed_days` (none: as long as the others', for ever) within an hour.
    """
    wanted: dict[str, str | float | None] = {
        "name": _project_name(name),
        "domain": _domain(domain),
        "time_zone": _time_zone(time_zone),
        "language": _language(language),
        "postal_address": "\n".join(line.strip() for line in postal_address.strip().splitlines()),
        "notify_email": _address(notify_email, "notify_email").email if notify_email.strip() else "",
        "messages_per_second": messages_per_second or None,
        "tracking": tracking,
        "retention_days": retention_days,
        "unconfirmed_days": unconfirmed_days,
    }
    changed = [field for field, value in wanted.items() if getattr(project, field) != value]
    if "time_zone" in changed and project.days_zone is None:
        project.days_zone = project.time_zone
    for field in changed:
        setattr(project, field, wanted[field])
    if "time_zone" in changed:
        project.days_stale_at = dbsession.scalar(select(func.clock_timestamp()))
    dbsession.flush()
    if "domain" in changed:
        request_rename(dbsession, RenameKind.PROJECT_DOMAIN, project_id=project.id, object_id=project.id)
    return changed


def archive_project(dbsession: Session, project: Project) -> list[str]:
    """Put a project away: its people and keys see it no more, its letters' links go on working, nothing is deleted.

    Gives what stands against it, and then changes nothing: campaigns on their way and imports that run, by name.
    """
    dbsession.execute(select(Project.id).where(Project.id == project.id).with_for_update())
    campaigns = dbsession.scalars(
        select(Campaign.name)
        .where(Campaign.project_id == project.id, Campaign.state.in_(_MOVING))
        .order_by(Campaign.id)
        .limit(REASONS)
    )
    imports = dbsession.scalars(
        select(SubscriberImport.file_name)
        .where(
            SubscriberImport.project_id == project.id,
            SubscriberImport.state.in_((ImportState.PENDING, ImportState.RUNNING)),
        )
        .order_by(SubscriberImport.id)
        .limit(REASONS)
    )
    reasons = [*campaigns, *imports]
    if not reasons and project.archived_at is None:
        project.archived_at = datetime.now(UTC)
        dbsession.flush()
    return reasons


def restore_project(dbsession: Session, project: Project) -> None:
    """Bring an archived project back, as it was."""
    project.archived_at = None
    dbsession.flush()


# Senders


def senders(dbsession: Session, project_id: int) -> Sequence[Sender]:
    """A project's senders, the default one first."""
    return dbsession.scalars(
        select(Sender).where(Sender.project_id == project_id).order_by(Sender.is_default.desc(), Sender.email)
    ).all()


def fits_domain(project_domain: str, email: str) -> bool:
    """Whether an address is in the project's domain or in a subdomain of it."""
    domain = email.rpartition("@")[2].lower()
    return domain == project_domain or domain.endswith("." + project_domain)


def add_sender(
    dbsession: Session,
    project: Project,
    *,
    email: str,
    name: str = "",
    reply_to: str = "",
    is_default: bool = False,
) -> Sender:
    """A new address to write from; the first one is the default. Raises ProjectRefused."""
    sender = Sender(project_id=project.id)
    _fill_sender(dbsession, project, sender, email=email, name=name, reply_to=reply_to)
    try:
        with dbsession.begin_nested():
            dbsession.add(sender)
    except IntegrityError:
        raise ProjectRefused(_("There is already a sender with this address."), "email") from None
    if is_default or len(senders(dbsession, project.id)) == 1:
        _make_default(dbsession, sender)
    return sender


def update_sender(
    dbsession: Session,
    project: Project,
    sender: Sender,
    *,
    email: str,
    name: str = "",
    reply_to: str = "",
    is_default: bool = False,
) -> Sender:
    """Change a sender. Drafts use the new facts; what is being sent keeps the old ones. Raises ProjectRefused."""
    _fill_sender(dbsession, project, sender, email=email, name=name, reply_to=reply_to)
    dbsession.flush()
    if is_default:
        _make_default(dbsession, sender)
    return sender


def delete_sender(dbsession: Session, sender: Sender) -> None:
    """Delete a sender; the oldest of the others becomes the default.

    Raises ProjectRefused while a draft, or a campaign that is being sent, needs it.
    """
    mine = (Campaign.project_id == sender.project_id, Campaign.sender_id == sender.id)
    dbsession.execute(select(Sender.id).where(Sender.project_id == sender.project_id).with_for_update())
    name = dbsession.scalar(
        select(Campaign.name).where(*mine, Campaign.state.in_(_OPEN)).order_by(Campaign.id).limit(1)
    )
    if name is not None:
        raise ProjectRefused(
            _("The campaign “${name}” uses this sender. Choose another one there first.", mapping={"name": name})
        )
    dbsession.execute(update(Campaign).where(*mine).values(sender_id=None))
    was_default = sender.is_default
    dbsession.delete(sender)
    dbsession.flush()
    if was_default:
        heir = dbsession.scalars(
            select(Sender).where(Sender.project_id == sender.project_id).order_by(Sender.id).limit(1)
        ).one_or_none()
        if heir is not None:
            _make_default(dbsession, heir)


def _fill_sender(dbsession: Session, project: Project, sender: Sender, *, email: str, name: str, reply_to: str) -> None:
    address = _address(email, "email")
    if not fits_domain(project.domain, address.domain):
        raise ProjectRefused(
            _(
                "This project may write from addresses in ${domain} only. Mail from a domain that is not yours "
                "would not arrive.",
                mapping={"domain": display_domain(project.domain)},
            ),
            "email",
        )
    twin = dbsession.scalar(
        select(Sender.id).where(Sender.project_id == project.id, func.lower(Sender.email) == address.key)
    )
    if twin is not None and twin != sender.id:
        raise ProjectRefused(_("There is already a sender with this address."), "email")
    sender.email = address.email
    sender.name = _one_line(name, "name")
    sender.reply_to = _address(reply_to, "reply_to").email if reply_to.strip() else ""


def _make_default(dbsession: Session, sender: Sender) -> None:
    others = (Sender.project_id == sender.project_id, Sender.id != sender.id)
    dbsession.execute(update(Sender).where(*others).values(is_default=False))
    sender.is_default = True
    dbsession.flush()


# What makes a value right


def _project_name(name: str) -> str:
    name = _one_line(name, "name")
    if not name:
        raise ProjectRefused(_("Fill this in."), "name")
    return name


def _one_line(text: str, field: str) -> str:
    """Text for a header of a letter. Raises ProjectRefused for line breaks and other invisible controls."""
    text = text.strip()
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in text):
        raise ProjectRefused(_("Line breaks and invisible characters are not possible here."), field)
    return text


def _domain(text: str) -> str:
    try:
        return ascii_domain(text.strip())
    except InvalidAddress:
        raise ProjectRefused(_("This is not a domain like example.com."), "domain") from None


def _address(text: str, field: str) -> Address:
    try:
        return parse_address(text)
    except InvalidAddress:
        raise ProjectRefused(_("This is not a valid e-mail address."), field) from None


def _time_zone(name: str) -> str:
    if not is_zone(name):
        raise ProjectRefused(_("There is no such time zone."), "time_zone")
    return name


def _language(code: str) -> str:
    if code not in LANGUAGES:
        raise ProjectRefused(_("This is not one of the choices."), "language")
    return code
