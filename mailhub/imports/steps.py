"""The five steps of the wizard, each a URL to which one can go back: file, reading, columns, rules, check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field
from pyramid.request import Request

from mailhub.imports import service
from mailhub.imports.batches import FileGone
from mailhub.imports.columns import Column, guess_columns
from mailhub.imports.head import Head, look, read_head
from mailhub.imports.person import (
    CONSENT_AT,
    CONSENT_IP,
    CONSENT_SOURCE,
    EMAIL,
    FIRST_NAME,
    LAST_NAME,
    MIDDLE_NAME,
    NAME,
    OWN_TARGETS,
    STATUS,
    TAGS,
)
from mailhub.imports.reading import CSV, DELIMITERS, ENCODINGS, NotACsv, Reading
from mailhub.imports.rules import Rules
from mailhub.lists.fields import known_fields
from mailhub.models import FieldType, SubscriberImport
from mailhub.web import forms
from mailhub.web.i18n import _, translate

#: What a column's select says for a field, and the beginning of "a new field of this type".
FIELD, NEW = "field:", "new:"
MEANINGS = (
    (EMAIL, _("E-mail")),
    (NAME, _("Full name")),
    (FIRST_NAME, _("First name")),
    (MIDDLE_NAME, _("Middle name")),
    (LAST_NAME, _("Last name")),
    (TAGS, _("Tags")),
    (CONSENT_AT, _("Consent: when")),
    (CONSENT_SOURCE, _("Consent: where or by which words")),
    (CONSENT_IP, _("Consent: from which IP address")),
    (STATUS, _("Status: who has left is not imported")),
)
TYPES = {
    FieldType.TEXT: _("text"),
    FieldType.NUMBER: _("number"),
    FieldType.DATE: _("date"),
    FieldType.BOOLEAN: _("yes or no"),
    FieldType.CHOICE: _("choice"),
}
STEPS = ("reading", "columns", "rules", "check")
MOST_TAGS = 20


class ReadingForm(forms.Form):
    """How a file is read. `look` only shows it anew."""

    encoding: str = Field(default="", max_length=20)
    delimiter: str = Field(default="", max_length=3)
    sheet: str = Field(default="", max_length=200)
    action: str = Field(default="next", pattern="^(next|look)$")


class RulesForm(forms.Form):
    """What happens with the people."""

    lists: list[str] = Field(default=[], max_length=50)
    status: str = Field(default="subscribed", pattern="^(subscribed|unconfirmed)$")
    existing: str = Field(default="update", pattern="^(update|skip)$")
    bad_values: str = Field(default="reject", pattern="^(reject|leave_out)$")
    tags: str = Field(default="", max_length=2_000)
    consent: str = Field(default="", max_length=1)
    consent_source: str = Field(default="", max_length=500)


def head_of(request: Request, row: SubscriberImport, reading: Reading | None = None) -> Head:
    """How the upload begins, as it is read now or under another reading. Raises FileGone, and NotACsv for another."""
    path = service.path_of(request.registry.mailhub, row.stored_name)
    try:
        if reading is not None:
            return look(path, reading)
        kept = Reading.from_json(row.reading) if row.reading else Reading(row.encoding, row.delimiter, CSV)
        return read_head(path, kept)
    except FileNotFoundError:
        raise FileGone from None
    except NotACsv:
        if reading is not None:
            raise
        raise FileGone from None


def reading_of(form: ReadingForm, row: SubscriberImport) -> Reading:
    """The reading that the form asks for; what it leaves empty is found out."""
    kept = Reading.from_json(row.reading)
    delimiter = {"tab": "\t"}.get(form.delimiter, form.delimiter)
    if kept.kind != CSV and not kept.encoding:
        return replace(kept, sheet=form.sheet or kept.sheet)
    return replace(
        kept,
        encoding=form.encoding if form.encoding in ENCODINGS else kept.encoding,
        delimiter=delimiter if delimiter in DELIMITERS else kept.delimiter,
    )


# Columns


@dataclass(frozen=True)
class Choice:
    """A column with the options of its select and the one that is chosen."""

    column: Column
    chosen: str
    options: tuple[tuple[str, str], ...]


def choices_of(
    request: Request, row: SubscriberImport, head: Head, given: Mapping[str, str] | None = None
) -> list[Choice]:
    """The columns: as they were sent, else as they were saved, else as we guess."""
    known = known_fields(request.dbsession, project_id=row.project_id)
    names = {field.name for field in known}
    columns = guess_columns(head, known)
    # Of a wide file in a project with many fields there are thousands of options: what they share is made once.
    shared = [(target, translate(request, label)) for target, label in MEANINGS]
    shared += [(FIELD + one.name, translate(request, _("Field: ${name}"), name=one.label or one.name)) for one in known]
    types = {kind.value: translate(request, label) for kind, label in TYPES.items()}
    found = []
    for column in columns:
        if given is not None:
            chosen = given.get(f"column_{column.number}", "")
        elif row.mapping:
            chosen = _saved(row, column, names)
        else:
            chosen = _guessed(column)
        found.append(Choice(column, chosen, (*shared, *_new_options(request, column, types))))
    return found


def _guessed(column: Column) -> str:
    if column.target in OWN_TARGETS or not column.target:
        return column.target
    return FIELD + column.target if column.is_known else NEW + column.guess.type


def _saved(row: SubscriberImport, column: Column, names: set[str]) -> str:
    target = row.mapping.get(column.header, "")
    if not target or target in OWN_TARGETS:
        return str(target)
    if target in names:
        return FIELD + target
    return NEW + str(row.reading.get("new", {}).get(target, {}).get("type", FieldType.TEXT))


def _new_options(request: Request, column: Column, types: Mapping[str, str]) -> list[tuple[str, str]]:
    if not column.field or column.is_known:
        return []
    return [
        (NEW + kind, translate(request, _("New field “${name}”: ${type}"), name=column.field, type=name))
        for kind, name in types.items()
    ]


def mapping_of(choices: Sequence[Choice]) -> tuple[dict[str, str], dict[str, service.NewField]]:
    """(header → target, the new fields by name) from what is chosen."""
    mapping: dict[str, str] = {}
    new: dict[str, service.NewField] = {}
    for choice in choices:
        column, chosen = choice.column, choice.chosen
        if chosen.startswith(NEW):
            kind = chosen.removeprefix(NEW)
            mapping[column.header] = column.field or "!"
            new[column.field] = service.NewField(
                label=column.header,
                type=kind if kind in TYPES else FieldType.TEXT,
                choices=column.guess.choices if kind == FieldType.CHOICE else (),
                order=column.guess.order,
            )
        else:
            mapping[column.header] = chosen.removeprefix(FIELD) if chosen.startswith(FIELD) else chosen
    return mapping, new


def column_errors(head: Head, errors: Mapping[str, Any]) -> dict[str, Any]:
    """The refusals of a mapping under the names of the page's selects."""
    numbers = {header: f"column_{number}" for number, header in enumerate(head.headers)}
    return {numbers.get(header, ""): text for header, text in errors.items()}


# Rules


def rules_of(form: RulesForm) -> Rules:
    tags = dict.fromkeys(tag for word in form.tags.replace(";", ",").split(",") if (tag := " ".join(word.split())))
    return Rules(
        status=form.status,
        update=form.existing == "update",
        tags=tuple(tags)[:MOST_TAGS],
        consent_source=" ".join(form.consent_source.split()),
        strict=form.bad_values == "reject",
    )


def rules_values(request: Request, row: SubscriberImport) -> dict[str, Any]:
    """What the rules' form shows at first: what was saved, else the ordinary."""
    rules = Rules.from_json(row.rules)
    lists = [str(one.id) for one in service.lists_of(request.dbsession, row)]
    return {
        "lists": lists,
        "status": rules.status,
        "existing": "update" if rules.update else "skip",
        "bad_values": "reject" if rules.strict else "leave_out",
        "tags": ", ".join(rules.tags),
        "consent": "1" if row.consent_text_id is not None else "",
        "consent_source": rules.consent_source,
    }
