"""The builder's form holds every tree, and gives it back unchanged."""

from __future__ import annotations

import random
from typing import Any

import pytest

from mailhub.segments import builder
from mailhub.segments.catalog import Catalog, CustomField, KnownLink
from mailhub.segments.tree import SegmentRefused, parse
from mailhub.segments.vocabulary import Kind
from tests.segments import crowd, trees

GATHERED = crowd.Crowd(7, [], [1, 2, 3], [4, 5, 6], dict.fromkeys((11, 12, 13, 14), crowd.NOW), {21: 11, 22: 12})
CATALOG = Catalog(
    7, "UTC", {name: CustomField(Kind(type_), name, tuple(crowd.SIZES)) for name, type_ in crowd.FIELDS.items()},
    {1: "A", 2: "B", 3: "C"}, {4: "x", 5: "y", 6: "z"}, {n: str(n) for n in (11, 12, 13, 14)},
    {21: KnownLink(11, "https://x.test"), 22: KnownLink(12, "https://y.test")},
)  # fmt: skip


def fields_of(draft: builder.Draft) -> list[tuple[str, str]]:
    """What a browser would send of the form."""
    fields = [("match", draft.match)]
    for n, rule in enumerate(draft.rules):
        if isinstance(rule, builder.DraftLeaf):
            fields += _leaf(f"r{n}", rule)
            continue
        fields += [(f"r{n}-kind", "group"), (f"r{n}-match", rule.match)]
        fields += [(f"r{n}-not", "1")] if rule.negated else []
        for m, leaf in enumerate(rule.rules):
            fields += _leaf(f"r{n}-r{m}", leaf)
    return fields


def _leaf(spot: str, leaf: builder.DraftLeaf) -> list[tuple[str, str]]:
    found = [(f"{spot}-kind", "leaf")]
    for name in ("field", "op", "value", "value2", "days", "scope", "last", "link"):
        found.append((f"{spot}-{name}", getattr(leaf, name)))
    found += [(f"{spot}-values", one) for one in leaf.values]
    found += [(f"{spot}-campaigns", one) for one in leaf.campaigns]
    return found + ([(f"{spot}-not", "1")] if leaf.negated else [])


@pytest.mark.parametrize("seed", range(40))
def test_a_tree_goes_through_the_form_unchanged(seed: int) -> None:
    document = parse(trees.tree(random.Random(seed), GATHERED), CATALOG).document
    read = builder.read(fields_of(builder.draft_of(document)))
    builder.settle(read, CATALOG)
    assert parse(builder.definition(read, CATALOG), CATALOG).document == document


@pytest.mark.parametrize(
    ("text", "value"), [("1 000,5", 1000.5), ("−3", -3), ("7", 7), ("1e9", "1e9"), ("", ""), ("٣", "٣")]
)
def test_numbers_are_read_as_people_type_them(text: str, value: Any) -> None:
    draft = builder.Draft(rules=[builder.DraftLeaf("fields.age", "is", text)])
    assert builder.definition(draft, CATALOG)["rules"][0]["value"] == value


@pytest.mark.parametrize(
    ("deed", "left", "focus"),
    [("remove-r0", ["group"], "f-r0-match"), ("remove-r1-r0", ["name", "group"], "f-r1-r0-field"),
     ("remove-r1-r1", ["name", "group"], "f-r1-r0-field"), ("remove-r1", ["name"], "f-r0-field"),
     ("remove-r9", ["name", "group"], ""), ("add", ["name", "group", "email"], "f-r2-field"),
     ("add-r1", ["name", "group"], "f-r1-r2-field"), ("group", ["name", "group", "group"], "f-r2-r0-field"),
     ("remove-", ["name", "group"], ""), ("add-r0", ["name", "group"], ""), ("x", ["name", "group"], ""),
     ],
)  # fmt: skip
def test_buttons_change_the_draft_and_say_where_the_keyboard_goes_on(deed: str, left: list[str], focus: str) -> None:
    group = builder.DraftGroup(rules=[builder.DraftLeaf(), builder.DraftLeaf()])
    draft = builder.Draft(rules=[builder.DraftLeaf("name"), group])
    assert builder.act(draft, deed) == focus
    assert [one.field if isinstance(one, builder.DraftLeaf) else "group" for one in draft.rules] == left


def test_hostile_forms_do_no_harm() -> None:
    names = ["r0-field", "r999-r999-value", "r1-r0-op", "r-field", "r0-nonsense", "r0-values", "__class__", "r0-kind"]
    for seed in range(200):
        rnd = random.Random(seed)
        fields = [(rnd.choice(names), rnd.choice([*trees.HOSTILE, "group", "leaf", "tag", "9" * 30])) for _ in range(9)]
        draft = builder.read(fields)
        builder.act(draft, rnd.choice(["remove-r0", "add-r1", "group", "remove-r1-r1", *trees.HOSTILE]))
        builder.settle(draft, CATALOG)
        assert _faults(draft) is None or _faults(draft) or not draft.rules


def _faults(draft: builder.Draft) -> Any:
    try:
        parse(builder.definition(draft, CATALOG), CATALOG)
    except SegmentRefused as refused:
        return builder.form_errors(refused.errors, draft)
    return None
