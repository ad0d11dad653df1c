"""What admins look up over all projects: people, campaigns, imports. Columns are named: no secret is ever read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Row, Select, func, or_, select
from sqlalchemy.orm import Session

from mailhub.models import (
    AdminToken,
    Campaign,
    CampaignCount,
    ImportState,
    MailingList,
    Membership,
    Project,
    SubscriberImport,
    User,
    WebSession,
)

#: Rows and statements of columns that are listed by name.
AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"
AnySelect: TypeAlias = "Select[*tuple[Any, ...]]"
#: More rows than this are not counted: nobody turns so many pages.
MOST_COUNTED = 10_000


@dataclass(frozen=True)
class Wanted:
    """What a list is narrowed to. `project` is a slug; days are UTC's, half-open; `after` the last id of a page."""

    project: str = ""
    state: str = ""
    text: str = ""
    since: date | None = None
    until: date | None = None
    after: int | None = None
    limit: int = 100

    @property
    def is_narrow(self) -> bool:
        return any((self.project, self.state, self.text, self.since, self.until))


@dataclass(frozen=True)
class Found:
    """Rows of a page, one more than asked for if there are more; `count` fit the filters, `MOST_COUNTED` at most."""

    rows: Sequence[AnyRow]
    count: int


USER: tuple[Any, ...] = (
    User.id, User.email, User.name, User.language, User.time_zone, User.is_admin, User.disabled_at, User.created_at,
    User.password_changed_at,
)  # fmt: skip
CAMPAIGN: tuple[Any, ...] = (
    Campaign.id, Campaign.project_id, Project.slug, Project.name.label("project_name"), Campaign.name, Campaign.subject,
    Campaign.state, Campaign.send_at, Campaign.started_at, Campaign.finished_at, Campaign.created_at,
    *(getattr(CampaignCount, part) for part in ("audience", "deferred", "sent", "failed", "unknown", "skipped")),
)  # fmt: skip
IMPORT: tuple[Any, ...] = (
    SubscriberImport.id, SubscriberImport.project_id, Project.slug, Project.name.label("project_name"),
    SubscriberImport.list_id, MailingList.name.label("list_name"), SubscriberImport.file_name, SubscriberImport.state,
    SubscriberImport.error, (SubscriberImport.state == ImportState.DRAFT).label("is_upload"),
    SubscriberImport.bytes_total,
    SubscriberImport.bytes_done, SubscriberImport.rows_total, SubscriberImport.rows_created,
    SubscriberImport.rows_updated, SubscriberImport.rows_skipped, SubscriberImport.rows_rejected,
    SubscriberImport.created_at, SubscriberImport.started_at, SubscriberImport.finished_at,
)  # fmt: skip


def users(dbsession: Session, wanted: Wanted) -> Found:
    """People, the newest first. `state` is active, disabled or admin; `text` is looked for in address and name."""
    conditions: list[Any] = _days(User.created_at, wanted)
    if wanted.state == "admin":
        conditions.append(User.is_admin)
    elif wanted.state:
        conditions.append(User.disabled_at.is_(None) if wanted.state == "active" else User.disabled_at.is_not(None))
    if wanted.text:
        conditions.append(_contains(wanted.text, User.email, User.name))
    if wanted.project:
        members = select(Membership.user_id).join(Project, Project.id == Membership.project_id)
        conditions.append(User.id.in_(members.where(Project.slug == wanted.project)))
    return _found(dbsession, select(*USER), select(User.id), User.id, conditions, wanted)


def user(dbsession: Session, user_id: int) -> AnyRow | None:
    """One person."""
    return dbsession.execute(select(*USER).where(User.id == user_id)).one_or_none()


def memberships(dbsession: Session, user_ids: Sequence[int]) -> dict[int, list[AnyRow]]:
    """Projects and roles (project_id, slug, name, role, archived_at) by person."""
    columns: tuple[Any, ...] = (Project.id.label("project_id"), Project.slug, Project.name, Project.archived_at)
    rows = dbsession.execute(
        select(Membership.user_id, Membership.role, *columns)
        .join(Project, Project.id == Membership.project_id)
        .where(Membership.user_id.in_(user_ids))
        .order_by(func.lower(Project.name), Project.id)
    )
    found: dict[int, list[AnyRow]] = {}
    for row in rows:
        found.setdefault(row.user_id, []).append(row)
    return found


