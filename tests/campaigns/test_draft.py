"""The draft: saved step by step, refused with reasons, guarded against a second tab."""

from __future__ import annotations

import pytest

from mailhub.campaigns import service
from mailhub.models import Campaign, CampaignList, CampaignState, SubscriberField
from tests.campaigns.arrange import Cast


def fields(campaign: Campaign, **changes):
    given = {
        "revision": str(campaign.revision), "name": campaign.name, "sender_id": str(campaign.sender_id or ""),
        "subject": campaign.subject, "html": campaign.html, "text": campaign.text,
    }  # fmt: skip
    return given | changes


def saved(dbsession, cast: Cast) -> Campaign:
    dbsession.expire_all()
    return dbsession.get(Campaign, (cast.project.id, cast.campaign.id))


def test_content_is_saved_and_leads_on(cast: Cast, client, dbsession):
    client.sign_in(cast.bob)
    answer = client.post_form(
        cast.path("/edit/content"),
        fields(cast.campaign, subject="New", from_name="Bob", reply_to=" Bob@Example.com ", go="review"),
        status=303,
    )
    assert answer.location.endswith("/edit/review")
    row = saved(dbsession, cast)
    assert (row.subject, row.from_name, row.reply_to, row.revision) == ("New", "Bob", "Bob@example.com", 2)


def test_saving_without_a_change_keeps_the_revision(cast: Cast, client, dbsession):
    client.sign_in(cast.bob)
    client.post_form(cast.path("/edit/content"), fields(cast.campaign), status=303)
    assert saved(dbsession, cast).revision == 1


def test_browser_line_ends_are_not_a_change(cast: Cast, client, dbsession):
    cast.campaign.html = "<p>one</p>\n<p>two</p>"
    dbsession.commit()
    client.sign_in(cast.bob)
    client.post_form(cast.path("/edit/content"), fields(cast.campaign, html="<p>one</p>\r\n<p>two</p>"), status=303)
    assert saved(dbsession, cast).revision == 1


def test_two_tabs_notice_each_other(cast: Cast, client, dbsession):
    client.sign_in(cast.bob)
    client.post_form(cast.path("/edit/content"), fields(cast.campaign, subject="First tab"), status=303)
    answer = client.post_form(
        cast.path("/edit/content"), fields(cast.campaign, revision="1", subject="Second tab"), status=409
    )
    assert "changed in the meantime" in answer
    assert 'value="Second tab"' in answer, "what was typed is still there"
    assert 'name="revision" value="2"' in answer, "saving again replaces the other version knowingly"
    assert saved(dbsession, cast).subject == "First tab"


def test_two_tabs_notice_each_other_on_the_recipients(cast: Cast, client, dbsession):
    client.sign_in(cast.bob)
    client.post_form(cast.path("/edit/content"), fields(cast.campaign, subject="First tab"), status=303)
    answer = client.post_form(cast.path("/edit/recipients"), {"revision": "1"}, status=409)
    assert "changed in the meantime" in answer
    assert dbsession.query(CampaignList).filter_by(campaign_id=cast.campaign.id).count() == 1


@pytest.mark.parametrize(
    ("html", "words"),
    [
        ("<p>ok</p>\n<p>{{ nickname }}</p>", "There is no field “nickname”"),
        ("{% for a in range(99999999) %}{% for b in range(99999999) %}x{% endfor %}{% endfor %}", "can&#39;t"),
        ("{{ name.__class__.__mro__ }}", "can&#39;t be used"),
        ("{{ ''.join(name) }}", "can&#39;t be called"),
        ("{% while true %}x{% endwhile %}", "can&#39;t be read"),
        ("{{ name", "can&#39;t be read"),
        ('<a href="javascript:alert(1)">x</a>', "must begin with https://"),
    ],
)
def test_mistakes_are_refused_with_words_and_nothing_is_saved(cast: Cast, client, dbsession, html, words):
    client.sign_in(cast.bob)
    answer = client.post_form(cast.path("/edit/content"), fields(cast.campaign, html=html), status=422)
    assert words in answer
    assert "Nothing was saved" in answer
    row = saved(dbsession, cast)
    assert (row.html, row.revision) == (cast.campaign.html, 1)


def test_a_problem_is_shown_with_its_line(cast: Cast, client):
    client.sign_in(cast.bob)
    answer = client.post_form(
        cast.path("/edit/content"), fields(cast.campaign, html="<p>ok</p>\n<p>{{ nickname }}</p>"), status=422
    )
    assert "Line 2" in answer
    assert "<code>&lt;p&gt;{{ nickname }}&lt;/p&gt;</code>" in answer


def test_a_draft_may_be_kept_with_its_mistakes_but_not_started(cast: Cast, client, dbsession):
    client.sign_in(cast.bob)
    client.post_form(
        cast.path("/edit/content"), fields(cast.campaign, html="{{ nickname }}", anyway="1"), status=303
    )
    assert saved(dbsession, cast).html == "{{ nickname }}"
    assert "There is no field" in client.get(cast.path("/edit/content"))
    assert "There is no field" in client.get(cast.path("/edit/review"))
    answer = client.post_form(cast.path("/start"), {}, status=422)
    assert "was not started" in answer
    assert saved(dbsession, cast).state == CampaignState.DRAFT


def test_custom_fields_are_offered_and_known(cast: Cast, client, dbsession):
    dbsession.add(SubscriberField(project_id=cast.project.id, name="city", label="Town"))
    dbsession.commit()
    client.sign_in(cast.bob)
    assert "Town" in client.get(cast.path("/edit/content"))
    client.post_form(cast.path("/edit/content"), fields(cast.campaign, html="<p>{{ city }}</p>"), status=303)


