"""Fixtures of the campaign tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from tests.build import Builder
from tests.campaigns.arrange import Cast, make_cast


@pytest.fixture
def cast(build: Builder) -> Cast:
    return make_cast(build)


@pytest.fixture
def count_statements(app: Any) -> Callable[[], AbstractContextManager[list[str]]]:
    """`with count_statements() as seen:` collects the SELECT, INSERT, UPDATE, DELETE statements of the site."""

    @contextmanager
    def counting() -> Iterator[list[str]]:
        seen: list[str] = []

        def note(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            if not statement.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK")):
                seen.append(statement)

        event.listen(app.registry.engine, "before_cursor_execute", note)
        try:
            yield seen
        finally:
            event.remove(app.registry.engine, "before_cursor_execute", note)

    return counting
