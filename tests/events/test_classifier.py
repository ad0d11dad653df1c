"""The classifier follows the hits: once each, a minute later, whatever is late, early, killed or done twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from mailhub.db import Lock, try_lock
from mailhub.events import classifier, tasks
from mailhub.events.classifier import CLASSIFIED, step
from mailhub.events.places import places_of
from mailhub.events.service import driver_connection
from mailhub.mail.classify import Places
from mailhub.reporting.verify import verify
from mailhub.tasks import TASKS, run, run_sweeps
from tests.events.posts import APPLE, CHROME, EDGE, GATEWAY, Post


def test_a_minute_later_it_is_known_who_made_a_hit(post: Post) -> None:
    post.store(post.sent(1, 600), post.sent(2, 600))
    post.store(post.opened(1, 300), post.clicked(1, 290), post.opened(2, 598, user_agent=APPLE), post.opened(2, 30))
    done = post.step()
    assert (done.actors, done.is_more) == ({"human": 2, "machine_open": 1}, False)
    assert post.causes() == ["human person", "human person", "machine_open apple_privacy", "-"]
    assert post.rows("SELECT opened, machine_opened, redirected, machine_redirected, unique_machine_opened"
                     " FROM campaign_stats") == [(3, 1, 1, 0, 0)]  # fmt: skip
    assert post.step().hits == 0
    post.step(now=post.now + timedelta(seconds=40))
    assert post.causes()[3] == "human person"


def test_a_hit_waits_its_minute_and_no_longer(post: Post) -> None:
    post.store(post.opened(1, 61), post.opened(1, 59))
    assert post.step(now=post.now).hits == 1
    assert post.step(now=post.now + timedelta(seconds=1)).hits == 1


def test_a_hit_that_is_stored_late_waits_for_nothing_and_holds_up_nobody(post: Post) -> None:
    post.store(post.sent(1, 5000))
    post.store(post.opened(1, 100))
    assert post.step().hits == 1
    post.store(*(post.clicked(1, 4000 - n * 0.2, n) for n in range(4)), post.opened(1, 90))
    assert post.step().actors == {"scanner": 4, "human": 1}


def test_a_hit_in_the_future_holds_up_nobody(post: Post) -> None:
    post.store(post.opened(1, -4), post.opened(1, 100))
    with post.live.engine.begin() as connection:
        connection.execute(text("UPDATE message_event SET at = at + interval '3 years' WHERE at > now()"))
    assert post.step().hits == 2
    with post.live.engine.begin() as connection:  # the rollups know of its first moment
        connection.execute(text("UPDATE message_event SET at = at - interval '3 years' WHERE at > now()"))


def test_neighbours_are_seen_across_batches_and_traces_stay(post: Post) -> None:
    post.store(post.sent(1, 600), post.sent(2, 600))
    sweep = [post.clicked(1, 400 - n * 0.3, n, ip=GATEWAY) for n in range(3)]
    post.store(*sweep, post.clicked(2, 300, ip=GATEWAY), post.clicked(2, 299, ip=GATEWAY, user_agent=EDGE))
    while post.step(most=1).is_more:
        pass
    assert post.causes() == ["scanner many_links"] * 3 + ["scanner taint", "human person"]
    [(reader, extended)] = post.rows("SELECT reader, until_at - since_at FROM hit_taint")
    assert (reader, extended) == ("classifier", timedelta(seconds=100 + 15 * 60))


def test_a_trace_is_one_projects_and_is_forgotten_in_time(post: Post) -> None:
    stranger = Post(post.live)
    post.store(*(post.clicked(1, 400 - n * 0.3, n, ip=GATEWAY) for n in range(3)))
    post.store(stranger.clicked(1, 300, ip=GATEWAY))
    post.step()
    assert post.causes() == ["scanner many_links"] * 3 + ["human person"]
    with post.live.registry.session_factory() as session:
        classifier.forget(driver_connection(session), post.now)
        assert session.execute(text("SELECT count(*) FROM hit_taint")).scalar_one() == 1
        classifier.forget(driver_connection(session), post.now + timedelta(days=3))
        assert session.execute(text("SELECT count(*) FROM hit_taint")).scalar_one() == 0


def test_one_address_that_clicks_for_a_company_is_a_gateway(post: Post) -> None:
    for person in range(1, 6):
        post.store(post.clicked(person, 200 - person * 8, ip=GATEWAY, user_agent=f"{CHROME} v{person}"))
    post.store(*(post.clicked(person, 150, ip=GATEWAY, email_domain="gmail.com") for person in range(11, 17)))
    while post.step(most=2).is_more:
        pass
    assert post.causes() == ["scanner one_address"] * 5 + ["human person"] * 6


def test_a_click_at_delivery_by_the_letters_own_delivery(post: Post) -> None:
    single = "0192f0c0-0000-7000-8000-000000000001"
    post.store(post.sent(1, 300), post.sent(1, 200, campaign_id=None, message_id=single), post.sent(2, 200.5))
    post.store(
        post.clicked(1, 199.5, ip="198.51.100.1"),  # another letter's delivery
        post.clicked(2, 200, ip="198.51.100.2"),
        post.clicked(None, 199.5, campaign_id=None, message_id=single, ip="198.51.100.3"),
        post.opened(None, 196, campaign_id=None, message_id=single, ip="198.51.100.4"),
        post.opened(None, 190, campaign_id=None, message_id=single, ip="198.51.100.4"),
    )
    post.step()
    assert post.causes() == [
        "human person", "scanner at_delivery", "scanner at_delivery", "machine_open at_delivery", "human person"
    ]  # fmt: skip


def test_a_letter_sent_again_was_delivered_the_last_time_before_the_hit(post: Post) -> None:
    post.store(post.sent(1, 500), post.sent(1, 100))
    post.store(post.opened(1, 300), post.opened(1, 98))
    post.step()
    assert post.causes() == ["human person", "machine_open at_delivery"]


def test_hits_of_people_and_campaigns_that_are_gone_are_classified(post: Post) -> None:
    post.store(post.opened(None, 200, user_agent=APPLE), post.opened(5, 200, campaign_id=None))
    assert post.step().actors == {"machine_open": 1, "human": 1}


def test_what_is_not_committed_has_not_happened(post: Post) -> None:
    """As with kill -9: the server sees the connection end."""
    post.store(post.opened(1, 300, user_agent=APPLE), post.clicked(1, 290, user_agent="curl/8"))
    url = post.live.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    killed = psycopg.connect(url)
    assert step(killed, Places()).hits == 2
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (killed.info.backend_pid,))
    with pytest.raises(psycopg.OperationalError):
        killed.execute("SELECT 1")
    killed.close()
    assert post.causes() == ["-", "-"]
    assert post.step().hits == 2
    assert post.step().hits == 0
    assert post.rows("SELECT machine_opened, machine_redirected FROM campaign_stats") == [(1, 1)]


def test_the_task_classifies_everything_and_counts_by_actor(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "BATCH", 3)
    monkeypatch.setattr(step, "__kwdefaults__", {"most": 3, "now": None})
    before = CLASSIFIED.value(actor="human")
    post.store(*(post.opened(person, 200) for person in range(1, 9)))
    run(post.live.registry, TASKS["mailhub.events.classify"], ())
    run(post.live.registry, TASKS["mailhub.events.classify"], ())
    assert post.causes() == ["human person"] * 8
    assert CLASSIFIED.value(actor="human") - before == 8


def test_two_at_once_are_one(post: Post) -> None:
    post.store(post.opened(1, 200))
    with post.live.registry.session_factory() as session:
        assert try_lock(session, Lock.CLASSIFIER)
        run(post.live.registry, TASKS["mailhub.events.classify"], ())
        run_sweeps(post.live.registry)
        assert post.causes() == ["-"]
    run(post.live.registry, TASKS["mailhub.events.classify"], ())
    assert post.causes() == ["human person"]


def test_the_sweep_does_what_nobody_came_to_do(post: Post) -> None:
    post.store(post.opened(1, 65))
    run_sweeps(post.live.registry)
    assert post.causes() == ["-"]  # the task still has its time
    post.store(post.opened(1, tasks.OVERDUE_SECONDS + 1))
    with post.live.engine.begin() as connection:
        connection.execute(text("DELETE FROM message_event WHERE at > now() - interval '70 seconds'"))
        connection.execute(text("INSERT INTO periodic_run (name, paused) VALUES ('mailhub.events.classify', true)"))
    run_sweeps(post.live.registry)
    assert post.causes() == ["-"]  # the operator has paused it
    with post.live.engine.begin() as connection:
        connection.execute(text("UPDATE periodic_run SET paused = false"))
    run_sweeps(post.live.registry)
    assert post.causes() == ["human person"]
    verify(post.live.engine, repair=True)  # one hit was taken away by hand


def test_the_operators_networks_and_apples_relays(live: Any, tmp_path: Any) -> None:
    relays = tmp_path / "egress-ip-ranges.csv"
    relays.write_text("172.224.224.0/27,GB,GB-EN,London,\nnonsense,,\n2a02:26f7::/64,US,,,\n\n")

    class Registry:
        class mailhub:
            scanner_networks = ("192.0.2.0/24",)
            private_relay_file = str(relays)

    found = places_of(Registry)
    assert "192.0.2.1" in found.scanners
    assert [ip in found.relays for ip in ("172.224.224.3", "2a02:26f7::1", "172.224.225.1")] == [True, True, False]
    assert places_of(Registry) is found
    relays.unlink()
    assert not places_of(Registry).relays
