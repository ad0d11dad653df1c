"""Letters sent again by hand: in doubt and failed ones, their Message-ID, the ledger, what is left out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, update

from mailhub.delivery import again
from mailhub.delivery.service import AgainForbidden, resend_unknown, retry_failed
from mailhub.models import Campaign, CampaignStats, Message, MessageEvent, Subscriber, Subscription, Suppression
from tests.delivery.conftest import Office, by_name


def drop_once(office: Office, *names: str) -> None:
    """Hang up behind the body of the first letter to these people: their letters are in doubt."""
    office.sink.script = lambda stage, address, n: (
        "drop" if stage == "body" and n == 1 and address.partition("@")[0] in names else None
    )


def doubtful(office: Office, people: int = 3, **columns: Any) -> Campaign:
    """A campaign that is sent, but for p1, whose letter is in doubt."""
    drop_once(office, "p1")
    campaign = office.campaign(people, **{"started_at": datetime.now(UTC), **columns})
    office.fan_out(campaign)
    office.pump()
    assert office.parts(campaign) == {"audience": people, "sent": people - 1, "unknown": 1}
    assert office.state(campaign) == "sent"
    return campaign


def refused(office: Office, replies: dict[str, str], people: int = 4) -> Campaign:
    """A campaign that is sent, but for the people whom the relay refuses."""
    office.sink.script = by_name(replies)
    campaign = office.campaign(people, started_at=datetime.now(UTC))
    office.fan_out(campaign)
    office.pump()
    office.sink.script = None
    assert office.parts(campaign)["failed"] == len(replies)
    return campaign


def events(office: Office, campaign: Campaign, who: str) -> list[str]:
    wanted = select(MessageEvent.type).where(MessageEvent.campaign_id == campaign.id, MessageEvent.email == who)
    return list(office.session.scalars(wanted.order_by(MessageEvent.at)))


def test_a_letter_in_doubt_goes_out_again_with_its_message_id(office: Office) -> None:
    campaign = doubtful(office)
    assert resend_unknown(office.session, campaign) == again.Again(n=1)
    office.session.commit()
    assert office.state(campaign) == "sending"
    assert office.parts(campaign) == {"audience": 3, "queued": 1, "sent": 2}
    assert office.session.get(Campaign, (campaign.project_id, campaign.id)).finished_at is None
    office.pump()
    assert office.parts(campaign) == {"audience": 3, "sent": 3}
    assert office.recount(campaign) == {"sent": 3}
    assert office.state(campaign) == "sent"
    assert office.session.get(Campaign, (campaign.project_id, campaign.id)).finished_at is not None
    first, second = (letter for letter in office.sink.letters if letter.recipient == "p1@mail.test")
    assert first.message_id == second.message_id != ""
    row = office.session.scalars(select(Message).where(Message.email == "p1@mail.test")).one()
    assert (row.attempts, row.header_id, row.state) == (2, first.message_id, "sent")
    assert events(office, campaign, "p1@mail.test") == ["UNKNOWN", "SENT"]
    stats = office.session.get(CampaignStats, (campaign.project_id, campaign.id))
    assert (stats.sent, stats.unknown) == (3, 1), "what happened stays in the history"


def test_asked_twice_it_goes_out_once(office: Office) -> None:
    campaign = doubtful(office)
    assert [resend_unknown(office.session, campaign).n for _twice in range(2)] == [1, 0]
    office.session.commit()
    office.pump()
    office.pump()
    assert office.sink.recipients()["p1@mail.test"] == 2


def test_only_the_named_letters_are_sent_again(office: Office) -> None:
    drop_once(office, "p0", "p2")
    campaign = office.campaign(3, started_at=datetime.now(UTC))
    office.fan_out(campaign)
    office.pump()
    rows = {row.email: row for row in office.messages(campaign)}
    assert resend_unknown(office.session, campaign, [rows["p2@mail.test"].id, rows["p1@mail.test"].id]).n == 1
    office.session.commit()
    office.pump()
    assert {row.email: row.state for row in office.messages(campaign)} == {
        "p0@mail.test": "unknown", "p1@mail.test": "sent", "p2@mail.test": "sent",
    }  # fmt: skip
    assert office.state(campaign) == "sent"


def test_in_doubt_a_second_time_it_is_unknown_again(office: Office) -> None:
    campaign = doubtful(office)
    office.sink.script = lambda stage, _address, _n: "drop" if stage == "body" else None
    resend_unknown(office.session, campaign)
    office.session.commit()
    office.pump()
    assert office.parts(campaign) == {"audience": 3, "sent": 2, "unknown": 1}
    assert office.state(campaign) == "sent"


def test_who_has_left_gets_nothing_again(office: Office) -> None:
    campaign = doubtful(office)
    office.session.execute(update(Subscription).values(status="unsubscribed"))
    office.session.commit()
    assert resend_unknown(office.session, campaign) == again.Again(stopped=1)
    office.session.commit()
    assert office.parts(campaign)["unknown"] == 1
    assert office.state(campaign) == "sent"


@pytest.mark.parametrize("stop", ["suppressed", "bounced", "erased"])
def test_who_may_not_be_written_to_is_left_out(office: Office, stop: str) -> None:
    campaign = doubtful(office)
    person = office.session.scalars(select(Subscriber).where(Subscriber.email == "p1@mail.test")).one()
    if stop == "suppressed":
        office.session.add(Suppression(project_id=campaign.project_id, email_key=person.email_key, reason="manual"))
    elif stop == "bounced":
        person.status = "bounced"
    else:
        office.session.delete(person)
    office.session.commit()
    assert resend_unknown(office.session, campaign) == again.Again(stopped=1)


def test_failed_letters_are_tried_again_but_never_hard_ones(office: Office) -> None:
    office.settings(delivery_retry_schedule=())
    campaign = refused(office, {"p0": "550 5.1.1 no such user", "p1": "452 4.2.2 mailbox full",
                                "p2": "550 5.7.1 blocked by our policy"})  # fmt: skip
    assert retry_failed(office.session, campaign) == again.Again(n=2, hard=1)
    office.session.commit()
    assert office.parts(campaign) == {"audience": 4, "queued": 2, "sent": 1, "failed": 1}
    office.pump()
    assert office.parts(campaign) == {"audience": 4, "sent": 3, "failed": 1}
    assert office.recount(campaign) == {"sent": 3, "failed": 1}
    assert office.state(campaign) == "sent"
    assert retry_failed(office.session, campaign) == again.Again(hard=1)


def test_a_paused_campaign_waits_with_them(office: Office) -> None:
    campaign = doubtful(office)
    office.session.execute(update(Campaign).values(state="paused"))
    office.session.commit()
    office.session.refresh(campaign)
    assert resend_unknown(office.session, campaign).n == 1
    office.session.commit()
    office.pump()
    assert office.state(campaign) == "paused"
    assert office.parts(campaign) == {"audience": 3, "queued": 1, "sent": 2}


@pytest.mark.parametrize("state", ["draft", "scheduled", "cancelled"])
def test_other_states_forbid_it(office: Office, state: str) -> None:
    campaign = doubtful(office)
    office.session.execute(update(Campaign).values(state=state))
    office.session.commit()
    office.session.refresh(campaign)
    with pytest.raises(AgainForbidden):
        resend_unknown(office.session, campaign)


def test_a_campaign_cancelled_at_the_same_moment_keeps_its_ledger(office: Office) -> None:
    campaign = doubtful(office)
    office.session.refresh(campaign)
    with office.registry.session_factory() as other:
        other.execute(update(Campaign).values(state="cancelled"))
        other.commit()
    with pytest.raises(AgainForbidden):
        resend_unknown(office.session, campaign)
    office.session.commit()
    assert office.parts(campaign) == {"audience": 3, "sent": 2, "unknown": 1}
    assert office.recount(campaign) == {"sent": 2, "unknown": 1}


def test_cancelled_while_they_wait_they_are_what_they_were(office: Office) -> None:
    office.settings(delivery_retry_schedule=())
    drop = office.sink
    drop.script = lambda stage, address, n: (
        "drop" if stage == "body" and address.startswith("p1@") and n == 1
        else "452 4.2.2 mailbox full" if stage == "rcpt" and address.startswith("p2@") else None
    )  # fmt: skip
    campaign = office.campaign(3, started_at=datetime.now(UTC))
    office.fan_out(campaign)
    office.pump()
    assert resend_unknown(office.session, campaign).n == retry_failed(office.session, campaign).n == 1
    office.session.execute(update(Campaign).values(state="cancelled"))
    office.session.commit()
    assert "mailhub.delivery.cancel_rest" in office.sweep()
    for _twice in range(2):
        office.run("mailhub.delivery.cancel_rest", campaign.project_id, campaign.id)
    assert office.parts(campaign) == {"audience": 3, "sent": 1, "unknown": 1, "failed": 1}
    assert office.recount(campaign) == {"sent": 1, "unknown": 1, "failed": 1}
    assert "mailhub.delivery.cancel_rest" not in office.sweep()


def test_many_go_back_in_slices_by_a_task_that_the_sweep_finds(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(again, "SLICE", 2)
    office.settings(delivery_retry_schedule=())
    campaign = refused(office, {f"p{n}": "452 4.2.2 mailbox full" for n in range(5)}, people=6)
    assert retry_failed(office.session, campaign) == again.Again(n=5, later=3)
    office.session.commit()
    assert office.parts(campaign) == {"audience": 6, "queued": 2, "sent": 1, "failed": 3}
    assert "mailhub.delivery.send_again" in office.sweep()
    office.sink.script = by_name({"p0": "452 4.2.2 still full"})
    for _twice in range(2):
        office.run("mailhub.delivery.send_again", campaign.project_id, campaign.id)
        office.pump()
    assert office.parts(campaign) == {"audience": 6, "sent": 5, "failed": 1}, "who fails again is not asked for again"
    assert office.sink.envelopes["p0@mail.test"] == 2
    assert office.state(campaign) == "sent"
    assert "mailhub.delivery.send_again" not in office.sweep()
    office.run("mailhub.delivery.send_again", campaign.project_id, 999_999)


def test_the_rest_of_a_cancelled_campaign_is_not_put_back(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(again, "SLICE", 1)
    office.settings(delivery_retry_schedule=())
    campaign = refused(office, {"p0": "452 4.2.2 full", "p1": "452 4.2.2 full"}, people=3)
    retry_failed(office.session, campaign)
    office.session.execute(update(Campaign).values(state="cancelled"))
    office.session.commit()
    office.run("mailhub.delivery.send_again", campaign.project_id, campaign.id)
    office.run("mailhub.delivery.cancel_rest", campaign.project_id, campaign.id)
    assert office.parts(campaign) == {"audience": 3, "sent": 1, "failed": 2}
    assert office.recount(campaign) == {"sent": 1, "failed": 2}
    assert "mailhub.delivery.send_again" not in office.sweep()
