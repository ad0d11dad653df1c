"""What somebody has sent by a form, read against what the form asks: from its page, from another site, as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, create_model
from pyramid.request import Request

from mailhub.lists.fields import BadValue, read_value
from mailhub.lists.forms import MAX_VALUE, Address, PersonName, RowIdText
from mailhub.models import FieldType
from mailhub.signup.design import plain
from mailhub.signup.intake import Given
from mailhub.signup.opened import Opened, came_from
from mailhub.web import forms
from mailhub.web.forms import Form
from mailhub.web.i18n import _, translate

_Value = Annotated[str, Field(max_length=MAX_VALUE)]
_Short = Annotated[str, Field(max_length=1000)]


class _Sent(Form):
    """The inputs of every form. `website` is bait for programs; the others are proof (proof.py)."""

    email: Address
    name: PersonName = ""
    website: _Short = ""
    stamp: _Short = ""
    work: _Short = ""
    slow: _Short = ""
    lists: list[RowIdText] = Field(default_factory=list)


class SentJson(_Sent):
    """The same as JSON: fields by their names, consents by their numbers in the form."""

    fields: Annotated[dict[str, Any], Field(max_length=100)] = Field(default_factory=dict)
    consents: Annotated[list[int], Field(max_length=20)] = Field(default_factory=list)
    slow: Literal[""] = ""


@dataclass
class Sent:
    """What came: `given` if it was right, else `errors` by input; `values` is what was typed."""

    given: Given | None = None
    stamp: str = ""
    work: str = ""
    is_slow: bool = False
    is_bait: bool = False
    values: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, Any] = field(default_factory=dict)


def read_page(request: Request, opened: Opened) -> Sent:
    """A posted form. Inputs that it does not have are refused."""
    inputs: dict[str, Any] = {one.input_name: (_Value, "") for one in opened.questions if one.field is not None}
    inputs |= {f"box_{number}": (Literal["1"] | None, None) for number, _box in enumerate(opened.design.boxes)}
    form = forms.read(request, create_model("SentPage", __base__=_Sent, **inputs))
    sent = Sent(values=form.values, errors=form.errors)
    sent.stamp = str(form.values.get("stamp", ""))
    if form.value is None:
        return sent
    value: Any = form.value
    answers = {one.asked.name: getattr(value, one.input_name) for one in opened.questions if one.field is not None}
    ticked = [number for number, _box in enumerate(opened.design.boxes) if getattr(value, f"box_{number}")]
    sent.work, sent.is_slow, sent.is_bait = value.work, bool(value.slow), bool(value.website)
    _check(request, opened, sent, value.email, value.name, answers, ticked, value.lists)
    return sent


def read_document(request: Request, opened: Opened) -> Sent:
    """A JSON document; raises ApiProblem for what is none, or has fields that there are not."""
    value = forms.read_json(request, SentJson)
    sent = Sent(stamp=value.stamp, work=value.work, is_bait=bool(value.website))
    known = {one.asked.name for one in opened.questions if one.field is not None}
    for name in value.fields:
        if name not in known:
            sent.errors[f"fields.{name}"] = _("There is no such field.")
    _check(request, opened, sent, value.email, value.name, value.fields, value.consents, value.lists)
    return sent


def checked(
    request: Request,
    opened: Opened,
    *,
    email: str,
    name: str,
    answers: dict[str, Any],
    ticked: list[int],
    list_ids: list[int],
) -> Sent:
    """The same checks for what a program of the project sends."""
    sent = Sent()
    known = {one.asked.name for one in opened.questions if one.field is not None}
    for unknown in answers.keys() - known:
        sent.errors[f"fields.{unknown}"] = _("There is no such field.")
    _check(request, opened, sent, email, name, answers, ticked, list_ids)
    return sent


def _check(
    request: Request,
    opened: Opened,
    sent: Sent,
    email: str,
    name: str,
    answers: dict[str, Any],
    ticked: list[int],
    list_ids: list[int],
) -> None:
    """Set `sent.given`, or say in `sent.errors` what is missing or wrong."""
    values: dict[str, Any] = {}
    for one in opened.questions:
        if one.asked.name == "name":
            if one.asked.required and not name:
                sent.errors["name"] = _("Fill this in.")
        elif one.field is not None:
            try:
                value = read_value(one.field, answers.get(one.asked.name))
            except BadValue as fault:
                sent.errors[one.input_name] = fault.message
                continue
            # A box that has to be ticked is not filled in by leaving it.
            is_empty = value is None or (one.field.type == FieldType.BOOLEAN and value is False)
            if one.asked.required and is_empty:
                sent.errors[one.input_name] = _("Fill this in.")
            if value is not None:
                values[one.asked.name] = value
    for number, box in enumerate(opened.design.boxes):
        if box.required and number not in ticked:
            sent.errors[f"box_{number}"] = _("Without this consent you cannot sign up.")
    chosen = [one.id for one in opened.lists]
    if opened.form.choose_lists and len(chosen) > 1:
        if not set(list_ids).issubset(chosen):
            sent.errors["lists"] = _("There is no such list.")
        elif not list_ids:
            sent.errors["lists"] = _("Choose at least one.")
        chosen = [number for number in chosen if number in set(list_ids)]
    if sent.errors:
        return
    boxes = [plain(box.text) for number, box in enumerate(opened.design.boxes) if number in ticked]
    has_name = any(one.asked.name == "name" for one in opened.questions)
    sent.given = Given(
        email=email,
        name=name if has_name else "",
        fields=values,
        list_ids=chosen,
        consents=[words_of(request, opened, chosen), *boxes],
        ip=request.client_addr,
        user_agent=request.user_agent or "",
        host=came_from(request),
    )


def words_of(request: Request, opened: Opened, list_ids: list[int]) -> str:
    """What the form said to who pressed its button, for the record of the consent."""
    names = ", ".join(one.name for one in opened.lists if one.id in set(list_ids))
    button = opened.design.texts.button or translate(request, _("Subscribe"))
    return "\n".join(part for part in (opened.title, opened.intro, names, f"[{button}]") if part)
