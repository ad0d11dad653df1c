"""The operator's own stop list: addresses and whole domains that no project may write to. The journal has each deed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from mailhub.admin.deeds import Refused
from mailhub.admin.objects import MOST_COUNTED, Found
from mailhub.mail.address import InvalidAddress, ascii_domain, parse_address
from mailhub.models import GlobalSuppression, User
from mailhub.security import audit
from mailhub.web.i18n import _

#: This list is small: traps, courts, people who complain to the operator. Long lists belong to projects.
MOST = 100_000
_COLUMNS = (
    GlobalSuppression.id, GlobalSuppression.email_key, GlobalSuppression.domain, GlobalSuppression.note,
    GlobalSuppression.created_at, GlobalSuppression.expires_at, User.email.label("added_by"),
)  # fmt: skip


def listed(dbsession: Session, *, text: str = "", after: int | None = None, limit: int) -> Found:
    """A page of entries, the newest first; `text` is looked for in addresses and domains.

    Of somebody who was erased there is a hash only, so neither address nor domain.
    """
    conditions: list[Any] = []
    if text:
        wanted = text.lower().lstrip("@")
        conditions.append(
            or_(
                GlobalSuppression.email_key.contains(wanted, autoescape=True),
                GlobalSuppression.domain.contains(wanted, autoescape=True),
            )
        )
    some = select(GlobalSuppression.id).where(*conditions).limit(MOST_COUNTED).subquery()
    count = dbsession.scalar(select(func.count()).select_from(some)) or 0
    statement = select(*_COLUMNS).outerjoin(User, User.id == GlobalSuppression.created_by).where(*conditions)
    if after is not None:
        statement = statement.where(GlobalSuppression.id < after)
    rows = dbsession.execute(statement.order_by(GlobalSuppression.id.desc()).limit(limit + 1)).all()
    return Found(rows, count)


def add(request: Request, what: str, note: str, expires_at: datetime | None) -> int:
    """Put an address, or a domain written `@example.org`, on the list, or change note and end of what is there.

    Gives its id. Raises Refused for what is neither.
    """
    dbsession = request.dbsession
    values = _named(what) | {"note": note, "expires_at": expires_at, "created_by": request.user.id}
    if (dbsession.scalar(select(func.count()).select_from(GlobalSuppression)) or 0) >= MOST:
        raise Refused(_("The operator's stop list is full."))
    key = "domain" if "domain" in values else "email_key"
    row = insert(GlobalSuppression).values(**values)
    made = dbsession.scalars(
        row.on_conflict_do_update(
            index_elements=[key],
            set_={"note": row.excluded.note, "expires_at": row.excluded.expires_at,
                  "created_by": row.excluded.created_by, "created_at": func.now()},
        ).returning(GlobalSuppression.id)
    ).one()  # fmt: skip
    entry = dbsession.get_one(GlobalSuppression, made, populate_existing=True)
    _note(request, "global_suppression.added", entry)
    return int(made)


def change(request: Request, entry_id: int, note: str) -> GlobalSuppression:
    """Write another note."""
    entry = _entry(request, entry_id)
    request.dbsession.execute(update(GlobalSuppression).where(GlobalSuppression.id == entry_id).values(note=note))
    _note(request, "global_suppression.changed", entry)
    return entry


def remove(request: Request, entry_id: int) -> GlobalSuppression:
    """Take an entry off the list."""
    entry = _entry(request, entry_id)
    _note(request, "global_suppression.removed", entry)
    request.dbsession.delete(entry)
    request.dbsession.flush()
    return entry


def _named(what: str) -> dict[str, Any]:
    typed = what.strip()
    try:
        if typed.startswith("@"):
            # By an address, so that a domain is refused for the same reasons as in one.
            return {"domain": ascii_domain(parse_address("x" + typed).domain)}
        return {"email_key": parse_address(typed).key}
    except InvalidAddress as wrong:
        raise Refused(wrong.message) from None


def _entry(request: Request, entry_id: int) -> GlobalSuppression:
    entry: GlobalSuppression | None = request.dbsession.get(GlobalSuppression, entry_id)
    if entry is None:
        raise HTTPNotFound()
    return entry


def _note(request: Request, action: str, entry: GlobalSuppression) -> None:
    """A domain is named in the journal, a person's address is not."""
    audit.write(
        request.dbsession, action, entry, actor=request.identity.name, user_id=request.user.id,
        ip=request.client_addr, name=f"@{entry.domain}" if entry.domain else "",
    )  # fmt: skip
