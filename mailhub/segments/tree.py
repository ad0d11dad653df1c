"""The tree of a segment: what it looks like as JSON, what is wrong with one, and what it means for the compiler.

    {"match": "all" | "any", "rules": [leaf | {"match": …, "rules": [leaf, …], "not": true}, …]}
    leaf: {"field", "op", "value"?, "days"?, "campaigns"? | "last"? | "link"?, "not"?}

docs/segments.md shows every leaf by example.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationError

from mailhub.segments.catalog import Catalog, id_of
from mailhub.segments.values import BadRule, read_value
from mailhub.segments.vocabulary import (
    MAX_CAMPAIGNS,
    MAX_DAYS,
    MAX_LAST,
    MAX_NODES,
    OPERATORS,
    Kind,
)
from mailhub.web.forms import Form, Invalid, sentence
from mailhub.web.i18n import _

Value = str | bool | int | Decimal | date | tuple[Any, ...] | None


class SegmentRefused(Exception):
    """The tree is wrong; `errors` has a sentence that can be translated by path, such as `rules.0.rules.1.value`."""

    def __init__(self, errors: dict[str, Any]) -> None:
        super().__init__(", ".join(errors))
        self.errors = errors


@dataclass(frozen=True)
class Leaf:
    """One rule. `campaigns`, `last` and `link` narrow an activity; at most one of them is there."""

    field: str
    kind: Kind
    op: str
    value: Value = None
    days: int | None = None
    campaigns: tuple[int, ...] = ()
    last: int | None = None
    link: int | None = None
    negated: bool = False


@dataclass(frozen=True)
class Group:
    """Rules of which all must hold, or any."""

    match: Literal["all", "any"]
    rules: tuple[Leaf, ...]
    negated: bool = False


@dataclass(frozen=True)
class Tree:
    """A whole segment. Days are cut in `zone`, the project's time zone."""

    match: Literal["all", "any"]
    rules: tuple[Leaf | Group, ...]
    zone: str = "UTC"
    document: dict[str, Any] = field(default_factory=dict, compare=False)

    def leaves(self) -> Iterator[tuple[str, Leaf]]:
        """Every leaf with its path, in the order in which they are read."""
        for n, rule in enumerate(self.rules):
            if isinstance(rule, Leaf):
                yield f"rules.{n}", rule
            else:
                yield from ((f"rules.{n}.rules.{m}", leaf) for m, leaf in enumerate(rule.rules))


def _id(value: Any) -> int:
    number = id_of(value)
    if number is None:
        raise Invalid(_("This is not an id."))
    return number


Id = Annotated[int, BeforeValidator(_id)]
Match = Literal["all", "any"]


class LeafIn(Form):
    """A rule as it comes in."""

    field: Annotated[str, Field(max_length=200)]
    op: Annotated[str, Field(max_length=50)]
    value: Any = None
    days: Annotated[int, Field(ge=1, le=MAX_DAYS, strict=True)] | None = None
    campaigns: Annotated[list[Id], Field(min_length=1, max_length=MAX_CAMPAIGNS)] | None = None
    last: Annotated[int, Field(ge=1, le=MAX_LAST, strict=True)] | None = None
    link: Id | None = None
    negated: Annotated[bool, Field(alias="not", strict=True)] = False


class GroupIn(Form):
    """A group as it comes in; its rules are leaves."""

    match: Match
    rules: Annotated[list[LeafIn], Field(min_length=1, max_length=MAX_NODES)]
    negated: Annotated[bool, Field(alias="not", strict=True)] = False


def _which(value: Any) -> str:
    return "group" if isinstance(value, dict) and "rules" in value else "leaf"


Rule = Annotated[Annotated[LeafIn, Tag("leaf")] | Annotated[GroupIn, Tag("group")], Discriminator(_which)]


class TreeIn(Form):
    """A tree as it comes in."""

    match: Match
    rules: Annotated[list[Rule], Field(min_length=1, max_length=MAX_NODES)]


