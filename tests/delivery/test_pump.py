"""Campaigns sent end to end: fan-out, chunks, letters on the wire, the ledger."""

from __future__ import annotations

import dataclasses
import email
import email.policy
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, func, select, text, update

from mailhub.mail.verp import read_local_part
from mailhub.models import (
    Campaign,
    CampaignChunk,
    CampaignCount,
    CampaignVersion,
    Link,
    Message,
    MessageEvent,
    Subscriber,
    Subscription,
    Suppression,
)
from tests.delivery.conftest import Office, by_name


def test_everybody_gets_one_letter_and_the_campaign_is_sent(office: Office) -> None:
    campaign = office.campaign(25)
    assert office.fan_out(campaign, chunk_size=10) == 25
    office.pump()
    assert office.sink.recipients() == {f"p{n}@mail.test": 1 for n in range(25)}
    assert office.parts(campaign) == {"audience": 25, "sent": 25}
    assert office.recount(campaign) == {"sent": 25}
    assert office.state(campaign) == "sent"


def test_fan_out_twice_changes_nothing(office: Office) -> None:
    campaign = office.campaign(7)
    assert office.fan_out(campaign, chunk_size=3) == 7
    assert office.fan_out(campaign, chunk_size=3) == 7
    assert office.session.scalar(select(func.count()).select_from(CampaignChunk)) == 3
    assert office.parts(campaign) == {"audience": 7, "queued": 7}


def test_those_left_out_have_their_row_and_reason(office: Office) -> None:
    campaign = office.campaign(6)
    people = office.session.scalars(select(Subscriber).order_by(Subscriber.id)).all()
    people[0].status = "unsubscribed"
    people[1].status = "bounced"
    now = datetime.now(UTC)
    for person, expires_at in ((people[2], None), (people[3], now - timedelta(days=1))):
        office.session.add(
            Suppression(
                project_id=campaign.project_id, email_key=person.email_key, reason="manual", expires_at=expires_at
            )
        )
    office.session.commit()
    assert office.fan_out(campaign) == 6
    assert office.parts(campaign) == {"audience": 6, "queued": 3, "skipped": 3}
    reasons = {message.email: message.reason for message in office.messages(campaign)}
    assert reasons == {"p0@mail.test": "unsubscribed", "p1@mail.test": "suppressed", "p2@mail.test": "suppressed"}
    office.pump()
    assert office.parts(campaign) == {"audience": 6, "sent": 3, "skipped": 3}
    assert set(office.sink.recipients()) == {"p3@mail.test", "p4@mail.test", "p5@mail.test"}


def test_nobody_to_write_to_is_a_sent_campaign_after_the_sweep(office: Office) -> None:
    campaign = office.campaign(0)
    assert office.fan_out(campaign) == 0
    office.sweep()
    assert office.state(campaign) == "sent"


def test_an_unsubscribe_after_the_fan_out_is_honoured(office: Office) -> None:
    campaign = office.campaign(5)
    office.fan_out(campaign)
    person = office.session.scalars(select(Subscriber).order_by(Subscriber.id)).all()[2]
    left = office.session.scalars(select(Subscription).where(Subscription.subscriber_id == person.id)).one()
    left.status = "unsubscribed"
    office.session.commit()
    office.pump()
    assert "p2@mail.test" not in office.sink.recipients()
    assert office.parts(campaign) == {"audience": 5, "sent": 4, "skipped": 1}
    assert [m.reason for m in office.messages(campaign) if m.state == "skipped"] == ["unsubscribed"]


def test_an_unsubscribe_while_the_chunk_is_worked_on_is_honoured(office: Office) -> None:
    office.sink.delay_seconds = 0.12
    office.connections(1)
    campaign = office.campaign(25)
    office.fan_out(campaign)

    def leave() -> None:
        office.sink.wait_for(2)
        with office.registry.session_factory() as session:
            session.execute(update(Subscriber).where(Subscriber.email == "p24@mail.test").values(status="unsubscribed"))
            session.commit()

    leaving = threading.Thread(target=leave)
    leaving.start()
    office.pump()
    leaving.join()
    assert "p24@mail.test" not in office.sink.recipients()
    assert office.parts(campaign) == {"audience": 25, "sent": 24, "skipped": 1}


def test_an_erased_person_gets_nothing_and_is_counted(office: Office) -> None:
    campaign = office.campaign(3)
    office.fan_out(campaign)
    office.session.execute(delete(Subscriber).where(Subscriber.email == "p1@mail.test"))
    office.session.commit()
    office.pump()
    assert office.parts(campaign) == {"audience": 3, "sent": 2, "skipped": 1}
    assert office.recount(campaign) == {"sent": 2, "skipped": 1}


