"""Many connections, lanes, several relays: what the loop does with more than one of anything."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import select, text, update

from mailhub.delivery.dispatcher import Dispatcher
from mailhub.delivery.pump import Pump
from mailhub.delivery.source import Campaigns
from mailhub.mail.lane import LANES
from mailhub.models import Campaign, CampaignChunk, CampaignLane, ConnectionSlot, Message, RateBucket, Subscriber
from mailhub.setting_values import relay as parse_relay
from tests.delivery.conftest import Office, by_name
from tests.sink import Sink


@pytest.fixture
def second() -> Iterator[Sink]:
    with Sink() as running:
        yield running


def move_to(office: Office, domain: str, names: list[str]) -> None:
    """Give people addresses of another domain."""
    for name in names:
        email = f"{name}@{domain}"
        office.session.execute(
            update(Subscriber)
            .where(Subscriber.email == f"{name}@mail.test")
            .values(email=email, email_key=email, email_domain=domain)
        )
    office.session.commit()


def test_fan_out_puts_people_into_the_lanes_of_their_providers(office: Office) -> None:
    campaign = office.campaign(12)
    move_to(office, "gmail.com", ["p0", "p3", "p4"])
    move_to(office, "yandex.ru", ["p7"])
    assert office.fan_out(campaign, chunk_size=2, route="ses") == 12
    lanes = office.session.scalars(select(CampaignLane).order_by(CampaignLane.lane)).all()
    assert [(LANES[lane.lane], lane.next_seq, lane.last_seq, lane.total, lane.route) for lane in lanes] == [
        ("gmail", 0, 1, 3, "ses"),
        ("yandex", 0, 0, 1, "ses"),
        ("other", 0, 3, 8, "ses"),
    ]
    chunks = office.session.scalars(select(CampaignChunk).order_by(CampaignChunk.lane, CampaignChunk.seq)).all()
    assert [chunk.n for chunk in chunks] == [2, 1, 1, 2, 2, 2, 2]
    assert len({one for chunk in chunks for one in chunk.ids}) == 12
    office.pump()
    assert office.parts(campaign) == {"audience": 12, "sent": 12}
    assert max(office.sink.recipients().values()) == 1


def test_many_connections_are_used_and_a_fifth_is_left_for_single_letters(office: Office) -> None:
    office.sink.delay_seconds = 0.02
    office.connections(10)
    campaign = office.campaign(120)
    office.fan_out(campaign, chunk_size=50)
    office.pump()
    assert office.parts(campaign) == {"audience": 120, "sent": 120}
    assert office.sink.connections == 8
    assert office.session.scalars(select(ConnectionSlot)).all() == [], "given back when the pump has ended"


def test_a_connection_is_left_after_so_many_letters(office: Office) -> None:
    relay = dataclasses.replace(
        office.registry.mailhub.relays["default"], max_connections=1, messages_per_connection=4
    )
    office.settings(relays={"default": relay})
    campaign = office.campaign(10)
    office.fan_out(campaign)
    office.pump()
    assert office.parts(campaign) == {"audience": 10, "sent": 10}
    assert office.sink.connections == 3


def test_a_providers_cap_holds_and_others_go_on(office: Office) -> None:
    office.sink.delay_seconds = 0.05
    settings = office.registry.mailhub
    relay = dataclasses.replace(settings.relays["default"], lanes=True, max_connections=20)
    lanes = settings.lanes | {
        name: dataclasses.replace(settings.lanes[name], max_connections=most, messages_per_second=0)
        for name, most in (("gmail", 1), ("other", 0))
    }
    office.settings(relays={"default": relay}, lanes=lanes)
    campaign = office.campaign(30)
    slow = [f"p{n}" for n in range(12)]
    move_to(office, "gmail.com", slow)
    office.fan_out(campaign)
    office.pump()
    assert office.parts(campaign) == {"audience": 30, "sent": 30}
    at = {letter.recipient: letter.at for letter in office.sink.letters}
    gmail = sorted(at[f"{name}@gmail.com"] for name in slow)
    assert min(later - earlier for earlier, later in pairwise(gmail)) > 0.03
    assert max(moment for address, moment in at.items() if address.endswith("mail.test")) < gmail[-1]


def test_letters_go_to_the_relay_that_works(office: Office, second: Sink) -> None:
    relays = {
        name: parse_relay(name, url, {"route": "default"})
        for name, url in (("default", office.sink.url), ("spare", second.url))
    }
    office.settings(relays=relays)
    office.sink.stop_listening()
    campaign = office.campaign(20)
    office.fan_out(campaign, chunk_size=5)
    office.pump()
    assert office.parts(campaign) == {"audience": 20, "sent": 20}
    assert second.recipients() == {f"p{n}@mail.test": 1 for n in range(20)}
    assert {message.relay for message in office.messages(campaign)} == {"spare"}


def test_two_relays_share_by_weight(office: Office, second: Sink) -> None:
    relays = {
        "default": parse_relay("default", office.sink.url, {"weight": "1"}),
        "spare": parse_relay("spare", second.url, {"route": "default", "weight": "1"}),
    }
    office.settings(relays=relays)
    campaign = office.campaign(200)
    office.fan_out(campaign, chunk_size=5)
    office.pump()
    assert office.parts(campaign) == {"audience": 200, "sent": 200}
    assert min(len(office.sink.letters), len(second.letters)) >= 20


def test_a_relay_that_is_down_holds_up_only_its_own_project(office: Office, second: Sink) -> None:
    relays = {
        "default": parse_relay("default", office.sink.url, {}),
        "other": parse_relay("other", second.url, {}),
    }
    office.settings(relays=relays, delivery_pump_seconds=2)
    second.stop_listening()
    waiting = office.campaign(10, project=office.build.project(relay="other"))
    going = office.campaign(10)
    office.fan_out(waiting, route="other")
    office.session.execute(update(Subscriber).values(email=Subscriber.email))
    office.fan_out(going)
    office.pump()
    assert office.parts(going)["sent"] == 10
    assert office.parts(waiting) == {"audience": 10, "queued": 10}
    second.listen()
    office.session.execute(text("UPDATE relay_health SET probe_at = clock_timestamp()"))
    office.session.commit()
    office.pump()
    assert office.parts(waiting) == {"audience": 10, "sent": 10}


def test_a_letter_that_is_tried_again_does_not_wait_behind_a_campaign(office: Office) -> None:
    office.sink.script = by_name({"p0": "451 4.3.0 later"})
    office.connections(1)
    first = office.campaign(1)
    office.fan_out(first)
    office.pump()
    assert office.parts(first) == {"audience": 1, "deferred": 1}
    office.sink.script = None
    office.session.execute(update(Message).values(due_at=datetime.now(UTC) - timedelta(seconds=1)))
    office.session.commit()
    second = office.campaign(50, project=office.build.project())
    office.fan_out(second, chunk_size=5)
    office.pump()
    assert office.parts(first) == {"audience": 1, "sent": 1}
    places = [letter.recipient for letter in office.sink.letters]
    assert places.index("p0@mail.test") <= 5


def test_projects_take_turns_whatever_their_backlog(office: Office) -> None:
    big = office.campaign(200)
    office.fan_out(big, chunk_size=5)
    small = office.campaign(20, project=office.build.project())
    office.fan_out(small, chunk_size=5)
    dispatcher = Dispatcher(office.registry)
    claimed: list[int] = []
    with dispatcher.working("bulk"):
        source = Campaigns(dispatcher)
        for _turn in range(8):
            work = source._chunk([], [], 0.0)
            assert work is not None
            claimed.append(work.campaign_id)
    assert claimed.count(small.id) == claimed.count(big.id) == 4


def test_a_spread_campaign_has_its_rate_before_the_first_letter(office: Office) -> None:
    campaign = office.campaign(60, spread_seconds=3600)
    office.fan_out(campaign)
    office.session.commit()
    (bucket,) = office.session.scalars(select(RateBucket)).all()
    assert bucket.key == f"campaign:{campaign.project_id}:{campaign.id}"
    assert bucket.rate == pytest.approx(60 / 3600)
    office.settings(delivery_pump_seconds=1)
    office.pump()
    assert office.count(campaign).sent <= 2
    assert office.count(campaign).queued >= 58


def test_a_campaign_that_waits_for_its_limit_is_paused_at_once(office: Office) -> None:
    campaign = office.campaign(60, spread_seconds=3600)
    office.fan_out(campaign)
    dispatcher = Dispatcher(office.registry)
    with dispatcher.working("bulk") as heartbeat:
        pump = Pump(dispatcher, heartbeat, Campaigns(dispatcher))
        pump._claim(time.monotonic())
        while heartbeat.sent < 1:
            pump._turn(time.monotonic())
        office.session.execute(update(Campaign).values(state="paused"))
        office.session.commit()
        sent = len(office.sink.letters)
        pump.run(1)
    dispatcher.lines.drop_all()
    assert len(office.sink.letters) == sent
    assert office.parts(campaign) == {"audience": 60, "sent": sent, "queued": 60 - sent}
