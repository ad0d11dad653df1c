"""The feed tells every event once and in one order, however transactions end; a restore does not confuse it."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from mailhub.events.service import Event, append_in
from mailhub.reporting import feed
from mailhub.reporting.named import SQL

NOW = datetime.now(UTC)


def store(session: Any, project_id: int, *numbers: int, type_: str = "SENT") -> None:
    append_in(session, [Event(type_, project_id, "service", NOW, code=number) for number in numbers])


def told(live: Any, project_id: int, after: tuple[int, int] = feed.BEGINNING) -> list[int | None]:
    with live.registry.session_factory() as session:
        return [event.code for event in feed.events_after(session, project_id, after)]


def test_what_committed_waits_for_what_began_before_it(live: Any) -> None:
    project = live.build.project().id
    make = live.registry.session_factory
    with make() as slow, make() as quick:
        store(slow, project, 1)
        store(quick, project, 2)
        quick.commit()
        assert told(live, project) == []
        slow.commit()
    assert told(live, project) == [1, 2]


def test_what_was_taken_back_is_not_told(live: Any) -> None:
    project = live.build.project().id
    with live.registry.session_factory() as session:
        store(session, project, 1)
        session.rollback()
        store(session, project, 2)
        session.commit()
    assert told(live, project) == [2]


def test_pages_go_on_where_the_last_one_ended(live: Any) -> None:
    project, other = live.build.project().id, live.build.project().id
    for numbers in ((1, 2, 3), (4,), (5, 6)):
        store(live.session, project, *numbers)
        store(live.session, other, 99)
        live.session.commit()
    place, found = feed.BEGINNING, []
    with live.registry.session_factory() as session:
        while page := feed.events_after(session, project, place, most=2):
            found.append([event.code for event in page])
            place = page[-1].place
    assert found == [[1, 2], [3, 4], [5, 6]]


def test_a_reader_sees_every_event_once_while_many_write(live: Any) -> None:
    """Transactions of different length overlap and commit out of order; some are rolled back."""
    project_id = live.build.project().id
    make = live.registry.session_factory
    failures: list[BaseException] = []

    def write(first: int) -> None:
        dice = random.Random(first)
        try:
            for turn in range(25):
                with make() as session:
                    store(session, project_id, first + turn)
                    session.execute(text("SELECT pg_sleep(:s)"), {"s": dice.random() / 60})
                    if dice.random() < 0.2:
                        session.rollback()
                        store(session, project_id, first + turn)
                    session.commit()
        except BaseException as failure:
            failures.append(failure)

    writers = [threading.Thread(target=write, args=(first,)) for first in (1000, 2000, 3000, 4000)]
    for writer in writers:
        writer.start()
    seen: list[feed.FeedEvent] = []

    def read() -> int:
        with make() as session:
            new = feed.events_after(session, project_id, seen[-1].place if seen else feed.BEGINNING, most=7)
        seen.extend(new)
        return len(new)

    while any(writer.is_alive() for writer in writers):
        read()
    while read():
        pass
    assert failures == []
    assert sorted(event.code for event in seen) == sorted(  # type: ignore[type-var]
        first + turn for first in (1000, 2000, 3000, 4000) for turn in range(25)
    )
    assert [event.place for event in seen] == sorted(event.place for event in seen)
    with make() as session:
        assert feed.events_after(session, project_id, most=500) == seen


def test_the_feed_is_read_in_the_order_of_the_key(live: Any) -> None:
    project_id = live.build.project().id
    binds = {"project_id": project_id, "position": 5, "id": 5, "most": 100}
    with live.engine.connect() as connection:
        connection.execute(text("SET enable_seqscan = off"))
        connection.execute(text("SET enable_bitmapscan = off"))
        plan = "\n".join(connection.execute(text("EXPLAIN " + SQL["events_after"].sql), binds).scalars())
    assert "Sort Key: message_event" in plan
    assert "Merge Append" in plan
    assert "Filter:" not in plan, plan
    assert "-> Sort" not in plan.replace("  ", "")


def test_a_restore_into_a_younger_cluster_is_noticed_and_mended(live: Any) -> None:
    project_id = live.build.project().id
    store(live.session, project_id, 1)
    live.session.commit()
    assert feed.positions(live.engine).behind == 0
    assert feed.lift_positions(live.engine) == 0
    ahead = 10_000_000
    with live.engine.begin() as connection:
        connection.execute(text("UPDATE message_event SET position = position + :ahead"), {"ahead": ahead})
    behind = feed.positions(live.engine).behind
    assert ahead - 1_000 < behind <= ahead
    assert told(live, project_id) == []
    assert feed.lift_positions(live.engine) >= behind - 1_000
    assert feed.lift_positions(live.engine) == 0
    store(live.session, project_id, 2)
    live.session.commit()
    assert told(live, project_id) == [1, 2]


@pytest.mark.parametrize("where", ["link", "feed_cursor", "hit"])
def test_positions_are_found_wherever_they_are_stored(live: Any, where: str) -> None:
    project = live.build.project()
    statements = {
        "link": "INSERT INTO link (project_id, url, feed_position) VALUES (:project_id, 'https://x.test', 10000000)",
        "feed_cursor": "INSERT INTO feed_cursor (name, position) SELECT 'x', 10000000 WHERE :project_id > 0",
        "hit": "INSERT INTO message_event (project_id, at, type, kind, position)"
        " VALUES (:project_id + 1, now(), 'OPENED', 'test', 10000000)",
    }
    with live.engine.begin() as connection:
        connection.execute(text(statements[where]), {"project_id": project.id})
    assert feed.positions(live.engine).stored == 10_000_000
    feed.lift_positions(live.engine)
    assert feed.positions(live.engine).next > 10_000_000


def test_events_of_a_retention_drop_are_passed_over(live: Any) -> None:
    project_id = live.build.project().id
    old = NOW - timedelta(days=3)
    append_in(live.session, [Event("SENT", project_id, "service", old, code=1)])
    live.session.commit()
    place = (0, 0)
    with live.engine.begin() as connection:
        connection.execute(text("DELETE FROM message_event"))
    store(live.session, project_id, 2)
    live.session.commit()
    assert told(live, project_id, place) == [2]
