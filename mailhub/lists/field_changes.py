"""Changing custom fields: their label, place and choices at once; their type and their end as a job over everybody.

The name in letters never changes: `{{ city }}` goes on meaning what it meant, however its label is written.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pyramid.request import Request
from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from mailhub.background import service as background
from mailhub.background.running import Failed, Running
from mailhub.lists.fields import MAX_CHOICES, BadValue, fields_of, read_value
from mailhub.models import FieldType, ProjectJob, Subscriber, SubscriberField

KIND = "people_field"
CHECK, CHANGE, DELETE = "check", "change", "delete"
SLICE = 2_000
#: Values that do not fit, of which the page shows some.
EXAMPLES = 20
#: Longer values are shown cut.
EXAMPLE_LENGTH = 80

_VALUES = text(
    """
    SELECT id, fields -> :name AS value FROM subscriber
    WHERE project_id = :project AND id > :after AND id <= :upto
    ORDER BY id LIMIT :most
    """
)
_WRITE = text(
    """
    UPDATE subscriber AS s SET
        fields = CASE
            WHEN v.value IS NULL THEN s.fields - :name
            ELSE s.fields || jsonb_build_object(:name, CAST(v.value AS jsonb))
        END,
        updated_at = now()
    FROM unnest(CAST(:ids AS bigint[]), CAST(:values AS text[])) AS v (id, value)
    WHERE s.project_id = :project AND s.id = v.id
    """
)


class FieldBusy(Exception):
    """Another job is at work on the field: two at once would read each other's half."""


class Typed:
    """A type and its choices, as `read_value` wants them."""

    def __init__(self, kind: str, choices: Sequence[str] = ()) -> None:
        self.type = kind
        self.choices = list(choices)


def clean_choices(lines: str) -> list[str]:
    """One a line, without empty ones and doubles; case does not tell them apart."""
    words = [" ".join(line.split()) for line in lines.splitlines()]
    return list({word.casefold(): word for word in reversed(words) if word}.values())[::-1][:MAX_CHOICES]


def move(dbsession: Session, field: SubscriberField, *, up: bool) -> None:
    """One place up or down among the project's fields."""
    names = [one.name for one in fields_of(dbsession, field.project_id)]
    place(dbsession, field, max(1, names.index(field.name) + (0 if up else 2)))


def place(dbsession: Session, field: SubscriberField, position: int) -> None:
    """To this place among the project's fields, counted from 1; beyond the last one is the last."""
    others = [one for one in fields_of(dbsession, field.project_id) if one.name != field.name]
    others.insert(position - 1, field)
    for number, one in enumerate(others, 1):
        one.position = number
    dbsession.flush()


def is_busy(dbsession: Session, field: SubscriberField) -> ProjectJob | None:
    """The job that is at work on this field, or waits to be."""
    for job in background.latest(dbsession, field.project_id, KIND):
        if job.parameters["field"] == field.name and job.state in background.OPEN:
            return job
    return None


def last_check(dbsession: Session, field: SubscriberField) -> ProjectJob | None:
    """The newest job on this field."""
    for job in background.latest(dbsession, field.project_id, KIND):
        if job.parameters["field"] == field.name:
            return job
    return None


def ask(
    request: Request,
    field: SubscriberField,
    step: str,
    *,
    user_id: int | None = None,
    kind: str = "",
    choices: Sequence[str] = (),
    drop: bool = False,
) -> tuple[ProjectJob, bool]:
    """A job, and whether it is new.

    `check` says what would not fit a type, `change` converts everybody's values (what does not fit stops it, or with
    `drop` is taken away), `delete` takes the field away.

    Raises FieldBusy while another one is at work on the field, background.TooManyJobs.
    """
    upto = request.dbsession.scalar(select(func.max(Subscriber.id)).where(Subscriber.project_id == field.project_id))
    asked = {"field": field.name, "step": step, "type": kind, "choices": list(choices), "drop": drop, "upto": upto or 0}
    busy = is_busy(request.dbsession, field)
    if busy is not None and {**busy.parameters, "upto": 0} != {**asked, "upto": 0}:
        raise FieldBusy
    if busy is not None:
        return busy, False
    return background.ask(request, field.project_id, KIND, asked, user_id=user_id)