@pytest.mark.parametrize("reply_to", ["nobody", "a@b@c", "a@b.c\r\nBcc: x@y.z"])
def test_bad_addresses_are_refused(cast: Cast, client, reply_to):
    client.sign_in(cast.bob)
    client.post_form(cast.path("/edit/content"), fields(cast.campaign, reply_to=reply_to), status=422)


def test_a_foreign_sender_or_list_is_refused(cast: Cast, client, build, dbsession):
    other = build.project()
    sender, mailing_list = build.sender(other), build.list(other)
    client.sign_in(cast.bob)
    client.post_form(cast.path("/edit/content"), fields(cast.campaign, sender_id=str(sender.id)), status=422)
    client.post_form(cast.path("/edit/recipients"), {"revision": "1", "list_ids": str(mailing_list.id)}, status=422)
    assert dbsession.query(CampaignList).filter_by(campaign_id=cast.campaign.id, list_id=cast.list.id).count() == 1


def test_recipients_are_saved_and_counted_once(cast: Cast, client, build, dbsession):
    second = build.list(cast.project, name="Second")
    both = build.subscriber(cast.project, lists=[cast.list, second])
    client.sign_in(cast.bob)
    answer = client.post_form(
        cast.path("/edit/recipients"),
        [("revision", "1"), ("list_ids", cast.list.id), ("list_ids", second.id), ("go", "content")],
        status=303,
    )
    assert answer.location.endswith("/edit/content")
    counted = client.fragment(
        cast.path(f"/edit/recipients?list_ids={cast.list.id}&list_ids={second.id}"), "recipient-count"
    )
    assert '<p class="tile-v">4</p>' in counted
    assert "<html" not in counted
    assert both


def test_count_leaves_out_who_gets_nothing(cast: Cast, client, build, dbsession):
    from mailhub.campaigns.audience import count_audience
    from mailhub.campaigns.chosen import Chosen
    from mailhub.models import Suppression

    build.subscriber(cast.project, lists=[cast.list], status="unconfirmed")
    gone = build.subscriber(cast.project, lists=[cast.list])
    gone.status = "bounced"
    stopped = build.subscriber(cast.project, "Stop@mail.test", lists=[cast.list])
    dbsession.add(Suppression(project_id=cast.project.id, email_key=stopped.email_key, reason="manual"))
    dbsession.commit()
    count = count_audience(dbsession, cast.project.id, Chosen((cast.list.id,)))
    assert (count.chosen, count.left, count.reachable) == (5, {"suppressed": 2}, 3)


def test_count_gives_up_after_its_time(cast: Cast, dbsession, monkeypatch):
    from sqlalchemy import func, select

    from mailhub.campaigns import audience
    from mailhub.campaigns.chosen import Chosen

    slow = select(func.pg_sleep(3)).scalar_subquery()
    real = audience.subscribed_to
    monkeypatch.setattr(audience, "subscribed_to", lambda *args: real(*args).where(slow.is_not(None)))
    count = audience.count_audience(dbsession, cast.project.id, Chosen((cast.list.id,)), seconds=0.05)
    assert (count.exact, count.chosen) == (False, 3)
    assert dbsession.scalar(select(1)) == 1, "the transaction goes on"


def test_only_drafts_are_edited_and_deleted(cast: Cast, client, dbsession):
    cast.campaign.state = CampaignState.SENT
    dbsession.commit()
    client.sign_in(cast.bob)
    for page in ("/edit/recipients", "/edit/content", "/edit/review"):
        assert client.get(cast.path(page), status=303).location.endswith(cast.path())
    client.post_form(cast.path("/edit/content"), fields(cast.campaign, subject="x"), status=303)
    client.post_form(cast.path("/delete"), {}, status=303)
    assert "Only a draft can be deleted" in client.get(cast.path())
    assert saved(dbsession, cast).subject != "x"


def test_delete_takes_the_draft_away(cast: Cast, client, dbsession):
    client.sign_in(cast.bob)
    client.post_form(cast.path("/delete"), {}, status=303)
    client.get(cast.path(), status=404)
    assert dbsession.query(CampaignList).filter_by(campaign_id=cast.campaign.id).count() == 0


def test_copy_is_a_new_draft(cast: Cast, client, dbsession):
    cast.campaign.state = CampaignState.SENT
    dbsession.commit()
    client.sign_in(cast.bob)
    answer = client.post_form(cast.path("/copy"), {}, status=303)
    copy_id = int(answer.location.split("/")[-3])
    twin = dbsession.get(Campaign, (cast.project.id, copy_id))
    assert twin.name == f"Copy of {cast.campaign.name}"
    assert (twin.state, twin.html, twin.sender_id) == ("draft", cast.campaign.html, cast.sender.id)
    assert dbsession.query(CampaignList).filter_by(campaign_id=copy_id, list_id=cast.list.id).count() == 1


def test_archive_and_back(cast: Cast, client, dbsession):
    client.sign_in(cast.bob)
    client.post_form(cast.path("/archive"), {"archived": "1"}, status=303)
    assert saved(dbsession, cast).archived_at is not None
    client.post_form(cast.path("/archive"), {"archived": "0"}, status=303)
    assert saved(dbsession, cast).archived_at is None


def test_a_campaign_on_its_way_is_not_archived(cast: Cast, dbsession):
    cast.campaign.state = CampaignState.SENDING
    dbsession.commit()
    with pytest.raises(service.StateForbids):
        service.archive(dbsession, cast.campaign)
