"""Whom a campaign reaches: lists and segments, less others; each person once; each one left out with a reason."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from mailhub.campaigns import audience, service
from mailhub.campaigns.chosen import Chosen, chosen_of
from mailhub.delivery import recipients as delivery_recipients
from mailhub.models import (
    Campaign,
    CampaignCount,
    CampaignVersion,
    GlobalSuppression,
    Message,
    Segment,
    Subscriber,
    SubscriberField,
    Subscription,
)
from mailhub.setting_values import relay as parse_relay
from mailhub.suppression import service as suppression
from mailhub.tasks import TASKS, run
from tests.campaigns.arrange import Cast, make_cast, start_now
from tests.sink import Sink

KAZAN = {"match": "all", "rules": [{"field": "fields.city", "op": "is", "value": "Kazan"}]}
TVER = {"match": "all", "rules": [{"field": "fields.city", "op": "is", "value": "Tver"}]}


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


def add_segment(session, project, name, definition):
    if session.get(SubscriberField, (project.id, "city")) is None:
        session.add(SubscriberField(project_id=project.id, name="city", label="City"))
    segment = Segment(project_id=project.id, name=name, definition=definition)
    session.add(segment)
    session.commit()
    return segment


def everybody(build, session, cast: Cast):
    """A person for each way in and out, by name; and the choice of the campaign."""
    other, closed, out = (build.list(cast.project, name=name) for name in ("Customers", "Third", "Partners"))
    elsewhere = build.list(cast.project, name="Elsewhere")
    project = cast.project

    def person(name, lists, **columns):
        return build.subscriber(project, f"{name}@mail.test", lists=lists, **columns)

    people = {
        "thrice": person("thrice", [cast.list, other, closed]),
        "by-segment": person("by-segment", [elsewhere], fields={"city": "Kazan"}),
        "in-no-list": person("in-no-list", [], fields={"city": "Kazan"}),
        "was-here": person("was-here", [elsewhere], fields={"city": "Kazan"}),
        "out-by-list": person("out-by-list", [cast.list, out]),
        "out-by-segment": person("out-by-segment", [cast.list], fields={"city": "Tver"}),
        "paused": person("paused", [cast.list], paused_until=datetime.now(UTC) + timedelta(days=30)),
        "was-paused": person("was-paused", [cast.list], paused_until=datetime.now(UTC) - timedelta(days=1)),
        "bounced": person("bounced", [cast.list]),
        "left-all": person("left-all", [cast.list]),
        "stopped": person("stopped", [cast.list]),
        "stopped-everywhere": person("stopped-everywhere", [cast.list]),
        "erased": person("erased", [cast.list]),
        "leaves-later": person("leaves-later", [cast.list]),
        "nobody-asked": person("nobody-asked", [elsewhere]),
    }
    session.add(
        Subscription(
            project_id=project.id, list_id=other.id, subscriber_id=people["was-here"].id, status="unsubscribed"
        )
    )
    people["bounced"].status, people["left-all"].status = "bounced", "unsubscribed"
    suppression.suppress(session, project_id=project.id, email="stopped@mail.test", reason="manual")
    suppression.suppress_erased(session, project_id=project.id, email_key="erased@mail.test")
    session.add(GlobalSuppression(email_key="stopped-everywhere@mail.test"))
    session.commit()
    inside, outside = add_segment(session, project, "Kazan", KAZAN), add_segment(session, project, "Tver", TVER)
    choice = {
        "list_ids": [cast.list.id, other.id, closed.id], "segment_ids": [inside.id], "exclude_list_ids": [out.id],
        "exclude_segment_ids": [outside.id],
    }  # fmt: skip
    return people, choice


REASONS = {
    "in-no-list": "unsubscribed", "was-here": "unsubscribed", "out-by-list": "excluded", "out-by-segment": "excluded",
    "paused": "paused", "bounced": "suppressed", "left-all": "unsubscribed", "stopped": "suppressed",
    "stopped-everywhere": "suppressed", "erased": "suppressed",
}  # fmt: skip


def test_the_whole_story_of_an_audience(office, sink):
    """Three lists, a segment, two exclusions, and somebody who leaves between the fan-out and their letter."""
    cast = make_cast(office.build, people=0)
    people, choice = everybody(office.build, office.session, cast)
    api = office.client.api(office.session, cast.project.id)
    ids = {name: [str(number) for number in numbers] for name, numbers in choice.items()}
    shown = api.patch_json(cast.api_path(), ids).json
    assert {name: shown[name] for name in ids} == ids
    counted = audience.count_audience(office.session, cast.project.id, chosen_of(
        office.session, cast.project.id, cast.campaign.id
    ))  # fmt: skip
    office.session.commit()
    client = office.client.sign_in(cast.bob)
    review = client.get(cast.path("/edit/review"))
    assert "Recipients: 4." in review
    for name in ("Customers", "Kazan", "Partners", "Tver"):
        assert name in review
    start_now(client, cast)
    # The fan-out alone; then somebody leaves, the segment is written anew, and only then letters go out.
    run(office.registry, TASKS["mailhub.campaigns.fan_out"], (cast.project.id, cast.campaign.id))
    office.session.get(Segment, (cast.project.id, choice["segment_ids"][0])).definition = TVER
    leaving = (cast.project.id, cast.list.id, people["leaves-later"].id)
    office.session.get(Subscription, leaving).status = "unsubscribed"
    office.session.commit()
    office.publisher.run_all()
    office.session.rollback()
    office.session.expire_all()
    ledger = office.session.get(CampaignCount, (cast.project.id, cast.campaign.id))
    assert {name: n for name, n in ledger.parts().items() if n} == {"audience": 14, "sent": 3, "skipped": 11}
    assert sink.recipients() == dict.fromkeys(("thrice@mail.test", "by-segment@mail.test", "was-paused@mail.test"), 1)
    rows = office.session.execute(select(Message.email, Message.reason).where(Message.state == "skipped")).all()
    told = {email.partition("@")[0]: reason for email, reason in rows}
    assert told == {**REASONS, "leaves-later": "unsubscribed"}
    assert (counted.chosen, counted.reachable) == (14, 4)
    assert counted.left == {"unsubscribed": 3, "suppressed": 4, "excluded": 2, "paused": 1}
    found = api.get(f"/api/v1/campaigns/{cast.campaign.id}/recipients?state=skipped&reason=excluded").json["results"]
    assert sorted(one["email"] for one in found) == ["out-by-list@mail.test", "out-by-segment@mail.test"]
    page = client.get(cast.path("/people?state=skipped"))
    for words in ("left out of the campaign", "has paused letters", "on the stop list", "unsubscribed"):
        assert words in page
    shown = client.get(cast.path())
    for words in ("Customers", "Partners", "Kazan", "Tver"):
        assert words in shown


def test_who_leaves_after_the_fan_out_is_found_out_before_the_letter(office):
    """Whatever stops somebody meanwhile: pause, stop list here and everywhere, the last list of a segment's person."""
    cast = make_cast(office.build, people=0)
    people, choice = everybody(office.build, office.session, cast)
    service.update(office.session, cast.project, cast.campaign, **choice)
    office.session.commit()
    session, ids = office.session, {name: person.id for name, person in people.items()}
    names = ("thrice", "by-segment", "was-paused", "leaves-later")

    def refused():
        session.commit()
        with office.registry.engine.connect() as connection:
            found = delivery_recipients.load(
                connection.connection.driver_connection, cast.project.id, cast.campaign.id, [ids[n] for n in names]
            )
        return dict(zip(names, (one.refused for one in found), strict=True))

    assert set(refused().values()) == {""}
    people["thrice"].paused_until = datetime.now(UTC) + timedelta(hours=1)
    suppression.suppress_erased(session, project_id=cast.project.id, email_key="was-paused@mail.test")
    session.add(GlobalSuppression(domain="elsewhere.test"))
    for row in session.scalars(select(Subscription).where(Subscription.subscriber_id == ids["by-segment"])):
        row.status = "unsubscribed"
    assert refused() == {
        "thrice": "paused", "by-segment": "unsubscribed", "was-paused": "suppressed", "leaves-later": "",
    }  # fmt: skip
    session.add(GlobalSuppression(domain="test"))
    assert set(refused().values()) == {"suppressed"}


