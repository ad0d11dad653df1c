"""What is a tree and what is none: each fault is said at its path, and nothing of another project is let in."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailhub.segments.catalog import Catalog, CustomField, KnownLink
from mailhub.segments.tree import SegmentRefused, parse
from mailhub.segments.vocabulary import MAX_NODES, Kind
from tests.segments import crowd, trees

CATALOG = Catalog(
    7, "Europe/Moscow",
    {"city": CustomField(Kind.TEXT, "City"), "age": CustomField(Kind.NUMBER, "Age"),
     "born": CustomField(Kind.DATE, "Born"),
     "vip": CustomField(Kind.BOOLEAN, "VIP"), "size": CustomField(Kind.CHOICE, "Size", ("S", "M"))},
    {1: "News", 2: "Shop"}, {3: "vip"}, {5: "Spring"}, {9: KnownLink(5, "https://x.test")},
)  # fmt: skip
NAME = {"field": "name", "op": "is", "value": "x"}


def faults(*rules: Any, **tree: Any) -> dict[str, str]:
    with pytest.raises(SegmentRefused) as refused:
        parse({"match": "all", "rules": list(rules), **tree}, CATALOG)
    return {path: str(message) for path, message in refused.value.errors.items()}


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ({}, "rules.0.field"),
        ({"field": "name"}, "rules.0.op"),
        (NAME | {"x": 1}, "rules.0.x"),
        (NAME | {"field": "password_hash"}, "rules.0.field"),
        (NAME | {"field": "fields.shoe"}, "rules.0.field"),
        (NAME | {"op": "like"}, "rules.0.op"),
        (NAME | {"op": "greater"}, "rules.0.op"),
        (NAME | {"value": 7}, "rules.0.value"),
        (NAME | {"value": " "}, "rules.0.value"),
        (NAME | {"value": "a\0b"}, "rules.0.value"),
        (NAME | {"value": "\ud800"}, "rules.0.value"),
        (NAME | {"not": "yes"}, "rules.0.not"),
        (NAME | {"days": 7}, "rules.0.days"),
        (NAME | {"campaigns": ["5"]}, "rules.0.campaigns"),
        ({"field": "fields.age", "op": "is", "value": "7"}, "rules.0.value"),
        ({"field": "fields.age", "op": "is", "value": True}, "rules.0.value"),
        ({"field": "fields.age", "op": "is", "value": 1e300}, "rules.0.value"),
        ({"field": "fields.age", "op": "between", "value": [9, 1]}, "rules.0.value"),
        ({"field": "fields.born", "op": "before", "value": "2026-02-30"}, "rules.0.value"),
        ({"field": "fields.born", "op": "last", "value": 0}, "rules.0.value"),
        ({"field": "fields.born", "op": "anniversary", "value": 367}, "rules.0.value"),
        ({"field": "fields.size", "op": "any", "value": ["XXL"]}, "rules.0.value"),
        ({"field": "status", "op": "any", "value": []}, "rules.0.value"),
        ({"field": "added", "op": "empty"}, "rules.0.op"),
        ({"field": "list", "op": "subscribed", "value": ["4"]}, "rules.0.value"),
        ({"field": "list", "op": "subscribed", "value": [{}]}, "rules.0.value"),
        ({"field": "list", "op": "not_in", "value": ["1"], "days": 3}, "rules.0.days"),
        ({"field": "tag", "op": "any", "value": ["1"]}, "rules.0.value"),
        ({"field": "opened", "op": "did", "campaigns": ["6"]}, "rules.0.campaigns"),
        ({"field": "opened", "op": "did", "campaigns": ["5"], "last": 2}, "rules.0.last"),
        ({"field": "opened", "op": "did", "last": 2, "days": 7}, "rules.0.days"),
        ({"field": "opened", "op": "did", "last": 11}, "rules.0.last"),
        ({"field": "opened", "op": "did", "link": "9"}, "rules.0.link"),
        ({"field": "clicked", "op": "did", "link": "10"}, "rules.0.link"),
        ({"field": "suppressed", "op": "is", "value": "true"}, "rules.0.value"),
        ({"match": "all", "rules": []}, "rules.0.rules"),
        ({"match": "some", "rules": [NAME]}, "rules.0.match"),
        ({"match": "all", "rules": [NAME, NAME | {"op": "x"}]}, "rules.0.rules.1.op"),
        ({"match": "all", "rules": [{"match": "all", "rules": [NAME]}]}, "rules.0.rules.0.field"),
        ("name", "rules.0"),
    ],
)  # fmt: skip
def test_a_fault_is_said_at_its_path(rule: Any, path: str) -> None:
    assert path in faults(rule)


def test_the_whole_has_faults_too() -> None:
    assert "rules" in faults()
    assert "match" in faults(NAME, match="none")
    assert "not" in faults(NAME, **{"not": True})
    assert "rules" in faults(*[NAME] * (MAX_NODES + 1))
    group = {"match": "any", "rules": [NAME] * 25}
    assert "rules" in faults(group, group)
    for nothing in (None, [], "x", 1):
        with pytest.raises(SegmentRefused):
            parse(nothing, CATALOG)


def test_several_faults_are_said_at_once() -> None:
    found = faults(NAME | {"value": ""}, {"match": "any", "rules": [NAME | {"op": "x"}, NAME]})
    assert list(found) == ["rules.0.value", "rules.1.rules.0.op"]


def test_a_document_is_kept_in_one_form() -> None:
    tree = parse({"match": "any", "rules": [
        NAME | {"not": False}, {"field": "list", "op": "subscribed", "value": [1, "2"], "days": 7},
        {"match": "all", "not": True, "rules": [{"field": "clicked", "op": "did", "link": 9, "not": True}]},
    ]}, CATALOG)  # fmt: skip
    assert tree.document == {"match": "any", "rules": [
        NAME, {"field": "list", "op": "subscribed", "value": ["1", "2"], "days": 7},
        {"match": "all", "not": True, "rules": [{"field": "clicked", "op": "did", "link": "9", "not": True}]},
    ]}  # fmt: skip
    assert parse(tree.document, CATALOG) == tree


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**30) | st.floats() | st.sampled_from(trees.HOSTILE) | st.text(),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["match", "rules", "field", "op", "value", "days", "campaigns", "last", "link", "not"]), inner
    ),
    max_leaves=12,
)  # fmt: skip


KEYS = ["field", "op", "value", "days", "last", "link", "campaigns", "not"]


@settings(max_examples=40, deadline=None)
@given(JSON)
def test_any_document_is_a_tree_or_is_refused(document: Any) -> None:
    assert _is_tree_or_refused(document)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(),
    st.dictionaries(st.sampled_from(["field", "op", "value", "days", "last", "link", "campaigns", "not"]), JSON),
)
def test_a_rule_that_is_nearly_right_is_a_tree_or_is_refused(seed: int, changes: dict[str, Any]) -> None:
    gathered = crowd.Crowd(7, [], [1, 2, 1], [3, 3, 3], {5: crowd.NOW, 4: crowd.NOW, 6: crowd.NOW}, {9: 5})  # fmt: skip
    rule = trees.leaf(random.Random(seed), gathered) | changes
    assert _is_tree_or_refused({"match": "all", "rules": [rule]})


def _is_tree_or_refused(document: Any) -> bool:
    try:
        return bool(parse(document, CATALOG).rules)
    except SegmentRefused as refused:
        return bool(refused.errors)
