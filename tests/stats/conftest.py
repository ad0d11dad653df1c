"""Fixtures of the numbers' tests: a campaign that was sent to ten people, with hits counted by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from mailhub.events.service import Event, append_in
from mailhub.models import Campaign, CampaignCount, Link, Project, User
from tests.build import Builder

NOW = datetime.now(UTC)


@dataclass
class Cast:
    """alice owns the project, ann only looks at numbers, charlie has another project."""

    alice: User
    ann: User
    charlie: User
    project: Project
    campaign: Campaign
    links: list[Link]


@pytest.fixture
def cast(build: Builder, dbsession: Session) -> Cast:
    alice, ann, charlie = build.user(), build.user(), build.user()
    project = build.project(alice, time_zone="Europe/Moscow")
    build.member(project, ann, "analyst")
    build.project(charlie)
    started = NOW - timedelta(days=1)
    times = {"started_at": started, "finished_at": NOW}
    campaign = build.campaign(project, name="Spring <sale>", state="sent", version=1, **times)
    build._add(CampaignCount(project_id=project.id, campaign_id=campaign.id, audience=12, sent=10, failed=1, skipped=1))
    links = [
        build._add(Link(project_id=project.id, campaign_id=campaign.id, position=n, url=f"https://shop.test/{n}"))
        for n in range(2)
    ]

    def happen(type_: str, person: int, link: Link | None = None, minutes: int = 0) -> Event:
        return Event(
            type_, project.id, "campaign", started + timedelta(minutes=minutes), campaign_id=campaign.id,
            subscriber_id=person, email_domain="a.test" if person < 6 else "b.test",
            link_id=link.id if link else None,
        )  # fmt: skip

    append_in(dbsession, [
        *(happen("SENT", person) for person in range(10)),
        *(happen("OPENED", person, minutes=3) for person in (1, 1, 1, 2, 7)),
        happen("REDIRECTED", 1, links[1]), happen("REDIRECTED", 1, links[1]), happen("REDIRECTED", 7, links[0]),
        happen("HARDBOUNCED", 11), happen("UNSUBSCRIBED", 2),
    ])  # fmt: skip
    dbsession.commit()
    return Cast(alice, ann, charlie, project, campaign, links)


@pytest.fixture
def statements(app: Any) -> Callable[[], AbstractContextManager[list[str]]]:
    """`with statements() as seen:` collects what the site asks the database."""

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
