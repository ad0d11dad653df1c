"""What the JSON says of people, campaigns, imports and letters. No secret and no content is among it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from mailhub.admin.objects import AnyRow
from mailhub.web.api import utc


class MembershipOut(BaseModel):
    project_id: str
    project: str
    name: str
    role: str


class UserOut(BaseModel):
    """A person. `password_changed_at`: null while they have never chosen one."""

    id: str
    email: str
    name: str
    language: str
    time_zone: str | None
    is_admin: bool
    password_changed_at: str | None
    disabled_at: str | None
    created_at: str | None
    projects: list[MembershipOut]


class UserDetailOut(UserOut):
    """`sessions`: browsers that are signed in; `admin_tokens`: those that work."""

    sessions: int
    last_seen_at: str | None
    admin_tokens: int


class CampaignReportOut(BaseModel):
    """A campaign with its ledger, whose parts add up to the audience; null before the start."""

    id: str
    project_id: str
    project: str
    name: str
    subject: str
    state: str
    counts: dict[str, int] | None
    send_at: str | None
    started_at: str | None
    finished_at: str | None
    created_at: str | None


class ImportReportOut(BaseModel):
    id: str
    project_id: str
    project: str
    list_id: str | None
    list_name: str | None
    file_name: str
    state: str
    error: str
    bytes_total: int
    bytes_done: int
    rows_total: int
    rows_created: int
    rows_updated: int
    rows_skipped: int
    rows_rejected: int
    created_at: str | None
    started_at: str | None
    finished_at: str | None


class MessageReportOut(BaseModel):
    """A letter and what became of it."""

    id: str
    project_id: str
    project: str
    kind: str
    queue: str
    state: str
    reason: str
    to: str
    subject: str
    tag: str
    campaign_id: str | None
    campaign_name: str
    attempts: int
    relay: str
    smtp_code: int | None
    smtp_reply: str
    due_at: str | None
    created_at: str | None
    settled_at: str | None


class HappenedOut(BaseModel):
    type: str
    at: str | None
    code: int | None
    detail: str


class MessageDetailReportOut(MessageReportOut):
    """The letter with everything that happened to it, oldest first. `has_content`: what it says is kept yet."""

    has_content: bool
    events: list[HappenedOut]


def user_out(row: AnyRow, memberships: Sequence[AnyRow]) -> dict[str, Any]:
    projects = [
        MembershipOut(project_id=str(one.project_id), project=one.slug, name=one.name, role=one.role)
        for one in memberships
    ]
    return {
        "id": str(row.id),
        "email": row.email,
        "name": row.name,
        "language": row.language,
        "time_zone": row.time_zone,
        "is_admin": row.is_admin,
        "password_changed_at": utc(row.password_changed_at),
        "disabled_at": utc(row.disabled_at),
        "created_at": utc(row.created_at),
        "projects": projects,
    }


def counts_of(row: AnyRow) -> dict[str, int] | None:
    """The seven numbers of a ledger; None before the start."""
    if row.audience is None:
        return None
    settled = {part: getattr(row, part) for part in ("deferred", "sent", "failed", "unknown", "skipped")}
    return {"audience": row.audience, "queued": row.audience - sum(settled.values()), **settled}


def campaign_out(row: AnyRow) -> CampaignReportOut:
    return CampaignReportOut(
        id=str(row.id),
        project_id=str(row.project_id),
        project=row.slug,
        name=row.name,
        subject=row.subject,
        state=row.state,
        counts=counts_of(row),
        send_at=utc(row.send_at),
        started_at=utc(row.started_at),
        finished_at=utc(row.finished_at),
        created_at=utc(row.created_at),
    )


def import_out(row: AnyRow) -> ImportReportOut:
    names = ("list_name", "file_name", "state", "error", "bytes_total", "bytes_done")
    rows = ("rows_total", "rows_created", "rows_updated", "rows_skipped", "rows_rejected")
    return ImportReportOut(
        id=str(row.id),
        project_id=str(row.project_id),
        project=row.slug,
        list_id=str(row.list_id) if row.list_id is not None else None,
        **{name: getattr(row, name) for name in (*names, *rows)},
        created_at=utc(row.created_at),
        started_at=utc(row.started_at),
        finished_at=utc(row.finished_at),
    )


def message_out(row: AnyRow) -> dict[str, Any]:
    names = ("kind", "queue", "state", "reason", "subject", "tag", "campaign_name", "attempts", "relay", "smtp_code",
             "smtp_reply")  # fmt: skip
    return {
        "id": str(row.id),
        "project_id": str(row.project_id),
        "project": row.slug,
        "to": row.email,
        "campaign_id": str(row.campaign_id) if row.campaign_id is not None else None,
        **{name: getattr(row, name) for name in names},
        "due_at": utc(row.due_at),
        "created_at": utc(row.created_at),
        "settled_at": utc(row.settled_at),
    }


def happened_out(row: AnyRow) -> HappenedOut:
    return HappenedOut(type=row.type, at=utc(row.at), code=row.code, detail=row.detail or row.url)
