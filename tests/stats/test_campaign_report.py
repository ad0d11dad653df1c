"""A campaign's report: people and machines, what is usual, its parts, who may see it, what it costs."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from mailhub.delivery.ids import new_message_id
from mailhub.events.marking import Mark, mark_in
from mailhub.events.service import Event, append_in
from mailhub.models import CampaignStats, CampaignVersion, Message, MessageEvent
from mailhub.stats import campaign_report
from tests.build import Builder
from tests.client import Client
from tests.stats.conftest import NOW, Cast

RAW = re.compile(r"\b(FROM|JOIN)\s+(message|message_event|message_content)\b", re.IGNORECASE)
Statements = Callable[[], AbstractContextManager[list[str]]]


def report(cast: Cast) -> str:
    return f"/projects/{cast.project.slug}/campaigns/{cast.campaign.id}/stats"


def words(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.text))


@pytest.fixture
def machine(cast: Cast, dbsession: Session) -> None:
    """All opens of person 1 and their clicks were a machine's."""
    hits = dbsession.execute(
        select(MessageEvent.project_id, MessageEvent.position, MessageEvent.id, MessageEvent.at).where(
            MessageEvent.project_id == cast.project.id, MessageEvent.subscriber_id == 1,
            MessageEvent.type.in_(("OPENED", "REDIRECTED")),
        )
    )  # fmt: skip
    mark_in(dbsession, [Mark(*hit, actor="scanner", cause="test") for hit in hits])
    dbsession.commit()


@pytest.fixture
def refused(cast: Cast, dbsession: Session) -> None:
    """Two letters that failed and one that is put off."""
    ends = (("failed", "userunknown", 550), ("failed", "userunknown", 550), ("deferred", "greylist", 451))
    for n, (state, reason, code) in enumerate(ends):
        at = NOW + timedelta(milliseconds=n)
        dbsession.add(
            Message(
                project_id=cast.project.id, created_at=NOW, id=new_message_id(at), kind="campaign", queue="bulk",
                state=state, reason=reason, smtp_code=code, smtp_reply=f"=5.1.1 <who{n}@b.test> refused",
                campaign_id=cast.campaign.id, subscriber_id=20 + n, email=f"who{n}@b.test", email_domain="b.test",
            )
        )  # fmt: skip
    dbsession.commit()


def older(build: Builder, cast: Cast, opened: list[int]) -> None:
    for week, people in enumerate(opened, start=1):
        at = NOW - timedelta(weeks=week)
        campaign = build.campaign(cast.project, state="sent", started_at=at, finished_at=at)
        stats = {"sent": 100, "unique_opened": people + 5, "unique_machine_opened": 5, "unique_redirected": 30}
        build._add(CampaignStats(project_id=cast.project.id, campaign_id=campaign.id, **stats))


def test_the_report_shows_what_was_counted_by_hand(client: Client, cast: Cast) -> None:
    page = client.sign_in(cast.alice).get(report(cast))
    text = words(page)
    assert "Sent 10 of 12 recipients" in text
    assert "Opened 30.0% 3 people with machines 30.0%" in text
    assert "Clicked 20.0% 2 people with machines 20.0%" in text
    assert "Bounced 9.1% 1 for good, 0 for now" in text
    assert "Unsubscribed 10.0% 1 person" in text
    assert "Complained 0.0% 0 people" in text
    assert "Opened 3 30.0% 0 3 30.0% 5 0" in text
    assert "https://shop.test/1 1 2 2 66.7%" in text
    assert "a.test 6 4 4 2 0 1 0" in text
    assert "at least three campaigns" in text
    assert "Spring <sale>" not in page.text
    assert "people?did=opened" in page.text
    assert "times of the time zone Europe/Moscow" in text


def test_people_and_machines_stand_beside_each_other(client: Client, cast: Cast, machine: None) -> None:
    page = client.sign_in(cast.alice).get(report(cast))
    text = words(page)
    assert "Opened 20.0% 2 people with machines 30.0%" in text
    assert "Clicked 10.0% 1 person with machines 20.0%" in text
    assert "Opened 2 20.0% 1 3 30.0% 2 3" in text
    assert "https://shop.test/0 1 1 1 100.0%" in text
    assert "https://shop.test/1 0 with machines 1 0 2 0.0%" in text
    assert "Clicks on all of them: 1 by people, 2 by machines." in text
    assert "did=opened_machine" in page.text