def test_a_segment_that_can_not_be_read_stops_the_start(build, dbsession, client):
    cast = make_cast(build)
    segment = add_segment(dbsession, cast.project, "Towns", KAZAN)
    service.update(dbsession, cast.project, cast.campaign, segment_ids=[segment.id])
    dbsession.delete(dbsession.get(SubscriberField, (cast.project.id, "city")))
    dbsession.commit()
    counted = audience.count_audience(dbsession, cast.project.id, Chosen(segments=(segment.id,)))
    assert (counted.broken, counted.reachable) == ("Towns", 0)
    client.sign_in(cast.bob)
    assert "The segment “Towns” asks for something" in client.get(cast.path("/edit/review"))
    client.post_form(cast.path("/start"), {"when": "now"}, status=422)


def test_a_segment_that_breaks_after_the_start_pauses_the_campaign(build, dbsession, client, registry):
    cast = make_cast(build)
    segment = add_segment(dbsession, cast.project, "Towns", KAZAN)
    service.update(dbsession, cast.project, cast.campaign, segment_ids=[segment.id])
    service.start(dbsession, cast.project, cast.campaign, now=cast.now)
    dbsession.delete(dbsession.get(SubscriberField, (cast.project.id, "city")))
    dbsession.commit()
    run(registry, TASKS["mailhub.campaigns.fan_out"], (cast.project.id, cast.campaign.id))
    dbsession.expire_all()
    campaign = dbsession.get(Campaign, (cast.project.id, cast.campaign.id))
    assert (campaign.state, campaign.fanned_out_at) == ("paused", None)
    client.sign_in(cast.bob).get(cast.path(), status=200)


