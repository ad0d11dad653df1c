"""Who made a hit is written down, and machines' numbers move with it in every rollup, forwards and backwards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from mailhub.events.marking import Mark, mark_in
from mailhub.events.service import Event, append_in
from mailhub.models import Campaign, Project

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
#: Every table with machines' numbers.
TABLES = (
    "project_day", "project_provider_day", "campaign_stats", "campaign_day", "campaign_hour", "campaign_domain",
    "campaign_device",
)  # fmt: skip


@pytest.fixture
def project(build: Any) -> Project:
    return build.project(time_zone="Asia/Kolkata")


@pytest.fixture
def campaign(build: Any, project: Project) -> Campaign:
    return build.campaign(project, started_at=NOON - timedelta(minutes=90))


@pytest.fixture
def happen(project: Project, campaign: Campaign) -> Callable[..., Event]:
    def make(type_: str, subscriber_id: int | None = 1, **columns: Any) -> Event:
        values = {"kind": "campaign", "campaign_id": campaign.id, "at": NOON, "email_domain": "gmail.com"} | columns
        return Event(type_, project.id, subscriber_id=subscriber_id, user_agent=PHONE, **values)

    return make


def rows(dbsession: Session, sql: str, **binds: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in dbsession.execute(text(sql), binds)]


def judge(dbsession: Session, actor: str, where: str = "true", cause: str = "a rule") -> int:
    """Mark the events of a condition."""
    keys = rows(dbsession, f"SELECT project_id, position, id, at FROM message_event WHERE {where} ORDER BY id DESC")
    return mark_in(dbsession, [Mark(*key, actor, cause) for key in keys])


def machines(dbsession: Session) -> dict[str, list[tuple[Any, ...]]]:
    return {
        table: rows(dbsession, f"SELECT opened, redirected, machine_opened, machine_redirected FROM {table}")
        for table in TABLES
    }


def test_a_scanners_hits_move_every_rollup_and_moving_back_too(
    dbsession: Session, happen: Callable[..., Event]
) -> None:
    append_in(dbsession, [happen("OPENED"), happen("OPENED"), happen("REDIRECTED", link_id=7), happen("SENT")])
    assert judge(dbsession, "scanner", "type IN ('OPENED', 'REDIRECTED')") == 3
    assert machines(dbsession) == {table: [(2, 1, 2, 1)] for table in TABLES}
    sql = (
        "SELECT unique_opened, unique_redirected, unique_machine_opened, unique_machine_redirected FROM campaign_stats"
    )
    assert rows(dbsession, sql) == [(1, 1, 1, 1)]
    links = (
        "SELECT redirected, machine_redirected, unique_redirected, unique_machine_redirected FROM campaign_link_stats"
    )
    assert rows(dbsession, links) == [(1, 1, 1, 1)]
    assert rows(dbsession, "SELECT opened, machine_opened, redirected, machine_redirected FROM campaign_reaction") == [
        (2, 2, 1, 1)
    ]
    assert rows(dbsession, "SELECT redirected, machine_redirected FROM campaign_link_reaction") == [(1, 1)]
    assert rows(dbsession, "SELECT DISTINCT actor, actor_cause FROM message_event WHERE type <> 'SENT'") == [
        ("scanner", "a rule")
    ]
    assert judge(dbsession, "human", cause="better") == 3
    assert machines(dbsession) == {table: [(2, 1, 0, 0)] for table in TABLES}
    assert rows(dbsession, sql) == [(1, 1, 0, 0)]
    assert rows(dbsession, links) == [(1, 0, 1, 0)]


def test_marking_twice_moves_nothing(dbsession: Session, happen: Callable[..., Event]) -> None:
    append_in(dbsession, [happen("OPENED"), happen("OPENED", 2)])
    assert judge(dbsession, "machine_open") == 2
    before = machines(dbsession)
    assert judge(dbsession, "machine_open") == 0
    assert judge(dbsession, "scanner") == 2
    assert machines(dbsession) == before


def test_people_and_proxies_are_no_machines(dbsession: Session, happen: Callable[..., Event]) -> None:
    append_in(dbsession, [happen("OPENED"), happen("OPENED", 2), happen("OPENED", 3)])
    for number, actor in enumerate(("human", "proxy_open", "unknown"), 1):
        assert judge(dbsession, actor, f"subscriber_id = {number}") == 1
    assert machines(dbsession)["campaign_stats"] == [(3, 0, 0, 0)]


def test_a_person_is_a_machines_only_while_all_their_hits_are(dbsession: Session, happen: Callable[..., Event]) -> None:
    people = (
        "SELECT unique_opened, unique_machine_opened, unique_redirected, unique_machine_redirected FROM campaign_stats"
    )
    append_in(dbsession, [happen("OPENED"), happen("REDIRECTED", link_id=3)])
    judge(dbsession, "scanner")
    assert rows(dbsession, people) == [(1, 1, 1, 1)]
    append_in(dbsession, [happen("OPENED", at=NOON + timedelta(hours=1))])
    assert rows(dbsession, people) == [(1, 0, 1, 1)]
    append_in(dbsession, [happen("REDIRECTED", link_id=3), happen("REDIRECTED", link_id=4)])
    assert rows(dbsession, people) == [(1, 0, 1, 0)]
    links = "SELECT link_id, unique_redirected, unique_machine_redirected FROM campaign_link_stats ORDER BY 1"
    assert rows(dbsession, links) == [(3, 1, 0), (4, 1, 0)]
    judge(dbsession, "scanner", "link_id = 4")
    assert rows(dbsession, links) == [(3, 1, 0), (4, 1, 1)]
    judge(dbsession, "machine_open", "type = 'OPENED'")
    assert rows(dbsession, people) == [(1, 1, 1, 0)]


def test_what_counts_nowhere_is_marked_and_moves_nothing(dbsession: Session, happen: Callable[..., Event]) -> None:
    append_in(dbsession, [
        happen("OPENED", kind="test"), happen("OPENED", kind="service", campaign_id=None),
        happen("OPENED", kind="transactional", campaign_id=None), happen("OPENED", subscriber_id=None),
    ])  # fmt: skip
    assert judge(dbsession, "scanner") == 4
    found = machines(dbsession)
    assert found["project_day"] == found["project_provider_day"] == [(2, 0, 2, 0)]
    assert found["campaign_stats"] == [(1, 0, 1, 0)]
    assert rows(dbsession, "SELECT unique_opened, unique_machine_opened FROM campaign_stats") == [(0, 0)]


def test_a_mark_of_no_hit_is_left_out(dbsession: Session, project: Project, happen: Callable[..., Event]) -> None:
    append_in(dbsession, [happen("SENT")])
    assert judge(dbsession, "scanner") == 0
    assert mark_in(dbsession, [Mark(project.id, 1, 1, NOON, "scanner", "gone")]) == 0
    assert mark_in(dbsession, []) == 0
    with pytest.raises(ValueError, match="robot"):
        judge(dbsession, "robot")


def test_only_the_weeks_of_the_marks_are_read(dbsession: Session) -> None:
    from mailhub.reporting.named import SQL

    now = datetime.now(UTC)
    binds = {
        "project_id": [1],
        "position": [1],
        "id": [1],
        "at": [now],
        "since": now,
        "until": now + timedelta(hours=1),
    }
    for name in ("marked_events", "mark_events"):
        more = {"actor": ["human"], "actor_cause": [""]} if name == "mark_events" else {}
        plan = "\n".join(row[0] for row in dbsession.execute(text("EXPLAIN " + SQL[name].sql), binds | more))
        assert plan.count("message_event_2") >= 1
        scanned = {word.strip('"') for word in plan.split() if word.startswith("message_event_2")}
        assert len({word for word in scanned if word[-8:].isdigit()}) == 1, plan
