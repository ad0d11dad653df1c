"""What the JSON API of this room takes and gives (contract §4)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from mailhub.models import Segment
from mailhub.segments.forms import Description, SegmentName
from mailhub.web.api import utc
from mailhub.web.forms import Form
from mailhub.web.paging import API_LIMIT, API_LIMIT_MAX

Limit = Annotated[int, Field(ge=1, le=API_LIMIT_MAX)]


class PageQuery(Form):
    limit: Limit = API_LIMIT
    after: str | None = None


class SegmentIn(Form):
    """`definition` is the tree: docs/segments.md."""

    name: SegmentName
    description: Description = ""
    definition: dict[str, Any]


class SegmentPatch(Form):
    """What is given replaces what is there. With `revision` it is refused (409) where somebody else was faster."""

    name: SegmentName | None = None
    description: Description | None = None
    definition: dict[str, Any] | None = None
    archived: bool | None = None
    revision: int | None = None


class PreviewIn(Form):
    definition: dict[str, Any]


class SegmentOut(Form):
    """`count` is of `counted_at`, null until it was counted. `words` says the rules; it is empty, and `problems` has
    what is wrong, where a rule does not fit the project any more."""

    id: str
    name: str
    description: str
    definition: dict[str, Any]
    words: str
    problems: list[dict[str, str]]
    count: int | None
    counted_at: str | None
    revision: int
    archived: bool
    created_at: str
    updated_at: str


class PreviewOut(Form):
    """`count` and `active` are null where counting takes more than two seconds: save the segment and wait."""

    definition: dict[str, Any]
    words: str
    count: int | None
    active: int | None


class PersonOut(Form):
    id: str
    email: str
    name: str
    status: str


class RuleOut(Form):
    """A rule by its path, in words, and whether it holds for the person."""

    path: str
    words: str
    holds: bool


class ExplainOut(Form):
    """Why a person is in the segment or not, rule by rule."""

    subscriber_id: str
    in_segment: bool
    rules: list[RuleOut]


def segment_out(segment: Segment, words: str, problems: list[dict[str, str]]) -> SegmentOut:
    return SegmentOut(
        id=str(segment.id),
        name=segment.name,
        description=segment.description,
        definition=segment.definition,
        words=words,
        problems=problems,
        count=segment.count,
        counted_at=utc(segment.counted_at),
        revision=segment.revision,
        archived=segment.archived_at is not None,
        created_at=utc(segment.created_at) or "",
        updated_at=utc(segment.updated_at) or "",
    )
