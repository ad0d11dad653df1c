"""Input of forms and of the JSON API: pydantic models, whose faults become sentences that can be translated."""

from __future__ import annotations

import json
import typing
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pyramid.request import Request

from mailhub.web.i18n import _
from mailhub.web.problems import ApiProblem, FieldProblem

Model = TypeVar("Model", bound=BaseModel)

#: The largest JSON document that is read; attachments travel in it.
MAX_JSON_BYTES = 16 * 1024 * 1024


class Invalid(ValueError):
    """Raised by a validator, with a translatable sentence."""

    def __init__(self, message: Any) -> None:
        super().__init__(str(message))
        self.message = message


class Form(BaseModel):
    """The base of all input models: unknown fields are refused, text is stripped, and has no NUL."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, frozen=True)

    @field_validator("*")
    @classmethod
    def no_nul(cls, value: Any) -> Any:
        """PostgreSQL's texts have no place for it."""
        texts = value if isinstance(value, list | tuple) else (value,)
        if any(isinstance(one, str) and "\0" in one for one in texts):
            raise Invalid(_("Line breaks and invisible characters are not possible here."))
        return value


@dataclass
class FormResult(Generic[Model]):
    """What came of a form: `value` if it was right, else `errors` by field; `values` is what was typed.

    `errors[""]` is about the form as a whole.
    """

    value: Model | None
    values: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, Any] = field(default_factory=dict)

    def refuse(self, name: str, message: Any) -> None:
        """Add what a service found wrong."""
        self.errors[name] = message
        self.value = None


def read(request: Request, model: type[Model]) -> FormResult[Model]:
    """Read a posted form. A field of a list type takes all its values; an unticked box is absent."""
    values: dict[str, Any] = {}
    for name in dict.fromkeys(request.POST):
        if name == "csrf_token":
            continue
        given = request.POST.getall(name)
        values[name] = list(given) if _is_list(model, name) else given[-1]
    return validate_values(model, values)


def validate_values(model: type[Model], values: dict[str, Any]) -> FormResult[Model]:
    """Check values that were typed, wherever they come from (a form, the filters of a page)."""
    try:
        return FormResult(model.model_validate(values), values)
    except ValidationError as failure:
        errors = {".".join(str(part) for part in one["loc"][:1]): sentence(one) for one in failure.errors()}
        return FormResult(None, values, errors)


def _is_list(model: type[BaseModel], name: str) -> bool:
    known = model.model_fields.get(name)
    if known is None:
        return False
    origins = [typing.get_origin(known.annotation), *map(typing.get_origin, typing.get_args(known.annotation))]
    return any(origin in (list, set, tuple, frozenset) for origin in origins)


def read_json(request: Request, model: type[Model]) -> Model:
    """Read a JSON document; raises a 400 for what is no JSON, a 422 that names each wrong field."""
    if (request.content_length or 0) > MAX_JSON_BYTES:
        raise ApiProblem(413, _("The document is larger than 16 MB."))
    try:
        document = json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        raise ApiProblem(400, _("The body is not a JSON document in UTF-8.")) from None
    if not isinstance(document, dict):
        raise ApiProblem(400, _("The body must be a JSON object."))
    return validate(model, document)


def validate(model: type[Model], document: dict[str, Any]) -> Model:
    """Check a document against a model; raises the 422."""
    try:
        return model.model_validate(document)
    except ValidationError as failure:
        raise ApiProblem(
            422,
            _("Some fields are wrong."),
            [FieldProblem(".".join(str(part) for part in one["loc"]), sentence(one)) for one in failure.errors()],
        ) from None


def read_query(request: Request, model: type[Model]) -> Model:
    """Read the query string of an API request against a model; raises the 422."""
    return validate(model, {name: request.GET[name] for name in request.GET})


_SENTENCES = {
    "missing": _("Fill this in."),
    "extra_forbidden": _("There is no such field."),
    "string_type": _("This must be text."),
    "int_parsing": _("This must be a whole number."),
    "int_type": _("This must be a whole number."),
    "int_from_float": _("This must be a whole number."),
    "float_parsing": _("This must be a number."),
    "float_type": _("This must be a number."),
    "bool_parsing": _("This must be yes or no."),
    "bool_type": _("This must be yes or no."),
    "list_type": _("This must be a list."),
    "dict_type": _("This must be an object."),
    "model_type": _("This must be an object."),
    "date_from_datetime_parsing": _("This must be a date like 2026-11-23."),
    "date_parsing": _("This must be a date like 2026-11-23."),
    "datetime_from_date_parsing": _("This must be a time like 2026-11-23T10:00:00Z."),
    "datetime_parsing": _("This must be a time like 2026-11-23T10:00:00Z."),
    "literal_error": _("This is not one of the choices."),
    "enum": _("This is not one of the choices."),
    "string_pattern_mismatch": _("This does not have the right form."),
}


def sentence(error: ErrorDetails) -> Any:
    """What is wrong with an input, in words that can be translated."""
    context = error.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, Invalid):
        return cause.message
    match error["type"]:
        case "string_too_long":
            return _("Use at most ${n} characters.", mapping={"n": context["max_length"]})
        case "string_too_short":
            if context["min_length"] == 1:
                return _("Fill this in.")
            return _("Use at least ${n} characters.", mapping={"n": context["min_length"]})
        case "too_long":
            return _("At most ${n} are possible.", mapping={"n": context["max_length"]})
        case "too_short":
            return _("At least ${n} must be chosen.", mapping={"n": context["min_length"]})
        case "greater_than_equal":
            return _("This must be at least ${n}.", mapping={"n": context["ge"]})
        case "less_than_equal":
            return _("This must be at most ${n}.", mapping={"n": context["le"]})
    return _SENTENCES.get(error["type"], _("This is not right."))
