"""Custom fields of a project's people: names that letters can merge, made from what people call their columns."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from mailhub.mail.merge import GROUPS, INTERNAL_PREFIX, RESERVED_NAMES, STANDARD_NAMES
from mailhub.models import SubscriberField

MAX_NAME = 60
MAX_FIELDS = 200
MAX_TEXT = 10_000

_NOT_NAME = re.compile(r"[^\w]+")
#: Words of Jinja's own grammar: `{{ in }}` would not parse.
_GRAMMAR = frozenset({"and", "or", "not", "in", "is", "if", "else", "elif", "for", "set", "block", "import", "from"})
_TAKEN = STANDARD_NAMES | RESERVED_NAMES | frozenset(GROUPS) | _GRAMMAR


class TooManyFields(Exception):
    """A project has at most MAX_FIELDS custom fields."""


def clean_field_name(text: str) -> str:
    """What a column header is called in a letter: `Дата рождения` gives `дата_рождения`; empty if nothing is left."""
    name = _NOT_NAME.sub("_", unicodedata.normalize("NFC", text).lower()).strip("_")
    name = re.sub(r"_+", "_", name)[:MAX_NAME].strip("_")
    if not name:
        return ""
    if not name.isidentifier():
        name = f"field_{name}"
        if not name.isidentifier():
            return ""
    if name in _TAKEN or name.startswith(INTERNAL_PREFIX):
        name = f"field_{name}"
    return name


def known_fields(dbsession: Session, *, project_id: int) -> list[SubscriberField]:
    """The project's fields by their labels."""
    return list(
        dbsession.scalars(
            select(SubscriberField)
            .where(SubscriberField.project_id == project_id)
            .order_by(SubscriberField.label, SubscriberField.name)
        )
    )


def ensure_fields(dbsession: Session, *, project_id: int, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The values under clean names; names not yet known become the project's fields. Raises TooManyFields."""
    cleaned = {clean_field_name(label): value for label, value in fields.items()}
    cleaned.pop("", None)
    if cleaned:
        declare_fields(dbsession, project_id=project_id, labels={clean_field_name(label): label for label in fields})
    return cleaned


def declare_fields(dbsession: Session, *, project_id: int, labels: Mapping[str, str]) -> None:
    """Make fields (name → label) known to the project. Raises TooManyFields."""
    known = set(dbsession.scalars(select(SubscriberField.name).where(SubscriberField.project_id == project_id)))
    new = [
        {"project_id": project_id, "name": name, "label": label[:200]}
        for name, label in sorted(labels.items())
        if name and name not in known
    ]
    if not new:
        return
    if len(known) + len(new) > MAX_FIELDS:
        raise TooManyFields
    dbsession.execute(insert(SubscriberField).values(new).on_conflict_do_nothing())
