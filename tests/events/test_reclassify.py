"""The rules over the past: numbers change by the differences, a stopped run goes on, a second one changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from sqlalchemy import text

from mailhub.db import Lock, try_lock
from mailhub.events.marking import Mark, mark_in
from mailhub.events.reclassify import ReclassifierBusy, reclassify
from mailhub.reporting.verify import verify
from tests.events.posts import APPLE, GATEWAY, Post

EVER = datetime(2000, 1, 1, tzinfo=UTC)


def misjudge(post: Post, actor: str = "human") -> None:
    """As if older rules had said so of everything."""
    with post.live.registry.session_factory() as session:
        keys = session.execute(text("SELECT project_id, position, id, at FROM message_event WHERE actor <> ''")).all()
        mark_in(session, [Mark(*key, actor, "old rule") for key in keys])
        session.commit()


def numbers(post: Post) -> tuple[Any, ...]:
    return post.rows("SELECT opened, machine_opened, redirected, machine_redirected FROM campaign_stats")[0]


def test_better_rules_change_numbers_by_the_differences(post: Post) -> None:
    post.store(post.sent(1, 5000), post.opened(1, 300, user_agent=APPLE), post.opened(1, 250))
    post.store(*(post.clicked(1, 400 - n * 0.3, n, ip=GATEWAY) for n in range(3)), post.clicked(2, 300, ip=GATEWAY))
    post.step()
    right = post.causes()
    assert numbers(post) == (2, 1, 4, 4)
    misjudge(post)
    assert numbers(post) == (2, 0, 4, 0)
    [done] = reclassify(post.live.registry, since=EVER)
    assert (done.seen, done.changed) == (6, {("human", "machine_open"): 1, ("human", "scanner"): 4})
    assert post.causes() == right
    assert numbers(post) == (2, 1, 4, 4)
    [done] = reclassify(post.live.registry, since=EVER)
    assert (done.seen, done.changed.total()) == (6, 0)


def test_a_stopped_run_goes_on_where_it_was(post: Post) -> None:
    post.store(*(post.opened(person, 300 - person, user_agent=APPLE) for person in range(1, 8)))
    post.step()
    misjudge(post)
    first = list(islice(reclassify(post.live.registry, since=EVER, size=2), 2))
    assert numbers(post)[1] == 4
    rest = list(reclassify(post.live.registry, since=EVER, size=2))
    assert ([one.seen for one in first], [one.seen for one in rest]) == ([2, 2], [2, 1])
    assert numbers(post)[1] == 7
    assert post.rows("SELECT name FROM feed_cursor") == [("classifier",)]


def test_only_the_project_and_the_time_that_were_asked_for(post: Post) -> None:
    stranger = Post(post.live)
    post.store(post.opened(1, 90_000, user_agent=APPLE), post.opened(1, 100, user_agent=APPLE))
    post.store(stranger.opened(1, 100, user_agent=APPLE))
    post.step()
    misjudge(post)
    [done] = reclassify(post.live.registry, since=post.now - timedelta(hours=1), project_id=post.ids[0])
    assert done.seen == 1
    assert post.causes() == ["human old rule", "machine_open apple_privacy", "human old rule"]


def test_hits_that_the_classifier_has_not_reached_are_left_to_it(post: Post) -> None:
    assert list(reclassify(post.live.registry, since=EVER)) == []
    post.store(post.opened(1, 100), post.opened(1, 5))
    post.step()
    [done] = reclassify(post.live.registry, since=EVER)
    assert done.seen == 1


def test_the_past_leaves_no_trace_for_today(post: Post) -> None:
    post.store(*(post.clicked(1, 4000 - n * 0.3, n, ip=GATEWAY) for n in range(3)), post.clicked(2, 3900, ip=GATEWAY))
    post.step()
    before = post.rows("SELECT reader, since_at, until_at, caught_at FROM hit_taint")
    misjudge(post)
    list(reclassify(post.live.registry, since=EVER))
    assert post.causes()[3] == "scanner taint"
    assert post.rows("SELECT reader, since_at, until_at, caught_at FROM hit_taint") == before


def test_two_runs_at_once_are_refused(post: Post) -> None:
    with post.live.registry.session_factory() as session:
        assert try_lock(session, Lock.RECLASSIFIER)
        with pytest.raises(ReclassifierBusy):
            list(reclassify(post.live.registry, since=EVER))
    assert verify(post.live.engine) == []
