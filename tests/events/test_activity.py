"""People's latest activity follows the events: letters exactly once, hits by people alone, when that is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from mailhub.events import activity
from mailhub.events.reclassify import reclassify
from mailhub.events.service import append_in, driver_connection
from mailhub.events.tasks import follow_activity
from mailhub.lists.merging import merge_people
from mailhub.models import Subscriber
from mailhub.reporting.activity import count_bands
from mailhub.tasks import task_request
from tests.events.posts import APPLE, Post
from tests.events.test_reclassify import EVER, misjudge


@pytest.fixture
def people(post: Post) -> list[int]:
    return [post.live.build.subscriber(post.project).id for _ in range(6)]


def follow(post: Post, most: int = 5_000) -> int:
    """Everything that there is, in slices; gives how many events were looked at."""
    seen = 0
    for turn in range(200):
        with post.live.registry.session_factory() as session:
            step = (
                activity.follow_reactions(session, most=most)
                if turn % 2
                else activity.follow_letters(session, post.project.id, most=most)
            )
            session.commit()
        seen += step.events
        if turn % 2 and not step.events and not waiting(post):
            return seen
    raise AssertionError("it never comes to an end")


def waiting(post: Post) -> list[int]:
    with post.live.registry.session_factory() as session:
        return activity.projects(session)


def rows(post: Post) -> dict[int, tuple[int, float | None, float | None, float | None]]:
    """By person: letters, and how many seconds ago the last one, the last open, the last click were."""
    found = post.rows(
        "SELECT subscriber_id, sent, last_sent_at, last_opened_at, last_redirected_at FROM subscriber_activity"
    )
    return {
        who: (sent, *(None if at is None else round((post.now - at).total_seconds()) for at in moments))
        for who, sent, *moments in found
    }


def test_letters_and_reactions_of_people_are_taken_up_once(post: Post, people: list[int]) -> None:
    one, two, three, *_rest = people
    post.store(post.sent(one, 5000), post.sent(two, 4000), post.opened(one, 900), post.clicked(two, 800))
    post.store(post.sent(one, 300, campaign_id=None), post.opened(three, 700, user_agent=APPLE), post.sent(one, 4500))
    assert waiting(post) == [post.project.id]
    follow(post, most=2)
    # Nobody knows yet who made the hits.
    assert rows(post) == {one: (2, 4500, None, None), two: (1, 4000, None, None)}
    post.step()
    follow(post, most=1)
    assert rows(post) == {one: (2, 4500, 900, None), two: (1, 4000, None, 800)}
    assert follow(post) == 0
    assert waiting(post) == []


def test_a_machine_is_nobody(post: Post, people: list[int]) -> None:
    post.store(post.sent(people[0], 5000), post.opened(people[0], 300, user_agent=APPLE))
    post.step()
    assert post.causes()[0].startswith("machine_open")
    follow(post)
    assert rows(post) == {people[0]: (1, 5000, None, None)}


def test_what_was_not_committed_counts_when_it_is(post: Post, people: list[int]) -> None:
    post.store(post.sent(people[0], 500))
    with post.live.registry.session_factory() as session:
        activity.follow_letters(session, post.project.id)
        session.rollback()
    with post.live.registry.session_factory() as late:
        append_in(late, [post.sent(people[1], 450)])
        # A later transaction is ahead of it; the follower waits behind the horizon.
        post_store = [post.sent(people[2], 400)]
        other = post.live.registry.session_factory()
        other.execute(text("SELECT pg_current_xact_id()"))
        late.commit()
        append_in(other, post_store)
        follow(post)
        other.commit()
        other.close()
    follow(post)
    assert {who: row[0] for who, row in rows(post).items()} == {people[0]: 1, people[1]: 1, people[2]: 1}


def test_two_who_become_one_have_the_activity_of_both(post: Post, people: list[int]) -> None:
    """Wherever the follower is at the merge, and after hits were judged again, and after a rebuild."""
    one, two = people[:2]
    post.store(post.sent(one, 5000), post.sent(two, 4000))
    follow(post)
    post.store(post.sent(two, 3000), post.opened(two, 900), post.clicked(one, 800))
    with post.live.registry.session_factory() as session:
        winner, loser = (session.get_one(Subscriber, (post.project.id, who)) for who in (one, two))
        merge_people(session, winner, loser, name="", fields={})
        session.commit()
    # It was on its way at the merge.
    post.store(post.sent(two, 200))
    follow(post)
    assert rows(post) == {one: (4, 200, None, None)}
    post.step()
    follow(post)
    assert rows(post) == {one: (4, 200, 900, 800)}
    with post.live.registry.session_factory() as session:
        session.execute(text("UPDATE subscriber_activity SET last_opened_at = now()"))
        activity.judged_again(driver_connection(session), {(post.project.id, two)})
        session.commit()
    assert rows(post) == {one: (4, 200, 900, 800)}
    with post.live.registry.session_factory() as session:
        session.execute(text("UPDATE subscriber_activity SET sent = 0, last_opened_at = NULL"))
        activity.rebuild(session, post.project.id)
        session.commit()
    assert rows(post) == {one: (4, 200, 900, 800)}


def test_who_is_deleted_gets_no_row(post: Post, people: list[int]) -> None:
    post.store(post.sent(people[0], 500), post.sent(people[1], 500))
    post.live.session.execute(text("DELETE FROM subscriber WHERE id = :id"), {"id": people[0]})
    post.live.session.commit()
    follow(post)
    assert list(rows(post)) == [people[1]]


def test_the_task_follows_all_projects_and_says_how_fresh_it_is(post: Post, people: list[int]) -> None:
    other = post.live.build.project()
    stranger = post.live.build.subscriber(other).id
    post.store(post.sent(people[0], 500))
    post.store(replace(post.sent(stranger, 400), project_id=other.id, kind="test"))

    def fresh() -> float:
        with post.live.registry.session_factory() as session:
            return (datetime.now(UTC) - activity.as_of(session, post.project.id)).total_seconds()

    assert fresh() == pytest.approx(500, abs=60)
    for _turn in range(2):
        follow_activity(task_request(post.live.registry))
        assert rows(post) == {people[0]: (1, 500, None, None)}
    assert waiting(post) == []
    assert fresh() < 60


def test_hits_that_are_judged_again_move_the_latest_ones(post: Post, people: list[int]) -> None:
    one, two, *_rest = people
    post.store(post.opened(one, 900), post.opened(one, 300, user_agent=APPLE), post.opened(two, 400, user_agent=APPLE))
    post.step()
    misjudge(post)
    follow(post)
    assert rows(post) == {one: (0, None, 300, None), two: (0, None, 400, None)}
    list(reclassify(post.live.registry, since=EVER))
    assert rows(post) == {one: (0, None, 900, None), two: (0, None, None, None)}


def test_a_rebuild_gives_the_same_and_never_forgets_letters(post: Post, people: list[int]) -> None:
    one, two, three, *_rest = people
    post.store(post.sent(one, 5000), post.sent(one, 4000), post.sent(two, 3000), post.opened(one, 900))
    post.store(post.clicked(two, 700), post.opened(three, 650, user_agent=APPLE))
    post.step()
    follow(post)
    right = rows(post)
    with post.live.registry.session_factory() as session:
        session.execute(text("DELETE FROM subscriber_activity WHERE subscriber_id = :id"), {"id": one})
        session.execute(text("UPDATE subscriber_activity SET sent = 40"))
        session.commit()
        assert activity.rebuild(session, post.project.id) == 2
        session.commit()
    assert rows(post) == {one: right[one], two: (40, *right[two][1:])}
    follow(post)
    assert rows(post)[one] == right[one]


@pytest.fixture
def post(live: Any) -> Post:
    return Post(live)


def test_bands_are_counted_by_list_and_for_the_project(post: Post) -> None:
    build, now = post.live.build, post.now
    news = build.list(post.project)
    old = now - timedelta(days=400)
    seen = [(None, 9), (10, 9), (60, 9), (120, 9), (300, 9), (None, 5), (None, 4)]
    for number, (ago, sent) in enumerate(seen):
        person = build.subscriber(
            post.project, lists=[news] if number != 1 else [], created_at=now if number == 0 else old
        )
        at = None if ago is None else now - timedelta(days=ago)
        post.live.session.execute(
            text(
                "INSERT INTO subscriber_activity (project_id, subscriber_id, sent, last_redirected_at)"
                " VALUES (:project, :person, :sent, :at)"
            ),
            {"project": post.project.id, "person": person.id, "sent": sent, "at": at},
        )
    gone = build.subscriber(post.project, lists=[news], created_at=old)
    post.live.session.execute(text("UPDATE subscriber SET status = 'bounced' WHERE id = :id"), {"id": gone.id})
    post.live.session.commit()
    moments = {
        f"{name}_at": now - timedelta(days=days)
        for name, days in {"new": 30, "active": 30, "warm": 90, "cooling": 180}.items()
    }
    found = count_bands(driver_connection(post.live.session), post.project.id, **moments, letters=5)
    counted = {(one.list_id, one.band): one.n for one in found}
    names = ["new", "active", "warm", "cooling", "asleep", "never", "unknown"]
    assert counted == {
        **{(0, name): 1 for name in names},
        **{(news.id, name): 1 for name in names if name not in ("active", "unknown")},
        (news.id, "unknown"): 2,
    }
