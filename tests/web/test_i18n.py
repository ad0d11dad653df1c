"""mailhub.web.i18n, and the catalogues: complete, right and compiled."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from babel.messages import Catalog
from pyramid.request import Request
from sqlalchemy.exc import OperationalError

from mailhub.web.i18n import LANGUAGES, _, negotiate, translate, use_language
from tests.web.rendering import asking, render

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """tools/i18n.py, which is no package."""
    spec = importlib.util.spec_from_file_location("i18n_tool", ROOT / "tools" / "i18n.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["i18n_tool"] = module
    spec.loader.exec_module(module)
    return module


def asked(header: str = "", query: str = "", user: Any = None) -> str:
    request = Request.blank("/" + query, headers={"Accept-Language": header} if header else {})
    request.__dict__["user"] = user
    return negotiate(request)


@pytest.mark.parametrize(
    ("header", "language"),
    [("ru-RU,ru;q=0.9,en;q=0.8", "ru"), ("en-GB,en;q=0.9,ru;q=0.5", "en"), ("de", "en"), ("", "en"), ("*", "en")],
)
def test_a_stranger_is_spoken_to_as_the_browser_asks(header: str, language: str) -> None:
    assert asked(header) == language


def test_the_persons_setting_wins_and_a_stranger_may_choose_in_the_url() -> None:
    assert asked("ru", user=SimpleNamespace(language="en")) == "en"
    assert asked("en", "?lang=ru") == "ru"
    assert asked("en", "?lang=xx") == "en"


def test_a_broken_database_does_not_take_the_language_away() -> None:
    class Broken(Request):
        @property
        def user(self) -> Any:
            raise OperationalError("SELECT 1", {}, Exception("gone"))

    assert negotiate(Broken.blank("/", headers={"Accept-Language": "ru"})) == "ru"


def test_a_public_page_speaks_the_lists_language() -> None:
    with asking(language="en") as request:
        assert request.locale_name == "en"
        assert render(request, "{{ 1000|number }}") == "1,000"
        use_language(request, "ru")
        assert render(request, "{{ 1000|number }}") == "1\u00a0000"
        use_language(request, "tlh")
        assert request.locale_name == "en"


def test_a_text_from_python_is_filled() -> None:
    with asking() as request:
        assert translate(request, _("At most ${n} are possible."), n=5) == "At most 5 are possible."


@pytest.mark.parametrize("count", [1, 2, 5, 11, 21, 111])
def test_russian_has_three_plurals(tool: ModuleType, count: int) -> None:
    catalog = tool.load("ru")
    expected = {1: 0, 21: 0, 2: 1, 5: 2, 11: 2, 111: 2}
    rule = catalog.plural_expr.replace("&&", " and ").replace("||", " or ")
    assert catalog.num_plurals == 3
    assert _plural(rule, count) == expected[count]


def _plural(rule: str, n: int) -> int:
    import gettext

    return gettext.c2py(rule.replace(" and ", "&&").replace(" or ", "||"))(n)


def test_what_is_wrong_with_a_translation_is_found(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    template = Catalog()
    for message in ("Hi %(name)s", "Bye ${name}", "New", ("%(num)s letter", "%(num)s letters")):
        template.add(message)
    broken = Catalog(locale="ru")
    broken.add("Hi %(name)s", "Привет %(nom)s")
    broken.add("Bye ${name}", "Пока", flags=["fuzzy"])
    broken.add(("%(num)s letter", "%(num)s letters"), ("%(num)s письмо", "", ""))
    broken.add("Gone", "Ушло")
    monkeypatch.setattr(tool, "load", lambda language: broken)
    found = "\n".join(tool.faults("ru", template))
    for part in (
        "placeholders of 'Hi",
        "fuzzy: 'Bye",
        "not in the catalogue: 'New'",
        "not translated: '%(num)s",
        "'Gone'",
    ):
        assert part in found, part


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - {"en"}))
def test_catalogues_are_complete(tool: ModuleType, language: str) -> None:
    assert list(tool.faults(language, tool.extract())) == []
