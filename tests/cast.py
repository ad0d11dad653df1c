"""The cast of rooms' tests: alice owns the project, bob works in it, ann only analyses, charlie is a stranger.

A room's conftest.py imports the fixtures that it wants.
"""

from __future__ import annotations

from typing import Any

import pytest

from mailhub.models import Role


class Cast:
    def __init__(self, build: Any, client: Any) -> None:
        with build.at_once():
            self.alice, self.bob, self.ann, self.charlie = build.users(4)
            self.project, self.other = build.projects(2)
            build.members(
                (self.project, self.alice, Role.OWNER),
                (self.project, self.bob, Role.MARKETER),
                (self.project, self.ann, Role.ANALYST),
                (self.other, self.charlie, Role.OWNER),
            )
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