def test_a_difference_to_what_is_usual_is_good_or_bad_news(
    client: Client, cast: Cast, build: Builder, dbsession: Session
) -> None:
    older(build, cast, [10, 20])
    assert "usually" not in client.sign_in(cast.alice).get(report(cast))
    older(build, cast, [26])
    page = client.get(report(cast))
    assert "median of the 3 campaigns finished before this one" in words(page)
    tiles = [" ".join(tile.get_text(" ").split()) for tile in page.html.select(".delta")]
    assert tiles == ["+10 pp", "−10 pp", "+10 pp", "as usual", "+9.1 pp"]
    assert "usually 20.0% · with machines 30.0%" in words(page)
    assert [tile["class"] for tile in page.html.select(".delta")] == [
        ["delta", "up"], ["delta", "down"], ["delta", "down"], ["delta"], ["delta", "down"]
    ]  # fmt: skip


def test_only_campaigns_that_went_before_say_what_is_usual(
    cast: Cast, build: Builder, dbsession: Session
) -> None:
    older(build, cast, [10, 20, 30])
    later = build.campaign(cast.project, state="sent", started_at=NOW, finished_at=NOW)
    build._add(CampaignStats(project_id=cast.project.id, campaign_id=later.id, sent=1, unique_opened=1))
    never = build.campaign(cast.project, state="sent", started_at=NOW - timedelta(days=99))
    build._add(CampaignStats(project_id=cast.project.id, campaign_id=never.id, sent=0))
    cancelled = build.campaign(cast.project, state="cancelled", started_at=NOW - timedelta(days=98))
    build._add(CampaignStats(project_id=cast.project.id, campaign_id=cancelled.id, sent=100, unique_opened=99))
    found = campaign_report.read(dbsession, cast.project, cast.campaign)
    assert found is not None
    assert found.usual is not None
    assert (found.usual.n, found.usual.opened) == (3, 0.2)


def test_refused_letters_are_grouped_and_explained(client: Client, cast: Cast, refused: None) -> None:
    page = client.sign_in(cast.alice).get(report(cast))
    rows = [" ".join(row.get_text(" ").split()) for row in page.html.select("#report-errors tbody tr")]
    assert rows == [
        "550 no such mailbox Such addresses get no more letters. If there are many, ask where the list comes from. "
        "=5.1.1 <who1@b.test> refused Failed 2 66.7%",
        "451 the server asks to come back later The fault is the receiving server's. The letter is tried again for "
        "some days. =5.1.1 <who2@b.test> refused Deferred 1 33.3%",
    ]
    people = client.get(page.html.select_one("#report-errors tbody a")["href"])
    assert len(people.html.select("td.who")) == 2
    analyst = client.new().sign_in(cast.ann).get(report(cast))
    assert "no such mailbox" in analyst
    assert "@b.test" not in analyst


def test_devices_and_hours_come_from_their_rollups(client: Client, cast: Cast, dbsession: Session) -> None:
    iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"
    append_in(dbsession, [
        Event("OPENED", cast.project.id, "campaign", cast.campaign.started_at + timedelta(hours=5, minutes=1),
              campaign_id=cast.campaign.id, subscriber_id=8, user_agent=iphone)
    ])  # fmt: skip
    dbsession.commit()
    page = client.sign_in(cast.alice).get(report(cast))
    devices = {
        next(row.select("td")[0].stripped_strings): row.select("td")[1].get_text(strip=True)
        for row in page.html.select("#report-device tbody tr")
    }
    assert devices == {"Not told": "5", "Phone": "1"}
    hours = [[cell.get_text() for cell in row.select("td")] for row in page.html.select("#report-hours tbody tr")]
    assert len(hours) == 25, "the hours that have begun, not 48"
    assert hours[0] == ["5", "3", "5"]
    assert hours[5] == ["1", "0", "1"]
    assert "6 opens" not in page


def test_an_old_campaign_without_hours_shows_its_days(client: Client, cast: Cast, dbsession: Session) -> None:
    from mailhub.models import CampaignHour

    dbsession.query(CampaignHour).filter_by(campaign_id=cast.campaign.id).delete()
    dbsession.commit()
    page = client.sign_in(cast.alice).get(report(cast))
    assert "The first 48 hours" not in page
    assert "Day by day" in page


def test_hits_without_people_are_said_to_be_so(client: Client, cast: Cast, build: Builder) -> None:
    bare = build.campaign(cast.project, state="sent", started_at=NOW)
    build._add(CampaignStats(project_id=cast.project.id, campaign_id=bare.id, sent=9, opened=4))
    page = client.sign_in(cast.alice).get(f"/projects/{cast.project.slug}/campaigns/{bare.id}/stats")
    assert "counted without people" in page
    assert "counted without people" not in client.get(report(cast))


def test_a_campaign_without_numbers_has_dashes_and_no_nan(client: Client, cast: Cast, build: Builder) -> None:
    bare = build.campaign(cast.project, state="sending", started_at=NOW)
    page = client.sign_in(cast.alice).get(f"/projects/{cast.project.slug}/campaigns/{bare.id}/stats")
    assert "NaN" not in page.text
    assert "Opened — 0 people" in words(page)
    for said in ("Nothing was sent yet", "The letter has no links", "No hits yet", "No letter was refused"):
        assert said in page.text


