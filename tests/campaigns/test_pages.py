"""Every page of campaigns: for the owner, a teammate, an analyst, a stranger and somebody who is signed out."""

from __future__ import annotations

import pytest

from mailhub.models import Campaign, CampaignState, Role
from tests.campaigns.arrange import Cast

PAGES = ("", "/edit/recipients", "/edit/content", "/edit/review", "/preview", "/preview/frame", "/people")
EDIT_PAGES = ("/edit/recipients", "/edit/content", "/edit/review")
ACTIONS = ("start", "send-now", "pause", "resume", "cancel", "copy", "archive", "delete", "test")


@pytest.mark.parametrize("page", PAGES)
def test_owner_opens_every_page_of_a_draft(cast: Cast, client, page):
    client.sign_in(cast.alice)
    answer = client.get(cast.path(page))
    assert answer.status_int == (303 if page in ("", "/people") else 200)


@pytest.mark.parametrize("page", PAGES)
def test_analyst_sees_what_needs_no_right_to_edit(cast: Cast, client, page):
    client.sign_in(cast.analyst)
    status = 403 if page in EDIT_PAGES else 303 if page in ("", "/people") else 200
    assert client.get(cast.path(page), status=status)


@pytest.mark.parametrize("page", PAGES)
def test_stranger_finds_nothing(cast: Cast, client, page):
    client.sign_in(cast.charlie)
    client.get(cast.path(page), status=404)


@pytest.mark.parametrize("page", PAGES)
def test_signed_out_visitor_is_asked_to_sign_in(cast: Cast, client, page):
    answer = client.get(cast.path(page), status=303)
    assert "/sign-in" in answer.location


@pytest.mark.parametrize("action", ACTIONS)
def test_actions_are_not_for_analysts_and_strangers(cast: Cast, client, action, dbsession):
    client.sign_in(cast.analyst)
    client.post_form(cast.path(f"/{action}"), {}, status=403)
    client.new()
    client.sign_in(cast.charlie)
    client.post_form(cast.path(f"/{action}"), {}, status=404)
    dbsession.expire_all()
    assert dbsession.get(Campaign, (cast.project.id, cast.campaign.id)).state == CampaignState.DRAFT


def test_another_projects_campaign_is_not_found(cast: Cast, client, build):
    other = build.project(cast.alice)
    theirs = build.campaign(build.project(build.user()))
    client.sign_in(cast.alice)
    client.get(f"/projects/{other.slug}/campaigns/{cast.campaign.id}", status=404)
    client.get(f"/projects/{other.slug}/campaigns/{theirs.id}", status=404)
    client.get(f"/projects/{cast.project.slug}/campaigns/99999999999999999999", status=404)


def test_index_lists_and_searches(cast: Cast, client, build):
    build.campaign(cast.project, name="Spring sale", subject="100% off_")
    build.campaign(cast.project, name="Autumn", archived_at=cast.now)
    client.sign_in(cast.bob)
    page = client.get(f"/projects/{cast.project.slug}/campaigns")
    assert "Spring sale" in page
    assert cast.campaign.name in page
    assert "Autumn" not in page
    found = client.fragment(f"/projects/{cast.project.slug}/campaigns?q=100%25", "campaign-rows")
    assert "Spring sale" in found
    assert cast.campaign.name not in found
    assert "<html" not in found
    assert "Autumn" in client.get(f"/projects/{cast.project.slug}/campaigns?tab=archived")
    assert "Nothing matches" in client.get(f"/projects/{cast.project.slug}/campaigns?q=nowhere")


def test_index_of_a_new_project_says_what_to_do(cast: Cast, client, build):
    project = build.project(cast.alice)
    client.sign_in(cast.alice)
    assert "first campaign" in client.get(f"/projects/{project.slug}/campaigns")


def test_index_pages_by_key(cast: Cast, client, build):
    for n in range(55):
        build.campaign(cast.project, name=f"Number {n:02}")
    client.sign_in(cast.alice)
    first = client.get(f"/projects/{cast.project.slug}/campaigns")
    assert "Number 54" in first
    assert "Number 04" not in first
    second = first.click("Next page")
    assert "Number 04" in second
    assert "Number 54" not in second


def test_index_costs_the_same_for_many_campaigns(cast: Cast, client, build, count_statements):
    client.sign_in(cast.alice)
    url = f"/projects/{cast.project.slug}/campaigns"
    client.get(url)
    with count_statements() as few:
        client.get(url)
    for _n in range(20):
        build.campaign(cast.project, lists=[cast.list])
    with count_statements() as many:
        client.get(url)
    assert len(many) == len(few) <= 12


def test_new_campaign_begins_with_a_letter(cast: Cast, client, dbsession):
    client.sign_in(cast.bob)
    client.post_form(f"/projects/{cast.project.slug}/campaigns/new", {"name": " "}, status=422)
    answer = client.post_form(
        f"/projects/{cast.project.slug}/campaigns/new", {"name": "News", "start_with": "simple"}, status=303
    )
    assert answer.location.endswith("/edit/recipients")
    made = dbsession.query(Campaign).filter_by(name="News").one()
    assert "{{ name|default(" in made.html
    assert made.sender_id == cast.sender.id
    assert made.created_by == cast.bob.id


def test_unknown_field_of_a_form_is_refused(cast: Cast, client, dbsession):
    client.sign_in(cast.alice)
    client.post_form(
        cast.path("/edit/content"), {"revision": "1", "name": "x", "state": "sent", "project_id": "1"}, status=422
    )
    dbsession.expire_all()
    assert dbsession.get(Campaign, (cast.project.id, cast.campaign.id)).state == CampaignState.DRAFT


def test_menu_is_for_who_may(cast: Cast, client):
    client.sign_in(cast.analyst)
    page = client.get(f"/projects/{cast.project.slug}/campaigns")
    assert "New campaign" not in page
    assert Role.ANALYST in cast.roles
