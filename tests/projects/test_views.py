"""The list of projects, a new one, settings, senders."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from mailhub.models import AuditEntry, CampaignState, Membership, Project, Role, Sender

OWNERS_PAGES = ["settings", "senders", "members", "journal"]


def actions(dbsession):
    return dbsession.scalars(select(AuditEntry.action).order_by(AuditEntry.id)).all()


# Who may


@pytest.mark.parametrize(
    "page", ["/", "/projects", "/projects/new", *(f"/projects/bakery/{one}" for one in OWNERS_PAGES)]
)
def test_signed_out_visitor_is_asked_to_sign_in(client, project, page):
    assert "/sign-in" in client.get(page, status=303).location


@pytest.mark.parametrize("page", OWNERS_PAGES)
def test_pages_are_for_owners(client, project, alice, bob, charlie, page):
    url = f"/projects/bakery/{page}"
    client.sign_in(alice).get(url, status=200)
    client.new().sign_in(bob).get(url, status=403)
    client.new().sign_in(charlie).get(url, status=404)


@pytest.mark.parametrize("page", ["settings", "senders", "members"])
def test_posts_are_for_owners(client, project, bob, charlie, page):
    url = f"/projects/bakery/{page}"
    client.sign_in(bob).post_form(url, {}, status=403)
    client.new().sign_in(charlie).post_form(url, {}, status=404)


# Home and list


def test_home_of_who_has_one_project_is_the_project(client, project, alice):
    assert client.sign_in(alice).get("/", status=303).location == "http://localhost/projects/bakery"


def test_home_of_who_has_several_is_the_list(client, build, project, alice):
    build.project(alice, slug="other")
    assert client.sign_in(alice).get("/", status=303).location == "http://localhost/projects"


def test_list_has_the_persons_projects_only(client, build, project, bob):
    build.project(slug="secret", name="Secret Club")
    build.subscriber(project)
    page = client.sign_in(bob).get("/projects").text
    assert "Corner Bakery" in page
    assert "Secret Club" not in page
    assert '<td data-label="Subscribers" class="num">1</td>' in page


def test_list_of_a_newcomer_says_what_to_do(client, charlie):
    assert "You are in no project yet" in client.sign_in(charlie).get("/projects").text


def test_archived_project_is_gone(client, build, alice):
    from datetime import UTC, datetime

    build.project(alice, slug="old", archived_at=datetime.now(UTC))
    client.sign_in(alice).get("/projects/old/settings", status=404)
    assert "You are in no project yet" in client.get("/projects").text


# A new project

NEW = {
    "name": "Tea House",
    "slug": "tea",
    "domain": "Чай.рф",
    "time_zone": "Europe/Moscow",
    "language": "ru",
}


def test_anybody_may_make_a_project_and_owns_it(client, charlie, dbsession):
    answer = client.sign_in(charlie).post_form("/projects/new", NEW, status=303)
    assert answer.location == "http://localhost/projects/tea/senders"
    project = dbsession.scalars(select(Project)).one()
    assert (project.name, project.domain, project.time_zone) == ("Tea House", "xn--80as4b.xn--p1ai", "Europe/Moscow")
    assert dbsession.get(Membership, (project.id, charlie.id)).role == Role.OWNER
    assert "чай.рф" in client.get("/projects/tea/settings").text
    entry = dbsession.scalars(select(AuditEntry)).one()
    assert (entry.action, entry.project_id, entry.actor) == ("project.created", project.id, "charlie@people.test")


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\u2028b"}, "name"),
        ({"slug": "bakery"}, "slug"),
        ({"slug": "new"}, "slug"),
        ({"slug": "Tea House"}, "slug"),
        ({"slug": "-tea"}, "slug"),
        ({"slug": "tea/../x"}, "slug"),
        ({"domain": "tea"}, "domain"),
        ({"domain": "a b.test"}, "domain"),
        ({"domain": "a@b.test"}, "domain"),
        ({"time_zone": "Moon/Sea"}, "time_zone"),
        ({"language": "xx"}, "language"),
    ],
)
def test_bad_project_is_refused(client, project, charlie, dbsession, bad, field):
    answer = client.sign_in(charlie).post_form("/projects/new", NEW | bad, status=422)
    assert f'id="f-{field}-e"' in answer.text
    assert len(dbsession.scalars(select(Project)).all()) == 1


def test_field_of_the_row_is_refused(client, charlie, dbsession):
    client.sign_in(charlie).post_form("/projects/new", NEW | {"relay": "other"}, status=422)


# Settings

SETTINGS = {
    "name": "Corner Bakery",
    "domain": "bakery.test",
    "time_zone": "UTC",
    "language": "en",
    "postal_address": "",
    "notify_email": "",
}


def test_settings_are_saved_and_noted(client, project, alice, dbsession):
    changed = {"name": "Bakery & Son", "postal_address": "1 High Street \n Town", "notify_email": "Boss@Bakery.test"}
    client.sign_in(alice).post_form("/projects/bakery/settings", SETTINGS | changed, status=303)
    dbsession.refresh(project)
    assert project.name == "Bakery & Son"
    assert project.postal_address == "1 High Street\nTown"
    assert project.notify_email == "Boss@bakery.test"
    entry = dbsession.scalars(select(AuditEntry)).one()
    assert entry.detail == {"changed": ["name", "postal_address", "notify_email"]}
    assert "Bakery &amp; Son" in client.get("/projects/bakery/settings").text


def test_unchanged_settings_are_not_noted(client, project, alice, dbsession):
    client.sign_in(alice).post_form("/projects/bakery/settings", SETTINGS, status=303)
    assert actions(dbsession) == []


@pytest.mark.parametrize(("typed", "limit", "shown"), [("2,5", 2.5, "2.5"), ("40", 40.0, "40"), (" ", None, "")])
def test_a_limit_of_letters_a_second(client, project, alice, dbsession, typed, limit, shown):
    client.sign_in(alice).post_form("/projects/bakery/settings", SETTINGS | {"messages_per_second": typed}, status=303)
    dbsession.refresh(project)
    assert project.messages_per_second == limit
    page = client.get("/projects/bakery/settings").text
    field = page[page.index('name="messages_per_second"') :]
    assert f'value="{shown}"' in field[: field.index(">")]


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"name": " "}, "name"),
        ({"messages_per_second": "fast"}, "messages_per_second"),
        ({"messages_per_second": "0"}, "messages_per_second"),
        ({"messages_per_second": "nan"}, "messages_per_second"),
        ({"domain": "no"}, "domain"),
        ({"notify_email": "boss"}, "notify_email"),
        ({"postal_address": "x" * 501}, "postal_address"),
        ({"time_zone": ""}, "time_zone"),
    ],
)
def test_bad_settings_change_nothing(client, project, alice, dbsession, bad, field):
    answer = client.sign_in(alice).post_form("/projects/bakery/settings", SETTINGS | {"name": "New"} | bad, status=422)
    assert f'id="f-{field}-e"' in answer.text
    dbsession.refresh(project)
    assert project.name == "Corner Bakery"


def test_slug_cannot_be_changed(client, project, alice):
    client.sign_in(alice).post_form("/projects/bakery/settings", SETTINGS | {"slug": "x"}, status=422)


# Senders


def add(client, status=303, **fields):
    return client.post_form("/projects/bakery/senders", {"email": "news@bakery.test"} | fields, status=status)


def test_first_sender_is_the_default(client, project, alice, dbsession):
    client.sign_in(alice)
    add(client, name="Corner Bakery", reply_to="shop@elsewhere.test")
    add(client, email="Owner@shop.bakery.test")
    first, second = dbsession.scalars(select(Sender).order_by(Sender.id)).all()
    assert (first.email, first.name, first.reply_to, first.is_default) == (
        "news@bakery.test",
        "Corner Bakery",
        "shop@elsewhere.test",
        True,
    )
    assert (second.email, second.is_default) == ("Owner@shop.bakery.test", False)
    assert actions(dbsession) == ["sender.added", "sender.added"]
    assert "shop@elsewhere.test" in client.get("/projects/bakery/senders").text


def test_new_default_takes_over(client, build, project, alice, dbsession):
    old = build.sender(project, is_default=True)
    client.sign_in(alice)
    add(client, email="hello@bakery.test", is_default="1")
    dbsession.refresh(old)
    assert old.is_default is False


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"email": "news"}, "email"),
        ({"email": "news@elsewhere.test"}, "email"),
        ({"email": "news@notbakery.test"}, "email"),
        ({"email": "news@bakery.test.evil.test"}, "email"),
        ({"email": "NEWS@bakery.test"}, "email"),
        ({"email": "a@bakery.test", "reply_to": "x"}, "reply_to"),
        ({"email": "a@bakery.test", "name": "A\r\nBcc: b@c.test"}, "name"),
        ({"email": "a@bakery.test", "name": "x" * 101}, "name"),
        ({"email": "a@bakery.test", "is_default": "perhaps"}, "is_default"),
    ],
)
def test_bad_sender_is_refused(client, build, project, alice, dbsession, bad, field):
    build.sender(project, "news@bakery.test")
    client.sign_in(alice)
    answer = add(client, status=422, **bad)
    assert f'id="f-{field}-e"' in answer.text
    assert len(dbsession.scalars(select(Sender)).all()) == 1


def test_refusal_of_another_domain_says_which_is_possible(client, project, alice):
    client.sign_in(alice)
    assert "addresses in bakery.test only" in add(client, status=422, email="me@gmail.com").text


def test_sender_is_changed(client, build, project, alice, dbsession):
    sender = build.sender(project)
    url = f"/projects/bakery/senders/{sender.id}"
    client.sign_in(alice)
    assert 'value="news@bakery.test"' in client.get(url).text
    client.post_form(url, {"email": "news@bakery.test", "name": "New"}, status=303)
    dbsession.refresh(sender)
    assert sender.name == "New"
    client.post_form(url, {"email": "news@other.test"}, status=422)
    assert actions(dbsession) == ["sender.changed"]


def test_sender_that_a_draft_uses_stays(client, build, project, alice, dbsession):
    sender = build.sender(project)
    build.campaign(project, name="Spring", sender_id=sender.id)
    client.sign_in(alice)
    client.post_form(f"/projects/bakery/senders/{sender.id}/delete", status=303)
    assert "The campaign “Spring” uses this sender." in client.get("/projects/bakery/senders").text
    assert dbsession.scalars(select(Sender.id)).all() == [sender.id]


def test_sender_of_sent_campaigns_is_deleted_and_the_next_is_the_default(client, build, project, alice, dbsession):
    sender = build.sender(project, is_default=True)
    heir = build.sender(project, "hello@bakery.test")
    campaign = build.campaign(project, sender_id=sender.id, state=CampaignState.SENT)
    client.sign_in(alice).post_form(f"/projects/bakery/senders/{sender.id}/delete", status=303)
    dbsession.refresh(campaign)
    dbsession.refresh(heir)
    assert campaign.sender_id is None
    assert heir.is_default
    assert actions(dbsession) == ["sender.deleted"]


def test_another_projects_sender_is_not_found(client, build, project, alice, dbsession):
    theirs = build.sender(build.project())
    client.sign_in(alice).get(f"/projects/bakery/senders/{theirs.id}", status=404)
    client.post_form(f"/projects/bakery/senders/{theirs.id}", {"email": "x@bakery.test"}, status=404)
    client.post_form(f"/projects/bakery/senders/{theirs.id}/delete", status=404)
    client.get("/projects/bakery/senders/x", status=404)


def test_after_a_change_of_domain_the_old_sender_is_marked(client, build, project, alice):
    build.sender(project)
    client.sign_in(alice).post_form("/projects/bakery/settings", SETTINGS | {"domain": "bread.test"}, status=303)
    assert "Not in bread.test" in client.get("/projects/bakery/senders").text
