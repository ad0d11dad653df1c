"""Unsubscribing: a GET changes nothing, a POST needs no cookie, twice is harmless, an undo exists."""

import pytest
from sqlalchemy import select

from mailhub.mail.tokens import Kind
from mailhub.models import CampaignStats, MessageEvent, Subscriber, Subscription


@pytest.fixture
def reader(build, registry):
    """A reader in two lists of a campaign and in a third that has nothing to do with it."""
    project = build.project(name="Shop")
    first, second = build.list(project, "News", visibility="public"), build.list(project, "Inner circle")
    other = build.list(project, "Other")
    person = build.subscriber(project, lists=[first, second, other])
    campaign = build.started_campaign(project, lists=[first, second])
    token = registry.signer.sign(
        Kind.UNSUBSCRIBE, project=project.id, campaign=campaign.id, subscriber=person.id, list=first.id
    )

    class Reader:
        url = f"/u/{token}"

    Reader.project, Reader.person, Reader.campaign = project, person, campaign
    Reader.lists = {"first": first.id, "second": second.id, "other": other.id}
    return Reader


def statuses(dbsession, reader):
    dbsession.expire_all()
    rows = dbsession.scalars(select(Subscription).where(Subscription.subscriber_id == reader.person.id))
    names = {number: name for name, number in reader.lists.items()}
    return {names[row.list_id]: row.status for row in rows}


def test_the_page_changes_nothing_and_names_public_lists_only(client, reader, dbsession):
    page = client.get(reader.url)
    assert "News" in page.text
    assert "Inner circle" not in page.text
    assert "Set-Cookie" not in page.headers
    assert set(statuses(dbsession, reader).values()) == {"subscribed"}


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_scanner_that_follows_the_link_changes_nothing(client, reader, dbsession, method):
    """phplist3#415, mautic#9798, useSend#412: gateways and previews follow every link of a letter."""
    for headers in ({"User-Agent": "BingPreview/1.0b"}, {"Sec-Purpose": "prefetch;prerender"}, {}):
        client.request(reader.url, method=method, headers=headers, status="*")
    assert set(statuses(dbsession, reader).values()) == {"subscribed"}
    assert dbsession.scalars(select(MessageEvent)).all() == []


def test_the_button_leaves_the_campaigns_lists_only(client, reader, dbsession):
    page = client.get(reader.url).forms[0].submit()
    assert "You are unsubscribed" in page.text
    assert statuses(dbsession, reader) == {"first": "unsubscribed", "second": "unsubscribed", "other": "subscribed"}
    event = dbsession.scalars(select(MessageEvent)).one()
    assert (event.type, event.campaign_id) == ("UNSUBSCRIBED", reader.campaign.id)


@pytest.mark.parametrize("body", [{"List-Unsubscribe": "One-Click"}, {}])
def test_one_click_needs_no_cookie_and_answers_200_also_twice(client, reader, dbsession, body):
    for _turn in range(2):
        answer = client.post(reader.url, body, status=200)
        assert answer.content_type == "text/plain"
    assert statuses(dbsession, reader)["first"] == "unsubscribed"
    stats = dbsession.scalars(select(CampaignStats)).one()
    assert stats.unsubscribed == 1


def test_one_click_as_multipart(client, reader, dbsession):
    client.post(
        reader.url, {"List-Unsubscribe": "One-Click"}, content_type="multipart/form-data; boundary=x", status=200
    )
    assert statuses(dbsession, reader)["first"] == "unsubscribed"


def test_undo_brings_back_what_was_left_by_this_click(client, reader, dbsession):
    page = client.get(reader.url).forms[0].submit()
    back = page.forms[0].submit()
    assert "You are subscribed again" in back.text
    assert set(statuses(dbsession, reader).values()) == {"subscribed"}


def test_undo_cannot_subscribe_to_other_lists(client, reader, dbsession):
    client.post(reader.url, {})
    foreign = ",".join(map(str, reader.lists.values())) + ",999999"
    client.post(reader.url, {"action": "undo", "lists": foreign})
    assert statuses(dbsession, reader)["other"] == "subscribed"
    assert len(statuses(dbsession, reader)) == 3


def test_a_deleted_person_is_told_that_all_is_well(client, reader, dbsession):
    dbsession.delete(dbsession.get(Subscriber, (reader.project.id, reader.person.id)))
    dbsession.commit()
    client.post(reader.url, {"List-Unsubscribe": "One-Click"}, status=200)
    client.get(reader.url, status=200)


def test_another_kinds_token_does_not_unsubscribe(client, reader, registry, dbsession):
    ids = {"project": reader.project.id, "campaign": reader.campaign.id, "subscriber": reader.person.id}
    client.post(f"/u/{registry.signer.sign(Kind.OPEN, **ids)}", {}, status=404)
    assert set(statuses(dbsession, reader).values()) == {"subscribed"}


def test_the_page_speaks_the_lists_language(client, build, registry):
    project = build.project(language="ru")
    mailing_list = build.list(project)
    person = build.subscriber(project, lists=[mailing_list])
    campaign = build.started_campaign(project, lists=[mailing_list])
    token = registry.signer.sign(Kind.UNSUBSCRIBE, project=project.id, campaign=campaign.id, subscriber=person.id)
    assert '<html lang="ru">' in client.get(f"/u/{token}").text
