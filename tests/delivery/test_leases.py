"""The dead and the paused: leases that end, letters in doubt, owners that come back too late."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from sqlalchemy import select, text, update

from mailhub.delivery import claim, outcome
from mailhub.delivery.chunk_work import ChunkWork
from mailhub.delivery.connection import Connection
from mailhub.delivery.dispatcher import Dispatcher
from mailhub.delivery.pump import Pump
from mailhub.delivery.source import Campaigns
from mailhub.models import Campaign, ChunkLease, MessageEvent, WorkerHeartbeat
from tests.delivery.conftest import Office


class Killed(BaseException):
    """Stands for kill -9: nothing of ours handles it."""


def die_at(monkeypatch: pytest.MonkeyPatch, turn: int, *, after: bool) -> None:
    """Let the process "die" at the n-th body that it sends, before or after it has gone out."""
    usual = Connection.body
    turns: list[int] = []

    def deadly(*args: Any, **kw: Any) -> Any:
        turns.append(1)
        if len(turns) == turn and not after:
            raise Killed
        result = usual(*args, **kw)
        if len(turns) == turn:
            raise Killed
        return result

    monkeypatch.setattr(Connection, "body", deadly)


def expire(office: Office) -> None:
    office.session.execute(text("UPDATE chunk_lease SET lease_until = clock_timestamp() - interval '1 s'"))
    office.session.commit()


@pytest.mark.parametrize("after", [False, True])
def test_a_dead_owner_leaves_one_letter_in_doubt_and_the_rest_goes_on(
    office: Office, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    office.connections(1)
    campaign = office.campaign(10)
    office.fan_out(campaign)
    with monkeypatch.context() as patch:
        die_at(patch, 4, after=after)
        with pytest.raises(Killed):
            office.pump()
    assert office.parts(campaign) == {"audience": 10, "queued": 10}
    office.pump()
    assert office.parts(campaign) == {"audience": 10, "queued": 10}
    expire(office)
    office.pump()
    assert office.parts(campaign) == {"audience": 10, "sent": 9, "unknown": 1}
    assert office.recount(campaign) == {"sent": 9, "unknown": 1}
    assert [m.email for m in office.messages(campaign) if m.state == "unknown"] == ["p3@mail.test"]
    got = office.sink.recipients()
    assert max(got.values()) == 1
    assert ("p3@mail.test" in got) is after
    assert len(got) == 9 + after
    assert office.state(campaign) == "sent"
    kinds = office.session.scalars(select(MessageEvent.type)).all()
    assert sorted(set(kinds)) == ["SENT", "UNKNOWN"]


def test_the_sweep_settles_the_dead_of_a_paused_campaign(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.connections(1)
    campaign = office.campaign(10)
    office.fan_out(campaign)
    with monkeypatch.context() as patch:
        die_at(patch, 4, after=True)
        with pytest.raises(Killed):
            office.pump()
    office.session.execute(update(Campaign).where(Campaign.id == campaign.id).values(state="paused"))
    office.session.commit()
    expire(office)
    office.sweep()
    assert office.parts(campaign) == {"audience": 10, "sent": 3, "unknown": 1, "queued": 6}
    office.session.execute(update(Campaign).where(Campaign.id == campaign.id).values(state="sending"))
    office.session.commit()
    office.pump()
    assert office.parts(campaign) == {"audience": 10, "sent": 9, "unknown": 1}


def test_the_dead_of_a_cancelled_campaign_are_settled_first(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.connections(1)
    campaign = office.campaign(10)
    office.fan_out(campaign, chunk_size=5)
    with monkeypatch.context() as patch:
        die_at(patch, 4, after=True)
        with pytest.raises(Killed):
            office.pump()
    office.session.execute(update(Campaign).where(Campaign.id == campaign.id).values(state="cancelled"))
    office.session.commit()
    expire(office)
    office.run("mailhub.delivery.cancel_rest", campaign.project_id, campaign.id)
    assert office.parts(campaign) == {"audience": 10, "sent": 3, "unknown": 1, "skipped": 6}
    assert office.recount(campaign) == {"sent": 3, "unknown": 1, "skipped": 6}


def claimed(office: Office, dispatcher: Dispatcher) -> ChunkWork:
    (work,) = Campaigns(dispatcher).claim([], set(), 0.0) or []
    assert isinstance(work, ChunkWork)
    return work


def test_several_connections_leave_as_many_letters_in_doubt_and_each_has_its_name(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = office.campaign(40)
    office.fan_out(campaign)
    with monkeypatch.context() as patch:
        die_at(patch, 20, after=True)
        with pytest.raises(Killed):
            office.pump()
    got = set(office.sink.recipients())
    expire(office)
    office.pump()
    parts = office.parts(campaign)
    assert parts["audience"] == 40
    assert 1 <= parts["unknown"] <= 8
    assert parts["sent"] == 40 - parts["unknown"]
    doubtful = {message.email for message in office.messages(campaign) if message.state == "unknown"}
    assert got - doubtful <= {message.email for message in office.messages(campaign) if message.state == "sent"}
    assert max(office.sink.recipients().values()) == 1
    assert set(office.sink.recipients()) | doubtful == {f"p{n}@mail.test" for n in range(40)}


def test_an_owner_that_comes_back_too_late_sends_and_writes_nothing_more(office: Office) -> None:
    office.connections(1)
    campaign = office.campaign(10)
    office.fan_out(campaign)
    late = Dispatcher(office.registry)
    with late.working("bulk") as heartbeat:
        pump = Pump(late, heartbeat, Campaigns(late))
        pump._claim(0.0)
        (work,) = pump._works
        while heartbeat.sent < 3:
            pump._turn(time.monotonic())
        expire(office)
        office.pump()
        parts = office.parts(campaign)
        assert parts == {"audience": 10, "sent": 9, "unknown": 1}
        pump.run(20)
        assert work.over
    late.lines.drop_all()
    assert office.parts(campaign) == parts
    assert office.recount(campaign) == {"sent": 9, "unknown": 1}
    assert max(office.sink.recipients().values()) == 1


def test_a_slow_relay_does_not_lose_the_lease(office: Office) -> None:
    office.sink.delay_seconds = 2.4
    office.settings(delivery_lease_seconds=2)
    campaign = office.campaign(2)
    office.fan_out(campaign)
    first = threading.Thread(target=office.pump)
    first.start()
    office.sink.wait_for(1)
    office.pump()
    first.join()
    assert office.parts(campaign) == {"audience": 2, "sent": 2}


def test_a_commit_whose_answer_was_lost_is_not_written_twice(office: Office) -> None:
    campaign = office.campaign(4)
    office.fan_out(campaign)
    dispatcher = Dispatcher(office.registry)
    with dispatcher.working("bulk"):
        work = claimed(office, dispatcher)
        slips = [work.next(0.0) for _turn in range(3)]
        for slip in slips:
            work.declare(slip)
            work.settle(slip, outcome.SENT)
        unwritten = list(work._unwritten)
        work.write()
        work._unwritten, work.chunk.writes = unwritten, work.chunk.writes - 1
        work.write()
        assert office.parts(campaign) == {"audience": 4, "sent": 3, "queued": 1}
        work.ending = True
        work.write()
    assert office.recount(campaign) == {"sent": 3}
    office.pump()
    assert office.parts(campaign) == {"audience": 4, "sent": 4}
    assert office.recount(campaign) == {"sent": 4}


def test_what_stands_in_the_lease_says_who_was_sent_in_doubt_or_not_reached(office: Office) -> None:
    """Letters end out of order: each place before the position is sent, on the wire, or to be sent again."""
    campaign = office.campaign(9)
    office.fan_out(campaign)
    dispatcher = Dispatcher(office.registry)
    with dispatcher.working("bulk"):
        work = claimed(office, dispatcher)
        slips = [work.next(0.0) for _turn in range(7)]
        for place in (6, 2, 4):
            work.declare(slips[place])
        work.settle(slips[4], outcome.SENT)
        stand = work.stand()
        assert (stand.pos, stand.on_wire, stand.again) == (7, [2, 6], [0, 1, 3, 5])
        work.write()
        work.settle(slips[6], outcome.SENT)
        work.declare(slips[0])
        work.settle(slips[0], outcome.SENT)
        work.back(slips[1])
        work.declare(slips[3])
        dispatcher.database.statement(lambda c: claim.move(c, [work.stand()], 20))
    expire(office)
    other = Dispatcher(office.registry)
    with other.working("bulk"):
        taken = claimed(office, other)
        assert office.parts(campaign) == {"audience": 9, "sent": 3, "unknown": 2, "queued": 4}
        assert sorted(taken.next(0.0).place for _turn in range(4)) == [1, 5, 7, 8]
    names = {message.email: message.state for message in office.messages(campaign)}
    assert names == {
        "p4@mail.test": "sent", "p6@mail.test": "sent", "p0@mail.test": "sent",
        "p2@mail.test": "unknown", "p3@mail.test": "unknown",
    }  # fmt: skip


def test_sending_goes_on_when_the_database_drops_its_connections(office: Office) -> None:
    office.sink.delay_seconds = 0.01
    campaign = office.campaign(60)
    office.fan_out(campaign, chunk_size=25)

    def cut() -> None:
        for _turn in range(4):
            office.sink.wait_for(len(office.sink.letters) + 5)
            with office.registry.session_factory() as session:
                session.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                        " AND application_name LIKE 'mailhub%'"
                    )
                )

    office.session.rollback()
    cutting = threading.Thread(target=cut)
    cutting.start()
    office.pump()
    cutting.join()
    assert office.parts(campaign) == {"audience": 60, "sent": 60}
    assert office.sink.recipients() == {f"p{n}@mail.test": 1 for n in range(60)}


def test_the_sweep_wakes_idle_processes_only_and_no_more_than_there_are_chunks(office: Office) -> None:
    campaign = office.campaign(6)
    office.fan_out(campaign, chunk_size=3)
    assert "mailhub.delivery.pump" not in office.sweep()
    for n, doing in enumerate(("", "", "", "campaign 7")):
        office.session.add(WorkerHeartbeat(name=f"w{n}", host="h", pid=n, queue="bulk", role="pool", doing=doing))
    office.session.commit()
    assert office.sweep().count("mailhub.delivery.pump") == 2
    office.pump()
    assert "mailhub.delivery.pump" not in office.sweep()
    assert office.session.scalars(select(ChunkLease.state)).all() == ["done", "done"]


def test_a_renewal_that_comes_late_does_not_take_a_chunk_that_was_given_back(office: Office) -> None:
    campaign = office.campaign(3)
    office.fan_out(campaign)
    dispatcher = Dispatcher(office.registry)
    with dispatcher.working("bulk"):
        work = claimed(office, dispatcher)
        stand = work.stand()
        work.ending = True
        work.write()
        assert dispatcher.database.statement(lambda c: claim.move(c, [stand], 20)) == {}
    office.pump()
    assert office.parts(campaign) == {"audience": 3, "sent": 3}


def test_a_paused_chunk_with_letters_that_were_passed_over_is_settled_once(office: Office) -> None:
    campaign = office.campaign(5)
    office.fan_out(campaign)
    dispatcher = Dispatcher(office.registry)
    with dispatcher.working("bulk"):
        work = claimed(office, dispatcher)
        slips = [work.next(0.0) for _turn in range(3)]
        work.declare(slips[2])
        work.settle(slips[2], outcome.SENT)
        work.back(slips[0])
        work.back(slips[1])
        work.ending = True
        work.write()
    office.session.execute(update(Campaign).values(state="paused"))
    office.session.commit()
    office.sweep()
    assert office.parts(campaign) == {"audience": 5, "sent": 1, "queued": 4}
    office.session.execute(update(Campaign).values(state="sending"))
    office.session.commit()
    office.pump()
    assert office.parts(campaign) == {"audience": 5, "sent": 5}
    assert office.sink.recipients() == {f"p{n}@mail.test": 1 for n in (0, 1, 3, 4)}


def test_a_process_that_stood_still_does_not_take_over_its_own_chunk(office: Office) -> None:
    campaign = office.campaign(4)
    office.fan_out(campaign)
    dispatcher = Dispatcher(office.registry)
    with dispatcher.working("bulk"):
        source = Campaigns(dispatcher)
        (work,) = source.claim([], set(), 0.0) or []
        expire(office)
        assert source.claim([work], set(), 1.0) == []
    other = Dispatcher(office.registry)
    with other.working("bulk"):
        assert claimed(office, other).key == work.key
