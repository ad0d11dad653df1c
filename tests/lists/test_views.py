"""Pages of lists."""

import pytest

from mailhub.models import AuditEntry, Campaign, CampaignList, MailingList


def test_owner_and_teammate_see_the_lists_with_their_numbers(cast, build):
    build.subscriber(cast.project, lists=[cast.list])
    build.subscriber(cast.project, lists=[cast.list], status="unsubscribed")
    for user in (cast.alice, cast.bob, cast.ann):
        answer = cast.as_(user).get(f"{cast.base}/lists")
        cells = [cell.text for cell in answer.html.select("tbody tr td.num")]
        assert [cell.strip() for cell in cells] == ["1", "0", "1"]


def test_number_of_queries_of_the_index_does_not_grow_with_lists(cast, build, page, statements):
    page.get(f"{cast.base}/lists")
    with statements() as few:
        page.get(f"{cast.base}/lists")
    for _n in range(10):
        build.list(cast.project)
    with statements() as many:
        page.get(f"{cast.base}/lists")
    assert len(many) == len(few) <= 4, many


@pytest.mark.parametrize("path", ["lists", "lists/new", "lists/{id}", "lists/{id}/edit", "lists/{id}/delete"])
def test_stranger_gets_404_and_the_signed_out_are_asked_to_sign_in(cast, client, path):
    url = f"{cast.base}/{path.format(id=cast.list.id)}"
    cast.as_(cast.charlie).get(url, status=404)
    assert "/sign-in" in client.get(url, status=303).location


def test_list_of_another_project_is_not_found(cast, build, page):
    foreign = build.list(cast.other)
    page.get(f"{cast.base}/lists/{foreign.id}", status=404)
    page.post_form(f"{cast.base}/lists/{foreign.id}/delete", {"name": foreign.name}, status=404)
    page.get(f"{cast.base}/lists/x", status=404)
    page.get(f"{cast.base}/lists/99999999999999999999", status=404)


def test_analyst_cannot_edit(cast):
    ann = cast.as_(cast.ann)
    ann.get(f"{cast.base}/lists/{cast.list.id}")
    for path in ("lists/new", f"lists/{cast.list.id}/edit", f"lists/{cast.list.id}/delete"):
        ann.get(f"{cast.base}/{path}", status=403)
        ann.post_form(f"{cast.base}/{path}", {"name": "x"}, status=403)


def test_making_a_list_writes_a_journal_entry(cast, page, dbsession):
    fields = {"name": " Weekly ", "description": "", "opt_in": "double", "visibility": "public", "language": "ru"}
    answer = page.post_form(f"{cast.base}/lists/new", fields, status=303)
    shown = answer.follow()
    assert shown.html.h1.text == "Weekly"
    assert "/s/" in shown.text
    made = dbsession.query(MailingList).filter_by(name="Weekly").one()
    assert (made.opt_in, made.visibility, made.language) == ("double", "public", "ru")
    assert dbsession.query(AuditEntry).filter_by(action="list.created", object_id=str(made.id)).count() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "x" * 121},
        {"name": "a\nb"},
        {"opt_in": "triple"},
        {"visibility": "secret"},
        {"language": "xx"},
        {"project_id": "1"},
        {"archived_at": "now"},
    ],
)
def test_bad_input_is_shown_at_its_field_and_changes_nothing(cast, page, dbsession, wrong):
    fields = {"name": "Fine", "description": "", "opt_in": "single", "visibility": "private", "language": "", **wrong}
    answer = page.post_form(f"{cast.base}/lists/new", fields, status=422)
    assert answer.html.find(id="form-errors") is not None
    assert dbsession.query(MailingList).filter_by(project_id=cast.project.id).count() == 1


def test_editing(cast, page, dbsession):
    url = f"{cast.base}/lists/{cast.list.id}/edit"
    assert page.get(url).html.find(id="f-name")["value"] == "News"
    fields = {"name": "Newer", "description": "d", "opt_in": "single", "visibility": "public", "language": ""}
    page.post_form(url, fields, status=303)
    dbsession.expire_all()
    assert dbsession.get(MailingList, (cast.project.id, cast.list.id)).name == "Newer"
    assert page.post_form(url, {**fields, "name": ""}, status=422).html.find(id="f-name-e")


def test_show_has_numbers_newest_people_and_campaigns(cast, build, page, statements):
    person = build.subscriber(cast.project, lists=[cast.list])
    campaign = build.campaign(cast.project, lists=[cast.list])
    with statements() as seen:
        answer = page.get(f"{cast.base}/lists/{cast.list.id}")
    assert person.email in answer.text
    assert campaign.name in answer.text
    assert len(seen) <= 7, seen


def test_analyst_sees_no_addresses_on_the_lists_page(cast, build):
    person = build.subscriber(cast.project, lists=[cast.list])
    assert person.email not in cast.as_(cast.ann).get(f"{cast.base}/lists/{cast.list.id}").text


def test_list_is_deleted_by_its_name_only(cast, page, dbsession, build):
    build.subscriber(cast.project, lists=[cast.list])
    list_id = cast.list.id
    url = f"{cast.base}/lists/{list_id}/delete"
    page.post_form(url, {"name": "news"}, status=422)
    page.post_form(url, {"name": "News"}, status=303)
    assert dbsession.query(MailingList).filter_by(id=list_id).count() == 0
    page.get(f"{cast.base}/lists/{list_id}", status=404)


@pytest.mark.parametrize("state", ["draft", "scheduled", "sending", "paused"])
def test_list_of_an_unsent_campaign_is_not_deleted_and_the_reason_is_shown(cast, page, build, dbsession, state):
    campaign = build.campaign(cast.project, lists=[cast.list], state=state)
    url = f"{cast.base}/lists/{cast.list.id}/delete"
    assert campaign.name in page.get(url).text
    assert campaign.name in page.post_form(url, {"name": "News"}, status=409).text
    dbsession.expire_all()
    assert dbsession.get(MailingList, (cast.project.id, cast.list.id)).archived_at is None


def test_list_of_a_sent_campaign_is_archived(cast, page, build, dbsession):
    build.campaign(cast.project, lists=[cast.list], state="sent")
    page.post_form(f"{cast.base}/lists/{cast.list.id}/delete", {"name": "News"}, status=303)
    dbsession.expire_all()
    assert dbsession.get(MailingList, (cast.project.id, cast.list.id)).archived_at is not None
    assert dbsession.query(CampaignList).count() == dbsession.query(Campaign).count() == 1
    page.get(f"{cast.base}/lists/{cast.list.id}", status=404)
    assert page.get(f"{cast.base}/lists").html.find("tbody") is None