def test_replies_become_states_events_and_the_stop_list(office: Office) -> None:
    office.sink.script = by_name(
        {
            "p1": "550 5.1.1 <p1@mail.test>: no such user",
            "p2": "450 4.2.1 try again later",
            "p3": "550 5.7.1 message blocked because of spam",
            "p4": "552 5.2.2 mailbox full",
        }
    )
    campaign = office.campaign(8)
    office.fan_out(campaign, chunk_size=5)
    office.pump()
    assert office.parts(campaign) == {"audience": 8, "sent": 4, "failed": 3, "deferred": 1}
    assert office.recount(campaign) == {"sent": 4, "failed": 3, "deferred": 1}
    assert office.state(campaign) == "sending"
    events = dict(office.session.execute(select(MessageEvent.email, MessageEvent.type)).all())
    assert events["p0@mail.test"] == "SENT"
    assert events["p1@mail.test"] == "HARDBOUNCED"
    assert events["p2@mail.test"] == "DEFERRED"
    assert events["p3@mail.test"] == "BLOCKED"
    assert events["p4@mail.test"] == "SOFTBOUNCED"
    assert office.session.scalars(select(Suppression.email_key)).all() == ["p1@mail.test"]
    bounced = select(Subscriber.email).where(Subscriber.status == "bounced")
    assert office.session.scalars(bounced).all() == ["p1@mail.test"]
    refused = next(m for m in office.messages(campaign) if m.email == "p1@mail.test")
    assert (refused.smtp_code, refused.smtp_status) == (550, "5.1.1")
    assert "no such user" in refused.smtp_reply


def test_a_deferred_letter_is_sent_when_it_is_due(office: Office) -> None:
    office.sink.script = lambda stage, address, attempt: (
        "451 4.3.0 later" if stage == "rcpt" and address == "p1@mail.test" and attempt < 3 else None
    )
    office.settings(delivery_retry_schedule=(0, 0, 0))
    campaign = office.campaign(3)
    office.fan_out(campaign)
    office.pump()
    assert office.parts(campaign) == {"audience": 3, "sent": 3}
    assert office.state(campaign) == "sent"
    message = next(m for m in office.messages(campaign) if m.email == "p1@mail.test")
    assert (message.attempts, message.state) == (3, "sent")
    kinds = select(MessageEvent.type).where(MessageEvent.email == "p1@mail.test").order_by(MessageEvent.at)
    assert office.session.scalars(kinds).all() == ["DEFERRED", "DEFERRED", "SENT"]


def test_a_letter_that_outlives_its_schedule_has_failed_and_nobody_is_blamed(office: Office) -> None:
    office.sink.script = by_name({"p0": "451 4.3.0 later"})
    office.settings(delivery_retry_schedule=(0,))
    campaign = office.campaign(2)
    office.fan_out(campaign)
    office.pump()
    assert office.parts(campaign) == {"audience": 2, "sent": 1, "failed": 1}
    assert office.session.scalars(select(Suppression.id)).all() == []


def test_a_connection_lost_after_the_body_leaves_the_letter_in_doubt(office: Office) -> None:
    office.sink.script = lambda stage, address, _n: "drop" if stage == "body" and address == "p2@mail.test" else None
    campaign = office.campaign(6)
    office.fan_out(campaign)
    office.pump()
    assert office.parts(campaign) == {"audience": 6, "sent": 5, "unknown": 1}
    assert [m.email for m in office.messages(campaign) if m.state == "unknown"] == ["p2@mail.test"]
    assert max(office.sink.recipients().values()) == 1


def test_a_connection_lost_before_the_body_costs_nothing(office: Office) -> None:
    dropped: list[str] = []

    def once(stage: str, address: str, _attempt: int) -> str | None:
        if stage == "rcpt" and address == "p2@mail.test" and not dropped:
            dropped.append(address)
            return "drop"
        return None

    office.sink.script = once
    campaign = office.campaign(6)
    office.fan_out(campaign)
    office.pump()
    assert office.parts(campaign) == {"audience": 6, "sent": 6}
    assert office.sink.recipients() == {f"p{n}@mail.test": 1 for n in range(6)}


