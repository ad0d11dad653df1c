"""The dead and the paused: leases that end, letters in doubt, owners that come back too late."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import select, text, update

from mailhub.delivery import claim
from mailhub.delivery.dispatcher import Dispatcher
from mailhub.delivery.pump import Run
from mailhub.models import Campaign, ChunkLease, MessageEvent, WorkerHeartbeat
from tests.delivery.conftest import Office


class Killed(BaseException):
    """Stands for kill -9: nothing of ours handles it."""


def die_at(monkeypatch: pytest.MonkeyPatch, method: str, turn: int, *, after: bool) -> None:
    """Let the process "die" at the n-th call of a method of Transport, before or after it has happened."""
    from mailhub.delivery.transport import Transport

    usual = getattr(Transport, method)
    turns: list[int] = []

    def deadly(*args: Any, **kw: Any) -> Any:
        turns.append(1)
        if len(turns) == turn and not after:
            raise Killed
        result = usual(*args, **kw)
        if len(turns) == turn:
            raise Killed
        return result

    monkeypatch.setattr(Transport, method, deadly)


def expire(office: Office) -> None:
    office.session.execute(text("UPDATE chunk_lease SET lease_until = clock_timestamp() - interval '1 s'"))
    office.session.commit()


@pytest.mark.parametrize("after", [False, True])
def test_a_dead_owner_leaves_one_letter_in_doubt_and_the_rest_goes_on(
    office: Office, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    campaign = office.campaign(10)
    office.fan_out(campaign)
    with monkeypatch.context() as patch:
        die_at(patch, "send", 4, after=after)
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
    campaign = office.campaign(10)
    office.fan_out(campaign)
    with monkeypatch.context() as patch:
        die_at(patch, "send", 4, after=True)
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
    campaign = office.campaign(10)
    office.fan_out(campaign, chunk_size=5)
    with monkeypatch.context() as patch:
        die_at(patch, "send", 4, after=True)
        with pytest.raises(Killed):
            office.pump()
    office.session.execute(update(Campaign).where(Campaign.id == campaign.id).values(state="cancelled"))
    office.session.commit()
    expire(office)
    office.run("mailhub.delivery.cancel_rest", campaign.project_id, campaign.id)
    assert office.parts(campaign) == {"audience": 10, "sent": 3, "unknown": 1, "skipped": 6}
    assert office.recount(campaign) == {"sent": 3, "unknown": 1, "skipped": 6}


def test_an_owner_that_comes_back_too_late_sends_and_writes_nothing_more(office: Office) -> None:
    campaign = office.campaign(10)
    office.fan_out(campaign)
    late = Dispatcher(office.registry)
    with late.working("bulk") as heartbeat:
        chunk = late.database.transaction(lambda c: claim.take_next(c, late.owner, 20, down=[]))
        run = Run(late, heartbeat, chunk)
        for _turn in range(3):
            assert run._next()
        expire(office)
        office.pump()
        assert office.parts(campaign) == {"audience": 10, "sent": 9, "unknown": 1}
        run.send_all()
    assert office.parts(campaign) == {"audience": 10, "sent": 9, "unknown": 1}
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
    with dispatcher.working("bulk") as heartbeat:
        chunk = dispatcher.database.transaction(lambda c: claim.take_next(c, dispatcher.owner, 20, down=[]))
        run = Run(dispatcher, heartbeat, chunk)
        for _turn in range(3):
            run._next()
        unwritten, flushed = list(run._unwritten), chunk.flushed
        run._write()
        run._unwritten, chunk.flushed = unwritten, flushed
        run._write()
        run.send_all()
    dispatcher.transport.close()
    assert office.parts(campaign) == {"audience": 4, "sent": 4}
    assert office.recount(campaign) == {"sent": 4}


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
    with dispatcher.working("bulk") as heartbeat:
        chunk = dispatcher.database.transaction(lambda c: claim.take_next(c, dispatcher.owner, 20, down=[]))
        Run(dispatcher, heartbeat, chunk)._write(give_back=True)
        dispatcher.database.statement(lambda c: chunk.renew(c, 20))
    office.pump()
    assert office.parts(campaign) == {"audience": 3, "sent": 3}