def test_the_frozen_audience_is_whole(build, dbsession):
    cast = make_cast(build)
    segment = add_segment(dbsession, cast.project, "Towns", KAZAN)
    out = build.list(cast.project)
    service.update(dbsession, cast.project, cast.campaign, segment_ids=[segment.id], exclude_list_ids=[out.id])
    service.start(dbsession, cast.project, cast.campaign, now=cast.now)
    version = dbsession.get(CampaignVersion, (cast.project.id, cast.campaign.id, 1))
    assert version.audience == {
        "lists": [cast.list.id], "not_lists": [out.id],
        "segments": [{"id": segment.id, "name": "Towns", "definition": KAZAN}], "not_segments": [],
    }  # fmt: skip
    assert (version.list_id, version.list_name) == (None, "Readers, Towns")


def test_a_copy_has_the_same_choice_and_writes_to_nobody_whom_the_first_left_out(build, dbsession):
    cast = make_cast(build)
    kept, old, gone = (add_segment(dbsession, cast.project, name, KAZAN) for name in ("Kept", "Old", "Gone"))
    out = build.list(cast.project)
    service.update(
        dbsession, cast.project, cast.campaign, segment_ids=[kept.id, old.id], exclude_list_ids=[out.id],
        exclude_segment_ids=[gone.id],
    )  # fmt: skip
    old.archived_at = gone.archived_at = out.archived_at = datetime.now(UTC)
    dbsession.commit()
    twin = service.copy(dbsession, cast.campaign, name="Twin")
    assert chosen_of(dbsession, cast.project.id, twin.id) == Chosen((cast.list.id,), (kept.id,), (out.id,), (gone.id,))
    # What was chosen before it was archived stays in the draft itself.
    service.update(dbsession, cast.project, cast.campaign, exclude_segment_ids=[gone.id], list_ids=[])
    assert chosen_of(dbsession, cast.project.id, cast.campaign.id).not_segments == (gone.id,)


