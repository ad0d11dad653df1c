"""The builder's form: a draft of a tree in flat fields, which may be half filled in, to and from the JSON document.

Rule 0 has the fields `r0-field`, `r0-op`, `r0-value` …; rule 1 of group 2 has `r2-r1-field` …. The order is that of the
numbers; every answer numbers them anew.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as made
from typing import Any

from mailhub.segments.catalog import Catalog
from mailhub.segments.vocabulary import MAX_NODES, OPERATORS, Kind, Takes

_NAME = re.compile(r"r(\d{1,3})-(?:r(\d{1,3})-)?([a-z]+2?)")
_MANY = frozenset({"values", "campaigns"})
SCOPES = ("any", "campaigns", "last", "link")


@dataclass
class DraftLeaf:
    """A rule as it stands in the form: texts as they were typed."""

    field: str = "email"
    op: str = ""
    value: str = ""
    value2: str = ""
    values: list[str] = made(default_factory=list)
    days: str = ""
    scope: str = "any"
    campaigns: list[str] = made(default_factory=list)
    last: str = "3"
    link: str = ""
    negated: bool = False


@dataclass
class DraftGroup:
    """A group as it stands in the form."""

    match: str = "any"
    rules: list[DraftLeaf] = made(default_factory=list)
    negated: bool = False


@dataclass
class Draft:
    """The whole form."""

    match: str = "all"
    rules: list[DraftLeaf | DraftGroup] = made(default_factory=list)

    @property
    def size(self) -> int:
        """Nodes, as the tree counts them."""
        return sum(1 + (len(one.rules) if isinstance(one, DraftGroup) else 0) for one in self.rules)


def read(fields: Sequence[tuple[str, str]]) -> Draft:
    """The draft that a form holds; what is no field of ours is passed over."""
    draft = Draft()
    given: dict[tuple[int, int | None], dict[str, Any]] = {}
    for name, value in fields:
        if name == "match":
            draft.match = value if value in ("all", "any") else "all"
        found = _NAME.fullmatch(name)
        if found is None:
            continue
        place = int(found[1]), int(found[2]) if found[2] is not None else None
        node = given.setdefault(place, {})
        if found[3] in _MANY:
            node.setdefault(found[3], []).append(value)
        else:
            node[found[3]] = value
    groups: dict[int, DraftGroup] = {}
    for place in sorted(given, key=lambda one: (one[0], -1 if one[1] is None else one[1]))[: 2 * MAX_NODES]:
        node, (outer, inner) = given[place], place
        if inner is not None:
            if outer in groups:
                groups[outer].rules.append(_leaf(node))
        elif node.get("kind") == "group":
            match = node.get("match")
            groups[outer] = DraftGroup(match if match in ("all", "any") else "any", [], node.get("not") == "1")
            draft.rules.append(groups[outer])
        else:
            draft.rules.append(_leaf(node))
    return draft


def _leaf(node: Mapping[str, Any]) -> DraftLeaf:
    return DraftLeaf(
        node.get("field", "email"), node.get("op", ""), node.get("value", ""), node.get("value2", ""),
        node.get("values", []), node.get("days", ""), node.get("scope", "any"), node.get("campaigns", []),
        node.get("last", ""), node.get("link", ""), node.get("not") == "1",
    )  # fmt: skip


def act(draft: Draft, deed: str) -> str:
    """Do what a button says: `add`, `group`, `add-r1`, `remove-r0`, `remove-r1-r0`; anything else changes nothing.

    Gives the id of the input at which whoever works with the keyboard goes on: the new rule, or what stands where one
    was removed. Empty: where they are.
    """
    name, _dash, place = deed.partition("-")
    numbers = [int(part[1:]) for part in place.split("-") if re.fullmatch(r"r\d{1,3}", part)]
    if name == "remove":
        return _remove(draft, numbers)
    if draft.size >= MAX_NODES:
        return ""
    if name == "add" and not numbers:
        draft.rules.append(DraftLeaf())
        return f"f-r{len(draft.rules) - 1}-field"
    if name == "add" and numbers[0] < len(draft.rules):
        group = draft.rules[numbers[0]]
        if isinstance(group, DraftGroup):
            group.rules.append(DraftLeaf())
            return f"f-r{numbers[0]}-r{len(group.rules) - 1}-field"
    if name == "group":
        draft.rules.append(DraftGroup(rules=[DraftLeaf(), DraftLeaf()]))
        return f"f-r{len(draft.rules) - 1}-r0-field"
    return ""


def _remove(draft: Draft, numbers: list[int]) -> str:
    if not numbers or numbers[0] >= len(draft.rules):
        return ""
    group = draft.rules[numbers[0]]
    if len(numbers) == 2 and isinstance(group, DraftGroup) and numbers[1] < len(group.rules):
        del group.rules[numbers[1]]
        if group.rules:
            return f"f-r{numbers[0]}-r{min(numbers[1], len(group.rules) - 1)}-field"
        numbers = numbers[:1]
    if len(numbers) == 1:
        del draft.rules[numbers[0]]
    if not draft.rules:
        return "add-rule"
    place = min(numbers[0], len(draft.rules) - 1)
    return f"f-r{place}-{'match' if isinstance(draft.rules[place], DraftGroup) else 'field'}"


def settle(draft: Draft, catalog: Catalog) -> None:
    """Give every rule a field that there is and an operator that its field knows."""
    for rule in draft.rules:
        for leaf in rule.rules if isinstance(rule, DraftGroup) else [rule]:
            kind = catalog.kind_of(leaf.field)
            if kind is not None and leaf.op not in OPERATORS[kind]:
                leaf.op = next(iter(OPERATORS[kind]))
            if leaf.scope not in SCOPES or (leaf.scope == "link" and leaf.field != "clicked"):
                leaf.scope = "any"


def definition(draft: Draft, catalog: Catalog) -> dict[str, Any]:
    """The JSON document of the draft. What was typed wrong goes in as it is, so that the parser says so."""
    rules: list[dict[str, Any]] = []
    for rule in draft.rules:
        if isinstance(rule, DraftGroup):
            group: dict[str, Any] = {"match": rule.match, "rules": [_document(one, catalog) for one in rule.rules]}
            rules.append(group | {"not": True} if rule.negated else group)
        else:
            rules.append(_document(rule, catalog))
    return {"match": draft.match, "rules": rules}


def _document(leaf: DraftLeaf, catalog: Catalog) -> dict[str, Any]:
    found: dict[str, Any] = {"field": leaf.field, "op": leaf.op}
    kind = catalog.kind_of(leaf.field)
    takes = OPERATORS[kind].get(leaf.op, Takes.NOTHING) if kind is not None else Takes.NOTHING
    value = _value(leaf, takes)
    if value is not None:
        found["value"] = value
    if kind == Kind.ACTIVITY:
        if leaf.scope == "campaigns":
            found["campaigns"] = leaf.campaigns
        elif leaf.scope == "last":
            found["last"] = _whole(leaf.last)
        elif leaf.scope == "link":
            found["link"] = leaf.link
    if leaf.days.strip() and ((kind == Kind.ACTIVITY and leaf.scope != "last") or leaf.op == "subscribed"):
        found["days"] = _whole(leaf.days)
    return found | {"not": True} if leaf.negated else found


def _value(leaf: DraftLeaf, takes: Takes) -> Any:
    match takes:
        case Takes.NOTHING:
            return None
        case Takes.TEXT | Takes.DATE:
            return leaf.value
        case Takes.DATES:
            return [leaf.value, leaf.value2]
        case Takes.NUMBER:
            return _number(leaf.value)
        case Takes.NUMBERS:
            return [_number(leaf.value), _number(leaf.value2)]
        case Takes.DAYS:
            return _whole(leaf.value)
        case Takes.YES_NO:
            return leaf.value != "no"
        case Takes.CHOICES | Takes.IDS:
            return leaf.values


def _whole(text: str) -> Any:
    text = text.strip()
    return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else text


def _number(text: str) -> Any:
    """A number as people type it, with a comma too; else the text itself."""
    plain = re.sub(r"[\s\u00a0\u202f]", "", text).replace(",", ".").replace("\u2212", "-")
    if not re.fullmatch(r"-?[0-9]{1,20}(\.[0-9]{1,20})?", plain):
        return text
    return float(plain) if "." in plain else int(plain)


def draft_of(document: Mapping[str, Any]) -> Draft:
    """The form of a saved document."""
    rules: list[DraftLeaf | DraftGroup] = []
    for rule in document["rules"]:
        if "rules" in rule:
            rules.append(DraftGroup(rule["match"], [_draft_leaf(one) for one in rule["rules"]], bool(rule.get("not"))))
        else:
            rules.append(_draft_leaf(rule))
    return Draft(document["match"], rules)


def _draft_leaf(rule: Mapping[str, Any]) -> DraftLeaf:
    leaf = DraftLeaf(rule["field"], rule["op"], negated=bool(rule.get("not")))
    value = rule.get("value")
    pair = isinstance(value, list) and rule["op"] == "between"
    if isinstance(value, list) and pair:
        leaf.value, leaf.value2 = (str(one) for one in value)
    elif isinstance(value, list):
        leaf.values = [str(one) for one in value]
    elif isinstance(value, bool):
        leaf.value = "yes" if value else "no"
    elif value is not None:
        leaf.value = str(value)
    leaf.days = str(rule.get("days", ""))
    for scope in ("campaigns", "last", "link"):
        if scope in rule:
            leaf.scope = scope
    leaf.campaigns = [str(one) for one in rule.get("campaigns", [])]
    leaf.last = str(rule.get("last", "3"))
    leaf.link = str(rule.get("link", ""))
    return leaf


def form_errors(errors: Mapping[str, Any], draft: Draft) -> dict[str, Any]:
    """Faults by path as faults by the form's fields."""
    found: dict[str, Any] = {}
    for path, message in errors.items():
        parts = path.split(".")
        name = "-".join(f"r{part}" if part.isdigit() else part for part in parts if part != "rules")
        # A pair is two inputs, many choices have a name of their own.
        found.setdefault(_input(name, draft), message)
    return found


def _input(name: str, draft: Draft) -> str:
    match = _NAME.fullmatch(re.sub(r"-r\d+$", "", name))
    if match is None:
        return ""
    prefix, last = name[: match.start(3)], match[3]
    if last == "value":
        outer = draft.rules[int(match[1])]
        leaf = outer.rules[int(match[2])] if isinstance(outer, DraftGroup) and match[2] is not None else outer
        takes = Takes.TEXT
        if isinstance(leaf, DraftLeaf):
            takes = next((known[leaf.op] for known in OPERATORS.values() if leaf.op in known), Takes.TEXT)
        last = "values" if takes in (Takes.CHOICES, Takes.IDS) else "value"
    return prefix + last
