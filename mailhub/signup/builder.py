"""The inputs of the form builder: read into a form, and filled from one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pyramid.request import Request

from mailhub.models import OptIn, SignUpForm, SubscriberField
from mailhub.signup.design import BUILT_IN, MAX_BOXES, Box, Colours, Design
from mailhub.signup.schema import FormIn
from mailhub.web import forms
from mailhub.web.i18n import _, translate
from mailhub.web.problems import ApiProblem

TEXTS = ("title", "intro", "button", "thanks", "already", "privacy_label", "privacy_url")
COLOURS = ("page", "card", "text", "button", "button_text")
_PLAIN = ("name", "opt_in", "language", "redirect_url")


@dataclass(frozen=True)
class Row:
    """A field that the form may ask for, with what the builder says of it. `label` is the field's own."""

    name: str
    label: Any
    is_used: bool
    is_required: bool
    own_label: str
    hint: str


@dataclass
class Built:
    """What the builder was sent: `value` if it is right. `rows` in the order of the form, those not asked for last."""

    values: dict[str, Any]
    rows: list[Row]
    value: FormIn | None = None
    errors: dict[str, Any] = field(default_factory=dict)


def read(request: Request, fields: Sequence[SubscriberField]) -> Built:
    """The posted builder."""
    given = request.POST
    values: dict[str, Any] = {name: given[name] for name in given if name not in ("order", "list_ids", "csrf_token")}
    values["list_ids"] = given.getall("list_ids")
    rows = _posted_rows(request, fields)
    built = Built(values, rows)
    if any(name not in _inputs(rows) for name in given):
        built.errors[""] = _("There is no such field.")
        return built
    slots = [slot for slot in range(MAX_BOXES) if str(given.get(f"box_text_{slot}", "")).strip()]
    document: dict[str, Any] = {name: given.get(name, "") for name in _PLAIN if name in given}
    document |= {
        "lists": values["list_ids"],
        "choose_lists": given.get("choose_lists") == "1",
        "tags": [word for word in str(given.get("tags", "")).split(",") if word.strip()],
        "design": {
            "fields": [
                {"name": row.name, "label": row.own_label, "hint": row.hint, "required": row.is_required}
                for row in rows
                if row.is_used
            ],
            "texts": {name: given.get(name, "") for name in TEXTS},
            "boxes": [
                {"text": given[f"box_text_{slot}"], "required": given.get(f"box_required_{slot}") == "1"}
                for slot in slots
            ],
            "colours": {name: given[f"colour_{name}"] for name in COLOURS if given.get(f"colour_{name}")},
            "show_brand": given.get("show_brand") == "1",
        },
    }
    try:
        built.value = forms.validate(FormIn, document)
    except ApiProblem as problem:
        used = [row.name for row in rows if row.is_used]
        for one in problem.errors:
            built.errors.setdefault(_input_of(one.field.split("."), used, slots), one.message)
    return built


def move(built: Built, wish: str) -> None:
    """`up:city` or `down:city`: the row changes its place with the one beside it."""
    direction, _colon, name = wish.partition(":")
    places = [row.name for row in built.rows]
    if name not in places:
        return
    here = places.index(name)
    there = here + (-1 if direction == "up" else 1)
    if 0 <= there < len(places):
        built.rows[here], built.rows[there] = built.rows[there], built.rows[here]


def of_form(
    form: SignUpForm | None, list_ids: Sequence[int], design: Design, fields: Sequence[SubscriberField]
) -> Built:
    """The builder as it stands for a form, or for a new one."""
    values: dict[str, Any] = {
        "name": form.name if form is not None else "",
        "list_ids": [str(number) for number in list_ids],
        "choose_lists": "1" if form is not None and form.choose_lists else "",
        "opt_in": form.opt_in if form is not None else OptIn.DOUBLE.value,
        "language": form.language if form is not None else "",
        "redirect_url": form.redirect_url if form is not None else "",
        "tags": ", ".join(form.tags) if form is not None else "",
        "show_brand": "1" if design.show_brand else "",
    }
    values |= {name: getattr(design.texts, name) for name in TEXTS}
    values |= {f"colour_{name}": getattr(design.colours, name) for name in COLOURS}
    for slot, box in enumerate(design.boxes):
        values |= {f"box_text_{slot}": box.text, f"box_required_{slot}": "1" if box.required else ""}
    known = {one.name: one for one in fields}
    names = [one.name for one in design.fields if one.name in BUILT_IN or one.name in known]
    asked = {one.name: one for one in design.fields}
    rows = [
        Row(name, _label(name, known), name in asked, bool(name in asked and asked[name].required),
            asked[name].label if name in asked else "", asked[name].hint if name in asked else "")
        for name in [*names, *(name for name in (*BUILT_IN, *known) if name not in names)]
    ]  # fmt: skip
    return Built(values, rows)


def new_design(request: Request) -> Design:
    """What a new form begins with: an address, a name, and the two consents that the law asks for, each by itself."""
    return Design(
        boxes=[
            Box(text=translate(request, _("I agree that my personal data are processed.")), required=True),
            Box(text=translate(request, _("I agree to get advertising by e-mail.")), required=True),
        ],
        colours=Colours(),
    )


def _inputs(rows: Sequence[Row]) -> frozenset[str]:
    """Everything that the builder's page sends."""
    of_rows = {f"{what}_{row.name}" for row in rows for what in ("use", "required", "label", "hint")}
    of_boxes = {f"box_{what}_{slot}" for slot in range(MAX_BOXES) for what in ("text", "required")}
    others = {"list_ids", "choose_lists", "tags", "show_brand", "order", "move", "csrf_token"}
    return frozenset(of_rows | of_boxes | others | {*TEXTS, *_PLAIN} | {f"colour_{name}" for name in COLOURS})


def _posted_rows(request: Request, fields: Sequence[SubscriberField]) -> list[Row]:
    known = {one.name: one for one in fields}
    possible = [*BUILT_IN, *known]
    order = [name for name in dict.fromkeys(request.POST.getall("order")) if name in possible]
    given = request.POST
    return [
        Row(
            name,
            _label(name, known),
            name == "email" or given.get(f"use_{name}") == "1",
            name == "email" or given.get(f"required_{name}") == "1",
            str(given.get(f"label_{name}", "")),
            str(given.get(f"hint_{name}", "")),
        )
        for name in [*order, *(name for name in possible if name not in order)]
    ]


def _label(name: str, known: dict[str, SubscriberField]) -> Any:
    if name in known:
        return known[name].label or name
    return _("E-mail") if name == "email" else _("Your name")


def _input_of(path: list[str], used: Sequence[str], slots: Sequence[int]) -> str:
    """The input that a fault is about, by its path in the document."""
    match path:
        case ["lists", *_rest]:
            return "list_ids"
        case ["tags", *_rest]:
            return "tags"
        case ["design", "texts", name, *_rest]:
            return name
        case ["design", "colours", name, *_rest]:
            return f"colour_{name}"
        case ["design", "colours"]:
            return "colour_text"
        case ["design", "fields", place, part, *_rest] if place.isdigit() and int(place) < len(used):
            return f"{part}_{used[int(place)]}"
        case ["design", "boxes", place, *_rest] if place.isdigit() and int(place) < len(slots):
            return f"box_text_{slots[int(place)]}"
        case [name, *_rest] if name != "design":
            return name
    return ""
