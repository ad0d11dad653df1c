"""The cast of rooms' tests: alice owns the project, bob works in it, ann only analyses, charlie is a stranger.

A room's conftest.py imports the fixtures that it wants.
"""

from __future__ import annotations

from typing import Any

import pytest


class Cast:
    def __init__(self, build: Any, client: Any) -> None:
        self.alice = build.user()
        self.bob = build.user()
        self.ann = build.user()
        self.charlie = build.user()
        self.project = build.project(self.alice)
        build.member(self.project, self.bob)
        build.member(self.project, self.ann, "analyst")
        self.other = build.project(self.charlie)
        self.list = build.list(self.project, "News")
        self._client = client
        self.base = f"/projects/{self.project.slug}"

    def as_(self, user: Any) -> Any:
        return self._client.new().sign_in(user)


@pytest.fixture
def cast(build: Any, client: Any) -> Cast:
    return Cast(build, client)


@pytest.fixture
def page(cast: Cast) -> Any:
    """Alice's browser."""
    return cast.as_(cast.alice)


@pytest.fixture
def statements(registry: Any) -> Any:
    """Counts the SQL statements of a block: `with statements() as seen: …; len(seen)`."""
    from contextlib import contextmanager

    from sqlalchemy import event

    @contextmanager
    def counting() -> Any:
        seen: list[str] = []

        def note(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            if not statement.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK")):
                seen.append(statement)

        event.listen(registry.engine, "before_cursor_execute", note)
        try:
            yield seen
        finally:
            event.remove(registry.engine, "before_cursor_execute", note)

    return counting
