"""A sent campaign and its hits, for the classifier's tests: with real commits, as a reader of the feed needs them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text

from mailhub.events.classifier import Step, step
from mailhub.events.service import Event, append_in, driver_connection
from mailhub.mail.classify import Places

WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
CHROME = f"{WINDOWS} Chrome/126.0.0.0 Safari/537.36"
EDGE = f"{CHROME} Edg/126.0.0.0"
APPLE = "Mozilla/5.0"
GATEWAY, HOME = "203.0.113.9", "198.51.100.7"


class Post:
    """A sent campaign with eight links on a database of its own, and its hits. Times are seconds before now."""

    def __init__(self, live: Any) -> None:
        self.live = live
        self.now = datetime.now(UTC)
        self.project = live.build.project(time_zone="Europe/Moscow")
        self.campaign = live.build.started_campaign(
            self.project, started_at=self.now - timedelta(hours=2), links=[f"https://x.test/{n}" for n in range(8)]
        )
        self.ids = self.project.id, self.campaign.id
        live.session.commit()

    def event(self, type_: str, person: int | None, ago: float, **columns: Any) -> Event:
        values = {"campaign_id": self.ids[1], "email_domain": "company.test", "ip": HOME, "user_agent": CHROME}
        values |= columns
        kind = "campaign" if values["campaign_id"] else "transactional"
        return Event(type_, self.ids[0], kind, self.now - timedelta(seconds=ago), subscriber_id=person, **values)

    def sent(self, person: int, ago: float, **columns: Any) -> Event:
        return self.event("SENT", person, ago, ip=None, user_agent="", **columns)

    def opened(self, person: int | None, ago: float, **columns: Any) -> Event:
        return self.event("OPENED", person, ago, **columns)

    def clicked(self, person: int | None, ago: float, link: int = 1, **columns: Any) -> Event:
        return self.event("REDIRECTED", person, ago, link_id=link, **columns)

    def store(self, *events: Event) -> None:
        """In one transaction."""
        with self.live.registry.session_factory() as session:
            append_in(session, events)
            session.commit()

    def step(self, **options: Any) -> Step:
        with self.live.registry.session_factory() as session:
            done = step(driver_connection(session), Places(), **options)
            session.commit()
        return done

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.live.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql))]

    def causes(self) -> list[str]:
        """Actor and cause of every hit, in the order of their storing; "-" where nothing is known yet."""
        found = self.rows("SELECT actor, actor_cause FROM message_event WHERE type <> 'SENT' ORDER BY id")
        return [f"{actor} {cause}" if actor else "-" for actor, cause in found]
