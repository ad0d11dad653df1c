"""The benchmark of statistics asks every statement of every page, and makes up the same history each time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from bench import stats
from bench.history import plan, queries, store
from bench.history.subject import Subject

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
SUBJECT = Subject(
    project_id=1, project_ids=(1, 2), slug="books1", since=NOW.date(), until=NOW.date(), ends_at=NOW, campaign_id=1,
    campaign_started_at=NOW, campaign_ids=(1,), list_id=1, subscriber_id=1, message_id=UUID(int=1), last_position=1,
)  # fmt: skip


def test_a_new_statement_of_a_page_is_measured_too() -> None:
    asked, faults = queries.of_pages(SUBJECT)
    assert faults == [], "say in bench/history/queries.py what they are asked"
    assert {"project_days", "campaign_totals", "admin_projects", "subscriber_timeline"} <= {one.name for one in asked}
    kinds = {one.name: one.kind for one in asked}
    assert (kinds["project_days"], kinds["admin_projects"]) == (queries.Kind.PAGE, queries.Kind.REPORT)


def test_the_same_size_is_the_same_history() -> None:
    first = plan.make(200_000, NOW)
    assert first == plan.make(200_000, NOW)
    assert len(first.projects) == plan.PROJECTS
    assert first.letter_count * plan.EVENTS_PER_LETTER == pytest.approx(200_000, rel=0.02)
    assert all(first.since <= one.started_at < NOW for one in first.letters)
    assert NOW - first.since == timedelta(days=plan.DAYS)


def test_people_get_a_campaigns_letter_once() -> None:
    made = plan.make(2_000_000, NOW)
    population = {project.id: project.population for project in made.projects}
    assert all(one.audience <= population[one.project_id] for one in made.letters if one.campaign_id is not None)


def test_a_missed_bound_says_by_how_much() -> None:
    good = {"seed_events": stats.SMALL, "ours_ms": 1.0, "seed_second_over_ours": 100.0, "slowest_page_query_ms": 3.0}
    assert stats.misses(good) == []
    assert stats.misses(good | {"ours_ms": 12.5}) == ["missed: ours_ms is 12.5, 10 at most"]
    assert stats.misses(good | {"seed_second_over_ours": 5.0}) == ["missed: seed_second_over_ours is 5.0, 20 at least"]


def test_a_disk_that_is_too_small_is_said_beforehand(tmp_path: object) -> None:
    with pytest.raises(store.NoRoom, match=r"needs [\d.]+ GB of disk.*choose fewer events"):
        store.make_room(store.Store("", tmp_path), [10**12], 0)  # type: ignore[arg-type]
