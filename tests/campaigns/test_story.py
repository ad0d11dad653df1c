"""The main job from the draft to the last letter: pages and API above, the real pump and an SMTP sink below."""

from __future__ import annotations

import dataclasses
import email
import email.policy

import pytest
from sqlalchemy import select

from mailhub.models import Campaign, CampaignCount, CampaignState, Message
from mailhub.setting_values import relay as parse_relay
from mailhub.tasks import TASKS, run, run_sweeps
from tests.campaigns.arrange import Cast, make_cast, start_now
from tests.sink import Sink


@pytest.fixture
def sink():
    with Sink() as running:
        yield running


@pytest.fixture
def office(live, sink):
    """The live site with the sink as its relay."""
    relays = {"default": parse_relay("default", sink.url, {})}
    live.registry.mailhub = dataclasses.replace(live.registry.mailhub, relays=relays)
    return live


def reread(office, cast: Cast) -> Campaign:
    office.session.rollback()
    office.session.expire_all()
    return office.session.get(Campaign, (cast.project.id, cast.campaign.id))


def counts(office, cast: Cast) -> dict[str, int]:
    office.session.rollback()
    office.session.expire_all()
    row = office.session.get(CampaignCount, (cast.project.id, cast.campaign.id))
    return {name: n for name, n in row.parts().items() if n}


def test_from_the_draft_to_the_last_letter(office, sink):
    cast = make_cast(office.build, people=12)
    gone = office.build.subscriber(cast.project, lists=[cast.list])
    gone.status = "unsubscribed"
    office.session.commit()
    client = office.client.sign_in(cast.bob)
    assert "Recipients: 12." in client.get(cast.path("/edit/review"))
    start_now(client, cast)
    office.publisher.run_all()
    assert reread(office, cast).state == CampaignState.SENT
    assert counts(office, cast) == {"audience": 13, "sent": 12, "skipped": 1}
    assert sink.recipients() == {person.email: 1 for person in cast.people}
    letter = email.message_from_bytes(sink.letters[0].data, policy=email.policy.default)
    assert letter["Subject"].startswith("Hello, Person ")
    assert letter["From"] == f"News <{cast.sender.email}>"
    page = client.get(cast.path())
    assert "13 of 13" in page
    assert "data-live" not in client.fragment(cast.path(), "campaign-progress"), "polling is over"
    people = client.get(cast.path("/people?state=skipped"))
    assert gone.email in people
    assert "unsubscribed" in people
    assert "Sent" in client.get(f"/projects/{cast.project.slug}/campaigns?tab=sent")


def test_a_test_letter_arrives_and_counts_nowhere(office, sink):
    cast = make_cast(office.build)
    client = office.client.sign_in(cast.bob)
    client.post_form(cast.path("/test"), {"addresses": "me@example.com"}, status=303)
    office.publisher.run_all()
    assert [caught.recipient for caught in sink.letters] == ["me@example.com"]
    letter = email.message_from_bytes(sink.letters[0].data, policy=email.policy.default)
    assert letter["Subject"] == "[Test] Hello, Person 0"
    office.session.rollback()
    assert office.session.scalar(select(Message.state).where(Message.kind == "test")) == "sent"
    assert reread(office, cast).state == CampaignState.DRAFT
    assert office.session.get(CampaignCount, (cast.project.id, cast.campaign.id)) is None


def test_paused_before_the_fan_out_it_goes_on_later(office, sink):
    cast = make_cast(office.build)
    client = office.client.sign_in(cast.bob)
    start_now(client, cast)
    client.post_form(cast.path("/pause"), {}, status=303)
    office.publisher.run_all()
    assert sink.letters == []
    client.post_form(cast.path("/resume"), {}, status=303)
    office.publisher.run_all()
    assert counts(office, cast) == {"audience": 3, "sent": 3}


def test_cancelled_on_its_way_the_rest_is_skipped_with_the_reason(office, sink):
    cast = make_cast(office.build)
    client = office.client.sign_in(cast.bob)
    start_now(client, cast)
    name, args, _queue = office.publisher.sent.pop()
    run(office.registry, TASKS[name], args)
    office.publisher.sent.clear()
    client.post_form(cast.path("/cancel"), {}, status=303)
    office.publisher.run_all()
    assert reread(office, cast).state == CampaignState.CANCELLED
    assert counts(office, cast) == {"audience": 3, "skipped": 3}
    assert sink.letters == []
    assert "the campaign was cancelled" in client.get(cast.path("/people?state=skipped"))
    assert "3 of 3" in client.get(cast.path())


def test_every_wake_up_lost_the_sweep_still_sends(office, sink):
    cast = make_cast(office.build)
    start_now(office.client.sign_in(cast.bob), cast)
    office.publisher.sent.clear()
    run_sweeps(office.registry)
    assert "mailhub.campaigns.fan_out" in office.publisher.names()
    office.publisher.run_all()
    assert counts(office, cast) == {"audience": 3, "sent": 3}


def test_the_same_through_the_api_alone(office, sink):
    cast = make_cast(office.build)
    api = office.client.api(office.session, cast.project.id)
    made = api.post_json("/api/v1/campaigns", {
        "name": "By program", "subject": "For {{ name }}", "from": {"email": cast.sender.email, "name": "Robot"},
        "list_ids": [str(cast.list.id)], "html": "<p>{{ name }}</p>",
    }, status=201).json  # fmt: skip
    url = f"/api/v1/campaigns/{made['id']}"
    api.post_json(f"{url}/start", {}, status=202)
    office.publisher.run_all()
    shown = api.get(url).json
    assert shown["state"] == "sent"
    assert shown["counts"] == {
        "audience": 3, "queued": 0, "deferred": 0, "sent": 3, "failed": 0, "unknown": 0, "skipped": 0,
    }  # fmt: skip
    rows = api.get(f"{url}/recipients?state=sent").json["results"]
    assert {row["email"] for row in rows} == {person.email for person in cast.people}
    letter = email.message_from_bytes(sink.letters[0].data, policy=email.policy.default)
    assert letter["From"] == f"Robot <{cast.sender.email}>"
