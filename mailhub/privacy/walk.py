"""A walk through the tables in slices along their keys, on which addresses are taken out of whatever holds one."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Select,
    Text,
    and_,
    any_,
    cast,
    delete,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy import tuple_ as row_of
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from mailhub.privacy.places import Deed, Place
from mailhub.privacy.traces import GONE, Traces

#: Rows that a slice looks at, in a transaction of its own; letters' contents are long.
SLICE = 5_000
LONG_SLICE = 500
_LONG = frozenset({"message_content", "campaign", "campaign_version"})


def slice_of(
    dbsession: Session, place: Place, project_id: int, traces: Traces, after: Sequence[Any] | None
) -> tuple[int, list[Any] | None]:
    """Clean the next slice behind the key `after`: how many rows had an address, and where it ends (None: the end)."""
    end = dbsession.execute(_end(place, project_id, after)).one_or_none()
    until = list(end) if end is not None else None
    wanted = [_within(place, project_id, after, until), _may_have(place, traces)]
    found = dbsession.execute(select(*place.key, *place.columns).where(*wanted)).all()
    n = 0
    for row in found:
        values = row[len(place.key) :]
        if not any(_has(traces, value) for value in values):
            continue
        n += 1
        where = [_mine(place, project_id), *(one == value for one, value in zip(place.key, row, strict=False))]
        if place.deed is Deed.DELETE:
            dbsession.execute(delete(place.table).where(*where))
        else:
            changed = _changed(place, traces, values)
            dbsession.execute(update(place.table).where(*where).values(changed))
    return n, until


def _end(place: Place, project_id: int, after: Sequence[Any] | None) -> Select[Any]:
    size = LONG_SLICE if place.table.name in _LONG else SLICE
    return (
        select(*place.key).where(_within(place, project_id, after, None)).order_by(*place.key).offset(size - 1).limit(1)
    )


def _within(
    place: Place, project_id: int, after: Sequence[Any] | None, until: Sequence[Any] | None
) -> ColumnElement[bool]:
    key = row_of(*place.key)
    conditions = [_mine(place, project_id)]
    if after is not None:
        conditions.append(key > row_of(*_values(place, after)))
    if until is not None:
        conditions.append(key <= row_of(*_values(place, until)))
    return and_(*conditions)


def _values(place: Place, values: Sequence[Any]) -> list[ColumnElement[Any]]:
    return [literal(value, one.type) for one, value in zip(place.key, values, strict=True)]


def _mine(place: Place, project_id: int) -> ColumnElement[bool]:
    """The rows of the project. Tables without one have no tenant: their texts are ours, or expire soon."""
    if place.table.name == "project":
        return place.table.c.id == project_id
    if "project_id" not in place.table.columns:
        return literal(True)
    mine: ColumnElement[bool] = place.table.c.project_id == project_id
    return mine if place.by_project else or_(mine, place.table.c.project_id.is_(None))


def _may_have(place: Place, traces: Traces) -> ColumnElement[bool]:
    every = func.lower(func.concat_ws(" ", *(cast(one, Text) for one in place.columns)))
    patterns = [f"%{_escaped(one)}%" for one in traces.needles()]
    return every.like(any_(literal(patterns, ARRAY(Text))))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _has(traces: Traces, value: Any) -> bool:
    if isinstance(value, str):
        return traces.has(value)
    if isinstance(value, dict):
        return any(traces.has(str(name)) or _has(traces, one) for name, one in value.items())
    return isinstance(value, list) and any(_has(traces, one) for one in value)


def _changed(place: Place, traces: Traces, values: Sequence[Any]) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for column, value in zip(place.columns, values, strict=True):
        if not _has(traces, value):
            continue
        if place.deed is Deed.BLANK:
            changed[column.name] = _nothing(column)
        else:
            without = traces.without_in(value)
            if isinstance(without, str) and place.is_unique(column):
                without = without.replace(GONE, f"[erased-{secrets.token_hex(4)}]")
            changed[column.name] = without
    return changed


def _nothing(column: Column[Any]) -> Any:
    if isinstance(column.type, JSONB):
        return {}
    return [] if isinstance(column.type, ARRAY) else ""
