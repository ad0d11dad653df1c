"""Who is on a stop list: by address, by domain, by the hash of somebody who was erased."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from mailhub.delivery.recipients import load
from mailhub.models import (
    CampaignSegment,
    GlobalSuppression,
    Segment,
    Subscriber,
    Subscription,
    Suppression,
    SuppressionCount,
    SuppressionReason,
)
from mailhub.security import address_hash
from mailhub.suppression import entries, service
from mailhub.suppression.clauses import StopList

PAST, FUTURE = (datetime.now(UTC) + timedelta(days=n) for n in (-1, 30))


def put(dbsession, project, email="a@mail.test", reason="manual", **more):
    return service.suppress(dbsession, project_id=project.id, email=email, reason=reason, **more)


def everywhere(dbsession, **columns):
    dbsession.add(GlobalSuppression(**columns))
    dbsession.flush()


def by_clause(dbsession, project):
    found = select(Subscriber.email_key).where(
        Subscriber.project_id == project.id, service.suppressed_clause(project.id)
    )
    return set(dbsession.scalars(found))


def by_join(dbsession, project):
    stops = StopList(dbsession, project.id)
    rows = dbsession.execute(
        stops.join(select(Subscriber.email_key, stops.stopped).where(Subscriber.project_id == project.id))
    ).all()
    assert len(rows) == len({row[0] for row in rows})
    return {key for key, stopped in rows if stopped}


def by_load(dbsession, project, campaign):
    ids = list(dbsession.scalars(select(Subscriber.id).where(Subscriber.project_id == project.id)))
    found = load(entries.connection_of(dbsession), project.id, campaign.id, ids)
    return {person.email_key for person in found if person.refused == "suppressed"}


@pytest.mark.parametrize(
    ("kind", "stopped"),
    [
        ("own", {"x@shop.mail.test"}),
        ("address", {"x@shop.mail.test"}),
        ("domain", {"x@shop.mail.test", "y@mail.test"}),
        ("deep domain", {"x@shop.mail.test"}),
        ("erased", {"y@mail.test"}),
        ("erased everywhere", {"y@mail.test"}),
        ("by an old key", {"y@mail.test"}),
        ("past", set()),
        ("past everywhere", set()),
        ("another project's", set()),
    ],
)
def test_all_ways_of_asking_agree_on_who_is_stopped(dbsession, build, cast, kind, stopped):
    people = ["x@shop.mail.test", "y@mail.test", "z@notmail.test"]
    for email in people:
        build.subscriber(cast.project, email, lists=[cast.list])
    campaign = build.campaign(cast.project, lists=[cast.list])
    match kind:
        case "own":
            put(dbsession, cast.project, "X@shop.mail.test")
        case "address":
            everywhere(dbsession, email_key="x@shop.mail.test")
        case "domain":
            everywhere(dbsession, domain="mail.test")
        case "deep domain":
            everywhere(dbsession, domain="shop.mail.test")
        case "erased":
            assert service.suppress_erased(dbsession, project_id=cast.project.id, email_key="y@mail.test")
            assert not service.suppress_erased(dbsession, project_id=cast.project.id, email_key="y@mail.test")
        case "erased everywhere":
            everywhere(dbsession, email_hash=address_hash.hash_of("y@mail.test"))
        case "by an old key":
            service.suppress_erased(dbsession, project_id=cast.project.id, email_key="y@mail.test")
        case "past":
            put(dbsession, cast.project, "x@shop.mail.test", expires_at=PAST)
        case "past everywhere":
            everywhere(dbsession, domain="mail.test", expires_at=PAST)
        case "another project's":
            put(dbsession, cast.other, "x@shop.mail.test")
            service.suppress_erased(dbsession, project_id=cast.other.id, email_key="y@mail.test")
    before = address_hash._keys
    if kind == "by an old key":
        address_hash.configure(["a newer secret key, long enough", "a secret of the tests, which is long enough"])
    try:
        assert by_clause(dbsession, cast.project) == stopped
        assert by_join(dbsession, cast.project) == stopped
        assert by_load(dbsession, cast.project, campaign) == stopped
        assert service.suppressed_among(dbsession, cast.project.id, people) == stopped
        assert {one for one in people if service.is_suppressed(dbsession, cast.project.id, one)} == stopped
    finally:
        address_hash._keys = before


def test_an_erased_address_stands_nowhere(dbsession, cast):
    put(dbsession, cast.project, "y@mail.test", "complaint")
    service.suppress_erased(dbsession, project_id=cast.project.id, email_key="y@mail.test", note="asked")
    row = dbsession.scalars(select(Suppression)).one()
    assert (row.email_key, row.reason, row.note) == (None, "erased", "asked")
    computed = dbsession.scalar(
        text("SELECT sha256(:key || convert_to('y@mail.test', 'UTF8'))"), {"key": address_hash.known_keys()[0]}
    )
    assert bytes(row.email_hash) == bytes(computed)
    assert not put(dbsession, cast.project, "y@mail.test", "complaint"), "its hash stops it"
    assert dbsession.scalars(select(Suppression.email_key)).all() == [None]


def test_a_heavier_reason_takes_the_place_of_a_lighter_one_and_never_the_other_way(dbsession, cast):
    def reason():
        return dbsession.execute(select(Suppression.reason, Suppression.expires_at)).one()

    assert put(dbsession, cast.project, reason="unsubscribed", expires_at=FUTURE)
    assert not put(dbsession, cast.project, reason="unsubscribed", expires_at=FUTURE)
    assert put(dbsession, cast.project, reason="hard_bounce")
    assert tuple(reason()) == ("hard_bounce", None)
    assert not put(dbsession, cast.project, reason="manual")
    assert put(dbsession, cast.project, reason="complaint", expires_at=FUTURE)
    # What held for good holds for good.
    assert tuple(reason()) == ("complaint", None)


def test_an_entry_that_has_run_out_gives_way_to_any(dbsession, cast):
    put(dbsession, cast.project, reason="complaint", expires_at=PAST)
    assert put(dbsession, cast.project, reason="unsubscribed", expires_at=FUTURE)
    assert dbsession.execute(select(Suppression.reason, Suppression.expires_at)).one() == ("unsubscribed", FUTURE)


def test_the_counter_agrees_with_the_rows(dbsession, cast):
    def counted():
        rows = dbsession.execute(select(SuppressionCount.reason, SuppressionCount.n).where(SuppressionCount.n != 0))
        return dict(rows.all())

    entry = service.Entry("manual")
    assert sorted(service.suppress_many(dbsession, cast.project.id, ["b@x.test", "a@x.test", "b@x.test"], entry)) == [
        "a@x.test",
        "b@x.test",
    ]
    put(dbsession, cast.project, "a@x.test", "complaint")
    service.suppress_erased(dbsession, project_id=cast.project.id, email_key="c@x.test")
    assert counted() == {"manual": 1, "complaint": 1, "erased": 1}
    one = dbsession.scalar(select(Suppression.id).where(Suppression.reason == "complaint"))
    service.lift(dbsession, project_id=cast.project.id, suppression_id=one)
    assert counted() == {"manual": 1, "erased": 1}


@pytest.mark.parametrize(
    ("reason", "status", "after"),
    [
        ("hard_bounce", "bounced", "active"),
        ("complaint", "complained", "active"),
        ("complaint", "bounced", "active"),
        ("manual", "unsubscribed", "unsubscribed"),
        ("hard_bounce", "unsubscribed", "unsubscribed"),
    ],
)
def test_who_is_taken_off_the_list_can_be_written_to_unless_they_have_left(
    dbsession, build, cast, reason, status, after
):
    person = build.subscriber(cast.project, "a@mail.test")
    person.status = status
    put(dbsession, cast.project, reason=reason)
    entry = dbsession.scalar(select(Suppression.id))
    assert service.lift(dbsession, project_id=cast.other.id, suppression_id=entry) is None
    assert service.lift(dbsession, project_id=cast.project.id, suppression_id=entry).reason == reason
    assert not service.is_suppressed(dbsession, cast.project.id, "a@mail.test")
    dbsession.expire_all()
    assert person.status == after


def test_single_letters_ask_only_for_the_reasons_that_stop_them(dbsession, cast):
    put(dbsession, cast.project, reason=SuppressionReason.UNSUBSCRIBED)
    assert service.stopped(dbsession, cast.project.id, "a@mail.test", reasons=["manual"]) is None
    everywhere(dbsession, domain="mail.test")
    assert service.stopped(dbsession, cast.project.id, "a@mail.test", reasons=["manual"]).reason == service.GLOBAL


def test_the_domains_of_an_address_are_those_above_it_too(dbsession):
    assert service.domains_of("x@a.b.test") == ["a.b.test", "b.test", "test"]
    assert dbsession.scalar(text("SELECT domain_and_parents('a.b.test')")) == ["a.b.test", "b.test", "test"]


def test_a_person_named_by_a_segment_only_must_be_in_some_list_still(dbsession, build, cast):
    other = build.list(cast.project, "Other")
    archived = build.list(cast.project, "Old", archived_at=datetime.now(UTC))
    campaign = build.campaign(cast.project, lists=[cast.list])
    segment = Segment(project_id=cast.project.id, name="S", definition={})
    dbsession.add(segment)
    dbsession.flush()
    dbsession.add(CampaignSegment(project_id=cast.project.id, campaign_id=campaign.id, segment_id=segment.id))
    people = {
        "chosen list": build.subscriber(cast.project, lists=[cast.list]),
        "another list": build.subscriber(cast.project, lists=[other]),
        "no list": build.subscriber(cast.project),
        "archived list": build.subscriber(cast.project, lists=[archived]),
        "has left the chosen one": build.subscriber(cast.project, lists=[cast.list], status="unsubscribed"),
        "paused": build.subscriber(cast.project, lists=[cast.list], paused_until=FUTURE),
        "was paused": build.subscriber(cast.project, lists=[cast.list], paused_until=PAST),
    }
    left = people["has left the chosen one"]
    dbsession.add(Subscription(project_id=cast.project.id, list_id=other.id, subscriber_id=left.id))
    dbsession.flush()
    ids = [person.id for person in people.values()]
    found = load(entries.connection_of(dbsession), cast.project.id, campaign.id, ids)
    assert dict(zip(people, (one.refused for one in found), strict=True)) == {
        "chosen list": "",
        "another list": "",
        "no list": "unsubscribed",
        "archived list": "unsubscribed",
        "has left the chosen one": "unsubscribed",
        "paused": "paused",
        "was paused": "",
    }
