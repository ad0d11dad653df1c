"""Links by which people without an account see a campaign's report."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from mailhub.models import AuditEntry, Campaign, StatsShare
from mailhub.security.secrets import digest
from mailhub.stats import share_links
from tests.build import Builder
from tests.client import Client
from tests.stats.conftest import NOW, Cast
from tests.stats.test_pages import home, words

SECRET = re.compile(r"/r/([A-Za-z0-9_-]{43})\b")


def path(cast: Cast) -> str:
    return f"{home(cast)}/campaigns/{cast.campaign.id}/shares"


def issue(dbsession: Session, campaign: Campaign, length: str = "30", name: str = "") -> share_links.Issued:
    made = share_links.create(dbsession, campaign, name=name, length=length, created_by=None, now=datetime.now(UTC))
    dbsession.commit()
    return made


def test_a_link_is_made_shown_once_and_followed(client: Client, cast: Cast, dbsession: Session) -> None:
    client.sign_in(cast.alice)
    page = client.post_form(path(cast), {"name": "Our <client>", "length": "7"}, status=201)
    (token,) = set(SECRET.findall(page.text))
    assert f'data-copy="http://localhost/r/{token}"' in page.text
    row = dbsession.query(StatsShare).one()
    assert (row.token_hash, row.name, row.created_by) == (digest(token), "Our <client>", cast.alice.id)
    assert row.expires_at is not None
    assert timedelta(days=6, hours=23) < row.expires_at - datetime.now(UTC) < timedelta(days=7, minutes=1)
    again = client.get(path(cast))
    assert token not in again.text
    assert "Our &lt;client&gt;" in again.text
    assert client.new().get(f"/r/{token}").status_int == 200
    dbsession.refresh(row)
    assert row.last_seen_at is not None


def test_the_journal_knows_who_shared_and_who_revoked(client: Client, cast: Cast, dbsession: Session) -> None:
    client.sign_in(cast.alice)
    page = client.post_form(path(cast), {"name": "Client", "length": "never"}, status=201)
    row = dbsession.query(StatsShare).one()
    client.post_form(f"{path(cast)}/{row.id}/revoke", status=303)
    client.post_form(f"{path(cast)}/{row.id}/revoke", status=303)
    entries = dbsession.query(AuditEntry).filter(AuditEntry.action.startswith("share.")).order_by(AuditEntry.id).all()
    assert [(one.action, one.user_id, one.object_id) for one in entries] == [
        ("share.created", cast.alice.id, str(row.id)), ("share.revoked", cast.alice.id, str(row.id))
    ]  # fmt: skip
    assert SECRET.findall(page.text)[0] not in str([one.detail for one in entries])


def test_the_shared_report_has_numbers_and_nothing_else(client: Client, cast: Cast, dbsession: Session) -> None:
    token = issue(dbsession, cast.campaign).token
    page = client.new().get(f"/r/{token}")
    text = words(page)
    assert "Spring &lt;sale&gt;" in page.text
    assert "30.0%" in text
    assert "Europe/Moscow" in text
    assert "Set-Cookie" not in page.headers
    assert page.headers["X-Robots-Tag"] == "noindex, nofollow"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.html.select_one("meta[name=robots]")["content"] == "noindex, nofollow"
    assert page.html.select("script, form, [hx-get], iframe") == []
    # Links lead to places on the page or out to the letter's own targets, never into the site.
    assert [a["href"] for a in page.html.select("a") if not a["href"].startswith(("#", "https://shop.test/"))] == []
    assert "@" not in text.replace("@media", "")
    assert f"/projects/{cast.project.slug}" not in page.text


def test_whoever_is_signed_in_sees_the_same(client: Client, cast: Cast, dbsession: Session) -> None:
    token = issue(dbsession, cast.campaign).token
    mine = client.sign_in(cast.alice).get(f"/r/{token}")
    theirs = client.new().get(f"/r/{token}")
    assert re.sub(r"\d\d:\d\d:\d\d", "", mine.text) == re.sub(r"\d\d:\d\d:\d\d", "", theirs.text)


def test_the_reader_gets_their_language(client: Client, cast: Cast, dbsession: Session) -> None:
    token = issue(dbsession, cast.campaign).token
    assert '<html lang="ru">' in client.get(f"/r/{token}", headers={"Accept-Language": "ru,en;q=0.5"}).text
    assert '<html lang="ru">' in client.get(f"/r/{token}?lang=ru").text
    assert '<html lang="en">' in client.get(f"/r/{token}?lang=xx", headers={"Accept-Language": "fr"}).text


def test_a_link_that_does_not_work_says_so_and_no_more(
    client: Client, cast: Cast, build: Builder, dbsession: Session
) -> None:
    over, revoked = issue(dbsession, cast.campaign), issue(dbsession, cast.campaign)
    draft = issue(dbsession, build.campaign(cast.project))
    over.row.expires_at = datetime.now(UTC) - timedelta(seconds=1)
    share_links.revoke(revoked.row, now=datetime.now(UTC))
    dbsession.commit()
    pages = [
        client.get(f"/r/{token}", status=404)
        for token in (over.token, revoked.token, draft.token, "x" * 43, "x", "%00", "%D0%BF" * 10, "y" * 5000)
    ]
    assert {re.sub(r"\s+", " ", page.text) for page in pages} == {re.sub(r"\s+", " ", pages[0].text)}
    assert "This link does not work" in pages[0].text
    assert dbsession.get_one(StatsShare, (cast.project.id, over.row.id)).last_seen_at is None


def test_a_project_that_is_archived_shares_nothing(client: Client, cast: Cast, dbsession: Session) -> None:
    token = issue(dbsession, cast.campaign, "never").token
    client.get(f"/r/{token}", status=200)
    cast.project.archived_at = datetime.now(UTC)
    dbsession.merge(cast.project)
    dbsession.commit()
    client.get(f"/r/{token}", status=404)


def test_a_visit_is_written_down_once_a_minute(client: Client, cast: Cast, dbsession: Session) -> None:
    made = issue(dbsession, cast.campaign)
    for ago, moved in ((timedelta(seconds=30), False), (timedelta(minutes=2), True)):
        before = datetime.now(UTC) - ago
        made.row.last_seen_at = before
        dbsession.commit()
        client.get(f"/r/{made.token}")
        dbsession.refresh(made.row)
        assert (made.row.last_seen_at != before) is moved


def test_a_campaign_has_so_many_links_and_no_more(
    client: Client, cast: Cast, dbsession: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(share_links, "MOST", 2)
    client.sign_in(cast.alice)
    first = issue(dbsession, cast.campaign)
    issue(dbsession, cast.campaign)
    page = client.post_form(path(cast), {"name": "", "length": "7"}, status=422)
    assert "Revoke one first" in page.text
    first.row.expires_at = datetime.now(UTC) - timedelta(days=1)
    dbsession.commit()
    client.post_form(path(cast), {"name": "", "length": "7"}, status=201)


@pytest.mark.parametrize("fields", [{"length": "8"}, {}, {"length": "7", "name": "x" * 101}, {"length": "7", "x": "1"}])
def test_bad_input_makes_no_link(client: Client, cast: Cast, dbsession: Session, fields: dict[str, str]) -> None:
    client.sign_in(cast.alice).post_form(path(cast), fields, status=422)
    assert dbsession.query(StatsShare).count() == 0


def test_a_draft_has_nothing_to_share(client: Client, cast: Cast, build: Builder, dbsession: Session) -> None:
    draft = build.campaign(cast.project)
    url = f"{home(cast)}/campaigns/{draft.id}/shares"
    client.sign_in(cast.alice).get(url, status=303)
    client.post_form(url, {"length": "7"}, status=303)
    assert dbsession.query(StatsShare).count() == 0


def test_marketers_share_and_analysts_look(client: Client, cast: Cast, build: Builder, dbsession: Session) -> None:
    made = issue(dbsession, cast.campaign, name="Client")
    marketer = build.user()
    build.member(cast.project, marketer, "marketer")
    client.sign_in(marketer).post_form(path(cast), {"length": "90"}, status=201)
    ann: Any = client.new().sign_in(cast.ann)
    page = ann.get(path(cast))
    assert "Client" in page.text
    assert page.html.select("main form") == []
    ann.post_form(path(cast), {"length": "7"}, status=403)
    ann.post_form(f"{path(cast)}/{made.row.id}/revoke", status=403)


def test_a_link_of_another_campaign_is_not_there(
    client: Client, cast: Cast, build: Builder, dbsession: Session
) -> None:
    other = build.campaign(cast.project, state="sent", started_at=NOW)
    made = issue(dbsession, other)
    client.sign_in(cast.alice).post_form(f"{path(cast)}/{made.row.id}/revoke", status=404)


def test_the_report_loads_its_links_afterwards(client: Client, cast: Cast, dbsession: Session) -> None:
    issue(dbsession, cast.campaign, name="Client")
    part = client.sign_in(cast.alice).fragment(path(cast), "share-links")
    assert part.text.lstrip().startswith('<section class="card" id="share-links"')
    assert "Client" in part.text
    assert path(cast) in part.text
