"""Opens and clicks: the token says everything, forgeries write nothing, HEAD counts nothing."""

from uuid import uuid4

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from mailhub.mail.tokens import Kind
from mailhub.models import CampaignStats, Link, MessageEvent
from mailhub.tracking.desk import HITS_A_DAY


@pytest.fixture
def letter(build, dbsession, registry):
    """A sent campaign, its reader, and the tokens of their letter."""
    project = build.project(time_zone="Europe/Moscow")
    mailing_list = build.list(project, "Readers")
    reader = build.subscriber(project, "anna@mail.test", lists=[mailing_list], name="Anna", fields={"city": "Тверь 1"})
    links = ("https://example.com/shop", "https://example.com/{{ city }}/?e={{ email }}")
    campaign = build.started_campaign(project, lists=[mailing_list], links=links)
    ids = {"project": project.id, "campaign": campaign.id, "subscriber": reader.id}
    stored = list(dbsession.scalars(select(Link).where(Link.campaign_id == campaign.id).order_by(Link.position)))
    sign = registry.signer.sign

    class Letter:
        open = sign(Kind.OPEN, **ids)
        click = sign(Kind.CLICK, **ids, link=stored[0].id)
        personal = sign(Kind.CLICK, **ids, link=stored[1].id)

    Letter.project, Letter.campaign, Letter.reader, Letter.ids, Letter.links = project, campaign, reader, ids, stored
    return Letter


def events(dbsession):
    dbsession.expire_all()
    return list(dbsession.scalars(select(MessageEvent).order_by(MessageEvent.id)))


def test_pixel_stores_an_open_with_plain_values_beside_the_keys(client, letter, dbsession):
    answer = client.get(f"/t/o/{letter.open}", headers={"User-Agent": "Mail\x00er 1"})
    assert answer.content_type == "image/gif"
    assert len(answer.body) == 43
    assert "no-store" in answer.headers["Cache-Control"]
    assert "Set-Cookie" not in answer.headers
    (event,) = events(dbsession)
    assert (event.type, event.campaign_id, event.subscriber_id) == ("OPENED", letter.campaign.id, letter.reader.id)
    assert (event.email, event.email_domain, event.list_name) == ("anna@mail.test", "mail.test", "Readers")
    assert (event.project_domain, event.campaign_name) == (letter.project.domain, letter.campaign.name)
    assert str(event.ip) == "127.0.0.1"


def test_click_leads_to_the_stored_url_and_counts_once_a_person(client, letter, dbsession):
    for _turn in range(3):
        answer = client.get(f"/t/c/{letter.click}", status=302)
        assert answer.headers["Location"] == "https://example.com/shop"
        assert answer.headers["Cache-Control"] == "no-store"
    stats = dbsession.scalars(select(CampaignStats).where(CampaignStats.campaign_id == letter.campaign.id)).one()
    assert (stats.redirected, stats.unique_redirected) == (3, 1)
    assert {event.url for event in events(dbsession)} == {"https://example.com/shop"}


def test_a_personal_link_is_filled_in_percent_encoded(client, letter):
    answer = client.get(f"/t/c/{letter.personal}", status=302)
    assert answer.headers["Location"] == ("https://example.com/%D0%A2%D0%B2%D0%B5%D1%80%D1%8C%201/?e=anna%40mail.test")


@pytest.mark.parametrize("path", ["/t/c/{}", "/u/{}", "/v/{}"])
def test_a_forged_token_is_not_found_and_writes_nothing(client, letter, dbsession, path):
    for forged in ("x", letter.open, letter.click[:-2] + "AA", "A" * 300, "%00", "..%2f.."):
        client.get(path.format(forged), status=404)
    assert events(dbsession) == []


def test_a_forged_pixel_is_the_same_picture_and_writes_nothing(client, letter, dbsession):
    genuine = client.get(f"/t/o/{letter.open}").body
    for forged in ("x", letter.click, letter.open[:-1]):
        assert client.get(f"/t/o/{forged}").body == genuine
    assert len(events(dbsession)) == 1


def test_head_counts_nothing(client, letter, dbsession):
    client.head(f"/t/o/{letter.open}")
    assert client.head(f"/t/c/{letter.click}", status=302).headers["Location"] == "https://example.com/shop"
    assert events(dbsession) == []


def test_an_unsafe_stored_url_is_never_followed(client, letter, dbsession):
    letter.links[0].url = "javascript:alert(1)"
    dbsession.merge(letter.links[0])
    dbsession.commit()
    client.get(f"/t/c/{letter.click}", status=404)
    assert events(dbsession) == []


def test_a_click_works_after_the_person_was_deleted(client, letter, dbsession):
    dbsession.execute(text("DELETE FROM subscriber WHERE id = :id"), {"id": letter.reader.id})
    dbsession.commit()
    client.get(f"/t/c/{letter.click}", status=302)
    client.get(f"/t/c/{letter.personal}", status=302)
    first, _second = events(dbsession)
    assert (first.subscriber_id, first.email) == (None, "")


def test_hits_of_one_token_are_stored_a_bounded_number_of_times(client, letter, dbsession):
    for _turn in range(HITS_A_DAY + 5):
        client.get(f"/t/o/{letter.open}")
    assert len(events(dbsession)) == HITS_A_DAY


def test_a_single_letters_click_is_the_projects_even_without_its_row(client, letter, registry, dbsession):
    token = registry.signer.sign(Kind.CLICK, project=letter.project.id, link=letter.links[0].id, message=uuid4())
    client.get(f"/t/c/{token}", status=302)
    (event,) = events(dbsession)
    assert (event.kind, event.campaign_id, event.project_domain) == ("transactional", None, letter.project.domain)


def test_a_known_link_is_followed_while_the_database_is_away(live):
    project = live.build.project()
    campaign = live.build.started_campaign(project)
    link = live.session.scalars(select(Link)).one()
    ids = {"project": project.id, "campaign": campaign.id, "subscriber": 1}
    click = live.registry.signer.sign(Kind.CLICK, **ids, link=link.id)
    live.client.get(f"/t/c/{click}", status=302)

    class Away:
        def __enter__(self):
            raise OperationalError("away", {}, Exception("away"))

        def __exit__(self, *_args):
            return False

    live.registry.session_factory = Away
    assert live.client.get(f"/t/c/{click}", status=302).headers["Location"] == link.url
    live.client.get(f"/t/o/{live.registry.signer.sign(Kind.OPEN, **ids)}", status=200)
    other = live.registry.signer.sign(Kind.CLICK, **ids, link=link.id + 1)
    assert live.client.get(f"/t/c/{other}", status=503).headers["Retry-After"]
