"""The columns of the table of people: which there are, which somebody has chosen, and their saved views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from mailhub.lists.filters import NAMES
from mailhub.models import SubscriberColumns, SubscriberField, SubscriberView
from mailhub.web.i18n import _, pgettext

#: Of these the address always stands first.
STANDARD: Mapping[str, Any] = {
    "name": pgettext("person", "Name"),
    "status": _("Status"),
    "lists": _("Lists"),
    "tags": _("Tags"),
    "source": pgettext("person", "Source"),
    "added": _("Added"),
    "changed": _("Changed"),
}
DEFAULT = ("name", "status", "lists", "tags", "added")
FIELD = "field:"
MOST_COLUMNS = 20
MOST_VIEWS = 50
MAX_NAME = 80


class TooManyViews(Exception):
    """A project has at most MOST_VIEWS saved views."""


@dataclass(frozen=True)
class Column:
    """A column: its key in URLs, its heading, and the custom field that it shows (None: one of STANDARD)."""

    key: str
    label: Any
    field: SubscriberField | None = None


def all_columns(fields: Sequence[SubscriberField]) -> list[Column]:
    """Every column that the project's table can have."""
    return [Column(key, label) for key, label in STANDARD.items()] + [
        Column(FIELD + field.name, field.label or field.name, field) for field in fields
    ]


def shown_columns(keys: Sequence[str], fields: Sequence[SubscriberField]) -> list[Column]:
    """These columns; a field that is no more is passed over."""
    known = {column.key: column for column in all_columns(fields)}
    return [known[key] for key in dict.fromkeys(keys) if key in known][:MOST_COLUMNS]


def chosen(dbsession: Session, project_id: int, user_id: int | None, given: str | None) -> list[str]:
    """The keys to show: those of the URL, else those that the person has chosen last, else the usual ones."""
    if given is not None:
        return given.split(",")[: MOST_COLUMNS * 2]
    kept = dbsession.get(SubscriberColumns, (project_id, user_id)) if user_id is not None else None
    return list(DEFAULT if kept is None else kept.columns)


def choose(dbsession: Session, project_id: int, user_id: int, keys: Sequence[str]) -> None:
    """Remember somebody's columns."""
    kept = insert(SubscriberColumns).values(project_id=project_id, user_id=user_id, columns=list(keys)[:MOST_COLUMNS])
    dbsession.execute(
        kept.on_conflict_do_update(index_elements=["project_id", "user_id"], set_={"columns": kept.excluded.columns})
    )


def views_of(dbsession: Session, project_id: int, user_id: int | None) -> list[SubscriberView]:
    """Somebody's own views and those that the team shares, by name. One query."""
    wanted = (
        select(SubscriberView)
        .where(SubscriberView.project_id == project_id)
        .where(or_(SubscriberView.shared, SubscriberView.user_id == user_id))
        .order_by(func.lower(SubscriberView.name), SubscriberView.id)
    )
    return list(dbsession.scalars(wanted))


def save_view(
    dbsession: Session,
    *,
    project_id: int,
    user_id: int,
    name: str,
    shared: bool,
    query: Mapping[str, str],
    columns: Sequence[str],
) -> SubscriberView:
    """Keep a state of the table under a name; the same name of the same owner is kept anew. Raises TooManyViews."""
    mine = select(SubscriberView).where(SubscriberView.project_id == project_id)
    kept = dbsession.scalars(
        mine.where(SubscriberView.user_id == user_id, func.lower(SubscriberView.name) == name.lower()).limit(1)
    ).first()
    if kept is None:
        if (dbsession.scalar(select(func.count()).select_from(mine.subquery())) or 0) >= MOST_VIEWS:
            raise TooManyViews
        kept = SubscriberView(project_id=project_id, user_id=user_id)
        dbsession.add(kept)
    kept.name, kept.shared, kept.columns = name, shared, list(columns)[:MOST_COLUMNS]
    kept.query = {key: value for key, value in query.items() if key in (*NAMES, "sort") and value}
    dbsession.flush()
    return kept


def view_query(view: SubscriberView) -> dict[str, str]:
    """The parameters of the table's URL that show this view."""
    return {**view.query, "cols": ",".join(view.columns), "view": str(view.id)}