def test_the_fragment_is_answered_only_when_something_happened(
    client: Client, cast: Cast, dbsession: Session, statements: Statements
) -> None:
    client.sign_in(cast.alice)
    part = client.fragment(report(cast), "campaign-report")
    assert part.text.lstrip().startswith('<section id="campaign-report"')
    assert "data-live" in part.text
    version = part.headers["HX-PTag"]
    assert f'hx-ptag="{version}"' in part.text
    headers = {"HX-Request": "true", "HX-Target": "section#campaign-report", "HX-PTag": version}
    with statements() as seen:
        assert client.get(report(cast), headers=headers, status=304).body == b""
    assert len([one for one in seen if "campaign_" in one]) == 1, seen
    append_in(dbsession, [Event("OPENED", cast.project.id, "campaign", campaign_id=cast.campaign.id, subscriber_id=9)])
    dbsession.commit()
    assert "4 people" in words(client.get(report(cast), headers=headers, status=200))


def test_the_campaigns_own_page_has_the_tiles_and_the_way_to_the_report(client: Client, cast: Cast) -> None:
    page = client.sign_in(cast.alice).get(report(cast).removesuffix("/stats"))
    assert "Opened 30.0% 3 people" in words(page)
    assert page.html.select_one(f"a[href='{report(cast)}']")
    part = client.fragment(report(cast), "campaign-results")
    headers = {"HX-Request": "true", "HX-Target": "section#campaign-results", "HX-PTag": part.headers["HX-PTag"]}
    client.get(report(cast), headers=headers, status=304)
    assert part.html.select_one("#campaign-results")["hx-ptag"] == part.headers["HX-PTag"]


def test_an_old_campaign_is_not_asked_about_for_ever(client: Client, cast: Cast, dbsession: Session) -> None:
    cast.campaign.started_at -= timedelta(days=8)
    dbsession.merge(cast.campaign)
    dbsession.commit()
    assert "data-live" not in client.sign_in(cast.alice).fragment(report(cast), "campaign-report").text


def test_a_draft_has_no_report(client: Client, cast: Cast, build: Builder, dbsession: Session) -> None:
    draft = build.campaign(cast.project)
    base = f"/projects/{cast.project.slug}/campaigns/{draft.id}"
    assert client.sign_in(cast.alice).get(f"{base}/stats", status=303).location.endswith(base)
    assert client.fragment(f"{base}/stats", "campaign-report", status=204).headers["HX-Redirect"].endswith(base)
    client.get(f"{base}/stats/report.csv", status=404)
    assert "Nothing was sent yet" in client.get(f"{base}/stats/map")
    assert campaign_report.read(dbsession, cast.project, draft) is None


@pytest.mark.parametrize("part", ["", "/map", "/links.csv"])
def test_who_may_see_the_report(client: Client, cast: Cast, build: Builder, part: str) -> None:
    client.get(report(cast) + part, status=303)
    client.sign_in(cast.ann).get(report(cast) + part, status=200)
    client.new().sign_in(cast.charlie).get(report(cast) + part, status=404)
    other = build.project(cast.alice)
    client.new().sign_in(cast.alice)
    client.get(f"/projects/{other.slug}/campaigns/{cast.campaign.id}/stats{part}", status=404)


def test_the_report_costs_few_statements_and_reads_rollups(
    client: Client, cast: Cast, refused: None, statements: Statements, dbsession: Session
) -> None:
    client.sign_in(cast.alice)
    client.get(report(cast))
    with statements() as seen:
        client.get(report(cast))
    assert len(seen) <= 13, "\n".join(seen)
    with statements() as seen:
        campaign_report.read(dbsession, cast.project, cast.campaign)
    assert len(seen) == 9
    assert [one for one in seen if RAW.search(one)] == [one for one in seen if "m.smtp_reply" in one]


def cells(answer: Any) -> list[list[str]]:
    assert answer.content_type == "text/csv"
    assert "attachment" in answer.headers["Content-Disposition"]
    return list(csv.reader(io.StringIO(answer.body.decode("utf-8-sig"))))


