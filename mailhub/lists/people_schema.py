"""What the JSON API takes and gives about fields, tags, bulk changes and merging."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from mailhub.lists.bulk import MOST_CHOSEN
from mailhub.lists.fields import MAX_CHOICES, MAX_FIELDS, MAX_LABEL
from mailhub.lists.forms import one_line
from mailhub.lists.schema import Fields, Id, PeopleQuery, PersonName, Tags
from mailhub.models import FieldType, ProjectJob, SubscriberField, Tag
from mailhub.web.api import utc
from mailhub.web.forms import Form

Label = Annotated[str, Field(min_length=1, max_length=MAX_LABEL), AfterValidator(one_line)]
Choices = Annotated[list[Annotated[str, Field(min_length=1, max_length=200), AfterValidator(one_line)]],
                    Field(max_length=MAX_CHOICES)]  # fmt: skip


class FieldIn(Form):
    """`label` is what people see; the name in letters is made from it unless `name` is given."""

    label: Label
    name: Annotated[str, Field(max_length=60)] = ""
    type: FieldType = FieldType.TEXT
    choices: Choices = Field(default_factory=list)


class FieldPatch(Form):
    """The name never changes. A new `type` is a job: 202 with its document."""

    label: Label | None = None
    type: FieldType | None = None
    choices: Choices | None = None
    #: Its place among the fields, from 1.
    position: Annotated[int, Field(ge=1, le=MAX_FIELDS)] | None = None
    #: Values that do not fit the new type are taken away; without it they stop the change.
    drop: bool = False


class FieldOut(Form):
    name: str
    label: str
    type: str
    choices: list[str]
    position: int


class TagIn(Form):
    name: Annotated[str, Field(min_length=1, max_length=80)]


class TagPatch(Form):
    """Another `name`; or `into`, the id of the tag that it becomes one with, which is what the answer is then."""

    name: Annotated[str, Field(min_length=1, max_length=80)] | None = None
    into: Id | None = None



class TagOut(Form):
    """`count` is how many people have it."""

    id: str
    name: str
    count: int


class BulkIn(Form):
    """`ids`, or everybody who fits `filter` now; {} is everybody. To delete, say how many: `expected`."""

    action: Literal["tag_add", "tag_remove", "list_add", "list_remove", "unsubscribe", "set_field", "delete"]
    ids: Annotated[list[Id], Field(max_length=MOST_CHOSEN)] | None = None
    filter: PeopleQuery | None = None
    tag: Annotated[str, Field(max_length=80)] = ""
    list_id: Id | None = None
    field: Annotated[str, Field(max_length=100)] = ""
    value: Any = None
    expected: int | None = None


class JobOut(Form):
    """`state`: pending, running, done, failed, cancelled; `result`: what has come of it so far."""

    id: str
    state: str
    done: int
    total: int
    result: dict[str, Any]
    error: str
    undo: bool
    created_at: str
    finished_at: str | None


class MergeIn(Form):
    """The other person goes. `name` and `fields` are what is left; left out: this person's, then the other's."""

    other_id: Id
    name: PersonName | None = None
    fields: Fields | None = None


__all__ = [
    "BulkIn", "FieldIn", "FieldOut", "FieldPatch", "JobOut", "MergeIn", "TagIn", "TagOut", "TagPatch",
    "Tags", "field_out", "job_out", "tag_out",
]  # fmt: skip


def field_out(field: SubscriberField) -> FieldOut:
    return FieldOut(
        name=field.name,
        label=field.label or field.name,
        type=field.type,
        choices=field.choices,
        position=field.position,
    )


def tag_out(tag: Tag) -> TagOut:
    return TagOut(id=str(tag.id), name=tag.name, count=tag.n)


def job_out(job: ProjectJob, *, undo: bool) -> JobOut:
    return JobOut(
        id=str(job.id),
        state=job.state,
        done=job.done,
        total=job.total,
        result=job.result,
        error=job.error,
        undo=undo,
        created_at=utc(job.created_at) or "",
        finished_at=utc(job.finished_at),
    )