def do(request: Request, job: Running) -> dict[str, Any]:
    """The handler of KIND. A change first looks at everybody, so that it is refused before anything was changed."""
    asked = job.parameters
    seen = dict(job.result)
    passes = {CHECK: (CHECK,), CHANGE: (CHECK, CHANGE), DELETE: (DELETE,)}[asked["step"]]
    for number, step in enumerate(passes):
        if job.place.get("pass", 0) > number:
            continue
        seen = _pass(request, job, step, number, seen)
        if step == CHECK and asked["step"] == CHANGE and seen["misfits"] and not asked["drop"]:
            raise Failed("misfits")
    with request.tm:
        _settle(request.dbsession, job)
    if asked["step"] != CHECK:
        _catch_up(request, job)
    return seen


def _catch_up(request: Request, job: Running) -> None:
    """People who came while the others were gone through have values of the old type, or of a field that is no more.

    What does not fit is taken away: the field has its new type by now.
    """
    asked = job.parameters
    new = Typed(asked["type"] or FieldType.TEXT, asked["choices"])
    last = select(func.max(Subscriber.id)).where(Subscriber.project_id == job.project_id)
    after = asked["upto"]
    while True:
        with request.tm:
            values = {"project": job.project_id, "name": asked["field"], "after": after}
            upto = request.dbsession.scalar(last) or 0
            rows = request.dbsession.execute(_VALUES, values | {"upto": upto, "most": SLICE}).all()
            held = [(row.id, row.value) for row in rows if row.value is not None]
            if asked["step"] == DELETE:
                _write(request.dbsession, values, [(one, None) for one, _value in held])
            else:
                _convert(request.dbsession, values, new, held, {}, write=True)
        if not rows:
            return
        after = rows[-1].id


def _pass(request: Request, job: Running, step: str, number: int, seen: dict[str, Any]) -> dict[str, Any]:
    asked = job.parameters
    new = Typed(asked["type"] or FieldType.TEXT, asked["choices"])
    while True:
        with request.tm:
            after = job.place.get("after", 0) if job.place.get("pass", 0) == number else 0
            values = {"project": job.project_id, "name": asked["field"], "after": after, "upto": asked["upto"]}
            rows = request.dbsession.execute(_VALUES, values | {"most": SLICE}).all()
            if rows:
                place = {"pass": number, "after": rows[-1].id}
            else:
                place = {"pass": number + 1, "after": 0}
            held = [(row.id, row.value) for row in rows if row.value is not None]
            if step == DELETE:
                _write(request.dbsession, values, [(one, None) for one, _value in held])
            else:
                seen = _convert(request.dbsession, values, new, held, seen, write=step == CHANGE)
            job.move(request.dbsession, done=len(rows), place=place, result=seen)
        if not rows:
            return seen


def _convert(
    dbsession: Session,
    values: dict[str, Any],
    new: Typed,
    held: list[tuple[int, Any]],
    seen: dict[str, Any],
    *,
    write: bool,
) -> dict[str, Any]:
    """Read a slice's values as the new type; counts on the first pass, writes on the second."""
    fits, misfits, examples = seen.get("fits", 0), seen.get("misfits", 0), list(seen.get("examples", []))
    changed: list[tuple[int, Any]] = []
    for number, value in held:
        try:
            read = read_value(new, value)
        except BadValue:
            read = None
            misfits += 1
            example = str(value)[:EXAMPLE_LENGTH]
            if len(examples) < EXAMPLES and example not in examples:
                examples.append(example)
        else:
            fits += 1
        # In Python True == 1, in JSON it is not.
        if read != value or type(read) is not type(value):
            changed.append((number, read))
    if write:
        _write(dbsession, values, changed)
        return seen
    return {"fits": fits, "misfits": misfits, "examples": examples}


def _write(dbsession: Session, values: dict[str, Any], changed: list[tuple[int, Any]]) -> None:
    if changed:
        texts = [None if value is None else json.dumps(value) for _number, value in changed]
        given = {"project": values["project"], "name": values["name"], "ids": [one for one, _value in changed]}
        dbsession.execute(_WRITE, given | {"values": texts})


def _settle(dbsession: Session, job: Running) -> None:
    """The field's own row, after everybody's values."""
    asked = job.parameters
    if asked["step"] == DELETE:
        dbsession.execute(
            delete(SubscriberField).where(
                SubscriberField.project_id == job.project_id, SubscriberField.name == asked["field"]
            )
        )
    elif asked["step"] == CHANGE:
        field = dbsession.get(SubscriberField, (job.project_id, asked["field"]))
        if field is not None:
            field.type, field.choices = asked["type"], asked["choices"]
