"""A lane that pushes back is slowed down, held, and grows back; the person is never charged with it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from mailhub.delivery import buckets
from mailhub.delivery.feedback import Feedback, LaneState, grow, states
from mailhub.delivery.outcome import Verdict, judge
from mailhub.delivery.throttle import lane_key, sync_rates
from mailhub.mail.pushback import CRAWL_PER_SECOND
from mailhub.mail.smtp_happenings import Answer
from mailhub.models import MessageState
from mailhub.settings import read_settings
from tests.delivery.brakes import connect, passed, threads

Database = psycopg.Connection[Any]
SLOW = "421 4.7.28 Our system has detected an unusual rate of mail from <news@shop.example> to bob@gmail.com"
CRAWL = "451 4.7.650 The mail server has been temporarily rate limited due to IP reputation."
STOP = "421 4.7.0 [TSS04] Messages temporarily deferred due to unexpected volume"


def verdict(reply: str) -> Verdict:
    code, _, text = reply.partition(" ")
    answer = Answer(int(code), text, "body" if code == "250" else "rcpt")
    return judge(answer, attempt=1, schedule=[60], at=datetime.now(UTC))


def note(feedback: Feedback, reply: str, times: int = 1, *, relay: str = "mta", lane: str = "gmail") -> None:
    for _turn in range(times):
        feedback.note(relay, lane, verdict(reply))


def tell(database: Database, reply: str, times: int = 1, *, lane: str = "gmail") -> LaneState:
    """A process notes these answers and writes them; the lane as it stands then."""
    feedback = Feedback()
    note(feedback, reply, times, lane=lane)
    feedback.flush(database, 0.0, force=True)
    return state(database, lane)


def state(database: Database, lane: str = "gmail") -> LaneState:
    return next(one for one in states(database) if (one.relay, one.lane) == ("mta", lane))


def limit(database: Database, lane: str = "gmail") -> float | None:
    found = buckets.limits(database, [lane_key("mta", lane)])
    return found[lane_key("mta", lane)].rate if found else None


def test_answers_are_counted_and_the_rate_is_that_of_the_last_seconds(database: Database) -> None:
    tell(database, "250 Ok", 40)
    tell(database, "550 5.1.1 no such user", 2)
    found = tell(database, "452 4.2.2 over quota", 3)
    assert (found.sent_total, found.failed_total, found.deferred_total, found.blocked_total) == (40, 2, 3, 0)
    assert 3.0 < found.flow <= 4.0
    assert (found.rate, found.slowed, found.is_suspended) == (None, False, False)
    passed(database, "relay_lane", 10)
    assert 1.0 < state(database).flow < 1.5
    assert limit(database) is None


def test_an_unlimited_lane_is_halved_from_the_rate_it_had(database: Database) -> None:
    tell(database, "250 Ok", 400)
    found = tell(database, SLOW)
    assert found.slowed
    assert 15 < (found.rate or 0) <= 20
    assert limit(database) == found.rate
    assert (found.reason, found.last_code, found.blocked_total) == ("ratelimit", 421, 1)
    assert found.held_until is not None
    assert 800 < (found.held_until - datetime.now(UTC)).total_seconds() < 1000
    assert "bob@gmail.com" not in found.last_reply
    assert found.last_reply.endswith("unusual rate of mail from <…> to …")


def test_answers_that_were_on_their_way_do_not_halve_again(database: Database) -> None:
    tell(database, "250 Ok", 400)
    first = tell(database, SLOW).rate
    assert tell(database, SLOW, 7).rate == first
    passed(database, "relay_lane", 11)
    second = tell(database, SLOW).rate
    assert second is not None
    assert first is not None
    assert second < first


def test_a_limited_lane_is_halved_from_its_limit_at_most(database: Database) -> None:
    settings = read_settings(
        {
            "mailhub.relay.mta.url": "smtp://mta.test",
            "mailhub.relay.mta.lanes": "yes",
            "mailhub.lane.gmail.messages_per_second": "8",
        },
        {},
    )
    sync_rates(database, settings)
    tell(database, "250 Ok", 4000)
    assert tell(database, SLOW).rate == 4
    assert sync_rates(database, settings) == 0
    assert limit(database) == 4
    passed(database, "relay_lane", 1000)
    for _turn in range(100):
        grow(database)
        passed(database, "relay_lane", 60)
    assert (state(database).rate, state(database).slowed, limit(database)) == (8, False, 8)


def test_a_lane_grows_by_a_tenth_a_minute_until_it_is_free(database: Database) -> None:
    tell(database, "250 Ok", 400)
    start = tell(database, SLOW).rate
    assert start is not None
    passed(database, "relay_lane", 800)
    assert grow(database) == 0, "it is held for a quarter of an hour"
    passed(database, "relay_lane", 100 + 60)
    assert grow(database) == 1
    grown = limit(database)
    assert grown is not None
    assert 1.09 < grown / start < 1.12
    assert grow(database) == 0, "no time has passed"
    for _turn in range(12):
        passed(database, "relay_lane", 60)
        grow(database)
    found = state(database)
    assert (found.slowed, found.reason, limit(database)) == (False, "", None)


def test_a_lane_with_a_bad_reputation_crawls(database: Database) -> None:
    tell(database, "250 Ok", 400)
    found = tell(database, CRAWL)
    assert (found.rate, found.connections) == (CRAWL_PER_SECOND, 1)
    assert tell(database, SLOW).rate == CRAWL_PER_SECOND, "another refusal does not speed it up"
    passed(database, "relay_lane", 5500)
    assert grow(database) == 1
    found = state(database)
    assert found.connections is None
    assert found.rate is not None
    assert found.rate > CRAWL_PER_SECOND


def test_a_lane_can_be_stopped_for_hours(database: Database) -> None:
    tell(database, "250 Ok", 400)
    found = tell(database, STOP)
    assert found.is_suspended
    assert found.suspended_until is not None
    assert 7100 < (found.suspended_until - datetime.now(UTC)).total_seconds() <= 7200
    assert grow(database) == 0
    passed(database, "relay_lane", 7300)
    assert not state(database).is_suspended
    assert state(database).slowed, "it begins at half its rate"
    assert grow(database) == 1


def test_other_lanes_and_other_relays_go_on(database: Database) -> None:
    feedback = Feedback()
    note(feedback, STOP)
    note(feedback, "250 Ok", 5, lane="yahoo")
    note(feedback, "250 Ok", 5, relay="other")
    feedback.flush(database, 0.0)
    assert list(feedback.lanes(database, 0.0)) == [("mta", "gmail")]
    assert limit(database, "yahoo") is None


@pytest.mark.parametrize(
    ("refused", "taken", "slowed"), [(4, 0, False), (5, 0, True), (5, 100, False), (30, 100, True)]
)
def test_refusals_that_may_be_about_one_letter_count_as_a_part_of_all(
    database: Database, refused: int, taken: int, slowed: bool
) -> None:
    feedback = Feedback()
    note(feedback, "250 Ok", taken)
    note(feedback, "451 4.3.0 Temporary system problem", refused)
    feedback.flush(database, 0.0)
    assert state(database).slowed is slowed


@pytest.mark.parametrize(
    "reply",
    ["550 5.1.1 User unknown", "452 4.2.2 Mailbox full", "450 4.2.0 Greylisted", "530 5.7.0 Authentication required"],
)
def test_refusals_about_the_person_slow_nothing_down(database: Database, reply: str) -> None:
    assert not tell(database, reply, 50).slowed


def test_a_block_is_never_charged_to_the_person() -> None:
    for reply in (SLOW, CRAWL, STOP, "550 5.7.1 blocked using Spamhaus", "554 5.7.1 identified as spam"):
        found = verdict(reply)
        assert not found.hard
        assert found.state in (MessageState.DEFERRED, MessageState.FAILED)
    assert verdict("550 5.7.1 blocked using Spamhaus").event == "BLOCKED"


def test_a_refusal_at_the_greeting_counts(database: Database) -> None:
    feedback = Feedback()
    feedback.note_reply("mta", "gmail", 421, "4.7.0 Try again later, rate limit")
    feedback.note_reply("mta", "yahoo", 421, "4.3.2 shutting down")
    feedback.flush(database, 0.0)
    assert state(database).slowed
    assert [one.lane for one in states(database)] == ["gmail"]


def test_it_is_written_twice_a_second_at_most(database: Database) -> None:
    feedback = Feedback()
    assert not feedback.flush(database, 1.0), "nothing to write"
    note(feedback, "250 Ok")
    assert not feedback.flush(database, 1.2)
    note(feedback, "250 Ok", 2)
    assert feedback.flush(database, 1.6)
    assert state(database).sent_total == 3
    note(feedback, "250 Ok")
    assert feedback.flush(database, 1.7, force=True)


def test_what_could_not_be_written_is_kept(live: Any, database: Database) -> None:
    feedback = Feedback()
    note(feedback, "250 Ok", 3)
    note(feedback, SLOW)
    broken = connect(live)
    broken.close()
    with pytest.raises(psycopg.OperationalError):
        feedback.flush(broken, 0.0)
    note(feedback, "250 Ok")
    feedback.flush(database, 1.0)
    assert state(database).sent_total == 4
    assert state(database).slowed


def test_many_processes_write_at_once(live: Any, database: Database) -> None:
    settings = read_settings({"mailhub.relay.mta.url": "smtp://mta.test", "mailhub.relay.mta.preset": "direct"}, {})

    def writer(place: int) -> None:
        feedback = Feedback()
        with connect(live) as mine:
            for turn in range(20):
                for lane in ("gmail", "yahoo", "apple", "other")[:: 1 if place % 2 else -1]:
                    note(feedback, "250 Ok", 2, lane=lane)
                    if (turn + place) % 5 == 0:
                        note(feedback, SLOW, lane=lane)
                feedback.flush(mine, float(turn))
                buckets.take(mine, [lane_key("mta", "gmail"), lane_key("mta", "yahoo")], 1)

    def sweeper() -> None:
        with connect(live) as mine:
            for _turn in range(20):
                grow(mine)
                sync_rates(mine, settings)

    with threads(*(lambda place=place: writer(place) for place in range(5)), sweeper) as failures:
        pass
    assert failures == []
    assert {lane: state(database, lane).sent_total for lane in ("gmail", "other")} == {"gmail": 200, "other": 200}