def test_without_pipelining_letters_go_one_command_at_a_time(office: Office) -> None:
    office.sink.pipelining = False
    office.sink.script = by_name({"p1": "550 5.1.1 no such user"})
    campaign = office.campaign(4)
    office.fan_out(campaign)
    office.pump()
    assert office.parts(campaign) == {"audience": 4, "sent": 3, "failed": 1}


def test_a_dead_relay_burns_no_letter_and_sending_goes_on_when_it_is_back(office: Office) -> None:
    campaign = office.campaign(12)
    office.fan_out(campaign, chunk_size=4)
    office.sink.stop_listening()
    seen: list[str] = []

    def come_back() -> None:
        for _turn in range(1200):
            with office.registry.session_factory() as session:
                seen.extend(session.scalars(text("SELECT doing FROM worker_heartbeat WHERE doing LIKE 'relay%'")))
            if seen:
                break
            time.sleep(0.05)
        assert office.recount(campaign) == {}
        office.sink.listen()

    office.settings(delivery_lease_seconds=2)
    coming = threading.Thread(target=come_back)
    coming.start()
    office.pump()
    coming.join()
    assert seen
    assert seen[0].startswith("relay default: ")
    assert office.parts(campaign) == {"audience": 12, "sent": 12}
    assert office.sink.recipients() == {f"p{n}@mail.test": 1 for n in range(12)}


