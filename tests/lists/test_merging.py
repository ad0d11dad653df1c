"""Two rows become one person: nothing is lost, nobody who has left is brought back, and no number changes."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from psycopg.rows import tuple_row
from sqlalchemy import select, text

from mailhub.events.service import Event, append_in
from mailhub.lists import consents, duplicates, merging, service, tags
from mailhub.lists.history import history
from mailhub.models import (
    CampaignReaction,
    CampaignStats,
    ListCount,
    MessageEvent,
    Subscriber,
    SubscriberDuplicate,
    SubscriberMerge,
    SubscriberNote,
    SubscriberTag,
    Subscription,
    Tag,
)
from mailhub.reporting.growth_verify import recount
from mailhub.reporting.merges import movable_campaigns
from mailhub.reporting.spools import people_of_hits
from mailhub.reporting.verify import differences
from mailhub.suppression.service import stopped, suppress

NOW = datetime.now(UTC)


@pytest.fixture
def pair(build, dbsession):
    project = build.project(build.user())
    first = build.subscriber(project, "anna.k@gmail.com", name="Anna", fields={"city": "Omsk"})
    second = build.subscriber(project, "annak@googlemail.com", name="A. K.", fields={"city": "Tver", "size": 3})
    return project, first, second


def acted(dbsession, build, project, people, *, ago):
    """A campaign that these people got, opened and clicked so long ago."""
    campaign = build.campaign(project, created_at=NOW - ago, started_at=NOW - ago)
    dbsession.execute(text("INSERT INTO link (project_id, campaign_id, position, url) VALUES (:p, :c, 0, 'https://a.test')"),
                      {"p": project.id, "c": campaign.id})  # fmt: skip
    link = dbsession.scalar(text("SELECT max(id) FROM link"))
    for person in people:
        facts = {"project_id": project.id, "kind": "campaign", "campaign_id": campaign.id, "subscriber_id": person.id,
                 "email": person.email, "email_domain": person.email_domain, "at": NOW - ago}  # fmt: skip
        kinds = (("SENT", None), ("OPENED", None), ("REDIRECTED", link))
        append_in(dbsession, [Event(kind, link_id=one, **facts) for kind, one in kinds])
    dbsession.commit()
    return campaign.id


def test_history_moves_as_far_as_no_number_changes(pair, build, dbsession):
    project, first, second = pair
    ids = (first.id, second.id)
    alone = acted(dbsession, build, project, [second], ago=timedelta(days=2))
    both = acted(dbsession, build, project, [first, second], ago=timedelta(days=1))
    fresh = acted(dbsession, build, project, [second], ago=timedelta(minutes=5))
    stats = select(CampaignStats.campaign_id, CampaignStats.unique_opened, CampaignStats.unique_redirected)
    before = dbsession.execute(stats.order_by(CampaignStats.campaign_id)).all()
    assert movable_campaigns(dbsession, project.id, winner_id=first.id, loser_id=second.id) == [alone]

    moved = merging.merge_people(dbsession, first, second, name="Anna", fields={"city": "Omsk", "size": 3})
    dbsession.commit()

    assert (moved.campaigns, moved.reactions, moved.link_reactions, moved.events) == (1, 1, 1, 3)
    owners = select(MessageEvent.campaign_id, MessageEvent.subscriber_id).distinct()
    assert set(dbsession.execute(owners).all()) == {
        (alone, ids[0]), (both, ids[0]), (both, ids[1]), (fresh, ids[1])
    }  # fmt: skip
    reacted = select(CampaignReaction.subscriber_id).where(CampaignReaction.campaign_id == alone)
    assert list(dbsession.scalars(reacted)) == [ids[0]]
    assert dbsession.execute(stats.order_by(CampaignStats.campaign_id)).all() == before
    assert differences(dbsession.connection(), [project.id]) == []
    # What stays at the old number is the person's all the same.
    shown = history(dbsession, project_id=project.id, subscriber_id=ids[0])
    seen = Counter(one.event.campaign_id for one in shown.rows if one.event)
    assert seen == {alone: 3, both: 6, fresh: 3}
    seen = Counter()
    cursor = None
    while True:
        page = history(dbsession, project_id=project.id, subscriber_id=ids[0], after=cursor, limit=2)
        seen.update(one.event.campaign_id for one in page.rows if one.event)
        if page.next is None:
            break
        cursor = page.next
    assert seen == {alone: 3, both: 6, fresh: 3}

    settled = select(SubscriberMerge.settled_at)
    assert merging.settle(dbsession, most=10) == 0
    dbsession.execute(text("UPDATE subscriber_merge SET merged_at = now() - interval '2 hours'"))
    # Something may still be classified: it is looked at again in an hour.
    assert (merging.settle(dbsession, most=10), merging.settle(dbsession, most=10)) == (1, 0)
    assert dbsession.scalar(settled) is None
    for moment in ("message_event SET at = at", "subscriber_merge SET merged_at = merged_at"):
        dbsession.execute(text(f"UPDATE {moment} - interval '2 hours'"))
    merging.settle(dbsession, most=10)
    dbsession.commit()
    assert dbsession.scalar(settled) is not None
    assert set(dbsession.execute(owners).all()) == {
        (alone, ids[0]), (both, ids[0]), (both, ids[1]), (fresh, ids[0])
    }  # fmt: skip
    assert dbsession.execute(stats.order_by(CampaignStats.campaign_id)).all() == before


def test_what_comes_late_for_the_old_number_is_the_persons(pair, build, dbsession):
    project, first, second = pair
    third = build.subscriber(project, "anna@gmial.com")
    ids = [first.id, second.id, third.id]
    merging.merge_people(dbsession, second, third, name="", fields={})
    merging.merge_people(dbsession, first, second, name="", fields={})
    dbsession.commit()
    assert [service.person_of(dbsession, project.id, one).id for one in ids] == [first.id] * 3
    assert service.merged_into(dbsession, project.id, first.id) == ids[1:]
    cursor = dbsession.connection().connection.driver_connection.cursor(row_factory=tuple_row)
    found = people_of_hits(cursor, [(project.id, 1, one) for one in ids])
    assert [(facts.id, facts.email) for facts in found.values()] == [(first.id, first.email)] * 3


def test_everything_that_is_a_persons_becomes_the_winners(pair, build, dbsession):
    project, first, second = pair
    first_id, second_id = first.id, second.id
    only, left = build.list(project, "Only"), build.list(project, "Left")
    dbsession.add_all([
        Subscription(project_id=project.id, list_id=only.id, subscriber_id=second.id, source="form"),
        Subscription(project_id=project.id, list_id=left.id, subscriber_id=first.id,
                     created_at=NOW - timedelta(days=9)),
        Subscription(project_id=project.id, list_id=left.id, subscriber_id=second.id, status="unsubscribed",
                     unsubscribed_at=NOW - timedelta(days=1)),
        SubscriberNote(project_id=project.id, subscriber_id=second.id, author="Olga", body="Called."),
    ])  # fmt: skip
    dbsession.commit()
    one, two = tags.ensure_tags(dbsession, project.id, ["One", "Two"])
    tags.add_tags(dbsession, project.id, [first.id], [one.id])
    tags.add_tags(dbsession, project.id, [second.id], [one.id, two.id])
    consents.record(dbsession, project_id=project.id, subscriber_id=second.id, kind="given", text="Yes, please.")
    dbsession.commit()

    suppress(dbsession, project_id=project.id, email=second.email, reason="manual")
    merging.merge_people(dbsession, first, second, name="Anna K.", fields={"city": "Tver", "size": None})
    dbsession.commit()
    dbsession.expire_all()
    assert stopped(dbsession, project.id, first.email_key).reason == "manual"
    # Who is the same person has neither come nor gone.
    moves = dbsession.execute(text("SELECT list_id, joined, unsubscribed FROM list_day ORDER BY list_id")).all()
    assert moves == [(only.id, 1, 0), (left.id, 1, 1)]
    assert recount(dbsession.connection(), [project.id]) == []

    person = dbsession.scalars(select(Subscriber).where(Subscriber.project_id == project.id)).one()
    assert (person.id, person.email) == (first_id, "anna.k@gmail.com")
    assert (person.name, person.fields) == ("Anna K.", {"city": "Tver"})
    joined = select(Subscription.list_id, Subscription.subscriber_id, Subscription.status)
    joined = joined.order_by(Subscription.list_id)
    assert dbsession.execute(joined).all() == [(only.id, first_id, "subscribed"), (left.id, first_id, "unsubscribed")]
    counted = select(ListCount.list_id, ListCount.status).where(ListCount.n > 0).order_by(ListCount.list_id)
    assert dbsession.execute(counted).all() == [(only.id, "subscribed"), (left.id, "unsubscribed")]
    assert list(dbsession.scalars(select(Tag.n).order_by(Tag.name))) == [1, 1]
    assert set(dbsession.scalars(select(SubscriberTag.subscriber_id))) == {first_id}
    assert dbsession.scalars(select(SubscriberNote.subscriber_id)).one() == first_id
    assert consents.of_person(dbsession, project.id, first_id)[0].text == "Yes, please."
    assert dbsession.get(Subscriber, (project.id, second_id)) is None


@pytest.mark.parametrize(
    ("mine", "theirs", "merged"),
    [("active", "unsubscribed", "unsubscribed"), ("active", "bounced", "active"),
     ("unsubscribed", "complained", "complained"),
     ("complained", "unsubscribed", "complained"), ("bounced", "active", "bounced")],
)  # fmt: skip
def test_who_has_left_as_one_of_the_two_has_left(pair, dbsession, mine, theirs, merged):
    _project, first, second = pair
    first.status, second.status, second.tracking = mine, theirs, "off"
    dbsession.commit()
    merging.merge_people(dbsession, first, second, name="", fields={})
    assert (first.status, first.tracking) == (merged, "off")


def test_likely_duplicates_are_found_and_strangers_are_not(build, dbsession, monkeypatch):
    project, other = build.project(build.user()), build.project(build.user())
    pairs = {
        "alias": [("anna.k@gmail.com", "annak+news@googlemail.com"), ("oleg.p@yandex.ru", "oleg-p@ya.ru"),
                  ("max@firma.test", "max+shop@firma.test")],
        "typo": [("kate@gmail.com", "kate@gmial.com")],
    }  # fmt: skip
    for both in pairs.values():
        for one, two in both:
            build.subscriber(project, one)
            build.subscriber(project, two)
    build.subscriber(project, "an.na@mail.ru")
    build.subscriber(project, "anna@mail.ru")
    build.subscriber(other, "annak@gmail.com")

    class Job:
        project_id = project.id

        def move(self, _dbsession, **_values):
            pass

    class Request:
        def __init__(self):
            from contextlib import nullcontext

            self.tm, self.dbsession = nullcontext(), dbsession

    assert duplicates.do(Request(), Job()) == {"pairs": 4}
    found = {reason: set() for reason in pairs}
    for one in duplicates.pairs_of(dbsession, project.id, after=None).rows:
        found[one.reason].add((one.first.email, one.second.email))
    assert found == {reason: set(both) for reason, both in pairs.items()}
    row = dbsession.scalars(select(SubscriberDuplicate).order_by(SubscriberDuplicate.id).limit(1)).one()
    row.dismissed_at = NOW
    dbsession.flush()
    assert duplicates.do(Request(), Job()) == {"pairs": 3}
