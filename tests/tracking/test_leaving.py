"""Unsubscribing: a GET changes nothing, a POST needs no cookie, twice is harmless, an undo exists."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, select, update

from mailhub.mail.tokens import Kind
from mailhub.models import (
    CampaignLeaving,
    CampaignStats,
    Consent,
    Leaving,
    LeavingDay,
    MessageEvent,
    Subscriber,
    Subscription,
)


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


def form_with(page, action):
    return next(form for form in page.forms.values() if form["action"].value == action)


def counters(dbsession):
    dbsession.expire_all()
    days = dbsession.execute(select(LeavingDay.reason, LeavingDay.n).where(LeavingDay.n != 0)).all()
    campaigns = dbsession.execute(select(CampaignLeaving.reason, CampaignLeaving.n).where(CampaignLeaving.n != 0)).all()
    return sorted(days), sorted(campaigns)


def test_a_reason_is_said_once_and_counted_by_person_and_by_list(client, reader, dbsession):
    left = client.get(reader.url).forms[0].submit()
    form = form_with(left, "reason")
    form["reason"], form["note"] = "other", "Too\x00 loud " + "x" * 600
    assert "Thank you for telling us." in form.submit().text
    rows = dbsession.scalars(select(Leaving).order_by(Leaving.list_id)).all()
    assert [(row.list_id, row.reason, row.campaign_id) for row in rows] == [
        (reader.lists[name], "other", reader.campaign.id) for name in ("first", "second")
    ]
    assert rows[0].note == ("Too loud " + "x" * 600)[:500]
    assert counters(dbsession) == ([("other", 2)], [("other", 1)])
    # A second answer takes the place of the first.
    form["reason"], form["note"] = "too_many", ""
    form.submit()
    assert counters(dbsession) == ([("too_many", 2)], [("too_many", 1)])


def test_the_undo_takes_the_reason_back_and_is_recorded(client, reader, dbsession):
    left = client.get(reader.url).forms[0].submit()
    form = form_with(left, "reason")
    form["reason"] = "not_interested"
    thanks = form.submit()
    assert "You are subscribed again" in form_with(thanks, "undo").submit().text
    assert set(statuses(dbsession, reader).values()) == {"subscribed"}
    assert counters(dbsession) == ([], [])
    assert dbsession.scalars(select(Leaving)).all() == []
    kinds = dbsession.execute(select(Consent.kind, Consent.source).order_by(Consent.id)).all()
    assert kinds == [("withdrawn", "page")] * 2 + [("given", "page")] * 2


def test_a_reason_counts_for_lists_that_were_left_only(client, reader, dbsession):
    client.post(reader.url, {"action": "reason", "reason": "other", "lists": str(reader.lists["other"])})
    client.post(reader.url, {"action": "reason", "reason": "no such reason"})
    client.post(reader.url, {"action": "reason"})
    assert counters(dbsession) == ([], [])
    assert set(statuses(dbsession, reader).values()) == {"subscribed"}


def test_a_reason_after_the_mail_clients_own_button(client, reader, dbsession):
    client.post(reader.url, {"List-Unsubscribe": "One-Click"})
    page = client.get(reader.url)
    form = form_with(page, "reason")
    form["reason"] = "never_signed_up"
    form.submit()
    assert counters(dbsession) == ([("never_signed_up", 2)], [("never_signed_up", 1)])


def test_one_of_several_lists_may_be_left_alone(client, reader, dbsession):
    page = client.get(reader.url)
    assert [button["value"] for button in page.html.select("button[name=list]")] == [str(reader.lists["first"])]
    done = form_with(page, "only").submit("list", value=str(reader.lists["first"]))
    assert "You are unsubscribed" in done.text
    assert statuses(dbsession, reader) == {"first": "unsubscribed", "second": "subscribed", "other": "subscribed"}
    client.post(reader.url, {"action": "only", "list": str(reader.lists["other"])})
    assert statuses(dbsession, reader)["other"] == "subscribed"


def test_everything_may_be_left_and_taken_back(client, reader, dbsession):
    left = form_with(client.get(reader.url), "all").submit()
    assert set(statuses(dbsession, reader).values()) == {"unsubscribed"}
    form_with(left, "undo").submit()
    assert set(statuses(dbsession, reader).values()) == {"subscribed"}


def test_what_was_left_long_ago_does_not_come_back_by_the_undo(client, reader, dbsession):
    left = form_with(client.get(reader.url), "all").submit()
    dbsession.execute(update(Subscription).values(unsubscribed_at=datetime.now(UTC) - timedelta(hours=2)))
    dbsession.commit()
    form_with(left, "undo").submit()
    assert set(statuses(dbsession, reader).values()) == {"unsubscribed"}


@pytest.mark.parametrize("first", [True, False])
def test_a_pause_instead_keeps_the_lists(client, reader, dbsession, first):
    page = client.get(reader.url)
    if not first:
        page = page.forms[0].submit()
    done = form_with(page, "pause").submit("days", value="90")
    assert "Your letters are paused" in done.text
    assert set(statuses(dbsession, reader).values()) == {"subscribed"}
    left = dbsession.get(Subscriber, (reader.project.id, reader.person.id)).paused_until - datetime.now(UTC)
    assert timedelta(days=89) < left <= timedelta(days=90)


def test_the_page_leads_to_the_persons_own(client, reader, registry):
    page = client.get(reader.url)
    link = next(url for url in (a["href"] for a in page.html.find_all("a")) if "/p/" in url)
    claims = registry.signer.read(Kind.PREFERENCES, link.rpartition("/")[2])
    assert (claims.subscriber, claims.campaign) == (reader.person.id, reader.campaign.id)
    client.get(link.removeprefix(registry.mailhub.public_url), status=200)


def test_one_click_costs_few_statements(client, reader, registry, dbsession):
    seen = []

    def note(_conn, _cursor, statement, *_rest):
        if not statement.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK")):
            seen.append(statement)

    event.listen(registry.engine, "before_cursor_execute", note)
    try:
        client.post(reader.url, {"List-Unsubscribe": "One-Click"}, status=200)
    finally:
        event.remove(registry.engine, "before_cursor_execute", note)
    assert len(seen) <= 6, seen