def test_the_first_step_counts_what_is_ticked_and_keeps_it(build, dbsession, client, count_statements, monkeypatch):
    cast = make_cast(build)
    segment = add_segment(dbsession, cast.project, "Towns", KAZAN)
    build.subscriber(cast.project, lists=[build.list(cast.project)], fields={"city": "Kazan"})
    cast.people[0].paused_until = datetime.now(UTC) + timedelta(days=1)
    out = build.list(cast.project, "Partners")
    dbsession.add(Subscription(project_id=cast.project.id, list_id=out.id, subscriber_id=cast.people[1].id))
    dbsession.commit()
    client.sign_in(cast.bob)
    path = cast.path("/edit/recipients")
    with count_statements() as seen:
        page = client.get(path)
    assert len(seen) <= 16, len(seen)
    assert "Leave people out" in page
    monkeypatch.setattr(audience, "MOST_COUNTED_AT_ONCE", 1)
    large = client.get(path).html.find(id="recipient-count")
    assert large["hx-trigger"].startswith("load, ")
    assert "at most 3" in large.text
    assert "at most" not in client.get(path + "?count=1").html.find(id="recipient-count").text
    asked = f"?list_ids={cast.list.id}&segment_ids={segment.id}&exclude_list_ids={out.id}&exclude_list_ids=x"
    counted = client.fragment(path + asked, "recipient-count")
    assert '<p class="tile-v">2</p>' in counted
    assert counted.text.count("−1") == 2
    fields = [("revision", "1"), ("list_ids", cast.list.id), ("segment_ids", segment.id), ("exclude_list_ids", out.id)]
    client.post_form(path, fields, status=303)
    wanted = Chosen((cast.list.id,), (segment.id,), (out.id,), ())
    assert chosen_of(dbsession, cast.project.id, cast.campaign.id) == wanted
    both = [("revision", "2"), ("list_ids", cast.list.id), ("exclude_list_ids", cast.list.id)]
    assert "t be written to and left out" in client.post_form(path, both, status=422)
    client.post_form(path, [("revision", "2"), ("segment_ids", "999999")], status=422)
    assert chosen_of(dbsession, cast.project.id, cast.campaign.id) == wanted


def test_the_api_takes_one_segment_by_its_older_name(build, dbsession, client):
    cast = make_cast(build)
    segment = add_segment(dbsession, cast.project, "Towns", KAZAN)
    api = client.api(dbsession, cast.project.id)
    made = api.post_json("/api/v1/campaigns", {"name": "x", "segment_id": str(segment.id)}, status=201).json
    assert (made["segment_id"], made["segment_ids"], made["list_ids"]) == (str(segment.id), [str(segment.id)], [])
    path = f"/api/v1/campaigns/{made['id']}"
    assert api.patch_json(path, {"segment_id": None}).json["segment_ids"] == []
    both = {"segment_id": str(segment.id), "segment_ids": []}
    assert api.patch_json(path, both, status=422).json["errors"][0]["field"] == "segment_id"
    foreign = add_segment(dbsession, build.project(), "Theirs", KAZAN)
    for name in ("segment_ids", "exclude_segment_ids"):
        answer = api.patch_json(path, {name: [str(foreign.id)]}, status=422).json
        assert answer["errors"][0]["field"] == name


def test_the_preview_shows_somebody_of_the_segment(build, dbsession):
    cast = make_cast(build)
    segment = add_segment(dbsession, cast.project, "Towns", KAZAN)
    wanted = build.subscriber(cast.project, fields={"city": "Kazan"})
    chosen = Chosen(segments=(segment.id,))
    assert audience.sample(dbsession, cast.project.id, chosen, None).subscriber == wanted
    excluded = Chosen(lists=(cast.list.id,), not_segments=(segment.id,))
    assert audience.sample(dbsession, cast.project.id, excluded, None).subscriber == cast.people[0]
    assert isinstance(wanted, Subscriber)