def test_each_table_is_a_csv(client: Client, cast: Cast, machine: None, refused: None) -> None:
    client.sign_in(cast.alice)
    found = {name: cells(client.get(f"{report(cast)}/{name}.csv")) for name in
             ("totals", "hours", "days", "links", "domains", "devices", "clients", "errors")}  # fmt: skip
    assert all(len(rows) > 1 and len({len(row) for row in rows}) == 1 for rows in found.values())
    assert ["opened", "2", "0.2", ""] in found["totals"]
    assert found["links"][2] == ["2", "https://shop.test/1", "", "0", "1", "0", "2", "0.0"]
    assert found["hours"][1][:5] == ["0", found["hours"][1][1], "10", "2", "5"]
    assert found["hours"][1][1].endswith("+03:00")
    assert found["domains"][1][:4] == ["a.test", "6", "1", "4"]
    assert found["errors"][1] == ["550", "failed", "userunknown", "2", "'=5.1.1 <who1@b.test> refused"]
    client.get(f"{report(cast)}/passwords.csv", status=404)


def test_the_whole_report_is_one_csv_without_words_for_an_analyst(client: Client, cast: Cast, refused: None) -> None:
    cast.campaign.name = "=Spring"
    whole = cells(client.sign_in(cast.alice).get(f"{report(cast)}/report.csv"))
    assert whole[0] == ["Table", "What", "Number", "Value"]
    assert ["links", "2 | https://shop.test/1", "Clicks by people", "2"] in whole
    assert ["domains", "b.test", "Sent", "4"] in whole
    assert any("@b.test" in row[3] for row in whole)
    analyst = cells(client.new().sign_in(cast.ann).get(f"{report(cast)}/report.csv"))
    assert not [row for row in analyst if "@b.test" in "".join(row)]


def test_a_report_for_strangers_names_nobody(cast: Cast, dbsession: Session, refused: None) -> None:
    append_in(dbsession, [
        Event(type_, cast.project.id, "campaign", NOW, campaign_id=cast.campaign.id, subscriber_id=30,
              email_domain="rare.test") for type_ in ("SENT", "OPENED")
    ])  # fmt: skip
    found = campaign_report.read(dbsession, cast.project, cast.campaign)
    assert found is not None
    public = found.without_people()
    assert public.shared
    assert [(one.domain, one.counts.sent) for one in public.domains] == [("a.test", 6), ("b.test", 4), ("*", 1)]
    assert sum(one.counts.opened for one in public.domains) == 6
    assert [kind.reply for code in public.refused for kind in code.kinds] == ["", ""]
    assert public.refused_letters == 3


@pytest.fixture
def letter(cast: Cast, build: Builder) -> None:
    html = (
        '<h1>Hello {{ name|default("friend") }}</h1><p><a href="https://shop.test/0">Shop</a></p>'
        '<a href="https://shop.test/1"><img src="https://shop.test/a.png" alt="A"></a><script>alert(1)</script>'
    )
    build._add(
        CampaignVersion(
            project_id=cast.project.id, campaign_id=cast.campaign.id, version=1, name="Spring", subject="Spring",
            preheader="", from_email="news@p.test", from_name="", reply_to="", html=html, text="", language="en",
            project_name="Shop", project_domain="p.test", postal_address="Main Street 1", list_id=None,
        )
    )  # fmt: skip


def test_the_click_map_is_the_frozen_letter_with_badges(
    client: Client, cast: Cast, letter: None, machine: None
) -> None:
    page = client.sign_in(cast.alice).get(report(cast))
    frame_url = page.html.select_one("#map-frame")["src"]
    frame = client.get(frame_url)
    text = words(frame)
    assert "Hello friend Shop 1 · 100%" in text
    assert "2 · 0%" in text
    assert [link.get("href") for link in frame.html.select("a")][:2] == ["https://shop.test/0", "https://shop.test/1"]
    assert "link.invalid" not in frame.text
    policy = frame.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-popups")
    assert "allow-scripts" not in policy
    assert "default-src 'none'" in policy
    assert "Link 1. People: 1. Clicks: 1." in frame.text


def test_a_map_follows_the_numbers_but_renders_the_letter_once(
    client: Client, cast: Cast, letter: None, dbsession: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mailhub.stats import campaign_map

    client.sign_in(cast.alice)
    assert "2 · 67%" in client.get(f"{report(cast)}/map")
    monkeypatch.setattr(campaign_map, "_render", lambda _source: pytest.fail("rendered again"))
    append_in(dbsession, [
        Event("REDIRECTED", cast.project.id, "campaign", campaign_id=cast.campaign.id, subscriber_id=5,
              link_id=cast.links[0].id)
    ])  # fmt: skip
    dbsession.commit()
    assert "2 · 50%" in client.get(f"{report(cast)}/map")


def test_a_letter_that_needs_its_reader_is_not_shown(
    client: Client, cast: Cast, letter: None, dbsession: Session
) -> None:
    version = dbsession.get(CampaignVersion, (cast.project.id, cast.campaign.id, 1))
    assert version is not None
    version.html = "{% for n in 5 %}{{ n"
    dbsession.commit()
    assert "can't be shown" in client.sign_in(cast.alice).get(f"{report(cast)}/map").html.get_text()