def signed_in(dbsession: Session, user_id: int) -> AnyRow:
    """One row: living sessions, when the last of them was seen, admin's tokens that work."""
    tokens = select(func.count(AdminToken.id)).where(AdminToken.user_id == user_id, AdminToken.revoked_at.is_(None))
    return dbsession.execute(
        select(
            func.count(WebSession.id).label("sessions"),
            func.max(WebSession.last_seen_at).label("last_seen_at"),
            tokens.scalar_subquery().label("tokens"),
        ).where(WebSession.user_id == user_id, WebSession.expires_at > func.now())
    ).one()


def campaigns(dbsession: Session, wanted: Wanted) -> Found:
    """Campaigns that are not in the archive, the newest first, with their ledger."""
    conditions = [Campaign.archived_at.is_(None), *_days(Campaign.created_at, wanted), *_project(wanted)]
    if wanted.state:
        conditions.append(Campaign.state == wanted.state)
    if wanted.text:
        conditions.append(_contains(wanted.text, Campaign.name, Campaign.subject))
    ids = select(Campaign.id).join(Project, Project.id == Campaign.project_id)
    return _found(dbsession, _campaigns(), ids, Campaign.id, conditions, wanted)


def campaign(dbsession: Session, campaign_id: int) -> AnyRow | None:
    """One campaign that is not in the archive."""
    return dbsession.execute(
        _campaigns().where(Campaign.id == campaign_id, Campaign.archived_at.is_(None))
    ).one_or_none()


def _campaigns() -> AnySelect:
    ledger = (CampaignCount.project_id == Campaign.project_id) & (CampaignCount.campaign_id == Campaign.id)
    return (
        select(*CAMPAIGN)
        .select_from(Campaign)
        .join(Project, Project.id == Campaign.project_id)
        .outerjoin(CampaignCount, ledger)
    )


def imports(dbsession: Session, wanted: Wanted) -> Found:
    """Imports, the newest first. `state` is one of its states; `text` is looked for in the file's name."""
    conditions = [*_days(SubscriberImport.created_at, wanted), *_project(wanted)]
    if wanted.state:
        conditions.append(SubscriberImport.state == wanted.state)
    if wanted.text:
        conditions.append(_contains(wanted.text, SubscriberImport.file_name))
    ids = select(SubscriberImport.id).join(Project, Project.id == SubscriberImport.project_id)
    return _found(dbsession, _imports(), ids, SubscriberImport.id, conditions, wanted)


def import_(dbsession: Session, import_id: int) -> AnyRow | None:
    """One import."""
    return dbsession.execute(_imports().where(SubscriberImport.id == import_id)).one_or_none()


def _imports() -> AnySelect:
    own_list = (MailingList.project_id == SubscriberImport.project_id) & (MailingList.id == SubscriberImport.list_id)
    return (
        select(*IMPORT)
        .select_from(SubscriberImport)
        .join(Project, Project.id == SubscriberImport.project_id)
        .outerjoin(MailingList, own_list)
    )


def rate(row: AnyRow, now: datetime) -> float | None:
    """Rows a second of an import, while it runs or over its whole time; None before it began."""
    if row.started_at is None or row.state in (ImportState.DRAFT, ImportState.PENDING):
        return None
    seconds = ((row.finished_at or now) - row.started_at).total_seconds()
    return row.rows_total / seconds if seconds > 0 else None


def _found(
    dbsession: Session,
    shown: AnySelect,
    ids: AnySelect,
    key: Any,
    conditions: Sequence[ColumnElement[bool]],
    wanted: Wanted,
) -> Found:
    page = shown.where(*conditions)
    if wanted.after is not None:
        page = page.where(key < wanted.after)
    rows = dbsession.execute(page.order_by(key.desc()).limit(wanted.limit + 1)).all()
    if wanted.after is None and len(rows) <= wanted.limit:
        return Found(rows, len(rows))
    counted = ids.where(*conditions).limit(MOST_COUNTED).subquery()
    return Found(rows, int(dbsession.execute(select(func.count()).select_from(counted)).scalar_one()))


def _project(wanted: Wanted) -> list[ColumnElement[bool]]:
    return [Project.slug == wanted.project] if wanted.project else []


def _days(column: Any, wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions = []
    if wanted.since is not None:
        conditions.append(column >= wanted.since)
    if wanted.until is not None:
        conditions.append(column < wanted.until)
    return conditions


def _contains(text: str, *columns: Any) -> ColumnElement[bool]:
    return or_(*(column.icontains(text, autoescape=True) for column in columns))