def test_a_relay_that_defers_everything_is_set_aside(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailhub.delivery.health.REFUSALS", 5)
    office.sink.script = lambda stage, _address, _n: "451 4.3.2 not now" if stage == "rcpt" else None
    office.settings(delivery_pump_seconds=1)
    office.connections(1)
    campaign = office.campaign(60)
    office.fan_out(campaign)
    office.pump()
    assert office.count(campaign).deferred <= 10


@pytest.mark.parametrize("state", ["paused", "cancelled"])
def test_pause_and_cancel_stop_at_the_letter_and_nothing_is_in_doubt(office: Office, state: str) -> None:
    office.sink.delay_seconds = 0.05
    campaign = office.campaign(60)
    office.fan_out(campaign, chunk_size=20)
    stopped_at: list[float] = []

    def stop() -> None:
        office.sink.wait_for(5)
        with office.registry.session_factory() as session:
            session.execute(update(Campaign).where(Campaign.id == campaign.id).values(state=state))
            session.commit()
        stopped_at.append(time.time())

    stopping = threading.Thread(target=stop)
    stopping.start()
    office.pump()
    stopping.join()
    # Half a second's letters at most. They are counted, because a busy machine stretches the seconds.
    assert sum(letter.at > stopped_at[0] for letter in office.sink.letters) <= 10
    sent = len(office.sink.letters)
    assert sent < 60
    assert office.parts(campaign) == {"audience": 60, "sent": sent, "queued": 60 - sent}
    if state == "paused":
        office.session.execute(update(Campaign).where(Campaign.id == campaign.id).values(state="sending"))
        office.session.commit()
        office.sink.delay_seconds = 0
        office.pump()
        assert office.parts(campaign) == {"audience": 60, "sent": 60}
        assert max(office.sink.recipients().values()) == 1
    else:
        assert "mailhub.delivery.cancel_rest" in office.sweep()
        for _twice in range(2):
            office.run("mailhub.delivery.cancel_rest", campaign.project_id, campaign.id)
        assert office.parts(campaign) == {"audience": 60, "sent": sent, "skipped": 60 - sent}
        assert office.recount(campaign) == {"sent": sent, "skipped": 60 - sent}
        assert "mailhub.delivery.cancel_rest" not in office.sweep()


def test_cancel_takes_the_deferred_too(office: Office) -> None:
    office.sink.script = by_name({"p0": "451 4.3.0 later"})
    campaign = office.campaign(3)
    office.fan_out(campaign)
    office.pump()
    office.session.execute(update(Campaign).where(Campaign.id == campaign.id).values(state="cancelled"))
    office.session.commit()
    office.run("mailhub.delivery.cancel_rest", campaign.project_id, campaign.id)
    assert office.parts(campaign) == {"audience": 3, "sent": 2, "skipped": 1}


def test_the_stop_flag_ends_after_the_letter_and_gives_the_chunk_back(office: Office) -> None:
    office.registry.stop_flag = bytearray(1)
    office.sink.script = lambda stage, _address, _n: stop() if stage == "body" else None

    def stop() -> None:
        if len(office.sink.letters) == 4:
            office.registry.stop_flag[0] = 1

    office.connections(1)
    campaign = office.campaign(20)
    office.fan_out(campaign)
    office.pump()
    sent = office.count(campaign).sent
    assert sent in (5, 6)
    assert office.parts(campaign) == {"audience": 20, "sent": sent, "queued": 20 - sent}
    office.registry.stop_flag[0] = 0
    office.pump()
    assert office.parts(campaign) == {"audience": 20, "sent": 20}
    assert max(office.sink.recipients().values()) == 1


def test_what_cannot_be_rendered_for_one_person_skips_that_person(office: Office) -> None:
    campaign = office.campaign(4)
    version = office.session.get(CampaignVersion, (campaign.project_id, campaign.id, 1))
    version.html = "<p>{% for x in items %}{{ x }}{% endfor %}</p>"
    office.session.execute(delete(Link))
    person = office.session.scalars(select(Subscriber).order_by(Subscriber.id)).all()[1]
    person.fields = {"items": "not a list"}
    office.session.commit()
    office.fan_out(campaign)
    office.pump()
    assert office.parts(campaign) == {"audience": 4, "sent": 3, "skipped": 1}
    assert [m.reason for m in office.messages(campaign) if m.state == "skipped"] == ["render_error"]


def test_the_letter_on_the_wire(office: Office) -> None:
    campaign = office.campaign(1)
    office.settings(tracking_url="https://t.example.com", usercontent_url="https://u.example.com")
    office.fan_out(campaign)
    office.pump()
    caught = office.sink.letters[0]
    letter = email.message_from_bytes(caught.data, policy=email.policy.default)
    assert str(letter["To"]) == "Person 0 <p0@mail.test>"
    assert str(letter["Subject"]) == "Hello, Person 0"
    assert letter["List-Unsubscribe"].startswith("<https://t.example.com/u/")
    assert letter["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert letter["List-Id"].endswith(f".{campaign_domain(office, campaign)}>")
    assert letter["Feedback-ID"] == f"{campaign.id}:{campaign.project_id}:campaign:mailhub"
    html = letter.get_body(("html",)).get_content()
    assert "https://t.example.com/t/c/" in html
    assert "https://t.example.com/t/o/" in html
    assert "https://example.com/shop" not in html
    signer = office.registry.signer
    returned = read_local_part(signer, caught.sender.partition("@")[0], now=int(time.time()))
    assert (returned.campaign, returned.project) == (campaign.id, campaign.project_id)
    message = office.messages(campaign)[0]
    assert message.header_id == caught.message_id
    token = html.partition("/t/c/")[2].partition('"')[0]
    claims = signer.read("click", token)
    assert office.session.get(Link, (campaign.project_id, claims.link)).url == "https://example.com/shop"


def test_the_parts_add_up_while_it_runs(office: Office) -> None:
    office.sink.delay_seconds = 0.002
    campaign = office.campaign(150)
    office.fan_out(campaign, chunk_size=20)
    done = threading.Event()
    wrong: list[dict[str, int]] = []
    looks: list[int] = []

    def watch() -> None:
        while not done.is_set():
            with office.registry.session_factory() as session:
                parts = session.get(CampaignCount, (campaign.project_id, campaign.id)).parts()
                rows = session.scalar(
                    select(func.count()).select_from(Message).where(Message.campaign_id == campaign.id)
                )
            looks.append(rows)
            audience = parts.pop("audience")
            if audience != 150 or sum(parts.values()) != 150 or min(parts.values()) < 0:
                wrong.append(parts)

    watching = threading.Thread(target=watch)
    watching.start()
    pumps = [threading.Thread(target=office.pump) for _n in range(3)]
    for one in pumps:
        one.start()
    for one in pumps:
        one.join()
    done.set()
    watching.join()
    assert not wrong
    assert len(set(looks)) > 2
    assert office.recount(campaign) == {"sent": 150}
    assert office.sink.recipients() == {f"p{n}@mail.test": 1 for n in range(150)}


def campaign_domain(office: Office, campaign: Campaign) -> str:
    return office.session.get(CampaignVersion, (campaign.project_id, campaign.id, 1)).project_domain


def test_a_relays_letters_per_second_are_kept(office: Office) -> None:
    relay = dataclasses.replace(office.registry.mailhub.relays["default"], messages_per_second=40)
    office.settings(relays={"default": relay})
    campaign = office.campaign(30)
    office.fan_out(campaign)
    began = time.monotonic()
    office.pump()
    assert time.monotonic() - began > 0.5
    assert office.parts(campaign) == {"audience": 30, "sent": 30}
