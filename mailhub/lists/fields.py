"""Custom fields of a project's people: names that letters can merge, made from what people call their columns."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from mailhub.lists.values import BadValue, read_value, show_value, written_value
from mailhub.mail.merge import GROUPS, INTERNAL_PREFIX, RESERVED_NAMES, STANDARD_NAMES
from mailhub.models import FieldType, SubscriberField

__all__ = [
    "BadValue",
    "FieldFaults",
    "TooManyFields",
    "clean_field_name",
    "declare_fields",
    "ensure_fields",
    "fields_of",
    "has_room",
    "known_fields",
    "read_value",
    "show_value",
    "written_value",
]

MAX_NAME = 60
MAX_LABEL = 200
MAX_FIELDS = 200
MAX_CHOICES = 200

_NOT_NAME = re.compile(r"[^\w]+")
#: Words of Jinja's own grammar: `{{ in }}` would not parse.
_GRAMMAR = frozenset({"and", "or", "not", "in", "is", "if", "else", "elif", "for", "set", "block", "import", "from"})
_TAKEN = STANDARD_NAMES | RESERVED_NAMES | frozenset(GROUPS) | _GRAMMAR


class TooManyFields(Exception):
    """A project has at most MAX_FIELDS custom fields."""


class FieldFaults(ValueError):
    """Values that do not fit their fields: name as it was given → BadValue."""

    def __init__(self, faults: Mapping[str, BadValue]) -> None:
        super().__init__(", ".join(sorted(faults)))
        self.faults = dict(faults)


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


def fields_of(dbsession: Session, project_id: int) -> list[SubscriberField]:
    """The project's fields in their order. One query."""
    return list(
        dbsession.scalars(
            select(SubscriberField)
            .where(SubscriberField.project_id == project_id)
            .order_by(SubscriberField.position, SubscriberField.label, SubscriberField.name)
        )
    )


def known_fields(dbsession: Session, *, project_id: int) -> list[SubscriberField]:
    """`fields_of` by its older name."""
    return fields_of(dbsession, project_id)


def ensure_fields(dbsession: Session, *, project_id: int, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The values to store under clean names; names not yet known become the project's, with the type of the value.

    A value given as None or empty comes back as None. Raises TooManyFields, and FieldFaults for values that do not
    fit.
    """
    labels = {clean_field_name(label): label for label in fields}
    labels.pop("", None)
    if not labels:
        return {}
    known = {field.name: field for field in fields_of(dbsession, project_id)}
    new = {name: label for name, label in labels.items() if name not in known}
    if new:
        types = {name: _type_of(fields[label]) for name, label in new.items()}
        declare_fields(dbsession, project_id=project_id, labels=new, types=types)
        known = {field.name: field for field in fields_of(dbsession, project_id)}
    values: dict[str, Any] = {}
    faults: dict[str, BadValue] = {}
    for name, label in labels.items():
        try:
            values[name] = read_value(known[name], fields[label])
        except BadValue as fault:
            faults[label] = fault
    if faults:
        raise FieldFaults(faults)
    return values


def _type_of(value: Any) -> FieldType:
    """JSON's own types; everything else begins as text."""
    if isinstance(value, bool):
        return FieldType.BOOLEAN
    return FieldType.NUMBER if isinstance(value, int | float) else FieldType.TEXT


def has_room(dbsession: Session, project_id: int, names: Sequence[str]) -> bool:
    """Whether the project may have all of these fields besides those that it has: MAX_FIELDS at most."""
    known = set(dbsession.scalars(select(SubscriberField.name).where(SubscriberField.project_id == project_id)))
    return len(known.union(names)) <= MAX_FIELDS or known.issuperset(names)


def declare_fields(
    dbsession: Session,
    *,
    project_id: int,
    labels: Mapping[str, str],
    types: Mapping[str, str] | None = None,
    choices: Mapping[str, Sequence[str]] | None = None,
) -> list[str]:
    """Make fields (name → label) known to the project, those that are new after the others; known ones stay as they
    are. `types` and `choices` are by name; a field without a type holds text. Gives the names of the new ones. Raises
    TooManyFields.
    """
    known = dict(
        dbsession.execute(
            select(SubscriberField.name, SubscriberField.position).where(SubscriberField.project_id == project_id)
        ).all()
    )
    names = [name for name in labels if name and name not in known]
    if not names:
        return []
    if len(known) + len(names) > MAX_FIELDS:
        raise TooManyFields
    last = max(known.values(), default=0)
    new = [
        {
            "project_id": project_id,
            "name": name,
            "label": labels[name].strip()[:MAX_LABEL],
            "type": (types or {}).get(name, FieldType.TEXT),
            "choices": list((choices or {}).get(name, ())),
            "position": last + place,
        }
        for place, name in enumerate(names, 1)
    ]
    made = insert(SubscriberField).values(new).on_conflict_do_nothing().returning(SubscriberField.name)
    return sorted(dbsession.scalars(made))
