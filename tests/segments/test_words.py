"""Sentences about segments, in English and Russian; each leaf has its words."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pyramid.i18n import Localizer, make_localizer

from mailhub.segments.tree import parse
from mailhub.segments.vocabulary import BAND_NAMES, FIELD_NAMES, FIXED, OPERATORS, Band, operator_name
from mailhub.segments.words import in_words
from tests.house import PACKAGE
from tests.segments.test_tree import CATALOG

CASES: list[tuple[dict[str, Any], str, str]] = [
    ({"field": "email", "op": "ends", "value": "@x.test"}, "the address ends with “@x.test”",
     "адрес заканчивается на «@x.test»"),
    ({"field": "fields.city", "op": "is", "value": "${field}"}, "“City” is “${field}”", "«City» — «${field}»"),
    ({"field": "fields.age", "op": "between", "value": [18, 1000]}, "“Age” is between 18 and 1,000",
     "«Age» — между 18 и 1 000"),
    ({"field": "fields.born", "op": "anniversary", "value": 1}, "the anniversary of “Born” is within 1 day",
     "«Born» — годовщина в ближайший 1 день"),
    ({"field": "fields.born", "op": "before", "value": "2000-01-02"}, "“Born” is before January 2, 2000",
     "«Born» — раньше 2 января 2000 г."),
    ({"field": "fields.vip", "op": "is", "value": True, "not": True}, "not so: “VIP” is yes",
     "неверно, что «VIP» — да"),
    ({"field": "status", "op": "any", "value": ["active", "bounced"]}, "the status is one of “Active”, “Mail bounces”",
     "статус — любое из: «Активен», «Почта возвращается»"),
    ({"field": "list", "op": "subscribed", "value": ["1"], "days": 21},
     "subscribed to the list “News”, for 21 days at most", "действует подписка на список «News» не дольше 21 дня"),
    ({"field": "tag", "op": "none", "value": ["3"]}, "does not have the tag “vip”", "нет метки «vip»"),
    ({"field": "opened", "op": "did", "days": 2}, "opened a letter (any campaign) in the last 2 days",
     "письмо открыто (любая кампания) за последние 2 дня"),
    ({"field": "clicked", "op": "did_not", "last": 5}, "did not click a link (any of the last 5 campaigns)",
     "не было перехода по ссылке (любая из 5 последних кампаний)"),
    ({"field": "clicked", "op": "did", "link": "9"}, "clicked a link (the link “https://x.test”)",
     "был переход по ссылке (ссылка «https://x.test»)"),
    ({"field": "sent", "op": "did", "campaigns": ["5"]}, "was sent a letter (the campaign “Spring”)",
     "письмо отправлено (кампания «Spring»)"),
    ({"field": "engagement", "op": "any", "value": ["asleep"]}, "the engagement is “Asleep”",
     "вовлечённость — «Спящие»"),
    ({"field": "suppressed", "op": "is", "value": False}, "the address is not on the stop list",
     "адрес не в стоп-листе"),
]  # fmt: skip


@pytest.fixture(scope="module")
def russian() -> Localizer:
    return make_localizer("ru", [str(PACKAGE / "locale")])


@pytest.mark.parametrize(("rule", "english", "in_russian"), CASES)
def test_a_rule_is_said(rule: dict[str, Any], english: str, in_russian: str, russian: Localizer) -> None:
    tree = parse({"match": "all", "rules": [rule]}, CATALOG)
    assert in_words(tree, CATALOG) == f"People for whom this holds: {english}."
    said = re.sub(r"\s", " ", in_words(tree, CATALOG, russian))
    assert said == f"Люди, для которых верно следующее: {in_russian}."


def test_groups_and_joints_are_said(russian: Localizer) -> None:
    name, city = {"field": "name", "op": "not_empty"}, {"field": "fields.city", "op": "empty"}
    group = {"match": "any", "rules": [name, city], "not": True}
    tree = parse({"match": "any", "rules": [name, group]}, CATALOG)
    assert in_words(tree, CATALOG) == (
        "People for whom any of this holds: the name is filled in; not so:"
        " (the name is filled in or “City” is empty)."
    )
    assert "неверно, что (имя — заполнено или «City» — не заполнено)" in in_words(tree, CATALOG, russian)


def test_every_operator_and_band_has_a_name() -> None:
    assert all(operator_name(kind, op) for kind, known in OPERATORS.items() for op in known)
    assert set(BAND_NAMES) == set(Band)
    assert set(FIELD_NAMES) == set(FIXED)
