"""The preview is what is sent, in a frame that may do nothing; test letters go through the same compiler."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from mailhub.models import Campaign, CampaignState, Message, MessageContent, SubscriberField
from tests.campaigns.arrange import Cast, start_now


def test_frame_has_its_own_policy(cast: Cast, client):
    client.sign_in(cast.bob)
    answer = client.get(cast.path(f"/preview/frame?subscriber={cast.people[1].id}"))
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none';")
    assert "script-src" not in policy
    assert "frame-ancestors 'self'" in policy
    assert "Dear Person 1" in answer
    assert '<a target="_blank"' in answer


def test_a_real_person_is_chosen_by_address_and_by_neighbour(cast: Cast, client):
    client.sign_in(cast.bob)
    page = client.get(cast.path("/preview"))
    assert cast.people[0].email in page
    second = page.click("Next", href="subscriber=")
    assert cast.people[1].email in second
    found = client.fragment(cast.path(f"/preview?q={cast.people[2].email[:8]}"), "preview-people")
    assert cast.people[2].email in found
    assert "<html" not in found


def test_another_projects_person_is_not_shown(cast: Cast, client, build):
    stranger = build.subscriber(build.project(), "secret@mail.test", name="Secret")
    client.sign_in(cast.bob)
    assert "Secret" not in client.get(cast.path(f"/preview?subscriber={stranger.id}"))
    assert "Secret" not in client.get(cast.path(f"/preview/frame?subscriber={stranger.id}"))


def test_an_analyst_sees_somebody_made_up(cast: Cast, client):
    client.sign_in(cast.analyst)
    page = client.get(cast.path(f"/preview?subscriber={cast.people[0].id}&q={cast.people[0].email[:5]}"))
    assert cast.people[0].email not in page
    assert "Anna" in client.get(cast.path(f"/preview/frame?subscriber={cast.people[0].id}"))


@pytest.mark.parametrize("view", ["html", "text", "source", "nonsense"])
def test_all_views_of_the_letter(cast: Cast, client, view):
    client.sign_in(cast.bob)
    page = client.get(cast.path(f"/preview?view={view}"))
    if view == "source":
        assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in page
    if view == "text":
        assert "Dear Person 0, look (https://example.com/shop)" in page


def test_what_a_stranger_wrote_is_escaped_and_bounded(cast: Cast, client, dbsession):
    cast.campaign.html = "<p>{{ name|truncate(5) }}</p><script>alert(1)</script>" + "{{ nickname }}"
    cast.campaign.subject = "<img src=x onerror=alert(1)>"
    dbsession.commit()
    client.sign_in(cast.bob)
    page = client.get(cast.path("/preview"))
    assert "There is no field" in page
    assert "<img src=x" not in page
    frame = client.get(cast.path("/preview/frame"))
    assert frame.body == b""


def test_a_sent_campaign_shows_what_was_frozen(cast: Cast, client, dbsession):
    client.sign_in(cast.bob)
    start_now(client, cast)
    row = dbsession.get(Campaign, (cast.project.id, cast.campaign.id), populate_existing=True)
    row.html, row.subject = "<p>Changed behind the scenes</p>", "Changed"
    dbsession.commit()
    assert "Dear Person" in client.get(cast.path("/preview/frame"))
    page = client.get(cast.path("/preview"))
    assert "Changed" not in page


def test_preview_is_what_delivery_makes(cast: Cast, client, dbsession, registry):
    """The same person, through the pump's own maker and through the preview: the same words."""
    from mailhub.campaigns import letter
    from mailhub.campaigns.testing import current_letter, own_links
    from mailhub.delivery.letters import source_of

    client.sign_in(cast.bob)
    draft, _version = current_letter(dbsession, cast.project, cast.campaign)
    start_now(client, cast)
    dbsession.expire_all()
    campaign = dbsession.get(Campaign, (cast.project.id, cast.campaign.id))
    frozen, version = current_letter(dbsession, cast.project, campaign)
    urls = own_links("http://localhost/p")
    assert frozen.parts(cast.people[0], urls) == draft.parts(cast.people[0], urls)
    columns = {column.key: getattr(version, column.key) for column in version.__table__.columns}
    assert letter.source_of_version(version) == source_of(columns)


def test_test_letter_is_marked_and_touches_nobody(cast: Cast, client, dbsession, publisher):
    client.sign_in(cast.bob)
    client.post_form(cast.path("/test"), {"addresses": "Me@Example.com, you@example.com", "back": "review"}, status=303)
    messages = dbsession.scalars(select(Message).where(Message.campaign_id == cast.campaign.id)).all()
    assert {(m.kind, m.queue, m.state, m.subscriber_id) for m in messages} == {
        ("test", "transactional", "queued", None)
    }
    content = dbsession.scalars(select(MessageContent).where(MessageContent.message_id == messages[0].id)).one()
    assert content.subject == "[Test] Hello, Person 0"
    assert "/preview?link=unsubscribe" in content.html
    assert "/u/" not in content.html
    assert publisher.sent == [("mailhub.delivery.send_due", ("transactional",), "transactional")]
    dbsession.expire_all()
    assert dbsession.get(Campaign, (cast.project.id, cast.campaign.id)).state == CampaignState.DRAFT
    assert "A test letter was sent" in client.get(cast.path("/edit/review"))


@pytest.mark.parametrize("typed", ["", "nobody", "a@b.test,c", " ".join(f"a{n}@b.test" for n in range(6))])
def test_bad_test_addresses_are_refused(cast: Cast, client, dbsession, publisher, typed):
    client.sign_in(cast.bob)
    client.post_form(cast.path("/test"), {"addresses": typed, "back": "review"}, status=422)
    assert dbsession.query(Message).filter_by(campaign_id=cast.campaign.id).count() == 0
    assert publisher.sent == []


def test_gaps_are_counted(cast: Cast, client, build, dbsession):
    dbsession.add(SubscriberField(project_id=cast.project.id, name="city"))
    build.subscriber(cast.project, lists=[cast.list], fields={"city": "Paris"})
    cast.campaign.html = "<p>{{ city }} {{ name|default('x') }} {% if phone is defined %}{% endif %}</p>"
    dbsession.commit()
    client.sign_in(cast.bob)
    page = client.get(cast.path("/edit/review"))
    assert "“city” is empty for 3 people" in page.text.replace("&#39;", "'") or "There is no field “phone”" in page


@pytest.mark.parametrize(
    ("source", "bare"),
    [
        ("{{ city }}", {"city"}),
        ("{{ city|default('x') }} {{ city|upper|default('x') }}", set()),
        ("{{ subscriber.city }} {{ email }} {{ unsubscribe_url }} {{ project.name }}", {"city"}),
        ("{% if city %}{{ city }}{% else %}{{ name }}{% endif %}", {"name"}),
        ("{{ city if city else 'x' }}", set()),
        ("{{ broken", set()),
    ],
)
def test_bare_fields(source, bare):
    from mailhub.campaigns.letter import bare_fields

    assert bare_fields(source) == bare
