"""What other rooms call: read a tree, compile it, count it, say it, explain it; and keep segments.

Nothing here commits. A tree that was saved may be refused later: a field that it asks for is gone or holds something
else, a list was deleted. Whoever sends by it must refuse then, never guess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from mailhub.models import Segment
from mailhub.segments.catalog import Catalog, load
from mailhub.segments.compile import condition, select_ids
from mailhub.segments.counting import COUNT_SECONDS, Count, count, sample
from mailhub.segments.explaining import Explanation, explain
from mailhub.segments.keeping import (
    SegmentChanged,
    SegmentInUse,
    Uses,
    archive,
    asking,
    change,
    copy,
    create,
    listed,
    note_count,
    remove,
    replace_tag,
    restore,
    where_used,
)
from mailhub.segments.tree import SegmentRefused, Tree, parse
from mailhub.segments.words import in_words

__all__ = [
    "COUNT_SECONDS", "Catalog", "Choice", "Count", "Explanation", "SegmentChanged", "SegmentInUse", "SegmentRefused",
    "Tree", "Uses", "archive", "asking", "broken", "change", "choices", "condition", "copy", "count", "create",
    "explain", "get", "in_words", "listed", "load", "note_count", "parse", "read", "remove", "replace_tag", "restore",
    "sample", "select_ids", "tree_of", "where_used",
]  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """A segment as pickers show it; `count` is of `counted_at`, None where it was never counted."""

    id: int
    name: str
    count: int | None
    counted_at: datetime | None


def read(dbsession: Session, project_id: int, definition: Mapping[str, Any]) -> Tree:
    """The tree of a JSON document, with the project's catalogue as it is now. Raises SegmentRefused."""
    return parse(definition, load(dbsession, project_id, [definition]))


def tree_of(dbsession: Session, segment: Segment) -> Tree:
    """The tree of a saved segment. Raises SegmentRefused where it does not fit the project any more."""
    return read(dbsession, segment.project_id, segment.definition)


def broken(dbsession: Session, project_id: int, segments: Sequence[Segment]) -> set[int]:
    """The ids of those that do not fit the project any more. Three to five statements for all."""
    found: set[int] = set()
    if not segments:
        return found
    catalog = load(dbsession, project_id, [one.definition for one in segments])
    for one in segments:
        try:
            parse(one.definition, catalog)
        except SegmentRefused:
            found.add(one.id)
    return found


def get(dbsession: Session, project_id: int, segment_id: int) -> Segment | None:
    """The project's segment, an archived one too; None where there is none."""
    return dbsession.get(Segment, (project_id, segment_id))


def choices(dbsession: Session, project_id: int) -> list[Choice]:
    """The segments in use, by name."""
    rows = dbsession.execute(
        select(Segment.id, Segment.name, Segment.count, Segment.counted_at)
        .where(Segment.project_id == project_id, Segment.archived_at.is_(None))
        .order_by(func.lower(Segment.name), Segment.id)
    )
    return [Choice(*row) for row in rows]