def parse(tree: Any, catalog: Catalog) -> Tree:
    """The tree that a JSON document means, every id and name of the project at hand. Raises SegmentRefused."""
    if not isinstance(tree, dict):
        raise SegmentRefused({"": _("This must be an object.")})
    given = _read(tree)
    nodes = sum(1 + (len(rule.rules) if isinstance(rule, GroupIn) else 0) for rule in given.rules)
    if nodes > MAX_NODES:
        raise SegmentRefused({"rules": _("At most ${n} are possible.", mapping={"n": MAX_NODES})})
    errors: dict[str, Any] = {}
    rules: list[Leaf | Group] = []
    for n, rule in enumerate(given.rules):
        path = f"rules.{n}"
        if isinstance(rule, LeafIn):
            rules += _leaf(rule, path, catalog, errors)
            continue
        inner = [leaf for m, one in enumerate(rule.rules) for leaf in _leaf(one, f"{path}.rules.{m}", catalog, errors)]
        rules.append(Group(rule.match, tuple(inner), rule.negated))
    if errors:
        raise SegmentRefused(errors)
    document = {"match": given.match, "rules": [_document(rule) for rule in given.rules]}
    return Tree(given.match, tuple(rules), catalog.zone, document)


def _read(tree: dict[str, Any]) -> TreeIn:
    try:
        return TreeIn.model_validate(tree)
    except ValidationError as failure:
        errors: dict[str, Any] = {}
        for one in failure.errors():
            path = ".".join(str(part) for part in one["loc"] if part not in ("leaf", "group"))
            errors.setdefault(path, sentence(one))
        raise SegmentRefused(errors) from None


def _leaf(given: LeafIn, path: str, catalog: Catalog, errors: dict[str, Any]) -> list[Leaf]:
    """The leaf, or none with what is wrong noted in `errors`."""
    kind = catalog.kind_of(given.field)
    if kind is None:
        errors[f"{path}.field"] = _("There is no such field.")
        return []
    takes = OPERATORS[kind].get(given.op)
    if takes is None:
        errors[f"{path}.op"] = _("This field cannot be asked that.")
        return []
    before = len(errors)
    value: Value = None
    try:
        value = read_value(given.field, kind, given.op, takes, given.value, catalog)
    except BadRule as bad:
        errors[f"{path}.value"] = bad.message
    _narrowed(given, kind, path, catalog, errors)
    if len(errors) > before:
        return []
    return [
        Leaf(
            given.field, kind, given.op, value, given.days, tuple(dict.fromkeys(given.campaigns or ())), given.last,
            given.link, given.negated,
        )
    ]  # fmt: skip


def _narrowed(given: LeafIn, kind: Kind, path: str, catalog: Catalog, errors: dict[str, Any]) -> None:
    """Check what narrows a rule: days, campaigns, the last campaigns, a link."""
    asked = [name for name in ("campaigns", "last", "link") if getattr(given, name) is not None]
    joined = kind == Kind.LIST and given.op == "subscribed"
    if kind != Kind.ACTIVITY:
        for name in asked:
            errors[f"{path}.{name}"] = _("Only activity can be asked that.")
    elif len(asked) > 1:
        errors[f"{path}.{asked[1]}"] = _("Choose campaigns, the last campaigns or a link, not several of them.")
    if given.days is not None and not (kind == Kind.ACTIVITY or joined):
        errors[f"{path}.days"] = _("This field cannot be asked that.")
    if given.days is not None and given.last is not None:
        errors[f"{path}.days"] = _("Choose the last campaigns or the last days, not both.")
    if given.link is not None and given.field != "clicked":
        errors[f"{path}.link"] = _("A link can only have been clicked.")
    if given.link is not None and given.link not in catalog.links:
        errors[f"{path}.link"] = _("There is no such link.")
    if any(number not in catalog.campaigns for number in given.campaigns or ()):
        errors[f"{path}.campaigns"] = _("There is no such campaign.")


def _document(rule: LeafIn | GroupIn) -> dict[str, Any]:
    """The rule as it is kept: ids are strings, and what says nothing is left out."""
    if isinstance(rule, GroupIn):
        group: dict[str, Any] = {"match": rule.match, "rules": [_document(one) for one in rule.rules]}
        return group | {"not": True} if rule.negated else group
    leaf: dict[str, Any] = {"field": rule.field, "op": rule.op}
    if rule.value is not None:
        ids = rule.field in ("list", "tag")
        leaf["value"] = [str(one) for one in rule.value] if ids else rule.value
    if rule.days is not None:
        leaf["days"] = rule.days
    if rule.campaigns is not None:
        leaf["campaigns"] = [str(one) for one in rule.campaigns]
    if rule.last is not None:
        leaf["last"] = rule.last
    if rule.link is not None:
        leaf["link"] = str(rule.link)
    return leaf | {"not": True} if rule.negated else leaf
