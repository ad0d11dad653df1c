"""`pytest --needs-postgres` runs only what touches SQL: CI does it a second time, on PostgreSQL 15.

That is every test that uses the fixture `server` of tests/conftest.py, through whatever other fixture, and is no whole
story: browsers, fire drills and walks through all pages say the same thing on each PostgreSQL, and take long.
"""

from __future__ import annotations

import pytest

_STORIES = ("tests/browser/", "tests/faults/", "tests/flows/")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--needs-postgres", action="store_true", help="only the tests that use the shared PostgreSQL")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("needs_postgres"):
        return
    chosen = [item for item in items if _uses_the_server(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
    items[:] = chosen


def _uses_the_server(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function) or item.nodeid.startswith(_STORIES):
        return False
    found = item._fixtureinfo.name2fixturedefs.get("server")
    # A module can have a fixture of the same name; the shared one stands in tests/conftest.py.
    return found is not None and found[-1].func.__module__ in ("tests.conftest", "conftest")
